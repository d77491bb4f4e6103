//! Benchmarks of the whole and of its parts, against peers in the same run.
//!
//! `scripts/bench` runs those of the whole (decision 26), `cargo bench -p benches` those of parts. They print figures and
//! judge nothing: a figure means something only beside another one of the same run on the same machine.
//!
//! A benchmark of the whole starts its subjects as processes ([`program`]), has them answer the same requests in turn
//! ([`rounds`], by the generator in [`load`]), measures what they take of the machine ([`meter`]), and writes what came
//! of it ([`report`]).

pub mod clock;
mod footprint;
pub mod gateway;
pub mod load;
pub mod meter;
pub mod micro;
pub mod options;
pub mod program;
pub mod proxy;
pub mod reaper;
pub mod registry;
pub mod report;
pub mod rounds;
pub mod scoring;
pub mod upstream;
pub mod wait;

pub use clock::time_of;
