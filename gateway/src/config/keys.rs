//! The keys that exist, and what can set them.

use std::fmt;

use crate::api::nearest;

/// One key of the configuration.
#[derive(Debug)]
pub(super) struct Key {
    /// Its dotted name in the file.
    pub(super) name: &'static str,
    /// What kind of value it takes.
    pub(super) shape: Shape,
}

/// What kind of value a key takes: decides how the text of a variable is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Text,
    /// A text that is never shown.
    Secret,
    /// `true` or `false`.
    Flag,
    /// Several texts; in a variable, separated by commas.
    List,
    /// Names and texts, or lists of texts; in a variable, as JSON or as an inline table of TOML.
    Map,
}

/// What set a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Default,
    File(String),
    Variable(String),
    Flag(&'static str),
}

/// All of them, in the order in which they are shown.
pub(super) const KEYS: &[Key] = &[
    key("registry", Shape::Text),
    key("registry_username", Shape::Text),
    key("registry_password", Shape::Secret),
    key("registry_token", Shape::Secret),
    key("poll_interval", Shape::Text),
    key("registry_kind", Shape::Text),
    key("listen", Shape::Text),
    key("admin_listen", Shape::Text),
    key("public_url", Shape::Text),
    key("data_dir", Shape::Text),
    key("enable", Shape::List),
    key("enable_all", Shape::Flag),
    key("env_manager", Shape::Text),
    key("launcher", Shape::Text),
    key("template_idle", Shape::Text),
    key("python", Shape::Text),
    key("uv", Shape::Text),
    key("constraints", Shape::Text),
    key("offline", Shape::Flag),
    key("worker_environment", Shape::List),
    key("worker_access_log", Shape::Flag),
    key("body_limit", Shape::Text),
    key("body_memory", Shape::Text),
    key("timeout", Shape::Text),
    key("drain_timeout", Shape::Text),
    key("show_stack_traces", Shape::Flag),
    key("conda.channel_alias", Shape::Text),
    key("conda.channels", Shape::Map),
    key("conda.mirrors", Shape::Map),
    key("conda.refresh", Shape::Text),
    key("conda.credentials", Shape::Text),
    key("pip.index_url", Shape::Text),
    key("pip.extra_index_urls", Shape::List),
    key("space.environments", Shape::Text),
    key("space.models", Shape::Text),
    key("space.logs", Shape::Text),
    key("auth.enabled", Shape::Flag),
    key("auth.rights", Shape::Text),
    key("auth.default_permission", Shape::Text),
    key("auth.rights_age", Shape::Text),
    key("auth.rights_denied_age", Shape::Text),
    key("auth.rights_outage", Shape::Text),
    key("auth.rights_deadline", Shape::Text),
    key("events.keep", Shape::Text),
    key("events.keep_per_model", Shape::Text),
    key("webhooks.secret", Shape::Secret),
    key("webhooks.max_age", Shape::Text),
    key("log.format", Shape::Text),
    key("log.level", Shape::Text),
    key("access_log.enabled", Shape::Flag),
    key("access_log.sample", Shape::Text),
    key("access_log.control_plane", Shape::Flag),
    key("traces.endpoint", Shape::Text),
    key("traces.sample", Shape::Text),
];

/// Variables of MLflow's own clients, and of OpenTelemetry, that mean the same here.
pub(super) const COMMON_VARIABLES: [(&str, &str); 4] = [
    ("MLFLOW_TRACKING_USERNAME", "registry_username"),
    ("MLFLOW_TRACKING_PASSWORD", "registry_password"),
    ("MLFLOW_TRACKING_TOKEN", "registry_token"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "traces.endpoint"),
];

const PREFIX: &str = "SLUICEGATE_";

/// `SLUICEGATE_…` variables that are none of the gateway's keys: the client's two, and the file's name.
const OTHERS: [&str; 3] = ["URL", "TOKEN", "CONFIG"];

const fn key(name: &'static str, shape: Shape) -> Key {
    Key { name, shape }
}

/// The key of that name.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The key that a variable sets.
///
/// `None` if the variable is not ours, an error if it looks like ours and is no key.
pub(super) fn of_variable(variable: &str) -> Option<Result<&'static Key, String>> {
    let rest = variable.strip_prefix(PREFIX)?;
    // Kubernetes gives every pod `<SERVICE>_SERVICE_HOST`, `<SERVICE>_PORT` and the like; a service may be called sluicegate.
    let of_kubernetes = rest == "PORT" || rest.starts_with("PORT_") || rest.starts_with("SERVICE_");
    if OTHERS.contains(&rest) || of_kubernetes {
        return None;
    }
    let known = KEYS
        .iter()
        .find(|key| variable_rest(key.name) == rest)
        .ok_or_else(|| unknown(rest, |name| format!("{PREFIX}{}", variable_rest(name))));
    Some(known)
}

/// A sentence about a name that is no key; `shown` writes a key's name as it would be written in that place.
pub(super) fn unknown(name: &str, shown: impl Fn(&str) -> String) -> String {
    let lower = name.to_lowercase();
    let flat = lower.replace('.', "_");
    let plain: Vec<String> = KEYS.iter().map(|key| key.name.replace('.', "_")).collect();
    let meant = nearest(&flat, plain.iter().map(String::as_str))
        .and_then(|meant| KEYS.iter().find(|key| key.name.replace('.', "_") == meant));
    match meant {
        Some(key) => format!("there is no such key; did you mean {}?", shown(key.name)),
        None => "there is no such key; `sluicegate config show` prints all of them".to_owned(),
    }
}

fn variable_rest(name: &str) -> String {
    name.to_uppercase().replace('.', "_")
}

impl Origin {
    /// Which of two origins lies over the other: the larger. A variable of MLflow's clients lies below the gateway's own.
    pub(super) fn height(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::File(_) => 1,
            Self::Variable(name) if name.starts_with(PREFIX) => 3,
            Self::Variable(_) => 2,
            Self::Flag(_) => 4,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => formatter.write_str("default"),
            Self::File(name) | Self::Variable(name) => formatter.write_str(name),
            Self::Flag(name) => formatter.write_str(name),
        }
    }
}
