//! Nobody passes without a credential: puts the `Principal` into the request.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::{ControlState, Refused};
use crate::error::ErrorCode;
use crate::telemetry::Trail;

/// Answers 401, or passes the request on with its principal.
pub(super) async fn authenticate(
    State(state): State<Arc<ControlState>>,
    mut request: Request,
    next: Next,
) -> Response {
    let peer = request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(peer)| {
            peer.ip()
        });
    match state
        .authenticator
        .authenticate(request.headers(), peer)
        .await
    {
        Ok(principal) => {
            Trail::of(request.extensions()).called_by(&principal);
            request.extensions_mut().insert(principal);
            next.run(request).await
        }
        Err(reason) => Refused::new(ErrorCode::Unauthenticated, reason.to_string()).into_response(),
    }
}
