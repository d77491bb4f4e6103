//! `models events`: what happened to a model, oldest first.

use std::time::Duration;

use gateway::api::Event;
use serde_json::Value;
use tokio::time::sleep;

use crate::args::models::EventsArgs;
use crate::client::{Client, Events};
use crate::error::CommandError;
use crate::output::{self, Format};

/// Between two looks while following.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) async fn run(
    client: &Client,
    args: &EventsArgs,
    format: Format,
) -> Result<(), CommandError> {
    let mut newest = None;
    loop {
        let Events { events, cut } = client.events(&args.name, args.version, newest).await?;
        if cut {
            output::note("events before these are left out");
        }
        for event in &events {
            match format {
                Format::Json => output::json_line(event)?,
                Format::Table => output::line(&text(event))?,
            }
        }
        newest = newest.max(events.last().map(|event| event.id));
        if !args.follow {
            return Ok(());
        }
        sleep(PAUSE).await;
    }
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
    format!("{at}  {version:>4}  {kind:<16}  {message}{code}")
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
        insta::assert_snapshot!(lines.join("\n"));
    }
}
