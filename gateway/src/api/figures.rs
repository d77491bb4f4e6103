//! The recent past in figures: what charts show.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The figures of a model or a version over time: in each list one value for each step, oldest first, `null` where nothing
/// is known.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Series {
    /// Requests answered a second, refusals by the version included.
    pub requests: Vec<Option<f32>>,
    /// Of these, those whose status was not 2xx, a second.
    pub errors: Vec<Option<f32>>,
    /// Seconds that half of the requests took at most, to the end of the answer. All quantiles are right to an eighth.
    pub p50: Vec<Option<f32>>,
    /// Seconds that 95 % of the requests took at most.
    pub p95: Vec<Option<f32>>,
    /// Seconds that 99 % of the requests took at most.
    pub p99: Vec<Option<f32>>,
    /// Requests inside at the end of the step, waiting ones included.
    pub in_flight: Vec<Option<f32>>,
    /// Requests that waited for a place then.
    pub queue: Vec<Option<f32>>,
    /// Bytes of the workers' memory then.
    pub memory: Vec<Option<f32>>,
}

/// The figures of one model, or of one version of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Figures {
    /// Seconds between two values.
    pub step_seconds: u64,
    /// The values.
    pub series: Series,
}

/// The figures of several models, all versions of each together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FiguresByModel {
    /// Seconds between two values.
    pub step_seconds: u64,
    /// By name; models without figures are not in it.
    pub models: BTreeMap<String, Series>,
}
