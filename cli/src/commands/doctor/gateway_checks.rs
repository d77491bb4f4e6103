//! What a gateway says about itself: does it answer, does it know the token, does it reach its registry.

use gateway::api::{RightsState, Status, WebhookPage, WebhooksState};

use super::Finding;
use crate::client::Client;

pub(super) async fn run(client: &Client) -> Vec<Finding> {
    let url = client.url();
    if let Err(error) = client.is_alive().await {
        return vec![Finding::fail("gateway", error.message(), error.next_step())];
    }
    let alive = Finding::ok("gateway", format!("{url} answers"));
    match client.status().await {
        Ok(status) => {
            let mut findings = vec![alive];
            findings.extend(judge(&status, client.has_token()));
            // Only an admin may ask the registry for them; others learn what the gateway knows anyway.
            let page = if status.admin {
                client.webhooks().await.ok()
            } else {
                None
            };
            findings.push(webhooks(&status.webhooks, page.as_ref()));
            findings
        }
        Err(error) => vec![
            alive,
            Finding::fail("token", error.message(), error.next_step()),
        ],
    }
}

fn judge(status: &Status, has_token: bool) -> Vec<Finding> {
    let ours = env!("CARGO_PKG_VERSION");
    let version = if status.version == ours {
        Finding::ok("version", format!("{ours}, up for {}", status.uptime))
    } else {
        Finding::warn(
            "version",
            format!(
                "the gateway is {}, this command line {ours}",
                status.version
            ),
            "use the same version of both",
        )
    };
    let token = if has_token {
        let role = if status.admin { ", an admin" } else { "" };
        Finding::ok("token", format!("it speaks for {}{role}", status.principal))
    } else {
        Finding::warn(
            "token",
            "the gateway lets everybody do everything without one",
            "set auth.enabled = true unless this is meant",
        )
    };
    let registry = &status.registry;
    let registry = if registry.reachable {
        Finding::ok("registry", format!("the gateway reaches {}", registry.url))
    } else {
        let why = registry.error.as_deref().unwrap_or("no reason was given");
        let since = match registry.last_success {
            Some(time) => format!("last answer {time}"),
            None => "it never answered this gateway".to_owned(),
        };
        Finding::fail(
            "registry",
            format!("the gateway cannot reach {}: {why} ({since})", registry.url),
            "check `registry` and the MLFLOW_TRACKING_… variables of the gateway; what was served goes on",
        )
    };
    let mut findings = vec![version, token, registry];
    findings.extend(status.rights.as_ref().map(rights));
    findings.push(models(status));
    findings
}

fn rights(state: &RightsState) -> Finding {
    if state.answered {
        return Finding::ok("rights", "they come from the registry, which tells them");
    }
    Finding::fail(
        "rights",
        "the registry does not tell the gateway what callers may do; the last answers stand for a while",
        "the gateway's log has the reason; its account at the registry (MLFLOW_TRACKING_…) has to be an admin's",
    )
}

fn models(status: &Status) -> Finding {
    let Status {
        models_enabled,
        versions_ready,
        versions_failed,
        ..
    } = status;
    let message = format!(
        "{models_enabled} enabled; versions: {versions_ready} ready, {versions_failed} failed"
    );
    if *versions_failed > 0 {
        let next = "`sluicegate models list --served` and `sluicegate models show NAME` tell which and why";
        Finding::warn("models", message, next)
    } else if *models_enabled == 0 {
        Finding::warn("models", message, "`sluicegate models enable NAME --wait`")
    } else {
        Finding::ok("models", message)
    }
}

/// Webhooks are no must: without them, changes are found by polling.
fn webhooks(state: &WebhooksState, page: Option<&WebhookPage>) -> Finding {
    let installed = match page {
        Some(page) => Some(page.webhooks.iter().any(|webhook| webhook.active)),
        None => state.installed,
    };
    let state = page.map_or(state, |page| &page.deliveries);
    let counts = format!("{} refused", state.refused);
    if state.refused > 0 && state.refused > state.accepted {
        return Finding::warn(
            "webhooks",
            format!("{} deliveries taken, {counts}", state.accepted),
            "`sluicegate webhooks install` gives the registry the gateway's secret again",
        );
    }
    let message = match (installed, state.last_delivery) {
        (Some(false), _) => {
            "none is installed at the registry: changes are found by polling".to_owned()
        }
        (None, None) => "nothing was delivered yet: changes are found by polling".to_owned(),
        (Some(true), None) => {
            "installed; nothing was delivered since the gateway started".to_owned()
        }
        (_, Some(time)) => format!("installed; last delivery {time}, {counts}"),
    };
    Finding::ok("webhooks", message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Level, text};
    use super::*;

    fn status(reachable: bool, failed: u32) -> Status {
        serde_json::from_value(json!({
            "version": env!("CARGO_PKG_VERSION"), "started": "2026-03-01T12:00:00Z", "uptime": "180s",
            "principal": "ada", "admin": true, "routes_published": true,
            "models_enabled": 1, "versions_ready": 2, "versions_failed": failed,
            "registry": {
                "url": "http://mlflow:5000", "reachable": reachable,
                "error": (!reachable).then_some("connection refused"),
            }
        }))
        .unwrap()
    }

    #[test]
    fn a_gateway_that_is_well_has_nothing_but_ok() {
        let findings = judge(&status(true, 0), true);
        assert!(
            findings.iter().all(|finding| finding.level == Level::Ok),
            "{findings:?}"
        );
    }

    #[test]
    fn rights_that_the_registry_does_not_tell_are_a_failure() {
        let mut status = status(true, 0);
        for (answered, level) in [(true, Level::Ok), (false, Level::Fail)] {
            status.rights = Some(RightsState { answered });
            let findings = judge(&status, true);
            let finding = findings.iter().find(|finding| finding.check == "rights");
            assert_eq!(finding.map(|finding| finding.level), Some(level));
        }
    }

    #[test]
    fn webhooks_are_told_of_and_warned_of_when_they_are_refused() {
        let state = |value| serde_json::from_value::<WebhooksState>(value).unwrap();
        let of = |value| webhooks(&state(value), None);
        let told = [
            of(json!({"has_secret": false, "accepted": 0, "repeated": 0, "refused": 0})),
            of(json!({
                "has_secret": true, "installed": true, "last_delivery": "2026-03-01T12:00:00Z",
                "accepted": 3, "repeated": 0, "refused": 1
            })),
            of(json!({"has_secret": true, "accepted": 0, "repeated": 0, "refused": 4})),
            of(
                json!({"has_secret": true, "installed": false, "accepted": 0, "repeated": 0, "refused": 0}),
            ),
        ];
        insta::assert_snapshot!(text(&told));
    }

    #[test]
    fn what_is_not_well_with_a_gateway_is_told() {
        let shown = text(&judge(&status(false, 1), false));
        let shown = shown.replace(env!("CARGO_PKG_VERSION"), "VERSION");
        insta::assert_snapshot!(shown);
    }
}
