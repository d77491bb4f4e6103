//! Whether requests to a version share calls of its workers, as it is shown.

use std::sync::Arc;

use serving_core::Batching;

use super::stack::VersionStack;

/// Whether requests to a version share calls, and what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchingState {
    /// Whether they may now.
    pub on: bool,
    /// Why, or why not: a sentence for people.
    pub reason: Arc<str>,
    /// Rows of a call on the average, of those calls of which they are known, since the version became ready.
    pub mean_rows: Option<f64>,
}

impl VersionStack {
    /// Whether requests share calls.
    pub fn batching(&self) -> BatchingState {
        BatchingState {
            on: self.settings().batching == Batching::On,
            reason: "the model's settings say so".into(),
            mean_rows: None,
        }
    }
}
