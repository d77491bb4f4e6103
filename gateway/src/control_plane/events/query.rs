//! What is asked of the event log.

use serde::Deserialize;
use serving_core::Version;
use utoipa::IntoParams;

use super::super::Refused;
use super::super::extract::parameter;
use super::super::label_history::in_full;
use crate::api::{EventType, Timestamp};
use crate::store::EventFilter;

/// The parameters, as text.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::control_plane) struct EventsQuery {
    /// Only of this model.
    pub(super) model: Option<String>,
    /// Only of this version.
    #[param(value_type = Option<u64>)]
    pub(super) version: Option<String>,
    /// Only of these types, with commas between them.
    #[serde(rename = "type")]
    #[param(value_type = Option<Vec<EventType>>, style = Form, explode = false)]
    pub(super) kinds: Option<String>,
    /// Only about this stage or alias.
    pub(super) label: Option<String>,
    /// Only what was seen at this time or later.
    #[param(value_type = Option<String>, format = DateTime)]
    pub(super) since: Option<String>,
    /// Only what was seen before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    pub(super) until: Option<String>,
    /// Of a page: where the last one ended.
    #[param(value_type = Option<i64>)]
    pub(super) page_token: Option<String>,
    /// Of a page: how many at most.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    pub(super) max_results: Option<String>,
    /// Of a stream: the last event that was received; the header `Last-Event-ID` comes first.
    #[param(value_type = Option<i64>)]
    pub(super) last_event_id: Option<String>,
    /// Of a stream: whether it also tells how models are.
    #[param(value_type = Option<bool>)]
    pub(super) status: Option<String>,
}

impl EventsQuery {
    /// What entries have to have, besides being about a model that the caller may see.
    pub(super) fn filter(&self, version: Option<Version>) -> Result<EventFilter, Refused> {
        let time = |name: &str, text: &Option<String>| {
            let time: Option<Timestamp> = parameter(name, text.as_deref())?;
            Ok::<_, Refused>(time.map(|time| time.0))
        };
        let kinds = self.kinds.as_deref().unwrap_or_default().split(',');
        let label = self.label.as_deref().filter(|label| !label.is_empty());
        Ok(EventFilter {
            models: None,
            version,
            kinds: kinds
                .map(str::trim)
                .filter(|kind| !kind.is_empty())
                .map(known)
                .collect::<Result<_, _>>()?,
            label: label.map(|label| in_full(label).to_string()),
            since: time("since", &self.since)?,
            until: time("until", &self.until)?,
        })
    }

    /// Whether a stream also tells how models are.
    pub(super) fn wants_status(&self) -> Result<bool, Refused> {
        Ok(parameter("status", self.status.as_deref())?.unwrap_or(false))
    }

    /// The last event that a client of a stream has received.
    pub(super) fn last_event(&self, header: Option<&str>) -> Result<Option<i64>, Refused> {
        match header.filter(|id| !id.is_empty()) {
            Some(id) => parameter("Last-Event-ID", Some(id)),
            None => parameter("last_event_id", self.last_event_id.as_deref()),
        }
    }
}

/// Nobody is told "there is none" where a word was misspelled.
fn known(kind: &str) -> Result<String, Refused> {
    let kind: Option<EventType> = parameter("type", Some(kind))?;
    Ok(kind.map(EventType::as_str).unwrap_or_default().to_owned())
}
