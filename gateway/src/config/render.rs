//! Prints the configuration that holds: TOML that could be read back, each value with its origin, secrets hidden.

use std::path::PathBuf;

use toml::Value;

use super::keys::{KEYS, Origin};
use super::{
    Address, ByteSize, Config, LocalConfig, LogFormat, RegistryCredentials, observing, rights,
};
use crate::api::HumaneDuration;

const HIDDEN: &str = "***";

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
    let section = key.split_once('.').map(|(section, _)| section);
    match section {
        Some("conda" | "pip" | "space") => of_environments(&config.local, key),
        Some("events" | "webhooks" | "access_log" | "traces") => {
            observing::value(&config.observing, key)
        }
        Some("auth") => rights::value(&config.auth, key),
        _ => of_gateway(config, key),
    }
}

fn of_gateway(config: &Config, key: &str) -> Option<Value> {
    let local = &config.local;
    let credentials = &config.registry.credentials;
    let hidden = || Some(HIDDEN.to_owned());
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
        "registry_kind" => Some(config.registry.kind.as_str().to_owned()),
        "admin_listen" => config.admin_listen.as_ref().map(ToString::to_string),
        "listen" => Some(config.listen.to_string()),
        "public_url" => config.public_url.as_ref().map(ToString::to_string),
        "data_dir" => Some(local.data_dir.to_string_lossy().into_owned()),
        "env_manager" => Some(local.env_manager.to_string()),
        "launcher" => Some(local.launcher.to_string()),
        "template_idle" => Some(HumaneDuration(local.template_idle).to_string()),
        "python" => path(local.python.as_ref()),
        "uv" => path(local.uv.as_ref()),
        "constraints" => path(local.constraints.as_ref()),
        "body_limit" => Some(ByteSize(config.body_limit as u64).to_string()),
        "body_memory" => Some(ByteSize(config.body_memory as u64).to_string()),
        "timeout" => Some(HumaneDuration(config.timeout).to_string()),
        "drain_timeout" => Some(HumaneDuration(config.drain_timeout).to_string()),
        "log.format" => Some(match config.log.format {
            LogFormat::Text => "text".to_owned(),
            LogFormat::Json => "json".to_owned(),
        }),
        "log.level" => Some(config.log.level.clone()),
        "offline" => return Some(Value::Boolean(local.offline)),
        "worker_access_log" => return Some(Value::Boolean(local.worker_access_log)),
        "enable_all" => return Some(Value::Boolean(config.enable_all)),
        "show_stack_traces" => return Some(Value::Boolean(config.show_stack_traces)),
        "enable" => return Some(list(&config.enable)),
        "worker_environment" => {
            return Some(list(local.worker_environment.iter().map(|(name, _)| name)));
        }
        _ => None,
    };
    text.map(Value::String)
}

fn of_environments(local: &LocalConfig, key: &str) -> Option<Value> {
    let LocalConfig {
        conda, pip, space, ..
    } = local;
    let size = |bytes: Option<u64>| bytes.map(|bytes| ByteSize(bytes).to_string());
    let text = match key {
        "conda.channel_alias" => Some(conda.channel_alias.to_string()),
        "conda.channels" => {
            let channels = conda.channels.iter();
            return Some(map(channels.map(|(name, meant)| (name.to_string(), meant))));
        }
        "conda.mirrors" => {
            let mirrors = conda.mirrors.iter();
            return Some(map(
                mirrors.map(|(prefix, places)| (prefix.to_string(), places))
            ));
        }
        "conda.refresh" => Some(HumaneDuration(conda.refresh).to_string()),
        "conda.credentials" => path(conda.credentials.as_ref()),
        "pip.index_url" => pip.index_url.as_ref().map(ToString::to_string),
        "pip.extra_index_urls" => return Some(list(&pip.extra_index_urls)),
        "space.environments" => size(space.environments),
        "space.models" => size(space.models),
        "space.logs" => size(space.logs),
        _ => None,
    };
    text.map(Value::String)
}

fn path(path: Option<&PathBuf>) -> Option<String> {
    path.map(|path| path.to_string_lossy().into_owned())
}

fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> Value {
    let items = items.into_iter().map(|item| item.to_string());
    Value::Array(items.map(Value::String).collect())
}

fn map<'a>(entries: impl Iterator<Item = (String, &'a Vec<Address>)>) -> Value {
    let entries = entries.map(|(name, addresses)| (name, list(addresses)));
    Value::Table(entries.collect())
}
