//! The recent past in figures, for people who look at a page: an hour of every model and version, a sample each ten seconds.
//!
//! No substitute for Prometheus: nothing of it outlives the process, and nothing is kept that a chart does not show.

mod history;
mod recent;
mod sampler;
mod window;

pub use history::History;
pub(crate) use recent::{Recent, Recents};
pub use sampler::Sampler;
pub(crate) use window::STEP;
pub use window::{InvalidWindow, Window};
