//! The recent past in figures, for people who look at a page: an hour of every model and version, a sample each ten seconds.
//!
//! No substitute for Prometheus: nothing of it outlives the process, and nothing is kept that a chart does not show.

mod history;
mod recent;
mod sampler;

pub use history::{Figures, History, Series, Window};
pub use recent::{Recent, Recents};
pub use sampler::{Gauges, sample_for_ever};
