//! Refusals as the OpenAPI document names them: one type a kind, to be listed in the `responses(…)` of a handler.
//!
//! A kind's status code is the one that `crate::error` gives it; its description is written once, in `components`.

use std::collections::BTreeMap;

use serde_json::json;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::ObjectBuilder;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Type};
use utoipa::{IntoResponses, ToSchema};

use crate::api::ErrorBody;
use crate::error::ErrorCode;

macro_rules! refusals {
    ($($kind:ident: $meaning:literal,)*) => {
        $(
            #[doc = $meaning]
            pub(crate) enum $kind {}

            impl IntoResponses for $kind {
                fn responses() -> BTreeMap<String, RefOr<Response>> {
                    let status = ErrorCode::$kind.status().as_str().to_owned();
                    [(status, Ref::from_response_name(stringify!($kind)).into())].into()
                }
            }
        )*

        /// All of them, by the names that handlers refer to.
        pub(crate) fn components() -> Vec<(&'static str, Response)> {
            vec![$((stringify!($kind), described(ErrorCode::$kind, $meaning)),)*]
        }
    };
}

refusals! {
    Unauthenticated: "No, unknown, expired or revoked credential.",
    PermissionDenied: "A known caller without the right; or a browser asks for a page of another origin.",
    ResourceDoesNotExist: "Nothing of that name is there, or the caller may not see it; of scoring also: the version starts, with `Retry-After`.",
    InvalidParameterValue: "A parameter or the body is wrong; the message names it.",
    BadRequest: "The model cannot take this, or raised; the code is the one that MLflow gave. Also a path that cannot be read.",
    RequestTooLarge: "The request body is over the limit.",
    UnsupportedMediaType: "A content type or encoding that nothing here understands; the message lists what is accepted.",
    ResourceExhausted: "Too many wait already.",
    TemporarilyUnavailable: "It will be there later: the registry, the store or the gateway itself is not available now.",
    WorkerDied: "The worker died with the request in hand (`WORKER_DIED`), or its answer could not be understood (`BAD_GATEWAY`).",
    DeadlineExceeded: "The deadline passed.",
    InternalError: "A fault of the gateway.",
}

fn described(code: ErrorCode, meaning: &str) -> Response {
    let body = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(ErrorBody::name())))
        .example(Some(json!({
            "error_code": code.as_str(),
            "message": meaning,
            "request_id": "5f0c2f9d8a5e4c0f9d4b7a6c1e2d3f40",
        })))
        .build();
    let mut response = ResponseBuilder::new()
        .description(meaning)
        .content("application/json", body);
    if matches!(
        code,
        ErrorCode::TemporarilyUnavailable
            | ErrorCode::ResourceExhausted
            | ErrorCode::ResourceDoesNotExist
    ) {
        let seconds = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(1));
        let header = HeaderBuilder::new().schema(Some(seconds)).description(Some(
            "When to come again, in seconds; left out where waiting does not help.",
        ));
        response = response.header("Retry-After", header.build());
    }
    if code == ErrorCode::Unauthenticated {
        let header = HeaderBuilder::new()
            .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
            .description(Some(
                "How a credential may be shown: `Bearer`, and `Basic`.",
            ));
        response = response.header("WWW-Authenticate", header.build());
    }
    response.build()
}
