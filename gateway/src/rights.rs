//! Opens who decides about callers: tokens of the store, and rights from where the configuration says.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use auth::{
    Authenticator, AuthenticatorConfig, Credentials, HttpClient, InheritedConfig, InheritedRights,
    MlflowUsers, Secret, SessionKey, Sessions, SourceError, TokenStore, TokensAndGrants,
};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::config::{Config, RegistryCredentials, RegistryKind, RightsSource};
use crate::run_error::RunError;
use crate::store::{SecretFile, Store};

/// Pause before the gateway's own account is looked at again, while the registry does not answer.
const PAUSE: Duration = Duration::from_secs(10);

/// How long a person who signed in with a browser stays so: a day's work, and not the night.
const SESSION: Duration = Duration::from_secs(12 * 3600);

/// The name that says that what follows is a token, for Databricks as for us.
const TOKEN_USER: &str = "token";

/// Who decides about callers, as `config` has it. The registry is not asked yet.
pub(crate) async fn open(
    config: &Config,
    tokens: &Arc<dyn TokenStore>,
    store: &Store,
) -> Result<Arc<Authenticator>, RunError> {
    if !config.auth.enabled {
        warn!(
            "authentication is off (auth.enabled = false): everybody who reaches this address may do everything"
        );
        let everybody = Authenticator::disabled().reached_at(config.public_url.as_ref());
        return Ok(Arc::new(everybody));
    }
    let kept = tokens.load().await.map_err(stored)?;
    hint(config, &kept);
    let clock: auth::Clock = Arc::new(SystemTime::now);
    let opened = Authenticator::open(Arc::clone(tokens), clock, AuthenticatorConfig::default());
    let sessions = sessions(config, store).await?;
    let opened = opened.await.map_err(stored)?.with_sessions(sessions);
    let opened = opened.reached_at(config.public_url.as_ref());
    Ok(Arc::new(match config.auth.rights {
        RightsSource::Grants => opened,
        RightsSource::Registry => opened.inherit(inherited(config)?),
    }))
}

/// Sessions of browsers, under a key that outlives the process.
async fn sessions(config: &Config, store: &Store) -> Result<Arc<Sessions>, RunError> {
    let file = SecretFile::of_sessions(&config.local.data_dir);
    let kept = file.read().map_err(stored)?;
    let kept = kept.map_or_else(|| file.make(), Ok).map_err(stored)?;
    let key = SessionKey::from_text(&kept).ok_or_else(|| {
        stored("the key of sessions in the data folder is damaged: remove session.secret")
    })?;
    let sessions = Sessions::new(&key, SESSION, Arc::new(SystemTime::now));
    let sessions = sessions.reached_at(config.public_url.as_ref());
    for (id, until) in store
        .ended_sessions(SystemTime::now())
        .await
        .map_err(stored)?
    {
        sessions.remember_ended(id, until).map_err(stored)?;
    }
    Ok(Arc::new(sessions))
}

/// Keeps tokens and rights at hand until `shutdown`, and says once whether the gateway's own account can tell rights.
pub(crate) async fn follow(authenticator: Arc<Authenticator>, shutdown: CancellationToken) {
    let check = async {
        if let Some(rights) = authenticator.inherited() {
            shutdown.run_until_cancelled(check(rights)).await;
        }
    };
    tokio::join!(authenticator.run(shutdown.clone()), check);
}

/// Whether the gateway that `config` describes could tell the rights of callers with tokens; the error says what to do if
/// not. `None` if rights do not come from the registry.
pub async fn check_service(config: &Config) -> Option<Result<(), String>> {
    if !config.auth.enabled || config.auth.rights != RightsSource::Registry {
        return None;
    }
    let checked = async {
        let rights = inherited(config).map_err(|error| error.to_string())?;
        let checked = rights.check_service().await;
        checked.map_err(|error| error.to_string())
    };
    Some(checked.await)
}

fn inherited(config: &Config) -> Result<InheritedRights, RunError> {
    let settings = config.auth.inherited;
    let http = HttpClient::new(config.registry.url.clone(), settings.deadline)
        .map_err(|error| RunError::Registry(error.to_string()))?;
    let http = Arc::new(http);
    let credentials = &config.registry.credentials;
    let source: Arc<dyn auth::RightsSource> = match config.registry.kind {
        RegistryKind::Mlflow => Arc::new(MlflowUsers::new(
            http,
            account(credentials),
            settings.default_permission,
        )),
        RegistryKind::Databricks => Arc::new(auth::DatabricksUsers::new(http, token(credentials))),
    };
    let inherited = InheritedConfig {
        age: settings.age,
        denied_age: settings.denied_age,
        outage: settings.outage,
        deadline: settings.deadline,
        ..InheritedConfig::default()
    };
    Ok(InheritedRights::new(source, inherited))
}

fn account(credentials: &RegistryCredentials) -> Option<Credentials> {
    match credentials {
        RegistryCredentials::None => None,
        RegistryCredentials::Basic { username, password } => Some(Credentials::Basic {
            user: username.clone(),
            password: password.clone(),
        }),
        RegistryCredentials::Bearer(token) => Some(Credentials::Bearer(token.clone())),
    }
}

/// Databricks knows tokens only, as such or as the password of the user `token`.
fn token(credentials: &RegistryCredentials) -> Option<Secret> {
    match credentials {
        RegistryCredentials::Bearer(token) => Some(token.clone()),
        RegistryCredentials::Basic { username, password } if username == TOKEN_USER => {
            Some(password.clone())
        }
        _ => None,
    }
}

/// What an operator should know at the start: how to get the first token, and which rights count for nothing.
fn hint(config: &Config, kept: &TokensAndGrants) {
    let data_dir = config.local.data_dir.display();
    match config.auth.rights {
        RightsSource::Grants => {
            if kept.tokens.is_empty() {
                warn!(
                    "there is no token yet; make the first one on this host: \
                     sluicegate tokens create --local --principal NAME --admin --data-dir {data_dir}"
                );
            }
        }
        RightsSource::Registry => {
            info!(
                registry = %config.registry.url,
                "users and their rights are those of the registry: callers sign in with its user names and passwords, or \
                 with tokens of this gateway"
            );
            if kept.tokens.is_empty() {
                info!(
                    "there is no token yet; a user makes one with name and password over the API, or on this host: \
                     sluicegate tokens create --local --principal USER --data-dir {data_dir}"
                );
            }
            if !kept.grants.is_empty() {
                warn!(
                    grants = kept.grants.len(),
                    "rights that were given here count for nothing while rights come from the registry"
                );
            }
        }
    }
}

/// Until somebody knows.
async fn check(rights: &InheritedRights) {
    loop {
        match rights.check_service().await {
            Ok(()) => {
                info!("the registry tells the rights of callers with tokens");
                return;
            }
            Err(SourceError::Unavailable(reason)) => {
                debug!(%reason, "the gateway's own account cannot be checked yet");
                sleep(PAUSE).await;
            }
            Err(reason) => {
                warn!(
                    %reason,
                    "callers with tokens can do nothing: the registry does not tell the gateway what they may. Those who \
                     come with their own user name and password can"
                );
                return;
            }
        }
    }
}

fn stored(error: impl std::fmt::Display) -> RunError {
    RunError::Store(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databricks_takes_a_token_as_such_or_as_the_password_of_the_user_token() {
        let secret = || Secret::new("dapi-1".to_owned());
        let basic = |username: &str| RegistryCredentials::Basic {
            username: username.to_owned(),
            password: secret(),
        };
        for (credentials, expected) in [
            (RegistryCredentials::None, None),
            (RegistryCredentials::Bearer(secret()), Some(secret())),
            (basic("token"), Some(secret())),
            (basic("ann@example.com"), None),
        ] {
            assert_eq!(token(&credentials), expected, "{credentials:?}");
        }
    }

    #[tokio::test]
    async fn an_account_is_checked_only_where_rights_come_from_the_registry() {
        let load = |pairs: &[(&str, &str)]| {
            let given = [("HOME", "/"), ("SLUICEGATE_REGISTRY", "http://127.0.0.1:9")];
            let variables = given.iter().chain(pairs);
            let variables =
                variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            Config::load(crate::config::Overrides::default(), variables).unwrap()
        };
        assert_eq!(check_service(&load(&[])).await, None);
        let registry = ("SLUICEGATE_AUTH_RIGHTS", "registry");
        let off = ("SLUICEGATE_AUTH_ENABLED", "false");
        assert_eq!(check_service(&load(&[registry, off])).await, None);
        for (kind, variable) in [
            ("mlflow", "MLFLOW_TRACKING_USERNAME"),
            ("databricks", "MLFLOW_TRACKING_TOKEN"),
        ] {
            let kind = ("SLUICEGATE_REGISTRY_KIND", kind);
            let said = check_service(&load(&[registry, kind])).await.unwrap();
            assert!(said.unwrap_err().contains(variable));
        }
    }
}
