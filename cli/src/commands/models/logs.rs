//! `models logs`: what a version printed.

use gateway::api::{AttemptOutcome, LogAttempt, LogKind, VersionState};

use crate::args::models::LogsArgs;
use crate::client::{Client, Followed, LogQuery};
use crate::error::CommandError;
use crate::output::{self, Format};
use crate::terminal_text::TerminalText;

pub(super) async fn run(
    client: &Client,
    args: &LogsArgs,
    format: Format,
) -> Result<(), CommandError> {
    if args.attempts {
        return list(client, args, format).await;
    }
    let (kind, attempt) = match (args.kind, &args.attempt) {
        (None, None) => of_interest(client, args).await?,
        (kind, attempt) => (kind.map_or(LogKind::Worker, Into::into), attempt.clone()),
    };
    let query = LogQuery {
        kind,
        attempt,
        tail: args.tail,
        contains: args.contains.clone(),
        follow: args.follow,
    };
    if args.follow {
        follow(client, args, query).await
    } else {
        show(client, args, &query).await
    }
}

async fn show(client: &Client, args: &LogsArgs, query: &LogQuery) -> Result<(), CommandError> {
    let mut log = client.logs(&args.name, args.version, query).await?;
    let mut is_empty = true;
    let mut shown = output::stdout_is_terminal().then(TerminalText::default);
    while let Some(piece) = client.piece(&mut log).await? {
        is_empty &= piece.is_empty();
        match &mut shown {
            Some(shown) => output::bytes(shown.push(&piece).as_bytes())?,
            None => output::bytes(&piece)?,
        }
    }
    if let Some(shown) = shown {
        output::bytes(shown.end().as_bytes())?;
    }
    if is_empty {
        output::note("the log is empty");
    }
    Ok(())
}

async fn follow(client: &Client, args: &LogsArgs, query: LogQuery) -> Result<(), CommandError> {
    let mut log = client.follow_logs(&args.name, args.version, query).await?;
    while let Some(followed) = log.next().await? {
        match followed {
            Followed::Text(text) => output::bytes(text.as_bytes())?,
            Followed::Note(note) => output::note(&format!("-- {note}")),
        }
    }
    Ok(())
}

async fn list(client: &Client, args: &LogsArgs, format: Format) -> Result<(), CommandError> {
    let mut attempts = client.log_attempts(&args.name, args.version).await?;
    if let Some(kind) = args.kind.map(LogKind::from) {
        attempts.attempts.retain(|attempt| attempt.kind == kind);
    }
    match format {
        Format::Json => output::json(&attempts),
        Format::Table => output::line(&table(&attempts.attempts)),
    }
}

/// What somebody wants to see who says no more: of a version that has failed, the attempt that did; else the workers.
async fn of_interest(
    client: &Client,
    args: &LogsArgs,
) -> Result<(LogKind, Option<String>), CommandError> {
    let usual = (LogKind::Worker, None);
    let model = client.model(&args.name).await?;
    let version = model
        .versions
        .iter()
        .find(|seen| seen.version == args.version);
    if version.is_none_or(|version| version.state != VersionState::Failed) {
        return Ok(usual);
    }
    let attempts = client.log_attempts(&args.name, args.version).await?;
    let Some(failed) = last_failed(&attempts.attempts) else {
        return Ok(usual);
    };
    output::note(&format!(
        "-- the last failed {} attempt, {}",
        failed.kind.as_str(),
        failed.attempt
    ));
    // Who follows wants to see the next ones, too.
    let attempt = (!args.follow).then(|| failed.attempt.to_string());
    Ok((failed.kind, attempt))
}

fn last_failed(attempts: &[LogAttempt]) -> Option<&LogAttempt> {
    let failed = attempts.iter();
    let failed = failed.filter(|attempt| attempt.outcome == AttemptOutcome::Failed);
    failed.max_by_key(|attempt| attempt.ended)
}

fn table(attempts: &[LogAttempt]) -> String {
    let rows = attempts.iter().map(|attempt| {
        vec![
            attempt.kind.as_str().to_owned(),
            attempt.attempt.to_string(),
            attempt.outcome.as_str().to_owned(),
            attempt.started.to_string(),
            attempt
                .ended
                .map(|ended| ended.to_string())
                .unwrap_or_default(),
            attempt.bytes.to_string(),
        ]
    });
    output::table(
        &["KIND", "ATTEMPT", "OUTCOME", "STARTED", "ENDED", "BYTES"],
        rows,
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_last_failure_is_the_one_that_ended_last_of_whichever_kind() {
        let attempt = |kind, number, ended, outcome| -> LogAttempt {
            serde_json::from_value(json!({
                "attempt": number, "kind": kind, "started": "2026-03-01T12:00:00Z", "ended": ended,
                "outcome": outcome, "bytes": 12, "current": false,
            }))
            .unwrap()
        };
        let attempts = [
            attempt("build", 1, "2026-03-01T12:00:01Z", "failed"),
            attempt("build", 2, "2026-03-01T12:00:02Z", "succeeded"),
            attempt("worker", 7, "2026-03-01T12:00:03Z", "failed"),
            attempt("worker", 8, "2026-03-01T12:00:04Z", "stopped"),
        ];
        assert_eq!(last_failed(&attempts).unwrap().attempt, 7);
        assert_eq!(last_failed(&attempts[..2]).unwrap().attempt, 1);
        assert_eq!(last_failed(&attempts[1..2]), None);
        insta::assert_snapshot!(table(&attempts));
    }
}
