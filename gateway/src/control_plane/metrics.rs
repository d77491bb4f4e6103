//! What Prometheus scrapes.

use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE, VARY};

use super::Refused;
use super::access::Access;
use crate::error::ErrorCode;
use crate::metrics::Exposition;

/// `GET /metrics`. Figures name models, so only callers see them who may see every model.
pub(super) async fn show(access: Access, headers: HeaderMap) -> Result<Response, Refused> {
    if access.right_on_all().await?.is_none() {
        return Err(Refused::new(
            ErrorCode::PermissionDenied,
            "the metrics name every model: they are for admins, and for those who may read \"*\"",
        ));
    }
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    let format = Exposition::accepted(accept);
    let text = format
        .write(&access.state.metrics)
        .map_err(|_| Refused::new(ErrorCode::InternalError, "the metrics cannot be written"))?;
    let headers = [(CONTENT_TYPE, format.content_type()), (VARY, "Accept")];
    Ok((headers, text).into_response())
}
