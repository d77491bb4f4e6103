//! The settings of how many workers a version has.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use serving_core::ReplicaRange;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema};
use utoipa::openapi::{RefOr, Type};

use super::InvalidSetting;
use super::checks::{LONGEST_TIMEOUT, refused};
use crate::api::HumaneDuration;

/// In less, workers would come and go with single requests.
const LEAST_IDLENESS: Duration = Duration::from_secs(1);

/// What the OpenAPI document says of it.
pub(super) fn schema() -> RefOr<Schema> {
    let number = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(1))
        .maximum(Some(ReplicaRange::MOST));
    let range = ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some("^[0-9]+(\\.\\.[0-9]+)?$"));
    OneOfBuilder::new()
        .description(Some(
            "Workers of each version: a number, or a range such as `1..4`, within which there are as many as requests \
             need. `0..4` may have none while nobody calls; the first request starts one and waits for it.",
        ))
        .item(number)
        .item(range)
        .examples([json!(2), json!("0..4")])
        .into()
}

pub(super) fn replicas(key: &str, value: &Value) -> Result<ReplicaRange, InvalidSetting> {
    ReplicaRange::deserialize(value).map_err(|reason| {
        let allowed = format!(
            "a whole number from 1 to {most}, or a range such as \"1..4\" or \"0..{most}\" ({reason})",
            most = ReplicaRange::MOST
        );
        refused(key, value, &allowed)
    })
}

pub(super) fn idleness(key: &str, value: &Value) -> Result<HumaneDuration, InvalidSetting> {
    HumaneDuration::deserialize(value)
        .ok()
        .filter(|idleness| (LEAST_IDLENESS..=LONGEST_TIMEOUT).contains(&idleness.0))
        .ok_or_else(|| {
            let allowed = "a duration such as \"5m\" or a number of seconds, from 1s to 24h";
            refused(key, value, allowed)
        })
}
