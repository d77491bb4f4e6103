//! A caller of an answer that may last for days: whether it is still known, and may still see what it sees.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts};
use http::HeaderMap;
use http::request::Parts;

use super::{Access, ControlState, Refused};

/// The credential of a request, to be looked at again.
pub(super) struct Credential {
    headers: HeaderMap,
    peer: IpAddr,
}

/// Asks again for one model.
pub(super) struct CallerWatch {
    access: Access,
    credential: Credential,
    model: String,
}

impl CallerWatch {
    pub(super) fn new(access: Access, credential: Credential, model: String) -> Self {
        Self {
            access,
            credential,
            model,
        }
    }

    pub(super) fn state(&self) -> &Arc<ControlState> {
        &self.access.state
    }

    /// Whether its credential still holds, for somebody who may see the model. While that cannot be asked it may not.
    pub(super) async fn may_still_see(&self) -> bool {
        let Credential { headers, peer } = &self.credential;
        let known = self
            .state()
            .authenticator
            .authenticate(headers, *peer)
            .await;
        known.is_ok() && self.access.to_see(&self.model).await.is_ok()
    }

    /// Resolves when the gateway stops.
    pub(super) async fn shutdown(&self) {
        self.state().shutdown.cancelled().await;
    }
}

impl FromRequestParts<Arc<ControlState>> for Credential {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<ControlState>) -> Result<Self, Refused> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let nobody = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        Ok(Self {
            headers: parts.headers.clone(),
            peer: peer.map_or(nobody, |ConnectInfo(peer)| peer.ip()),
        })
    }
}
