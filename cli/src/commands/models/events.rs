//! `models events`: what happened to a model, oldest first; or where one of its labels pointed, newest first.

use std::time::SystemTime;

use gateway::api::{Event, LabelEnd, LabelInterval};
use gateway::control_plane::inert;
use serde_json::Value;

use crate::args::models::EventsArgs;
use crate::args::moment::Moment;
use crate::client::{Client, EventWish, Events};
use crate::error::CommandError;
use crate::output::{self, Format};

pub(super) async fn run(
    client: &Client,
    args: &EventsArgs,
    format: Format,
) -> Result<(), CommandError> {
    if let Some(label) = &args.label {
        return history(client, args, label, format).await;
    }
    let now = SystemTime::now();
    let time = |moment: Option<Moment>| moment.map(|moment| moment.time(now));
    let wish = EventWish {
        model: &args.name,
        version: args.version,
        types: &args.types,
        since: time(args.since),
        until: time(args.until),
    };
    let show = |event: &Event| match format {
        Format::Json => output::json_line(event),
        Format::Table => output::line(&text(event)),
    };
    let Events { events, cut } = client.events(&wish).await?;
    if cut {
        output::note("events before these are left out");
    }
    for event in &events {
        show(event)?;
    }
    if events.is_empty() {
        output::note(nothing(args));
    }
    if args.follow {
        let newest = events.last().map_or(0, |event| event.id);
        client.follow_events(&wish, newest, show).await?;
    }
    Ok(())
}

/// What is said where there is nothing to show.
fn nothing(args: &EventsArgs) -> &'static str {
    let EventsArgs {
        version,
        types,
        since,
        until,
        follow,
        ..
    } = args;
    let is_whole = version.is_none() && types.is_empty() && since.is_none() && until.is_none();
    match (is_whole, follow) {
        (true, false) => "nothing has happened to it yet",
        (true, true) => "nothing has happened to it yet; what comes is shown",
        (false, false) => "no events match",
        (false, true) => "no events match yet; what comes is shown",
    }
}

async fn history(
    client: &Client,
    args: &EventsArgs,
    label: &str,
    format: Format,
) -> Result<(), CommandError> {
    let at = args.at.map(|at| at.time(SystemTime::now()));
    let history = client.label_history(&args.name, label, at).await?;
    if format == Format::Json {
        return output::json(&history.intervals);
    }
    if history.intervals.is_empty() {
        let label = &history.label;
        output::note(&match at {
            Some(at) => format!("{label} pointed at no version at {at}"),
            None => format!("{label} has pointed at no version yet"),
        });
        return Ok(());
    }
    let rows = history.intervals.iter().map(row);
    output::line(&output::table(&["VERSION", "FROM", "UNTIL", "ENDED"], rows))
}

fn row(interval: &LabelInterval) -> Vec<String> {
    let LabelInterval {
        version,
        from,
        until,
        ended,
    } = interval;
    let time = |time: &Option<_>, otherwise: &str| {
        time.map_or_else(
            || otherwise.to_owned(),
            |time: gateway::api::Timestamp| time.to_string(),
        )
    };
    let ended = match ended {
        Some(LabelEnd::Moved { to }) => format!("moved to {to}"),
        Some(LabelEnd::Removed) => "taken away".to_owned(),
        Some(LabelEnd::Disabled { by }) => format!("disabled by {by}"),
        None => "-".to_owned(),
    };
    vec![
        version.to_string(),
        time(from, "before the log begins"),
        time(until, "now"),
        ended,
    ]
}

fn text(event: &Event) -> String {
    let Event {
        at,
        version,
        kind,
        message,
        ..
    } = event;
    let version = version.map_or_else(|| "-".to_owned(), |version| version.to_string());
    let code = event.details.get("code").and_then(Value::as_str);
    let code = code.map(|code| format!(" ({code})")).unwrap_or_default();
    // What a worker said may be part of it.
    inert(format!("{at}  {version:>4}  {kind:<16}  {message}{code}").as_bytes())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_one_line() {
        let event = |value| text(&serde_json::from_value(value).unwrap());
        let lines = [
            event(json!({
                "id": 1, "at": "2026-03-01T12:00:00Z", "model": "iris", "type": "enabled", "message": "ada enabled serving"
            })),
            event(json!({
                "id": 2, "at": "2026-03-01T12:00:09.5Z", "model": "iris", "version": 12, "type": "replica_crashed",
                "message": "worker 1 died: exit code 1"
            })),
            event(json!({
                "id": 3, "at": "2026-03-01T12:00:10Z", "model": "iris", "version": 12, "type": "failed",
                "message": "Failed: no answer", "details": {"kind": "transient", "code": "NETWORK", "message": "no answer"}
            })),
        ];
        let hostile = event(json!({
            "id": 4, "at": "2026-03-01T12:00:11Z", "model": "iris", "type": "failed", "message": "\u{1b}[2Jgone\nforged\u{7}"
        }));
        assert!(hostile.ends_with("gone\\u{a}forged\\u{7}"), "{hostile}");
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn a_history_is_a_table() {
        let interval = |value| row(&serde_json::from_value(value).unwrap());
        let rows = [
            interval(json!({ "version": 3, "from": "2026-03-04T08:00:00Z" })),
            interval(json!({
                "version": 12, "from": "2026-03-02T12:00:00Z", "until": "2026-03-03T12:00:00Z",
                "ended": { "how": "disabled", "by": "ada" }
            })),
            interval(json!({
                "version": 2, "from": "2026-03-01T12:00:00Z", "until": "2026-03-01T13:00:00Z", "ended": { "how": "removed" }
            })),
            interval(
                json!({ "version": 1, "until": "2026-03-01T12:00:00Z", "ended": { "how": "moved", "to": 2 } }),
            ),
        ];
        insta::assert_snapshot!(output::table(&["VERSION", "FROM", "UNTIL", "ENDED"], rows));
    }
}
