//! Who may call, and where rights come from.

use std::time::Duration;

use auth::MlflowPermission;
use toml::Value;

use super::reader::{Reader, parse};
use crate::api::HumaneDuration;

/// Who may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthConfig {
    /// `false` lets everybody do everything.
    pub enabled: bool,
    /// Where rights come from.
    pub rights: RightsSource,
    /// What holds where they come from the registry.
    pub inherited: InheritedRightsConfig,
}

/// Where rights come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RightsSource {
    /// Given to principals here, by model pattern.
    Grants,
    /// The registry's own users and their permissions.
    Registry,
}

/// How the registry is asked for rights, and how long its answers count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InheritedRightsConfig {
    /// The MLflow server's own `default_permission`, where the server does not tell it (before 3.13).
    pub default_permission: MlflowPermission,
    /// The longest that an answer counts.
    pub age: Duration,
    /// The same for answers that allow nothing.
    pub denied_age: Duration,
    /// How much longer the last answer stands while the registry does not answer.
    pub outage: Duration,
    /// How long one question may take.
    pub deadline: Duration,
}

impl RightsSource {
    /// As it is written in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Grants => "grants",
            Self::Registry => "registry",
        }
    }
}

/// Reads the section but for where rights come from, which also matters without a gateway.
pub(super) fn read(reader: &mut Reader, rights: RightsSource) -> AuthConfig {
    let second = Duration::from_secs(1);
    let none = MlflowPermission::NoPermissions;
    AuthConfig {
        enabled: reader.flag("auth.enabled", true),
        rights,
        inherited: InheritedRightsConfig {
            default_permission: reader.parsed("auth.default_permission", none, parse),
            age: reader.duration("auth.rights_age", second * 60, second),
            denied_age: reader.duration("auth.rights_denied_age", second * 10, second),
            outage: reader.duration("auth.rights_outage", second * 600, Duration::ZERO),
            deadline: reader.duration("auth.rights_deadline", second * 10, second / 10),
        },
    }
}

/// Reads where rights come from.
pub(super) fn source(reader: &mut Reader) -> RightsSource {
    reader.parsed("auth.rights", RightsSource::Grants, |word| {
        match word.as_str() {
            "grants" => Ok(RightsSource::Grants),
            "registry" => Ok(RightsSource::Registry),
            _ => Err(format!("{word:?} is not one of grants, registry")),
        }
    })
}

/// The value of a key of this section, as it is shown.
pub(super) fn value(config: &AuthConfig, key: &str) -> Option<Value> {
    let inherited = &config.inherited;
    let text = match key {
        "auth.enabled" => return Some(Value::Boolean(config.enabled)),
        "auth.rights" => config.rights.as_str().to_owned(),
        "auth.default_permission" => inherited.default_permission.to_string(),
        "auth.rights_age" => HumaneDuration(inherited.age).to_string(),
        "auth.rights_denied_age" => HumaneDuration(inherited.denied_age).to_string(),
        "auth.rights_outage" => HumaneDuration(inherited.outage).to_string(),
        "auth.rights_deadline" => HumaneDuration(inherited.deadline).to_string(),
        _ => return None,
    };
    Some(Value::String(text))
}
