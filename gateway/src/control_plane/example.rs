//! The logged input example of a version, as a body that can be scored.

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;

use super::Refused;
use super::access::Access;
use super::extract::{Segments, servable};
use super::openapi::{InvalidParameterValue, ResourceDoesNotExist, TemporarilyUnavailable};

/// The logged input example of a version, as the body of a request.
#[utoipa::path(
    get,
    path = "/models/{name}/versions/{version}/example",
    operation_id = "show_example",
    tag = "models",
    params(
        ("name" = String, Path, description = "The registered model, percent-encoded.", example = "iris"),
        ("version" = u64, Path, description = "The number of a version.", example = 1),
    ),
    responses(
        (status = OK, description = "A body that can be scored, with its `Content-Type`.", content(
            (Object = "application/json"),
            (Object = "application/json; format=pandas-split"),
            (Vec<Object> = "application/json; format=pandas-records"),
        )),
        InvalidParameterValue,
        ResourceDoesNotExist,
        TemporarilyUnavailable,
    ),
)]
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
