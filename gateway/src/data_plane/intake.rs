//! Reads a request's body: decoded, limited, in pieces that are never copied together.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::BodyExt;

use super::body::BodyError;
use super::body_memory::{BodyMemory, Reserved};
use super::decode::{DecodeError, Decoder, Encoding};
use crate::error::{ApiError, ErrorCode};
use crate::protocol::Segments;

/// When to come again after too many bytes were held: every answer frees some.
const MEMORY_PAUSE: Duration = Duration::from_secs(1);

/// A body that was read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) segments: Segments,
    /// What it holds of the memory: to be kept as long as the segments are.
    pub(super) reserved: Reserved,
}

impl Read {
    /// Of a body that is read otherwise.
    pub(super) fn nothing(memory: &Arc<BodyMemory>) -> Self {
        Self {
            segments: Segments::default(),
            reserved: memory.reserve(),
        }
    }
}

/// Reads all of `body`, of at most `limit` bytes after decoding, into `memory`. One that says that it will be longer is
/// not read at all.
pub(super) async fn read<B>(
    headers: &HeaderMap,
    body: B,
    encoding: Encoding,
    limit: usize,
    memory: &Arc<BodyMemory>,
) -> Result<Read, ApiError>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BodyError>,
{
    if announced(headers).is_some_and(|length| length > limit as u64) {
        return Err(too_large(limit));
    }
    let refuse = |reason| refused(reason, limit);
    let mut decoder = Decoder::new(encoding, limit, memory.reserve()).map_err(refuse)?;
    let mut body = std::pin::pin!(body);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|reason| broken_off(&reason.into()))?;
        // Trailers say nothing to us.
        if let Ok(piece) = frame.into_data() {
            decoder.push(piece).map_err(refuse)?;
        }
    }
    let (segments, reserved) = decoder.finish().map_err(refuse)?;
    Ok(Read { segments, reserved })
}

/// How long the body is, as its head says.
pub(super) fn announced(headers: &HeaderMap) -> Option<u64> {
    let length = headers.get(header::CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}

/// What a client is told whose body was not taken.
pub(super) fn refused(reason: DecodeError, limit: usize) -> ApiError {
    match reason {
        DecodeError::TooLarge => too_large(limit),
        DecodeError::NoMemory => ApiError::new(
            ErrorCode::ResourceExhausted,
            "the gateway holds as many bytes of requests as it may",
        )
        .retry_after(MEMORY_PAUSE),
        corrupt @ DecodeError::Corrupt(_) => {
            ApiError::new(ErrorCode::BadRequest, corrupt.to_string())
        }
    }
}

/// What a client is told whose body ended too early.
pub(super) fn broken_off(reason: &BodyError) -> ApiError {
    let message = format!("the request's body did not arrive whole: {reason}");
    ApiError::new(ErrorCode::BadRequest, message)
}

/// What a client is told whose body took too long.
pub(super) fn late() -> ApiError {
    let message = "the deadline passed before the request's body had arrived";
    ApiError::new(ErrorCode::DeadlineExceeded, message)
}

fn too_large(limit: usize) -> ApiError {
    ApiError::new(
        ErrorCode::RequestTooLarge,
        format!("the request's body is over the limit of {limit} bytes"),
    )
}
