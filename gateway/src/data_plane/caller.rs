//! What is known of a request besides what it says: handed on from the connection to whoever works for it.

use std::net::SocketAddr;

use http::HeaderMap;
use tokio::time::Instant;

use super::cutoff::Cutoff;
use crate::request_id::RequestId;
use crate::telemetry::Trail;

/// Who sends one request, and when it came.
#[derive(Clone, Debug)]
pub struct Caller<'connection> {
    /// The other end of the connection.
    pub(crate) peer: SocketAddr,
    /// The caller's own, or ours.
    pub(crate) id: RequestId,
    /// When the request's head was there.
    pub(crate) arrival: Instant,
    pub(crate) trail: Trail,
    /// `None` where nobody would cut the connection.
    pub(crate) cutoff: Option<&'connection Cutoff>,
}

impl<'connection> Caller<'connection> {
    /// The one at `peer`, whose request with these headers has just come. Nobody watches it, and nobody cuts its connection.
    pub fn new(peer: SocketAddr, headers: &HeaderMap) -> Self {
        Self {
            peer,
            id: RequestId::take_or_make(headers),
            arrival: Instant::now(),
            trail: Trail::default(),
            cutoff: None,
        }
    }

    /// The same on a connection that is cut when the time of `cutoff` has passed.
    #[must_use]
    pub fn cut_at(mut self, cutoff: &'connection Cutoff) -> Self {
        self.cutoff = Some(cutoff);
        self
    }

    /// The same with somebody who wants to know what the request does.
    pub(crate) fn followed_on(mut self, trail: Trail) -> Self {
        self.trail = trail;
        self
    }
}
