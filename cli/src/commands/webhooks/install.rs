//! `webhooks install`: the registry tells of changes from now on.

use gateway::api::{InstallWebhook, InstalledWebhook, WebhookName};

use crate::client::Client;
use crate::error::CommandError;
use crate::output::{self, Format};

pub(super) async fn run(
    client: &Client,
    url: Option<String>,
    WebhookName { name }: WebhookName,
    format: Format,
) -> Result<(), CommandError> {
    let installed = client
        .install_webhook(&InstallWebhook { url, name })
        .await
        .map_err(|error| error.also("docs/operating.md says what the registry has to allow"))?;
    match format {
        Format::Json => output::json(&installed)?,
        Format::Table => output::line(&told(&installed))?,
    }
    output::note(
        "a new webhook may miss changes of its first minute, and stage transitions are never told: polling finds both. Try \
         it with `sluicegate webhooks test`",
    );
    Ok(())
}

fn told(installed: &InstalledWebhook) -> String {
    let InstalledWebhook {
        webhook,
        created,
        before,
    } = installed;
    let done = match (created, before) {
        (true, _) => "installed".to_owned(),
        (false, None) => "updated".to_owned(),
        (false, Some(before)) => format!("updated (before, it delivered to {before})"),
    };
    format!(
        "webhook {} {done}: the registry tells {} of {}",
        webhook.name,
        webhook.url,
        webhook.events.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_installed_is_told_with_what_there_was_before() {
        let mut installed: InstalledWebhook = serde_json::from_value(json!({
            "webhook": {
                "id": "21d9", "name": "sluicegate", "url": "https://new.example/api/v1/webhooks/mlflow",
                "events": ["model_version.created", "model_version_alias.created"], "active": true
            },
            "created": true
        }))
        .unwrap();
        let first = told(&installed);
        installed.created = false;
        let again = told(&installed);
        installed.before = Some("https://old.example/api/v1/webhooks/mlflow".to_owned());
        let moved = told(&installed);
        insta::assert_snapshot!([first, again, moved].join("\n"));
    }
}
