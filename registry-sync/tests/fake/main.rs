//! The whole crate against a registry in this process.

#![expect(
    clippy::unwrap_used,
    reason = "a test that panics has failed, which is what it is for"
)]

mod artifacts;
mod calls;
mod polling;
mod registry;
