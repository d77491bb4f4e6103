//! Configuration: a TOML file, `SLUICEGATE_…` variables over it, flags over both; checked once, before anything starts.
//!
//! Every key has one name: `poll_interval` in the file, `SLUICEGATE_POLL_INTERVAL` in the environment and
//! `--poll-interval` where there is a flag; `auth.rights` is `rights` under `[auth]` and `SLUICEGATE_AUTH_RIGHTS`.
//!
//! This is the only place of the gateway that reads the environment.

mod address;
mod check;
mod error;
mod inherited;
mod keys;
mod launcher;
mod local;
mod observing;
mod overrides;
mod raw;
mod reader;
mod render;
mod rights;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use auth::Secret;
use url::Url;

use crate::api::{HumaneDuration, Settings};

pub use crate::api::{ByteSize, InvalidSize};
pub use address::Address;
pub use error::{ConfigError, Problem};
pub use launcher::Launcher;
pub use local::{CondaConfig, LocalConfig, PipConfig, SpaceConfig};
pub use observing::{AccessLogConfig, EventsConfig, ObservingConfig, TracesConfig, WebhooksConfig};
pub use overrides::Overrides;
pub use rights::{AuthConfig, InheritedRightsConfig, RightsSource};

use keys::Origin;

/// Everything that can be configured, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// The model registry.
    pub registry: RegistryConfig,
    /// Where the gateway listens.
    pub listen: SocketAddr,
    /// Where health and metrics are answered besides, without a credential; `None` nowhere.
    pub admin_listen: Option<SocketAddr>,
    /// Where data is, and how environments are built.
    pub local: LocalConfig,
    /// How clients reach the gateway, for the URIs that it shows; `None` takes the request's `Host`.
    pub public_url: Option<Url>,
    /// Models to enable at the start.
    pub enable: Vec<String>,
    /// Whether every registered model is served unless somebody disabled it.
    pub enable_all: bool,
    /// Who may call.
    pub auth: AuthConfig,
    /// Largest request body in bytes.
    pub body_limit: usize,
    /// Bytes of request bodies that are held at a time.
    pub body_memory: usize,
    /// From the arrival of a request to the end of its answer, where a model does not say.
    pub timeout: Duration,
    /// How long requests in flight may take to end when a version or the gateway stops.
    pub drain_timeout: Duration,
    /// Whether a worker's stack traces reach the client.
    pub show_stack_traces: bool,
    /// What the gateway writes about itself.
    pub log: LogConfig,
    /// What is kept and told of its doings.
    pub observing: ObservingConfig,
    origins: BTreeMap<&'static str, Origin>,
}

/// The model registry.
#[derive(Clone, Debug)]
pub struct RegistryConfig {
    /// Address of the MLflow server, without credentials.
    pub url: Url,
    /// How the gateway shows who it is.
    pub credentials: RegistryCredentials,
    /// Pause between two polls.
    pub poll_interval: Duration,
    /// Whose words it speaks about users and their rights.
    pub kind: RegistryKind,
}

/// Whose words a registry speaks about users and their rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistryKind {
    /// An MLflow server, with or without its basic-auth app.
    Mlflow,
    /// A Databricks workspace.
    Databricks,
}

/// How the gateway shows the registry who it is.
#[derive(Clone, Debug)]
pub enum RegistryCredentials {
    /// Not at all.
    None,
    /// `Authorization: Basic`.
    Basic {
        /// The user.
        username: String,
        /// The password.
        password: Secret,
    },
    /// `Authorization: Bearer`.
    Bearer(Secret),
}

/// What the gateway writes about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// One line of text or one JSON object a record.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug`, `trace`, or directives such as `info,gateway=debug`.
    pub level: String,
}

/// How log records are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

impl RegistryKind {
    /// As the host's name tells: workspaces of Databricks are below three domains.
    fn of(url: Option<&Url>) -> Self {
        const WORKSPACES: [&str; 3] = [
            ".cloud.databricks.com",
            ".azuredatabricks.net",
            ".gcp.databricks.com",
        ];
        let host = url.and_then(Url::host_str).unwrap_or_default();
        if WORKSPACES.iter().any(|domain| host.ends_with(domain)) {
            Self::Databricks
        } else {
            Self::Mlflow
        }
    }

    /// As it is written in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mlflow => "mlflow",
            Self::Databricks => "databricks",
        }
    }
}

impl Config {
    /// Puts the file (named by a flag or `SLUICEGATE_CONFIG`), the `environment` and the flags together and checks them.
    ///
    /// All problems are reported at once.
    pub fn load(
        overrides: Overrides,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let environment: BTreeMap<String, String> = environment.into_iter().collect();
        let raw = raw::Raw::gather(overrides, &environment)?;
        check::check(raw, &environment)
    }

    /// The same for what holds on this host without a gateway: no registry has to be named, and keys that only a gateway
    /// obeys are not looked at.
    pub fn load_local(
        overrides: Overrides,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<LocalConfig, ConfigError> {
        let environment: BTreeMap<String, String> = environment.into_iter().collect();
        let raw = raw::Raw::gather(overrides, &environment)?;
        check::check_local(raw, &environment)
    }

    /// The default data folder in `environment`: `$XDG_DATA_HOME/sluicegate` or `$HOME/.local/share/sluicegate`.
    pub fn default_data_dir(
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Option<PathBuf> {
        local::default_data_dir(&environment.into_iter().collect())
    }

    /// What holds, as TOML with the origin of each value; secrets are hidden.
    pub fn render(&self) -> String {
        render::render(self)
    }

    /// How a model is served about which nobody said anything.
    pub fn model_defaults(&self) -> Settings {
        Settings {
            timeout: HumaneDuration(self.timeout),
            env_manager: self.local.env_manager,
            ..Settings::default()
        }
    }
}

/// The variables of this process, for [`Config::load`]. Those that are not Unicode are left out.
pub fn process_environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

#[cfg(test)]
mod tests;
