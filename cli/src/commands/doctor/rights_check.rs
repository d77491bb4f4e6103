//! Whether a gateway of this host's configuration could tell the rights of callers: asked of the registry, as the gateway does.

use gateway::config::{Config, Overrides, process_environment};

use super::Finding;

/// Nothing, where the configuration names no registry, or takes no rights from it.
pub(super) async fn run(overrides: Overrides) -> Option<Finding> {
    let config = Config::load(overrides, process_environment()).ok()?;
    let registry = &config.registry.url;
    Some(match gateway::rights::check_service(&config).await? {
        Ok(()) => Finding::ok(
            "account",
            format!("{registry} tells this host's account the rights of others"),
        ),
        Err(reason) => Finding::fail(
            "account",
            reason,
            "docs/operating.md says what the gateway's account at the registry must be allowed; callers with their own \
             user names and passwords need none",
        ),
    })
}
