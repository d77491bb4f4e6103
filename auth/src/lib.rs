//! Who is calling, and may they: credentials, principals, tokens, rights.
//!
//! Two questions, asked in this order:
//!
//! 1. *Who is it?* [`Authenticator::authenticate`] turns request headers into a [`Principal`], or says why not.
//! 2. *May it?* [`Rights::right`] says how much a principal may do to a model: nothing, [`Right::Read`] or [`Right::Manage`].
//!
//! Both are answered from one table in memory that follows a [`TokenStore`]: no question of a caller with a known token
//! waits for anything. Or rights are inherited ([`Authenticator::inherit`]) from a registry with users of its own, an MLflow
//! server with basic-auth ([`MlflowUsers`]) or Databricks ([`DatabricksUsers`]); its answers are remembered briefly, so that
//! busy callers do not wait either. Where the words come from (SQL, a registry) and what an answer looks like in HTTP is not known here.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::SystemTime;
//!
//! use auth::{Authenticator, AuthenticatorConfig, Grant, MemoryTokenStore, NewToken, Right, Rights, TokenStore};
//! use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = Arc::new(MemoryTokenStore::default());
//! let (record, token) = NewToken::new("alice").issue(SystemTime::now())?;
//! store.insert(record).await?;
//! store.grant("alice", &Grant::read("fraud-*".parse()?)).await?;
//!
//! let clock = Arc::new(SystemTime::now);
//! let authenticator = Authenticator::open(store, clock, AuthenticatorConfig::default()).await?;
//! let rights = authenticator.rights();
//!
//! let mut headers = HeaderMap::new();
//! headers.insert(AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {}", token.expose()))?);
//! let alice = authenticator.authenticate(&headers, "127.0.0.1".parse()?).await?;
//! assert_eq!(rights.right(&alice, "fraud-cards").await?, Some(Right::Read));
//! assert_eq!(rights.right(&alice, "iris").await?, None);
//! # Ok(())
//! # }
//! ```

mod api_token;
mod authenticator;
mod credential;
mod databricks;
mod directory;
mod door;
mod error;
mod grants;
mod http_call;
mod http_client;
mod inherited;
mod memory_store;
mod mlflow;
mod page;
mod pattern;
mod permission;
mod principal;
mod rights;
mod scopes;
mod secret;
mod session;
mod sign_in_places;
mod table;
mod throttle;
mod token_store;

pub use api_token::{InvalidToken, NewToken, TokenDigest, TokenId, TokenRecord};
pub use authenticator::{Authenticator, AuthenticatorConfig, Clock};
pub use credential::{Credential, MalformedCredential};
pub use databricks::DatabricksUsers;
pub use directory::DirectoryConfig;
pub use door::TurnedAway;
pub use error::{AuthError, CHALLENGE, challenge};
pub use grants::{Grant, Grants};
pub use http_call::{Credentials, HttpCall, HttpCalls, HttpReply, NoReply};
pub use http_client::{HttpClient, InvalidAddress};
pub use inherited::{
    Account, Caller, Given, InheritedConfig, InheritedRights, Login, Overview, RightsFigures,
    RightsSource, SourceError,
};
pub use memory_store::MemoryTokenStore;
pub use mlflow::{MlflowPermission, MlflowUsers, UnknownPermission};
pub use page::PAGE_HEADER;
pub use pattern::{InvalidPattern, ModelPattern};
pub use permission::{Permission, Right};
pub use principal::Principal;
pub use rights::{AllowAll, MustAsk, Rights, RightsError};
pub use scopes::Scopes;
pub use secret::Secret;
pub use session::{
    NewSession, NoSession, NotBegun, Session, SessionId, SessionKey, Sessions, TooManyEnded,
};
pub use throttle::ThrottleConfig;
pub use token_store::{StoreError, TokenStore, TokensAndGrants};
