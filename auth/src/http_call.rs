//! The one thing that is done over the network: GET with somebody's credentials, answered with a status and a body.

use async_trait::async_trait;

use crate::secret::Secret;

/// Asks an HTTP server. [`HttpClient`](crate::HttpClient) does; tests script it.
#[async_trait]
pub trait HttpCalls: Send + Sync {
    /// Sends one GET. Any status is a reply. A redirect is never followed, because it could lead the credentials away.
    async fn get(&self, call: HttpCall<'_>) -> Result<HttpReply, NoReply>;
}

/// One GET.
#[derive(Clone, Copy, Debug)]
pub struct HttpCall<'a> {
    /// The path below the server's address, without a slash in front; not encoded.
    pub path: &'a str,
    /// Parameters, not encoded.
    pub query: &'a [(&'a str, &'a str)],
    /// As whom.
    pub credentials: &'a Credentials,
}

/// What a call shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// `Authorization: Basic`.
    Basic {
        /// The user name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// `Authorization: Bearer`.
    Bearer(Secret),
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpReply {
    /// The status code.
    pub status: u16,
    /// The body; JSON or not.
    pub body: Vec<u8>,
}

/// Nothing came back: why, for people. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoReply(pub String);
