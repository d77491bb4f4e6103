//! Turns what was said into a configuration that holds, or into a list of everything that is wrong with it.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use auth::Secret;
use toml::Value;
use url::Url;

use super::error::{ConfigError, Problem};
use super::keys::Origin;
use super::raw::Raw;
use super::{
    AuthConfig, ByteSize, Config, LogConfig, LogFormat, RegistryConfig, RegistryCredentials,
    RightsSource, inherited,
};
use crate::api::{EnvManager, HumaneDuration, LONGEST_TIMEOUT};

const SHORTEST_POLL: Duration = Duration::from_millis(100);
/// Bodies of the largest size that fit into the memory for bodies where nobody says how large that is.
const BODIES_HELD: usize = 64;

/// Checks every key; all problems are collected.
pub(super) fn check(
    raw: Raw,
    environment: &BTreeMap<String, String>,
) -> Result<Config, ConfigError> {
    let mut reader = Reader {
        raw,
        origins: BTreeMap::new(),
    };
    let registry_url = reader.registry_url();
    let credentials = reader.credentials();
    let poll_interval = reader.duration("poll_interval", Duration::from_secs(5), SHORTEST_POLL);
    let data_dir = reader
        .path("data_dir")
        .or_else(|| default_data_dir(environment));
    if data_dir.is_none() {
        reader.problem(
            "data_dir",
            "no home folder is known here; say where to keep data",
        );
    }
    let more_variables = reader.list("worker_environment");
    let worker_environment = inherited::for_workers(environment, &more_variables);
    let build_environment = inherited::for_builds(environment);

    let listen = reader.parsed("listen", ([127, 0, 0, 1], 8080).into(), |text| {
        text.parse().map_err(|_| {
            format!("{text:?} is not an address and a port, for example 127.0.0.1:8080")
        })
    });
    let public_url = reader
        .text("public_url")
        .and_then(|(text, origin)| reader.accept("public_url", &origin, web_address(&text)));
    let env_manager = reader.parsed("env_manager", EnvManager::Uv, parse::<EnvManager>);
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
    let auth = AuthConfig {
        enabled: reader.flag("auth.enabled", true),
        rights: reader.parsed("auth.rights", RightsSource::Grants, |text| rights(&text)),
    };
    let log = LogConfig {
        format: reader.parsed("log.format", LogFormat::Text, |text| log_format(&text)),
        level: reader.parsed("log.level", "info".to_owned(), Ok),
    };
    let enable = reader.list("enable");
    let enable_all = reader.flag("enable_all", false);
    let show_stack_traces = reader.flag("show_stack_traces", false);
    let python = reader.path("python");
    let uv = reader.path("uv");
    let constraints = reader.path("constraints");

    match (registry_url, data_dir) {
        (Some(url), Some(data_dir)) if reader.raw.problems.is_empty() => Ok(Config {
            registry: RegistryConfig {
                url,
                credentials,
                poll_interval,
            },
            listen,
            data_dir,
            public_url,
            env_manager,
            python,
            uv,
            constraints,
            enable,
            enable_all,
            auth,
            body_limit,
            body_memory,
            timeout,
            drain_timeout,
            show_stack_traces,
            log,
            worker_environment,
            build_environment,
            origins: reader.origins,
        }),
        _ => Err(ConfigError {
            problems: reader.raw.problems,
        }),
    }
}

/// `$XDG_DATA_HOME/sluicegate`, else `$HOME/.local/share/sluicegate`; a relative one does not count (XDG base directories).
pub(super) fn default_data_dir(environment: &BTreeMap<String, String>) -> Option<PathBuf> {
    let absolute = |name: &str| {
        let path = PathBuf::from(environment.get(name)?);
        path.is_absolute().then_some(path)
    };
    let data =
        absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")))?;
    Some(data.join("sluicegate"))
}

/// Takes values out of the raw configuration and notes what is wrong with them.
struct Reader {
    raw: Raw,
    origins: BTreeMap<&'static str, Origin>,
}

impl Reader {
    fn problem(&mut self, place: impl Display, message: impl Display) {
        self.raw.problems.push(Problem::new(place, message));
    }

    fn take(&mut self, key: &'static str) -> Option<(Value, Origin)> {
        let (value, origin) = self.raw.take(key)?;
        self.origins.insert(key, origin.clone());
        Some((value, origin))
    }

    fn accept<T>(&mut self, key: &str, origin: &Origin, result: Result<T, String>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(message) => {
                self.problem(place(key, origin), message);
                None
            }
        }
    }

    /// A number counts as its text: `timeout = 60` is as good as `timeout = "60s"`.
    fn text(&mut self, key: &'static str) -> Option<(String, Origin)> {
        let (value, origin) = self.take(key)?;
        let text = match value {
            Value::String(text) => Ok(text),
            Value::Integer(number) => Ok(number.to_string()),
            Value::Float(number) => Ok(number.to_string()),
            _ => Err("a text is allowed here".to_owned()),
        };
        Some((self.accept(key, &origin, text)?, origin))
    }

    fn parsed<T>(
        &mut self,
        key: &'static str,
        default: T,
        read: impl FnOnce(String) -> Result<T, String>,
    ) -> T {
        let read = self.text(key).and_then(|(text, origin)| {
            let result = read(text);
            self.accept(key, &origin, result)
        });
        read.unwrap_or(default)
    }

    fn duration(&mut self, key: &'static str, default: Duration, least: Duration) -> Duration {
        self.parsed(key, default, |text| {
            let HumaneDuration(duration) = parse(text)?;
            // Points in time are computed with these; a longer one would be no point in time any more.
            if (least..=LONGEST_TIMEOUT).contains(&duration) {
                Ok(duration)
            } else {
                let least = HumaneDuration(least);
                Err(format!("from {least} to 24h is allowed"))
            }
        })
    }

    fn path(&mut self, key: &'static str) -> Option<PathBuf> {
        self.text(key).map(|(text, _)| text.into())
    }

    fn flag(&mut self, key: &'static str, default: bool) -> bool {
        let Some((value, origin)) = self.take(key) else {
            return default;
        };
        let read = value
            .as_bool()
            .ok_or_else(|| "true or false is allowed".to_owned());
        self.accept(key, &origin, read).unwrap_or(default)
    }

    fn list(&mut self, key: &'static str) -> Vec<String> {
        let Some((value, origin)) = self.take(key) else {
            return Vec::new();
        };
        let texts = value.as_array().and_then(|items| {
            items
                .iter()
                .map(|item| item.as_str().map(str::to_owned))
                .collect::<Option<Vec<_>>>()
        });
        let read = texts.ok_or_else(|| "a list of texts is allowed".to_owned());
        self.accept(key, &origin, read).unwrap_or_default()
    }

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

fn place(key: &str, origin: &Origin) -> String {
    match origin {
        Origin::Default => key.to_owned(),
        Origin::File(file) => format!("{key} in {file}"),
        Origin::Variable(_) | Origin::Flag(_) => origin.to_string(),
    }
}

fn parse<T>(text: String) -> Result<T, String>
where
    T: FromStr,
    T::Err: Display,
{
    text.parse().map_err(|error: T::Err| error.to_string())
}

/// Credentials in a URL end up in process lists and logs, so they are refused, and the message does not repeat them.
fn web_address(text: &str) -> Result<Url, String> {
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

fn rights(word: &str) -> Result<RightsSource, String> {
    match word {
        "grants" => Ok(RightsSource::Grants),
        "registry" => Err(
            "\"registry\" is not available in this version; use \"grants\" and give rights \
             with `sluicegate tokens create --read MODEL --manage MODEL`"
                .to_owned(),
        ),
        _ => Err(format!("{word:?} is not one of grants, registry")),
    }
}

fn log_format(word: &str) -> Result<LogFormat, String> {
    match word {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(format!("{word:?} is not one of text, json")),
    }
}
