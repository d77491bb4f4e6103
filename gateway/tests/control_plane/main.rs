//! The control plane as a service, without ports: a real store, a scripted engine and registry.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod engine;
mod environments;
mod events;
mod general;
mod harness;
mod legacy;
mod logs;
mod models;
mod names;
mod openapi;
mod rights;
mod scripted_environments;
mod serving;
mod tokens;
