//! What is kept and told of the gateway's doings: events, the access log, traces; and the webhooks it listens to.

use std::time::Duration;

use auth::Secret;
use toml::Value;
use url::Url;

use super::check::web_address;
use super::reader::{Reader, parse};
use crate::api::HumaneDuration;

/// A part that is never shown.
const HIDDEN: &str = "***";
const DAY: Duration = Duration::from_secs(86_400);

/// How much of the event log is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventsConfig {
    /// Older entries are forgotten.
    pub keep: Duration,
    /// Newest entries of each model that are kept.
    pub keep_per_model: u32,
}

/// Webhooks of the registry.
#[derive(Clone, Debug)]
pub struct WebhooksConfig {
    /// What deliveries are signed with; without one they are refused.
    pub secret: Option<Secret>,
    /// Deliveries that were signed longer ago are refused.
    pub max_age: Duration,
}

/// One record for each scoring request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AccessLogConfig {
    /// Whether there is one.
    pub enabled: bool,
    /// Which part of the successful requests is told of, from 0 to 1; failed ones all are.
    pub sample: f64,
    /// Whether requests of the control plane are told of as well; health and metrics never are.
    pub control_plane: bool,
}

/// Traces over OTLP.
#[derive(Clone, Debug, PartialEq)]
pub struct TracesConfig {
    /// Where a collector takes them (OTLP over HTTP); `None` sends none.
    pub endpoint: Option<Url>,
    /// Which part of the requests that come without a decision is traced, from 0 to 1.
    pub sample: f64,
}

/// All of them.
#[derive(Clone, Debug)]
pub struct ObservingConfig {
    /// `[events]`.
    pub events: EventsConfig,
    /// `[webhooks]`.
    pub webhooks: WebhooksConfig,
    /// `[access_log]`.
    pub access_log: AccessLogConfig,
    /// `[traces]`.
    pub traces: TracesConfig,
}

/// Reads the sections.
pub(super) fn read(reader: &mut Reader) -> ObservingConfig {
    let second = Duration::from_secs(1);
    let events = EventsConfig {
        keep: reader.duration_within("events.keep", DAY * 90, second * 60, DAY * 3650),
        keep_per_model: reader.parsed("events.keep_per_model", 10_000, |text| {
            let count: u32 = parse(text)?;
            if count > 0 {
                Ok(count)
            } else {
                Err("at least 1 is allowed".to_owned())
            }
        }),
    };
    let webhooks = WebhooksConfig {
        secret: reader
            .text("webhooks.secret")
            .map(|(text, _)| Secret::new(text)),
        max_age: reader.duration("webhooks.max_age", second * 300, second),
    };
    let access_log = AccessLogConfig {
        enabled: reader.flag("access_log.enabled", false),
        sample: reader.parsed("access_log.sample", 1.0, part),
        control_plane: reader.flag("access_log.control_plane", false),
    };
    let traces = TracesConfig {
        endpoint: reader.text("traces.endpoint").and_then(|(text, origin)| {
            reader.accept("traces.endpoint", &origin, web_address(&text))
        }),
        sample: reader.parsed("traces.sample", 1.0, part),
    };
    ObservingConfig {
        events,
        webhooks,
        access_log,
        traces,
    }
}

/// The value of a key of these sections, as it is shown.
pub(super) fn value(config: &ObservingConfig, key: &str) -> Option<Value> {
    let ObservingConfig {
        events,
        webhooks,
        access_log,
        traces,
    } = config;
    let text = match key {
        "events.keep" => HumaneDuration(events.keep).to_string(),
        "events.keep_per_model" => events.keep_per_model.to_string(),
        "webhooks.secret" => webhooks.secret.as_ref().map(|_| HIDDEN.to_owned())?,
        "webhooks.max_age" => HumaneDuration(webhooks.max_age).to_string(),
        "access_log.enabled" => return Some(Value::Boolean(access_log.enabled)),
        "access_log.sample" => access_log.sample.to_string(),
        "access_log.control_plane" => return Some(Value::Boolean(access_log.control_plane)),
        "traces.endpoint" => traces.endpoint.as_ref()?.to_string(),
        "traces.sample" => traces.sample.to_string(),
        _ => return None,
    };
    Some(Value::String(text))
}

fn part(text: String) -> Result<f64, String> {
    let part: f64 = parse(text)?;
    if (0.0..=1.0).contains(&part) {
        Ok(part)
    } else {
        Err("from 0 to 1 is allowed".to_owned())
    }
}
