//! Where tokens and grants are kept for good: the one thing here that may wait.

use std::sync::Arc;

use async_trait::async_trait;

use crate::api_token::{TokenId, TokenRecord};
use crate::grants::Grant;

/// Keeps tokens and grants; several processes may share one.
///
/// Changes made through a store reach an [`Authenticator`](crate::Authenticator) by
/// [`reload`](crate::Authenticator::reload) in the process that made them, and by `revision` in every other one.
#[async_trait]
pub trait TokenStore: Send + Sync {
    /// A number that every change of a token or a grant makes a different one, whichever process made it. It is asked for
    /// every second: it must be cheap.
    async fn revision(&self) -> Result<u64, StoreError>;

    /// Everything, as it was at one moment.
    async fn load(&self) -> Result<TokensAndGrants, StoreError>;

    /// Keeps a new token. An id or a digest that is there already is an error.
    async fn insert(&self, record: TokenRecord) -> Result<(), StoreError>;

    /// Forgets a token; `false` if there was none of that id.
    async fn revoke(&self, id: &TokenId) -> Result<bool, StoreError>;

    /// Gives `grant` to `principal`; giving it again changes nothing.
    async fn grant(&self, principal: &str, grant: &Grant) -> Result<(), StoreError>;

    /// Takes exactly `grant` back; `false` if it was not given. Other grants that cover the same models stay.
    async fn revoke_grant(&self, principal: &str, grant: &Grant) -> Result<bool, StoreError>;
}

/// What a store holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokensAndGrants {
    /// The revision that this is, read together with the rest.
    pub revision: u64,
    /// In no particular order. Those that have expired may be left out; callers then hear "unknown" and not "expired".
    pub tokens: Vec<TokenRecord>,
    /// Principal and grant, in no particular order.
    pub grants: Vec<(Arc<str>, Grant)>,
}

/// The store failed: why, for people who run it. Never holds a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store of tokens failed: {0}")]
pub struct StoreError(pub String);
