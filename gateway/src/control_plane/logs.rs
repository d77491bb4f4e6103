//! What builds and workers printed, as text.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde::Deserialize;
use serving_core::ServableId;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tracing::warn;
use utoipa::IntoParams;

use super::access::Access;
use super::extract::{Parameters, Segments, parameter, servable, unknown_version};
use super::log_files::{Position, tail};
use super::openapi::{
    InternalError, InvalidParameterValue, ResourceDoesNotExist, TemporarilyUnavailable,
};
use super::{ControlState, Refused};
use crate::error::ErrorCode;
use crate::ports::LogKind;

const DEFAULT_LINES: usize = 1000;
const MOST_LINES: usize = 100_000;

/// How often a log that is followed is looked at.
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct LogsQuery {
    /// `build` or `worker` (if it is not said).
    #[param(pattern = "^(build|worker)$")]
    kind: Option<String>,
    /// So many lines from the end; 1,000 if it is not said, 100,000 at most.
    #[param(value_type = Option<u32>)]
    tail: Option<String>,
    /// Whether to go on with what is printed from now on, until the client leaves.
    #[param(value_type = Option<bool>)]
    follow: Option<String>,
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
        (status = OK, description = "The lines, as they were printed.", body = String, content_type = "text/plain; charset=utf-8"),
        InvalidParameterValue,
        ResourceDoesNotExist,
        TemporarilyUnavailable,
        InternalError,
    ),
)]
pub(super) async fn read(
    access: Access,
    Segments((name, version)): Segments<(String, String)>,
    Parameters(query): Parameters<LogsQuery>,
) -> Result<Response, Refused> {
    access.to_see(&name).await?;
    let id = servable(&name, &version)?;
    let kind = match query.kind.as_deref() {
        Some("build") => LogKind::Build,
        None | Some("worker") => LogKind::Worker,
        Some(_) => {
            return Err(Refused::invalid(
                "the parameter \"kind\" is build or worker",
            ));
        }
    };
    let lines = parameter::<usize>("tail", query.tail.as_deref())?.unwrap_or(DEFAULT_LINES);
    let follow = parameter("follow", query.follow.as_deref())?.unwrap_or(false);

    let state = Arc::clone(&access.state);
    let files = state.files.logs(&id, kind);
    let read = blocking(move || tail(&files, lines.min(MOST_LINES))).await;
    let (text, end) = read.map_err(|error| {
        warn!(%error, %id, "a log cannot be read");
        Refused::new(ErrorCode::InternalError, "the log cannot be read")
    })?;
    if end.is_none() && !is_seen(&state, &id) {
        return Err(unknown_version(&name, id.version));
    }
    let body = if follow {
        following(state, id, kind, text, end)
    } else {
        Body::from(text)
    };
    let headers = [
        (CONTENT_TYPE, "text/plain; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, body).into_response())
}

fn is_seen(state: &ControlState, id: &ServableId) -> bool {
    let snapshot = state.engine.snapshot();
    let snapshot = snapshot.borrow();
    let model = snapshot.models.get(&id.model);
    model.is_some_and(|model| model.versions.contains_key(&id.version))
}

/// Where a stream stands.
struct Following {
    state: Arc<ControlState>,
    id: ServableId,
    kind: LogKind,
    position: Option<Position>,
    /// What is there already.
    first: Option<Vec<u8>>,
}

/// The text, then whatever is written, until the client leaves or the gateway stops.
fn following(
    state: Arc<ControlState>,
    id: ServableId,
    kind: LogKind,
    text: Vec<u8>,
    position: Option<Position>,
) -> Body {
    let start = Following {
        state,
        id,
        kind,
        position,
        first: Some(text).filter(|text| !text.is_empty()),
    };
    Body::from_stream(stream::unfold(start, |following| async move {
        following
            .next()
            .await
            .map(|(bytes, following)| (Ok::<_, io::Error>(bytes), following))
    }))
}

impl Following {
    async fn next(mut self) -> Option<(Bytes, Self)> {
        if let Some(text) = self.first.take() {
            return Some((text.into(), self));
        }
        loop {
            let files = self.state.files.logs(&self.id, self.kind);
            let position = self.position.take();
            let step = blocking(move || {
                let Some(newest) = files.last() else {
                    return Ok((Vec::new(), position));
                };
                let mut position = match position {
                    Some(position) => position,
                    None => Position::beginning(newest)?,
                };
                let mut block = position.read_on()?;
                // Only at its end is an old file left for the new one.
                if block.is_empty() && position.was_rotated(newest) {
                    position = Position::beginning(newest)?;
                    block = position.read_on()?;
                }
                Ok((block, Some(position)))
            });
            let (block, position) = match step.await {
                Ok(step) => step,
                Err(error) if error.kind() == io::ErrorKind::NotFound => (Vec::new(), None),
                Err(_) => return None,
            };
            self.position = position;
            if !block.is_empty() {
                return Some((block.into(), self));
            }
            tokio::select! {
                () = self.state.shutdown.cancelled() => return None,
                () = sleep(PAUSE) => {}
            }
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    spawn_blocking(work).await.map_err(io::Error::other)?
}
