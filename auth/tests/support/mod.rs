//! A store that counts what it is asked and fails on demand, and requests with credentials.

#![expect(clippy::unwrap_used, reason = "a test ends where its support fails")]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use auth::{
    AuthError, Authenticator, AuthenticatorConfig, Grant, MemoryTokenStore, NewToken, Principal,
    Secret, StoreError, TokenId, TokenRecord, TokenStore, TokensAndGrants,
};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use tokio::time::Instant;

pub(crate) const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// What another process shares with the authenticator under test.
#[derive(Default)]
pub(crate) struct ObservedStore {
    kept: MemoryTokenStore,
    revisions: AtomicUsize,
    loads: AtomicUsize,
    broken: AtomicBool,
    silent: AtomicBool,
}

impl ObservedStore {
    /// How often revision and load were asked for since the last call.
    pub(crate) fn asked(&self) -> (usize, usize) {
        let count = |counter: &AtomicUsize| counter.swap(0, Ordering::SeqCst);
        (count(&self.revisions), count(&self.loads))
    }

    /// Makes every question fail from now on, or no longer.
    pub(crate) fn set_broken(&self, broken: bool) {
        self.broken.store(broken, Ordering::SeqCst);
    }

    /// Makes every question wait for ever from now on.
    pub(crate) fn fall_silent(&self) {
        self.silent.store(true, Ordering::SeqCst);
    }

    /// Makes a token as another process would.
    pub(crate) async fn create(&self, token: NewToken) -> (TokenRecord, Secret) {
        let (record, secret) = token.issue(SystemTime::UNIX_EPOCH).unwrap();
        self.kept.insert(record.clone()).await.unwrap();
        (record, secret)
    }

    async fn answer(&self) -> Result<(), StoreError> {
        if self.silent.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        // A store takes its time: others get their turn while it does.
        tokio::time::sleep(Duration::from_millis(1)).await;
        if self.broken.load(Ordering::SeqCst) {
            return Err(StoreError("disk on fire".to_owned()));
        }
        Ok(())
    }
}

#[async_trait]
impl TokenStore for ObservedStore {
    async fn revision(&self) -> Result<u64, StoreError> {
        self.revisions.fetch_add(1, Ordering::SeqCst);
        self.answer().await?;
        self.kept.revision().await
    }

    async fn load(&self) -> Result<TokensAndGrants, StoreError> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        self.answer().await?;
        self.kept.load().await
    }

    async fn insert(&self, record: TokenRecord) -> Result<(), StoreError> {
        self.kept.insert(record).await
    }

    async fn revoke(&self, id: &TokenId) -> Result<bool, StoreError> {
        self.kept.revoke(id).await
    }

    async fn grant(&self, principal: &str, grant: &Grant) -> Result<(), StoreError> {
        self.kept.grant(principal, grant).await
    }

    async fn revoke_grant(&self, principal: &str, grant: &Grant) -> Result<bool, StoreError> {
        self.kept.revoke_grant(principal, grant).await
    }
}

/// An authenticator over `store` whose clock is the runtime's, and whose refusals are not held back.
pub(crate) async fn authenticator(store: &Arc<ObservedStore>) -> Authenticator {
    let mut config = AuthenticatorConfig::default();
    config.throttle.longest_delay = Duration::ZERO;
    authenticator_with(store, config).await
}

pub(crate) async fn authenticator_with(
    store: &Arc<ObservedStore>,
    config: AuthenticatorConfig,
) -> Authenticator {
    let start = Instant::now();
    let clock = Arc::new(move || SystemTime::UNIX_EPOCH + start.elapsed());
    let opened = Authenticator::open(Arc::clone(store) as _, clock, config);
    let opened = opened.await.unwrap();
    store.asked();
    opened
}

/// The headers of a request with `token`.
pub(crate) fn bearer(token: &Secret) -> HeaderMap {
    authorization(&format!("Bearer {}", token.expose()))
}

pub(crate) fn authorization(value: &str) -> HeaderMap {
    let value = HeaderValue::from_str(value).unwrap();
    HeaderMap::from_iter([(AUTHORIZATION, value)])
}

pub(crate) async fn show(
    authenticator: &Authenticator,
    token: &Secret,
) -> Result<Principal, AuthError> {
    authenticator.authenticate(&bearer(token), PEER).await
}

/// A token that was never kept anywhere.
pub(crate) fn junk() -> Secret {
    let made = NewToken::new("nobody").issue(SystemTime::UNIX_EPOCH);
    made.unwrap().1
}
