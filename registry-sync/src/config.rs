//! Which registry to follow, as whom, and how often.

use std::fmt;
use std::time::Duration;

use url::Url;

/// Which registry to follow, as whom, and how often.
#[derive(Clone, Debug)]
pub struct RegistryConfig {
    /// Address of the MLflow tracking server; may have a path prefix (`https://host/mlflow`).
    pub url: Url,
    /// As whom to ask.
    pub credentials: RegistryCredentials,
    /// Pause between polls while all is well; jittered by ±10 %, so that many gateways do not poll in step.
    pub poll_interval: Duration,
    /// Pause between refreshes of the list of all registered models; jittered likewise.
    pub catalog_interval: Duration,
    /// How long one call may take. A file may take longer: for it, this is how long nothing of it may arrive, but at
    /// least five minutes.
    pub request_timeout: Duration,
}

/// What is sent to the registry to say who asks. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub enum RegistryCredentials {
    /// Nothing: the registry is open.
    None,
    /// `Authorization: Basic`, as MLflow's `basic-auth` app wants it.
    Basic {
        /// Name of the MLflow user.
        username: String,
        /// Its password.
        password: String,
    },
    /// `Authorization: Bearer`, as proxies in front of MLflow and hosted registries want it.
    Bearer(String),
}

/// A configuration with which no registry can be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Not something that can be asked over HTTP.
    #[error("the registry URL must start with http:// or https:// and name a host, not {0}")]
    NotHttp(String),
    /// User name or password in the URL, from where they would get into logs.
    #[error(
        "the registry URL must not contain a user name or password: \
         set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
    )]
    CredentialsInUrl,
    /// A query or fragment, which no path can be appended to.
    #[error("the registry URL must end with its path: remove the part from '?' or '#' on")]
    NotABase,
    /// A pause or deadline of zero.
    #[error("{0} must be longer than zero")]
    Zero(&'static str),
    /// No HTTP client can be made, for example because the system has no TLS certificates.
    #[error("no HTTP client for the registry: {0}")]
    Client(String),
}

impl RegistryConfig {
    /// The open registry at `url`, polled every 5 s.
    pub fn new(url: Url) -> Self {
        Self {
            url,
            credentials: RegistryCredentials::None,
            poll_interval: Duration::from_secs(5),
            catalog_interval: Duration::from_secs(30),
            request_timeout: Duration::from_secs(30),
        }
    }

    /// Says what is wrong with it, if anything is.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if !matches!(self.url.scheme(), "http" | "https") || self.url.host_str().is_none() {
            return Err(ConfigError::NotHttp(format!("'{}:…'", self.url.scheme())));
        }
        if !self.url.username().is_empty() || self.url.password().is_some() {
            return Err(ConfigError::CredentialsInUrl);
        }
        if self.url.query().is_some() || self.url.fragment().is_some() {
            return Err(ConfigError::NotABase);
        }
        for (name, duration) in [
            ("the poll interval", self.poll_interval),
            ("the catalog interval", self.catalog_interval),
            ("the registry's request timeout", self.request_timeout),
        ] {
            if duration.is_zero() {
                return Err(ConfigError::Zero(name));
            }
        }
        Ok(())
    }
}

impl fmt::Debug for RegistryCredentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::None => "None",
            Self::Basic { .. } => "Basic(hidden)",
            Self::Bearer(_) => "Bearer(hidden)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str) -> Result<(), ConfigError> {
        RegistryConfig::new(Url::parse(url).unwrap()).check()
    }

    #[test]
    fn a_registry_url_is_http_without_credentials_and_query() {
        assert_eq!(check("http://mlflow:5000"), Ok(()));
        assert_eq!(check("https://host/mlflow/"), Ok(()));
        assert!(matches!(check("sqlite:///x"), Err(ConfigError::NotHttp(_))));
        assert_eq!(check("http://u:p@h"), Err(ConfigError::CredentialsInUrl));
        assert_eq!(check("http://h/?a=b"), Err(ConfigError::NotABase));
    }

    #[test]
    fn credentials_hide_themselves() {
        let shown = format!(
            "{:?} {:?}",
            RegistryCredentials::Bearer("geheim".into()),
            RegistryCredentials::Basic {
                username: "geheim".into(),
                password: "geheim".into()
            }
        );
        assert!(!shown.contains("geheim"), "{shown}");
    }
}
