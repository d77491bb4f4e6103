//! From the headers of a request to a principal: in memory, unless the token is one that nobody has seen yet.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use http::header::AUTHORIZATION;
use http::{HeaderMap, Method};
use tokio_util::sync::CancellationToken;
use tracing::debug;
use url::Url;

use crate::api_token::{TokenDigest, looks_like_a_token};
use crate::credential::Credential;
use crate::directory::{Directory, DirectoryConfig};
use crate::door::{Door, TurnedAway};
use crate::error::AuthError;
use crate::inherited::InheritedRights;
use crate::principal::Principal;
use crate::rights::{AllowAll, CurrentGrants, Rights, RightsError};
use crate::secret::Secret;
use crate::session::{NoSession, Session, Sessions};
use crate::sign_in_places::SignInPlaces;
use crate::table::Lookup;
use crate::throttle::{Throttle, ThrottleConfig};
use crate::token_store::{StoreError, TokenStore};

/// Says what time it is, for expiry: `Arc::new(SystemTime::now)`, or a test's own time.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// How the authenticator treats its store and its callers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuthenticatorConfig {
    /// How often and how long the store is asked.
    pub directory: DirectoryConfig,
    /// How addresses that keep failing are slowed.
    pub throttle: ThrottleConfig,
}

/// Finds out who is calling.
///
/// A known token costs one digest and one look into a table. A token that is not in the table but could have been made
/// here is looked for in the store before it is refused, so that a token made by another process holds at once. All
/// callers with such tokens share one question to the store, which is asked a few times a second at most.
pub struct Authenticator {
    /// `None` takes everybody for [`Principal::anonymous`].
    tokens: Option<Tokens>,
    door: Door,
    refused: AtomicU64,
}

struct Tokens {
    directory: Arc<Directory>,
    clock: Clock,
    throttle: Throttle,
    sign_ins: SignInPlaces,
    /// `None` where rights are the grants of the store.
    inherited: Option<InheritedRights>,
    /// `None` where nobody can sign in with a browser.
    sessions: Option<Arc<Sessions>>,
}

impl Authenticator {
    /// Loads the tokens and grants of `store`. From then on [`Authenticator::run`] has to run somewhere.
    pub async fn open(
        store: Arc<dyn TokenStore>,
        clock: Clock,
        config: AuthenticatorConfig,
    ) -> Result<Self, StoreError> {
        let tokens = Tokens {
            directory: Arc::new(Directory::open(store, config.directory).await?),
            clock,
            throttle: Throttle::new(config.throttle),
            sign_ins: SignInPlaces::default(),
            inherited: None,
            sessions: None,
        };
        Ok(Self {
            tokens: Some(tokens),
            door: Door::default(),
            refused: AtomicU64::new(0),
        })
    }

    /// Takes passwords of the registry, too, and all rights from there: who is an admin, and who may do what to a model.
    /// The grants of the store count no longer. Changes nothing where authentication is disabled.
    #[must_use]
    pub fn inherit(mut self, rights: InheritedRights) -> Self {
        if let Some(tokens) = &mut self.tokens {
            tokens.inherited = Some(rights);
        }
        self
    }

    /// Takes the cookies of `sessions` as well. Changes nothing where authentication is disabled.
    #[must_use]
    pub fn with_sessions(mut self, sessions: Arc<Sessions>) -> Self {
        if let Some(tokens) = &mut self.tokens {
            tokens.sessions = Some(sessions);
        }
        self
    }

    /// Takes everybody for [`Principal::anonymous`], whatever the headers say: for `auth.enabled = false`.
    pub fn disabled() -> Self {
        Self {
            tokens: None,
            door: Door::default(),
            refused: AtomicU64::new(0),
        }
    }

    /// The same for a gateway that browsers find at this address, whatever host a proxy asks for.
    #[must_use]
    pub fn reached_at(mut self, public_url: Option<&Url>) -> Self {
        self.door = Door::at(public_url);
        self
    }

    /// Whether a request is looked at at all, to be asked before who sent it: a browser asks in a person's name for any page
    /// that it shows. Where everybody may do everything, this is all there is between such a page and the models.
    pub fn admit(&self, method: &Method, headers: &HeaderMap) -> Result<(), TurnedAway> {
        self.door.check_origin(method, headers)?;
        if self.tokens.is_none() {
            self.door.check_name(headers)?;
        }
        Ok(())
    }

    /// Who sent a request with these headers from `peer`.
    ///
    /// Where rights are inherited, a caller whom the registry has not been asked about lately waits for its answer; a
    /// token of ours is accepted also when there is none, and the principal says that nobody knows whether it is an admin.
    ///
    /// Otherwise waits only for an unknown token (for its turn and for the store, each up to the store's deadline) and to slow down
    /// an address that keeps failing (up to the throttle's longest delay). A request without any credential is no failure in this sense.
    pub async fn authenticate(
        &self,
        headers: &HeaderMap,
        peer: IpAddr,
    ) -> Result<Principal, AuthError> {
        match Credential::from_headers(headers) {
            Ok(Some(credential)) => self.check(credential, peer).await,
            Ok(None) if self.tokens.is_none() => Ok(Principal::anonymous()),
            Ok(None) => Err(AuthError::Missing),
            Err(malformed) => match &self.tokens {
                None => Ok(Principal::anonymous()),
                Some(tokens) => self.counted(tokens, Err(malformed.into()), peer).await,
            },
        }
    }

    /// The same for a request of which the method is known: where it has no `Authorization` header, the cookie of a
    /// session is as good, with what [`Sessions::of_request`] demands.
    pub async fn authenticate_request(
        &self,
        method: &Method,
        headers: &HeaderMap,
        peer: IpAddr,
    ) -> Result<Principal, AuthError> {
        match self.session(method, headers)? {
            Some(session) => self.check(session.credential, peer).await,
            None => self.authenticate(headers, peer).await,
        }
    }

    /// The same where nothing has to be waited for: the request carries a token that is known here, and nobody else has a say.
    /// Most requests of programs are such; `None` says nothing about the others.
    pub fn at_hand(&self, headers: &HeaderMap, peer: IpAddr) -> Option<Principal> {
        let tokens = self.tokens.as_ref()?;
        if tokens.inherited.is_some() {
            return None;
        }
        let Ok(Some(Credential::Token(token))) = Credential::from_headers(headers) else {
            return None;
        };
        if !looks_like_a_token(&token) {
            return None;
        }
        let Lookup::Holds(principal) = tokens.look_up(&TokenDigest::of(&token)) else {
            return None;
        };
        tokens.throttle.succeeded(peer);
        Some(principal)
    }

    /// The session that a request belongs to, if it has one: an `Authorization` header counts more than a cookie.
    pub fn session(
        &self,
        method: &Method,
        headers: &HeaderMap,
    ) -> Result<Option<Session>, NoSession> {
        match self.sessions() {
            Some(sessions) if !headers.contains_key(AUTHORIZATION) => {
                sessions.of_request(method, headers)
            }
            _ => Ok(None),
        }
    }

    /// What seals sessions; `None` where authentication is disabled, or nobody can sign in with a browser.
    pub fn sessions(&self) -> Option<&Arc<Sessions>> {
        self.tokens.as_ref()?.sessions.as_ref()
    }

    /// Whose credential that is. Waits as [`Self::authenticate`] does.
    pub async fn check(
        &self,
        credential: Credential,
        peer: IpAddr,
    ) -> Result<Principal, AuthError> {
        let Some(tokens) = &self.tokens else {
            return Ok(Principal::anonymous());
        };
        let outcome = match credential {
            Credential::Token(token) => tokens.recognise(&token).await,
            Credential::Password { user, password } => tokens.sign_in(&user, password, peer).await,
        };
        self.counted(tokens, outcome, peer).await
    }

    /// Passes an outcome on; counts failures, and slows an address that keeps failing.
    async fn counted(
        &self,
        tokens: &Tokens,
        outcome: Result<Principal, AuthError>,
        peer: IpAddr,
    ) -> Result<Principal, AuthError> {
        match &outcome {
            Ok(_) => tokens.throttle.succeeded(peer),
            // Nobody knows whether that was a failure of the caller.
            Err(AuthError::Unavailable(reason)) => {
                debug!(%peer, %reason, "a password could not be checked");
            }
            Err(reason) => {
                debug!(%peer, %reason, "a credential was refused");
                self.refused.fetch_add(1, Ordering::Relaxed);
                tokens.throttle.hold_back(peer).await;
            }
        }
        outcome
    }

    /// Credentials that were refused so far; requests without any are not counted.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// The rights that go with these tokens: those of the registry if they are inherited, else the grants of the same
    /// store; everything if authentication is disabled.
    pub fn rights(&self) -> Arc<dyn Rights> {
        match &self.tokens {
            None => Arc::new(AllowAll),
            Some(Tokens {
                inherited: Some(rights),
                ..
            }) => Arc::new(rights.clone()),
            Some(tokens) => Arc::new(CurrentGrants(Arc::clone(&tokens.directory))),
        }
    }

    /// The rights of the registry, if they are inherited.
    pub fn inherited(&self) -> Option<&InheritedRights> {
        self.tokens.as_ref()?.inherited.as_ref()
    }

    /// Makes a change that this process has made in the store hold from now on: to be called after every write, before
    /// the change is called done.
    pub async fn reload(&self) -> Result<(), StoreError> {
        match &self.tokens {
            None => Ok(()),
            Some(tokens) => tokens.directory.reload().await,
        }
    }

    /// Follows the changes that other processes make, until `shutdown`. While the store cannot be read, the tokens and
    /// grants known so far stay, and expire as they should. Also asks the registry, where rights are inherited.
    pub async fn run(&self, shutdown: CancellationToken) {
        match &self.tokens {
            None => shutdown.cancelled().await,
            Some(tokens) => {
                let inherited = async {
                    if let Some(rights) = &tokens.inherited {
                        rights.run(&shutdown).await;
                    }
                };
                tokio::join!(tokens.directory.run(shutdown.clone()), inherited);
            }
        }
    }
}

impl Tokens {
    async fn recognise(&self, token: &Secret) -> Result<Principal, AuthError> {
        if !looks_like_a_token(token) {
            return Err(AuthError::Unknown);
        }
        let digest = TokenDigest::of(token);
        let mut found = self.look_up(&digest);
        if found == Lookup::Unknown {
            self.directory.catch_up().await;
            found = self.look_up(&digest);
        }
        match found {
            Lookup::Holds(principal) => Ok(self.with_standing(principal).await),
            Lookup::Expired => Err(AuthError::Expired),
            Lookup::Unknown => Err(AuthError::Unknown),
        }
    }

    /// Who is an admin, is said by the registry if rights come from there.
    async fn with_standing(&self, mut principal: Principal) -> Principal {
        if let Some(rights) = &self.inherited {
            let known = if principal.scopes.is_everything() {
                rights.is_admin(&principal.name).await
            } else {
                Ok(false)
            };
            principal.admin = known == Ok(true);
            principal.admin_unknown = known.err();
        }
        principal
    }

    async fn sign_in(
        &self,
        user: &str,
        password: Secret,
        peer: IpAddr,
    ) -> Result<Principal, AuthError> {
        let Some(rights) = &self.inherited else {
            return Err(AuthError::PasswordRefused);
        };
        match rights
            .sign_in(user, password, self.sign_ins.take(peer))
            .await
        {
            Ok(principal) => principal.ok_or(AuthError::PasswordWrong),
            Err(RightsError::Unavailable(why) | RightsError::Misconfigured(why)) => {
                Err(AuthError::Unavailable(why))
            }
        }
    }

    fn look_up(&self, digest: &TokenDigest) -> Lookup {
        self.directory.table().look_up(digest, (self.clock)())
    }
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Authenticator")
            .field("enabled", &self.tokens.is_some())
            .finish_non_exhaustive()
    }
}
