//! The recent past in figures: what charts show.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The figures of a model or a version over time: in each list one value for each step, oldest first, `null` where nothing
/// is known. Series that were not asked for are left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Series {
    /// Requests answered a second, refusals by the version included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<Option<f32>>,
    /// Of these, those whose status was not 2xx, a second.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Option<f32>>,
    /// Seconds that half of the requests took at most, to the end of the answer. All quantiles are right to an eighth.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub p50: Vec<Option<f32>>,
    /// Seconds that 95 % of the requests took at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub p95: Vec<Option<f32>>,
    /// Seconds that 99 % of the requests took at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub p99: Vec<Option<f32>>,
    /// Requests inside at the end of the step, waiting ones included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub in_flight: Vec<Option<f32>>,
    /// Requests that waited for a place then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub queue: Vec<Option<f32>>,
    /// Rows that a call of a worker had on average, where requests may share calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub batch_size: Vec<Option<f32>>,
    /// Bytes of the workers' memory then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub memory: Vec<Option<f32>>,
}

/// The names of the series, and where they are.
const LINES: [(&str, Line); 9] = [
    ("requests", |series| &mut series.requests),
    ("errors", |series| &mut series.errors),
    ("p50", |series| &mut series.p50),
    ("p95", |series| &mut series.p95),
    ("p99", |series| &mut series.p99),
    ("in_flight", |series| &mut series.in_flight),
    ("queue", |series| &mut series.queue),
    ("batch_size", |series| &mut series.batch_size),
    ("memory", |series| &mut series.memory),
];

type Line = fn(&mut Series) -> &mut Vec<Option<f32>>;

/// Some of the series, by name with commas between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeriesNames(Vec<&'static str>);

/// A name that no series has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no series {0:?}; there are {known}", known = LINES.map(|(name, _)| name).join(", "))]
pub struct UnknownSeries(String);

impl Series {
    /// The same with these alone; the others are left out.
    #[must_use]
    pub fn only(mut self, names: &SeriesNames) -> Self {
        for (name, line) in LINES {
            if !names.0.contains(&name) {
                line(&mut self).clear();
            }
        }
        self
    }
}

impl FromStr for SeriesNames {
    type Err = UnknownSeries;

    fn from_str(text: &str) -> Result<Self, UnknownSeries> {
        let find = |asked: &str| {
            let found = LINES.iter().find(|(name, _)| *name == asked);
            let found = found.map(|(name, _)| *name);
            found.ok_or_else(|| UnknownSeries(asked.chars().take(100).collect()))
        };
        let names = text.split(',').map(|name| find(name.trim()));
        Ok(Self(names.collect::<Result<_, _>>()?))
    }
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
