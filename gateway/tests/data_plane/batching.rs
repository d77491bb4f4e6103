//! Requests of several callers in one call of a worker.

mod auto;
mod equal;
mod laws;
mod long;
mod probation;
mod scorer;
mod slots;
mod workers;

use serving_core::{Batching, Settings};

use crate::fixture::Setup;

impl Setup {
    fn batching(mut self, batching: Batching) -> Self {
        self.settings.batching = batching;
        self
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }
}
