//! `webhooks list`: what the registry has, and how deliveries go.

use gateway::api::{WebhookPage, WebhooksState};

use crate::client::Client;
use crate::error::CommandError;
use crate::output::{self, Format};

pub(super) async fn run(client: &Client, format: Format) -> Result<(), CommandError> {
    let page = client.webhooks().await?;
    if format == Format::Json {
        return output::json(&page);
    }
    if page.webhooks.is_empty() {
        output::note(
            "the registry has no webhook that delivers to a gateway; `sluicegate webhooks install` makes one",
        );
    } else {
        output::line(&table(&page))?;
    }
    output::note(&deliveries(&page.deliveries));
    Ok(())
}

fn table(page: &WebhookPage) -> String {
    let rows = page.webhooks.iter().map(|webhook| {
        vec![
            webhook.name.clone(),
            if webhook.active { "yes" } else { "no" }.to_owned(),
            webhook.url.clone(),
            webhook.events.join("\n"),
        ]
    });
    output::table(&["NAME", "ACTIVE", "URL", "EVENTS"], rows)
}

/// How deliveries to the gateway go, in a sentence.
pub(super) fn deliveries(state: &WebhooksState) -> String {
    let last = match state.last_delivery {
        Some(time) => format!("the last delivery came at {time}"),
        None => "no delivery has come since the gateway started".to_owned(),
    };
    format!(
        "{last}; {} taken, {} repeated, {} refused",
        state.accepted, state.repeated, state.refused
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_of_webhooks_tells_where_they_deliver_and_how_that_goes() {
        let page: WebhookPage = serde_json::from_value(json!({
            "webhooks": [{
                "id": "21d9", "name": "sluicegate", "url": "https://models.example/api/v1/webhooks/mlflow",
                "events": ["model_version.created", "model_version_alias.created"], "active": true
            }],
            "deliveries": {
                "has_secret": true, "last_delivery": "2026-03-01T12:00:00Z", "accepted": 3, "repeated": 1, "refused": 2
            }
        }))
        .unwrap();
        insta::assert_snapshot!(format!(
            "{}\n{}",
            table(&page),
            deliveries(&page.deliveries)
        ));
    }
}
