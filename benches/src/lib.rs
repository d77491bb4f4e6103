//! Benchmarks of the whole and of its parts, against peers in the same run.
//!
//! `cargo bench -p benches` runs them. They print figures and judge nothing: a figure means something only beside
//! another one of the same run on the same machine.

pub mod clock;
pub mod figures;
pub mod micro;

pub use clock::time_of;
