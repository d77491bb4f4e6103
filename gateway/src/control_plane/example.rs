//! The logged input example of a version, as a body that can be scored.

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;

use super::Refused;
use super::access::Access;
use super::extract::{Segments, servable};

/// `GET /models/{name}/versions/{version}/example`.
pub(super) async fn show(
    access: Access,
    Segments((name, version)): Segments<(String, String)>,
) -> Result<Response, Refused> {
    access.to_see(&name).await?;
    let id = servable(&name, &version)?;
    let example = access.state.engine.example(&id).ok_or_else(|| {
        Refused::missing(format!(
            "version {version} of {name:?} has no input example, or has never been ready"
        ))
    })?;
    Ok(([(CONTENT_TYPE, example.content_type)], example.body).into_response())
}
