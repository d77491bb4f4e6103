//! "What was in Production when?": the times in which a label pointed at each version, from the event log.

use std::time::SystemTime;

use axum::Json;
use serde::Deserialize;
use serving_core::{Label, Version};
use utoipa::IntoParams;

use super::Refused;
use super::access::Access;
use super::extract::{Parameters, Segments, page_size, parameter};
use super::openapi::{InvalidParameterValue, ResourceDoesNotExist, TemporarilyUnavailable};
use crate::api::{LabelEnd, LabelHistory, LabelInterval, Timestamp};
use crate::store::LabelMove;

const PAGE_SIZE: usize = 100;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct HistoryQuery {
    /// Only the interval that holds this time.
    #[param(value_type = Option<String>, format = DateTime)]
    at: Option<String>,
    /// `next_page_token` of the page before.
    #[param(value_type = Option<i64>)]
    page_token: Option<String>,
    /// How many a page has; 100 if it is not said.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    max_results: Option<String>,
}

/// An interval and the entry of the log that it began with, which orders it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Placed {
    began_with: i64,
    interval: LabelInterval,
}

/// Where a stage or an alias pointed, and when: intervals, newest first.
#[utoipa::path(
    get,
    path = "/models/{name}/labels/{label}/history",
    operation_id = "label_history",
    tag = "models",
    params(
        ("name" = String, Path, description = "The registered model, percent-encoded.", example = "iris"),
        ("label" = String, Path, description = "A stage, or an alias with or without its `@`.", example = "Production"),
        HistoryQuery,
    ),
    responses(
        (status = OK, description = "A page of intervals.", body = LabelHistory),
        InvalidParameterValue,
        ResourceDoesNotExist,
        TemporarilyUnavailable,
    ),
)]
pub(super) async fn show(
    access: Access,
    Segments((name, label)): Segments<(String, String)>,
    Parameters(query): Parameters<HistoryQuery>,
) -> Result<Json<LabelHistory>, Refused> {
    access.to_see(&name).await?;
    let at: Option<Timestamp> = parameter("at", query.at.as_deref())?;
    let before: Option<i64> = parameter("page_token", query.page_token.as_deref())?;
    let size = page_size(query.max_results.as_deref(), PAGE_SIZE)?;
    let (model, label) = (name.as_str().into(), in_full(&label));
    let moves = access.state.store.label_moves(&model, &label).await?;
    // A name that nothing was ever logged of has to exist.
    if moves.is_empty() {
        access.to_exist(&model).await?;
    }
    let mut intervals = intervals(&moves);
    intervals.retain(|placed| {
        let older = before.is_none_or(|before| placed.began_with < before);
        older && at.is_none_or(|at| placed.interval.holds_at(at))
    });
    let more = intervals.len() > size;
    intervals.truncate(size);
    let next_page_token = intervals
        .last()
        .filter(|_| more)
        .map(|placed| placed.began_with.to_string());
    Ok(Json(LabelHistory {
        label: label.to_string(),
        intervals: intervals
            .into_iter()
            .map(|placed| placed.interval)
            .collect(),
        next_page_token,
    }))
}

/// A label as the log has it: stages may be written in any case, and an alias without its `@`.
pub(super) fn in_full(label: &str) -> Label {
    for stage in ["Production", "Staging"] {
        if label.eq_ignore_ascii_case(stage) {
            return stage.into();
        }
    }
    if label.starts_with('@') {
        label.into()
    } else {
        format!("@{label}").as_str().into()
    }
}

/// From moves, oldest first, to intervals, newest first.
fn intervals(moves: &[LabelMove]) -> Vec<Placed> {
    let mut done: Vec<Placed> = Vec::new();
    let mut open: Option<Placed> = None;
    for (place, step) in moves.iter().enumerate() {
        if place == 0 {
            // What was there before the log began.
            open = step
                .from
                .map(|version| Placed::new(step.id - 1, version, None));
        }
        let current = open.as_ref().map(|placed| placed.interval.version);
        // A gateway of an earlier release says again at its start where a label points.
        if step.to.map(|version| version.0) == current {
            continue;
        }
        if let Some(mut ended) = open.take() {
            ended.interval.until = Some(step.at.into());
            ended.interval.ended = Some(end(step));
            done.push(ended);
        }
        open = step
            .to
            .map(|version| Placed::new(step.id, version, Some(step.at)));
    }
    done.extend(open);
    done.reverse();
    done
}

fn end(step: &LabelMove) -> LabelEnd {
    match (step.to, &step.disabled_by) {
        (Some(version), _) => LabelEnd::Moved { to: version.0 },
        (None, Some(by)) => LabelEnd::Disabled { by: by.clone() },
        (None, None) => LabelEnd::Removed,
    }
}

impl Placed {
    fn new(began_with: i64, version: Version, from: Option<SystemTime>) -> Self {
        Self {
            began_with,
            interval: LabelInterval {
                version: version.0,
                from: from.map(Timestamp),
                until: None,
                ended: None,
            },
        }
    }
}

impl LabelInterval {
    fn holds_at(&self, time: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= time) && self.until.is_none_or(|until| time < until)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn step(
        second: u8,
        from: Option<u64>,
        to: Option<u64>,
        disabled_by: Option<&str>,
    ) -> LabelMove {
        LabelMove {
            id: i64::from(second) * 10,
            at: SystemTime::UNIX_EPOCH + Duration::from_secs(second.into()),
            from: from.map(Version),
            to: to.map(Version),
            disabled_by: disabled_by.map(str::to_owned),
        }
    }

    /// Newest first: version, from and until in seconds.
    fn told(moves: &[LabelMove]) -> Vec<String> {
        let second = |time: Option<Timestamp>| {
            time.map_or("?".to_owned(), |time| time.to_string()[17..19].to_owned())
        };
        let told = intervals(moves).into_iter().map(|placed| {
            let LabelInterval {
                version,
                from,
                until,
                ended,
            } = placed.interval;
            let ended = ended.map_or("lasts".to_owned(), |ended| format!("{ended:?}"));
            format!("{version} {}-{} {ended}", second(from), second(until))
        });
        told.collect()
    }

    #[test]
    fn a_promotion_ends_one_interval_and_begins_the_next() {
        let moves = [
            step(1, None, Some(1), None),
            step(5, Some(1), Some(2), None),
        ];
        assert_eq!(told(&moves), ["2 05-? lasts", "1 01-05 Moved { to: 2 }"]);
    }

    #[test]
    fn what_was_said_again_at_a_start_was_no_move() {
        let moves = [
            step(1, None, Some(1), None),
            step(3, None, Some(1), None),
            step(5, None, Some(2), None),
        ];
        assert_eq!(told(&moves), ["2 05-? lasts", "1 01-05 Moved { to: 2 }"]);
    }

    #[test]
    fn what_was_there_before_the_log_began_has_no_beginning() {
        let moves = [step(4, Some(7), Some(8), None)];
        assert_eq!(told(&moves), ["8 04-? lasts", "7 ?-04 Moved { to: 8 }"]);
    }

    #[test]
    fn between_disabling_and_enabling_it_pointed_nowhere() {
        let moves = [
            step(1, None, Some(1), None),
            step(2, Some(1), None, Some("ada")),
            step(6, None, Some(1), None),
            step(7, Some(1), None, None),
        ];
        assert_eq!(
            told(&moves),
            ["1 06-07 Removed", "1 01-02 Disabled { by: \"ada\" }"]
        );
    }

    #[test]
    fn an_interval_holds_its_beginning_and_not_its_end() {
        let moves = [
            step(1, None, Some(1), None),
            step(5, Some(1), Some(2), None),
        ];
        let at = |second: u64| {
            let time = Timestamp(SystemTime::UNIX_EPOCH + Duration::from_secs(second));
            let held = intervals(&moves).into_iter();
            let held = held.filter(|placed| placed.interval.holds_at(time));
            held.map(|placed| placed.interval.version)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            [at(0), at(1), at(4), at(5), at(9)],
            [vec![], vec![1], vec![1], vec![2], vec![2]]
        );
    }

    #[test]
    fn labels_are_found_in_every_spelling_that_a_uri_has() {
        for (written, found) in [
            ("production", "Production"),
            ("STAGING", "Staging"),
            ("champion", "@champion"),
            ("@Champion", "@Champion"),
            ("@production", "@production"),
        ] {
            assert_eq!(in_full(written).as_str(), found);
        }
    }
}
