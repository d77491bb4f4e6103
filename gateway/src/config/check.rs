//! Turns what was said into a configuration that holds, or into a list of everything that is wrong with it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use auth::Secret;
use url::Url;

use super::error::ConfigError;
use super::keys::Origin;
use super::raw::Raw;
use super::reader::{Reader, parse, place};
use super::{
    ByteSize, Config, LocalConfig, LogConfig, LogFormat, RegistryConfig, RegistryCredentials,
    RegistryKind, RightsSource, local, observing, rights,
};

const SHORTEST_POLL: Duration = Duration::from_millis(100);
/// Bodies of the largest size that fit into the memory for bodies where nobody says how large that is.
const BODIES_HELD: usize = 64;

/// Checks every key; all problems are collected.
pub(super) fn check(
    raw: Raw,
    environment: &BTreeMap<String, String>,
) -> Result<Config, ConfigError> {
    let mut reader = Reader::new(raw);
    let registry_url = reader.registry_url();
    let credentials = reader.credentials();
    let kind = reader.parsed("registry_kind", None, |text| registry_kind(&text).map(Some));
    let kind = kind.unwrap_or_else(|| RegistryKind::of(registry_url.as_ref()));
    let poll_interval = reader.duration("poll_interval", Duration::from_secs(5), SHORTEST_POLL);
    let local = local::read(&mut reader, environment);

    let listen = reader.parsed("listen", ([127, 0, 0, 1], 8080).into(), socket_address);
    let admin_listen = reader.parsed("admin_listen", None, |text| socket_address(text).map(Some));
    let public_url = reader
        .text("public_url")
        .and_then(|(text, origin)| reader.accept("public_url", &origin, web_address(&text)));
    let body_limit = reader.parsed("body_limit", 16 << 20, body_size);
    let default_memory = body_limit.saturating_mul(BODIES_HELD);
    let body_memory = reader.parsed("body_memory", default_memory, |text| {
        let memory = body_size(text)?;
        if memory >= body_limit {
            Ok(memory)
        } else {
            let least = ByteSize(body_limit as u64);
            Err(format!("at least body_limit, {least}, is allowed"))
        }
    });
    let timeout = reader.duration("timeout", Duration::from_secs(60), Duration::from_millis(1));
    let drain_timeout = reader.duration("drain_timeout", Duration::from_secs(30), Duration::ZERO);
    let auth = rights::read(
        &mut reader,
        local
            .as_ref()
            .map_or(RightsSource::Grants, |local| local.rights),
    );
    let observing = observing::read(&mut reader);
    let log = LogConfig {
        format: reader.parsed("log.format", LogFormat::Text, |text| log_format(&text)),
        level: reader.parsed("log.level", "info".to_owned(), Ok),
    };
    let enable = reader.list("enable");
    let enable_all = reader.flag("enable_all", false);
    let show_stack_traces = reader.flag("show_stack_traces", false);

    match (registry_url, local) {
        (Some(url), Some(local)) if reader.raw.problems.is_empty() => Ok(Config {
            registry: RegistryConfig {
                url,
                credentials,
                poll_interval,
                kind,
            },
            listen,
            admin_listen,
            local,
            public_url,
            enable,
            enable_all,
            auth,
            body_limit,
            body_memory,
            timeout,
            drain_timeout,
            show_stack_traces,
            log,
            observing,
            origins: reader.origins,
        }),
        _ => Err(ConfigError {
            problems: reader.raw.problems,
        }),
    }
}

/// Checks the keys that hold without a gateway, and lets the others be.
pub(super) fn check_local(
    raw: Raw,
    environment: &BTreeMap<String, String>,
) -> Result<LocalConfig, ConfigError> {
    let mut reader = Reader::new(raw);
    let local = local::read(&mut reader, environment);
    let problems = reader.raw.problems;
    local
        .filter(|_| problems.is_empty())
        .ok_or(ConfigError { problems })
}

impl Reader {
    fn registry_url(&mut self) -> Option<Url> {
        let Some((text, origin)) = self.text("registry") else {
            self.problem(
                "registry",
                "the address of the MLflow server is missing, for example `--registry http://mlflow:5000`",
            );
            return None;
        };
        self.accept("registry", &origin, web_address(&text))
    }

    /// The highest source that says anything decides between a user with a password and a token; if it names both, the
    /// user, as MLflow's own client has it.
    fn credentials(&mut self) -> RegistryCredentials {
        let username = self.text("registry_username");
        let password = self.text("registry_password");
        let token = self.text("registry_token");
        let height =
            |said: &Option<(String, Origin)>| said.as_ref().map(|(_, origin)| origin.height());
        let of_user = height(&username).max(height(&password));
        let of_token = height(&token);
        match (username, password, token) {
            (Some((username, _)), Some((password, _)), _) if of_user >= of_token => {
                RegistryCredentials::Basic {
                    username,
                    password: Secret::new(password),
                }
            }
            (_, _, Some((token, _))) if of_token >= of_user => {
                RegistryCredentials::Bearer(Secret::new(token))
            }
            (Some((_, origin)), None, _) => {
                self.problem(place("registry_username", &origin), "a password is missing");
                RegistryCredentials::None
            }
            (None, Some((_, origin)), _) => {
                self.problem(
                    place("registry_password", &origin),
                    "a user name is missing",
                );
                RegistryCredentials::None
            }
            (None, None, _) | (Some(_), Some(_), _) => RegistryCredentials::None,
        }
    }
}

fn socket_address(text: String) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| format!("{text:?} is not an address and a port, for example 127.0.0.1:8080"))
}

/// Credentials in a URL end up in process lists and logs, so they are refused, and the message does not repeat them.
pub(super) fn web_address(text: &str) -> Result<Url, String> {
    let url: Url = text
        .parse()
        .map_err(|error| format!("not a URL ({error}); write for example http://mlflow:5000"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err("only http:// and https:// addresses are allowed".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a user or password has no place in the address; \
                    use MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or the configuration file"
            .to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("an address without ? and # is allowed".to_owned());
    }
    Ok(url)
}

fn body_size(text: String) -> Result<usize, String> {
    let ByteSize(bytes) = parse(text)?;
    match usize::try_from(bytes) {
        Ok(bytes) if bytes > 0 => Ok(bytes),
        _ => Err("more than 0 bytes are allowed".to_owned()),
    }
}

fn registry_kind(word: &str) -> Result<RegistryKind, String> {
    match word {
        "mlflow" => Ok(RegistryKind::Mlflow),
        "databricks" => Ok(RegistryKind::Databricks),
        _ => Err(format!("{word:?} is not one of mlflow, databricks")),
    }
}

fn log_format(word: &str) -> Result<LogFormat, String> {
    match word {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(format!("{word:?} is not one of text, json")),
    }
}
