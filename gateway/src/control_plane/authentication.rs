//! Nobody passes without a credential: puts the `Principal` into the request.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use auth::Principal;
use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::ACCEPT;
use http::request::Parts;
use http::{Extensions, HeaderMap, Method};

use super::{ControlState, Refused};
use crate::telemetry::Trail;

/// What a caller came with, for answers that go on for so long that it has to be asked again who is calling.
#[derive(Clone)]
pub(super) struct Credential {
    method: Method,
    headers: HeaderMap,
    peer: IpAddr,
    trail: Trail,
}

/// Turns away what a page of another origin makes a browser ask, whoever sits there.
pub(super) async fn admit(
    State(state): State<Arc<ControlState>>,
    request: Request,
    next: Next,
) -> Response {
    let admitted = state
        .authenticator
        .admit(request.method(), request.headers());
    match admitted {
        Ok(()) => next.run(request).await,
        Err(reason) => Refused(reason.into()).into_response(),
    }
}

/// Answers 401, or 503 while nobody can tell, or passes the request on with its principal.
pub(super) async fn authenticate(
    State(state): State<Arc<ControlState>>,
    mut request: Request,
    next: Next,
) -> Response {
    let peer = peer(request.extensions());
    match state
        .authenticator
        .authenticate_request(request.method(), request.headers(), peer)
        .await
    {
        Ok(principal) => {
            Trail::of(request.extensions()).called_by(&principal);
            request.extensions_mut().insert(principal);
            next.run(request).await
        }
        Err(reason) => Refused(reason.into()).into_response(),
    }
}

fn peer(extensions: &Extensions) -> IpAddr {
    extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(peer)| {
            peer.ip()
        })
}

impl Credential {
    /// Whose it is now; refuses what was revoked or has expired since.
    pub(super) async fn principal(&self, state: &ControlState) -> Result<Principal, Refused> {
        let (method, headers) = (&self.method, &self.headers);
        let known = state
            .authenticator
            .authenticate_request(method, headers, self.peer);
        known.await.map_err(|reason| Refused(reason.into()))
    }

    /// Where it comes from.
    pub(super) fn peer(&self) -> IpAddr {
        self.peer
    }

    /// What is kept account of about the request.
    pub(super) fn trail(&self) -> &Trail {
        &self.trail
    }

    /// The headers of the request.
    pub(super) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// One of them as text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether the caller asks for a stream of events.
    pub(super) fn accepts_stream(&self) -> bool {
        let accepted = self.headers.get_all(ACCEPT).iter();
        let accepted = accepted.filter_map(|value| value.to_str().ok());
        let mut types = accepted.flat_map(|value| value.split(','));
        types.any(|accepted| {
            let name = accepted.split(';').next().unwrap_or_default().trim();
            name.eq_ignore_ascii_case("text/event-stream")
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Credential {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        Ok(Self {
            method: parts.method.clone(),
            headers: parts.headers.clone(),
            peer: peer(&parts.extensions),
            trail: Trail::of(&parts.extensions),
        })
    }
}
