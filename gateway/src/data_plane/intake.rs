//! Reads a request's body: decoded, limited, in pieces that are never copied together.

use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::BodyExt;

use super::body::BodyError;
use super::decode::{DecodeError, Decoder, Encoding};
use crate::error::{ApiError, ErrorCode};
use crate::protocol::Segments;

/// Reads all of `body`, of at most `limit` bytes after decoding. One that says that it will be longer is not read at all.
pub(super) async fn read<B>(
    headers: &HeaderMap,
    body: B,
    encoding: Encoding,
    limit: usize,
) -> Result<Segments, ApiError>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BodyError>,
{
    if announced(headers).is_some_and(|length| length > limit as u64) {
        return Err(too_large(limit));
    }
    let refuse = |reason| match reason {
        DecodeError::TooLarge => too_large(limit),
        corrupt @ DecodeError::Corrupt(_) => {
            ApiError::new(ErrorCode::BadRequest, corrupt.to_string())
        }
    };
    let mut decoder = Decoder::new(encoding, limit).map_err(refuse)?;
    let mut body = std::pin::pin!(body);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|reason| {
            let reason: BodyError = reason.into();
            let message = format!("the request's body did not arrive whole: {reason}");
            ApiError::new(ErrorCode::BadRequest, message)
        })?;
        // Trailers say nothing to us.
        if let Ok(piece) = frame.into_data() {
            decoder.push(piece).map_err(refuse)?;
        }
    }
    decoder.finish().map_err(refuse)
}

fn announced(headers: &HeaderMap) -> Option<u64> {
    let length = headers.get(header::CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}

fn too_large(limit: usize) -> ApiError {
    ApiError::new(
        ErrorCode::RequestTooLarge,
        format!("the request's body is over the limit of {limit} bytes"),
    )
}
