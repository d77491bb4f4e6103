//! What builds and workers printed: the attempts, their last lines, and all that is written from now on.

use std::io;
use std::sync::Arc;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serving_core::ServableId;
use tokio::task::spawn_blocking;
use tracing::warn;
use utoipa::IntoParams;

use super::access::Access;
use super::authentication::Credential;
use super::caller_watch::CallerWatch;
use super::extract::{Parameters, Segments, parameter, servable, unknown_version};
use super::log_files::Filter;
use super::log_reader::{Place, Reader, Source, shown};
use super::log_stream::{CHECK, Form, body};
use super::openapi::{
    InternalError, InvalidParameterValue, ResourceDoesNotExist, ResourceExhausted,
    TemporarilyUnavailable,
};
use super::{ControlState, Refused, event_stream};
use crate::api::{LogAttempt, LogAttempts};
use crate::error::ErrorCode;
use crate::ports::{Attempt, AttemptOutcome, LogKind};

const DEFAULT_LINES: usize = 1000;
const MOST_LINES: usize = 100_000;
/// Longer texts to search for are somebody's mistake.
const LONGEST_SEARCHED: usize = 1000;

/// The query of `GET /models/{name}/versions/{version}/logs`.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct LogsQuery {
    /// `build` or `worker` (the default).
    #[param(pattern = "^(build|worker)$")]
    kind: Option<String>,
    /// A number, `last` or `last-failed`; all attempts without it.
    #[param(pattern = "^([0-9]+|last|last-failed)$")]
    attempt: Option<String>,
    /// So many lines from the end; 1,000 if it is not said, 100,000 at most.
    #[param(value_type = Option<u32>)]
    tail: Option<String>,
    /// Whether to go on with what is written from now on, until the client leaves.
    #[param(value_type = Option<bool>)]
    follow: Option<String>,
    /// Only lines with this text in them, in whichever case.
    contains: Option<String>,
    /// Whether it is to be saved as a file: all of it, unless `tail` says otherwise.
    #[param(value_type = Option<bool>)]
    download: Option<String>,
}

/// The query of `GET /models/{name}/versions/{version}/logs/attempts`.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct AttemptsQuery {
    /// `build` or `worker`; both without it.
    #[param(pattern = "^(build|worker)$")]
    kind: Option<String>,
}

/// Which part of a log is wanted.
struct Wanted {
    lines: Option<usize>,
    follow: bool,
    filter: Filter,
    from: Option<Place>,
}

/// What builds or workers of a version printed.
#[utoipa::path(
    get,
    path = "/models/{name}/versions/{version}/logs",
    operation_id = "read_log",
    tag = "models",
    params(
        ("name" = String, Path, description = "The registered model, percent-encoded.", example = "iris"),
        ("version" = u64, Path, description = "The number of a version.", example = 1),
        LogsQuery,
    ),
    responses(
        (status = OK, description = "The lines, as they were printed; with `Accept: text/event-stream` and `follow`, one event a line.", content((String = "text/plain; charset=utf-8"), (String = "text/event-stream"))),
        InvalidParameterValue,
        ResourceDoesNotExist,
        ResourceExhausted,
        TemporarilyUnavailable,
        InternalError,
    ),
)]
pub(super) async fn read(
    access: Access,
    credential: Credential,
    Segments((name, version)): Segments<(String, String)>,
    Parameters(query): Parameters<LogsQuery>,
) -> Result<Response, Refused> {
    access.to_see(&name).await?;
    let id = servable(&name, &version)?;
    let kind = kind(query.kind.as_deref())?.unwrap_or(LogKind::Worker);
    let lines = parameter::<usize>("tail", query.tail.as_deref())?;
    let follow = parameter("follow", query.follow.as_deref())?.unwrap_or(false);
    let download = parameter("download", query.download.as_deref())?.unwrap_or(false);
    if query
        .contains
        .as_ref()
        .is_some_and(|text| text.len() > LONGEST_SEARCHED)
    {
        return Err(Refused::invalid(
            "the parameter \"contains\" has at most 1000 bytes",
        ));
    }
    let default = (!download).then_some(DEFAULT_LINES);
    let wanted = Wanted {
        lines: lines.or(default).map(|lines| lines.min(MOST_LINES)),
        follow: follow && !download,
        filter: Filter::containing(query.contains.as_deref()),
        from: last_event(&credential)?,
    };
    let form = if credential.accepts_stream() && !download {
        Form::Events
    } else {
        Form::Text
    };

    let state = Arc::clone(&access.state);
    let mut source = Source {
        files: Arc::clone(&state.files),
        id: id.clone(),
        kind,
        attempt: None,
    };
    let attempts = attempts_of(&source).await?;
    if attempts.is_empty() && !is_seen(&state, &id) {
        return Err(unknown_version(&name, id.version));
    }
    source.attempt = chosen(query.attempt.as_deref(), &attempts, kind)?;
    let name_of_file = file_name(&id, kind, source.attempt);
    let place = if wanted.follow {
        Some(state.streams.of_logs(&access.principal)?)
    } else {
        None
    };
    let reader = blocking(&id, move || reader(source, wanted)).await?;
    let caller = CallerWatch::new(access, credential, Some(name.into()), CHECK);
    let body = body(reader, form, caller, place);
    let mut response = match form {
        Form::Events => event_stream::answer(body),
        Form::Text => (
            [
                (CONTENT_TYPE, "text/plain; charset=utf-8"),
                (CACHE_CONTROL, "no-store"),
            ],
            body,
        )
            .into_response(),
    };
    // What models print is text, whatever it looks like.
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if download && let Ok(name) = HeaderValue::try_from(name_of_file) {
        headers.insert(CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

/// The attempts that left a log.
#[utoipa::path(
    get,
    path = "/models/{name}/versions/{version}/logs/attempts",
    operation_id = "list_log_attempts",
    tag = "models",
    params(
        ("name" = String, Path, description = "The registered model, percent-encoded.", example = "iris"),
        ("version" = u64, Path, description = "The number of a version.", example = 1),
        AttemptsQuery,
    ),
    responses(
        (status = OK, description = "Builds and starts of workers, oldest first.", body = LogAttempts),
        InvalidParameterValue,
        ResourceDoesNotExist,
        TemporarilyUnavailable,
        InternalError,
    ),
)]
pub(super) async fn attempts(
    access: Access,
    Segments((name, version)): Segments<(String, String)>,
    Parameters(query): Parameters<AttemptsQuery>,
) -> Result<Json<LogAttempts>, Refused> {
    access.to_see(&name).await?;
    let id = servable(&name, &version)?;
    let wanted = kind(query.kind.as_deref())?;
    let mut seen = Vec::new();
    for kind in LogKind::ALL {
        if wanted.is_none_or(|wanted| wanted == kind) {
            let source = Source {
                files: Arc::clone(&access.state.files),
                id: id.clone(),
                kind,
                attempt: None,
            };
            let shown = move || {
                let attempts = source.attempts()?;
                Ok(attempts
                    .iter()
                    .map(|attempt| shown(attempt, kind))
                    .collect())
            };
            let shown: Vec<LogAttempt> = blocking(&id, shown).await?;
            seen.extend(shown);
        }
    }
    if seen.is_empty() && !is_seen(&access.state, &id) {
        return Err(unknown_version(&name, id.version));
    }
    Ok(Json(LogAttempts { attempts: seen }))
}

fn reader(source: Source, wanted: Wanted) -> io::Result<Reader> {
    let attempts = source.attempts()?;
    let place = match (wanted.from, wanted.lines) {
        (Some(place), _) => place,
        (None, Some(lines)) => Place::before_last(&attempts, lines, &wanted.filter)?,
        (None, None) => Place::beginning(&attempts),
    };
    let reader = Reader::new(source, place, wanted.filter);
    if wanted.follow {
        Ok(reader)
    } else {
        reader.until_now()
    }
}

fn kind(word: Option<&str>) -> Result<Option<LogKind>, Refused> {
    let Some(word) = word else { return Ok(None) };
    let known = LogKind::ALL.into_iter().find(|kind| kind.as_str() == word);
    match known {
        Some(kind) => Ok(Some(kind)),
        None => Err(Refused::invalid(
            "the parameter \"kind\" is build or worker",
        )),
    }
}

fn chosen(word: Option<&str>, attempts: &[Attempt], kind: LogKind) -> Result<Option<u64>, Refused> {
    let Some(word) = word else { return Ok(None) };
    let failed = |attempt: &&Attempt| attempt.outcome == AttemptOutcome::Failed;
    let found = match word {
        "last" => attempts.last(),
        "last-failed" => attempts.iter().rfind(failed),
        number => {
            let number: u64 = number.parse().map_err(|_| {
                Refused::invalid("the parameter \"attempt\" is a number, last or last-failed")
            })?;
            attempts.iter().find(|attempt| attempt.number == number)
        }
    };
    let kind = kind.as_str();
    let message = match word {
        "last" => format!("there was no {kind} attempt yet, or its log is not kept any more"),
        "last-failed" => format!("no {kind} attempt that is kept has failed"),
        number => format!("there is no {kind} attempt {number}, or it is not kept any more"),
    };
    let attempt = found.ok_or_else(|| Refused::missing(message))?;
    Ok(Some(attempt.number))
}

fn last_event(credential: &Credential) -> Result<Option<Place>, Refused> {
    let id = credential.headers().get("last-event-id");
    let Some(id) = id.filter(|id| !id.is_empty()) else {
        return Ok(None);
    };
    let place = id.to_str().unwrap_or_default().parse::<Place>();
    place
        .map(Some)
        .map_err(|reason| Refused::invalid(format!("the header Last-Event-ID: {reason}")))
}

/// `Content-Disposition` twice over: in letters that every client takes, and as it is.
fn file_name(id: &ServableId, kind: LogKind, attempt: Option<u64>) -> String {
    let attempt = attempt
        .map(|number| format!("-{number}"))
        .unwrap_or_default();
    let name = format!("{}-{}-{}{attempt}.log", id.model, id.version, kind.as_str());
    let plain = name.replace(
        |letter: char| !letter.is_ascii_alphanumeric() && !"._-".contains(letter),
        "_",
    );
    let whole = utf8_percent_encode(&name, NON_ALPHANUMERIC);
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{whole}")
}

/// Whether the engine shows the version, in whichever state.
pub(super) fn is_seen(state: &ControlState, id: &ServableId) -> bool {
    let snapshot = state.engine.snapshot();
    let snapshot = snapshot.borrow();
    let model = snapshot.models.get(&id.model);
    model.is_some_and(|model| model.versions.contains_key(&id.version))
}

async fn attempts_of(source: &Source) -> Result<Vec<Attempt>, Refused> {
    let asked = source.clone();
    blocking(&source.id, move || asked.attempts()).await
}

async fn blocking<T: Send + 'static>(
    id: &ServableId,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Refused> {
    let done = spawn_blocking(work).await.map_err(io::Error::other);
    done.flatten().map_err(|error| {
        warn!(%error, %id, "a log cannot be read");
        Refused::new(ErrorCode::InternalError, "the log cannot be read")
    })
}
