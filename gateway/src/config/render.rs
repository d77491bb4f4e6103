//! Prints the configuration that holds: TOML that could be read back, each value with its origin, secrets hidden.

use toml::Value;

use super::keys::{KEYS, Origin};
use super::{ByteSize, Config, LogFormat, RegistryCredentials, RightsSource};
use crate::api::HumaneDuration;

/// One line a key in the order of [`KEYS`]; keys without a value are shown as comments.
pub(super) fn render(config: &Config) -> String {
    let mut lines = Vec::new();
    let mut section = "";
    for key in KEYS {
        let (in_section, name) = key.name.split_once('.').unwrap_or(("", key.name));
        if in_section != section {
            section = in_section;
            lines.push(format!("\n[{section}]"));
        }
        lines.push(match value(config, key.name) {
            Some(value) => {
                let origin = config.origins.get(key.name).unwrap_or(&Origin::Default);
                format!("{name} = {value}  # {origin}")
            }
            None => format!("# {name} is not set"),
        });
    }
    lines.join("\n") + "\n"
}

fn value(config: &Config, key: &str) -> Option<Value> {
    let path = |path: &Option<std::path::PathBuf>| {
        let path = path.as_ref()?;
        Some(path.to_string_lossy().into_owned())
    };
    let credentials = &config.registry.credentials;
    let hidden = || Some("***".to_owned());
    let text = match key {
        "registry" => Some(config.registry.url.to_string()),
        "registry_username" => match credentials {
            RegistryCredentials::Basic { username, .. } => Some(username.clone()),
            _ => None,
        },
        "registry_password" => match credentials {
            RegistryCredentials::Basic { .. } => hidden(),
            _ => None,
        },
        "registry_token" => match credentials {
            RegistryCredentials::Bearer(_) => hidden(),
            _ => None,
        },
        "poll_interval" => Some(HumaneDuration(config.registry.poll_interval).to_string()),
        "listen" => Some(config.listen.to_string()),
        "public_url" => config.public_url.as_ref().map(ToString::to_string),
        "data_dir" => Some(config.data_dir.to_string_lossy().into_owned()),
        "env_manager" => Some(config.env_manager.to_string()),
        "python" => path(&config.python),
        "uv" => path(&config.uv),
        "constraints" => path(&config.constraints),
        "body_limit" => Some(ByteSize(config.body_limit as u64).to_string()),
        "body_memory" => Some(ByteSize(config.body_memory as u64).to_string()),
        "timeout" => Some(HumaneDuration(config.timeout).to_string()),
        "drain_timeout" => Some(HumaneDuration(config.drain_timeout).to_string()),
        "auth.rights" => Some(match config.auth.rights {
            RightsSource::Grants => "grants".to_owned(),
        }),
        "log.format" => Some(match config.log.format {
            LogFormat::Text => "text".to_owned(),
            LogFormat::Json => "json".to_owned(),
        }),
        "log.level" => Some(config.log.level.clone()),
        "enable_all" => return Some(Value::Boolean(config.enable_all)),
        "show_stack_traces" => return Some(Value::Boolean(config.show_stack_traces)),
        "auth.enabled" => return Some(Value::Boolean(config.auth.enabled)),
        "enable" => return Some(list(config.enable.iter())),
        "worker_environment" => {
            return Some(list(config.worker_environment.iter().map(|(name, _)| name)));
        }
        _ => None,
    };
    text.map(Value::String)
}

fn list<'a>(items: impl Iterator<Item = &'a String>) -> Value {
    Value::Array(items.cloned().map(Value::String).collect())
}
