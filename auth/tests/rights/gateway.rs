//! An authenticator that inherits rights, and callers with tokens and with passwords.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::SystemTime;

use auth::{
    AuthError, Authenticator, AuthenticatorConfig, Credentials, HttpCalls, InheritedConfig,
    InheritedRights, MemoryTokenStore, MlflowPermission, MlflowUsers, NewToken, Principal, Right,
    Rights, RightsError, RightsSource, TokenStore,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::fake::{FakeMlflow, Generation};

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

pub(crate) struct Gateway {
    pub(crate) authenticator: Arc<Authenticator>,
    pub(crate) rights: Arc<dyn Rights>,
    store: Arc<MemoryTokenStore>,
    _running: JoinSet<()>,
}

/// How a caller shows who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Token,
    Password,
}

pub(crate) const BOTH: [By; 2] = [By::Token, By::Password];
pub(crate) const GENERATIONS: [Generation; 2] = [Generation::Old, Generation::New];

/// The gateway's own account is `admin`; MLflow's default is not told, and counts as nothing.
pub(crate) async fn over(server: &Arc<FakeMlflow>) -> Gateway {
    over_with(server, "admin", MlflowPermission::NoPermissions).await
}

pub(crate) async fn over_with(
    server: &Arc<FakeMlflow>,
    service: &str,
    default: MlflowPermission,
) -> Gateway {
    let http = Arc::clone(server) as Arc<dyn HttpCalls>;
    let users = MlflowUsers::new(http, Some(account(service)), default);
    Gateway::over(Arc::new(users), InheritedConfig::default()).await
}

pub(crate) fn account(user: &str) -> Credentials {
    Credentials::Basic {
        user: user.to_owned(),
        password: format!("password of {user}").into(),
    }
}

impl Gateway {
    pub(crate) async fn over(source: Arc<dyn RightsSource>, config: InheritedConfig) -> Self {
        let store = Arc::new(MemoryTokenStore::default());
        let clock = Arc::new(SystemTime::now);
        let opened = Authenticator::open(
            Arc::clone(&store) as _,
            clock,
            AuthenticatorConfig::default(),
        );
        let inherited = InheritedRights::new(source, config);
        let authenticator = Arc::new(opened.await.unwrap().inherit(inherited));
        let mut running = JoinSet::new();
        let runs = Arc::clone(&authenticator);
        running.spawn(async move { runs.run(CancellationToken::new()).await });
        Self {
            rights: authenticator.rights(),
            authenticator,
            store,
            _running: running,
        }
    }

    pub(crate) async fn caller(&self, by: By, user: &str) -> Principal {
        match by {
            By::Token => self.with_token(NewToken::new(user)).await,
            By::Password => self
                .sign_in(user, &format!("password of {user}"))
                .await
                .unwrap(),
        }
    }

    pub(crate) async fn with_token(&self, token: NewToken) -> Principal {
        let (record, token) = token.issue(SystemTime::now()).unwrap();
        self.store.insert(record).await.unwrap();
        self.authenticator.reload().await.unwrap();
        let headers = header(&format!("Bearer {}", token.expose()));
        self.authenticator
            .authenticate(&headers, PEER)
            .await
            .unwrap()
    }

    pub(crate) async fn sign_in(&self, user: &str, password: &str) -> Result<Principal, AuthError> {
        self.sign_in_from(PEER, user, password).await
    }

    pub(crate) async fn sign_in_from(
        &self,
        peer: IpAddr,
        user: &str,
        password: &str,
    ) -> Result<Principal, AuthError> {
        let headers = basic(user, password);
        self.authenticator.authenticate(&headers, peer).await
    }

    pub(crate) async fn right(
        &self,
        caller: &Principal,
        model: &str,
    ) -> Result<Option<Right>, RightsError> {
        self.rights.right(caller, model).await
    }

    pub(crate) async fn give_grant(&self, user: &str, grant: &auth::Grant) {
        self.store.grant(user, grant).await.unwrap();
        self.authenticator.reload().await.unwrap();
    }
}

pub(crate) fn basic(user: &str, password: &str) -> HeaderMap {
    header(&format!(
        "Basic {}",
        STANDARD.encode(format!("{user}:{password}"))
    ))
}

fn header(value: &str) -> HeaderMap {
    HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_str(value).unwrap())])
}
