//! `webhooks remove`: the registry tells nothing any more.

use gateway::api::WebhookName;

use crate::client::Client;
use crate::error::CommandError;
use crate::output::{self, Format};

pub(super) async fn run(
    client: &Client,
    which: &WebhookName,
    format: Format,
) -> Result<(), CommandError> {
    let removed = client.remove_webhooks(which).await?;
    if format == Format::Json {
        return output::json(&removed);
    }
    output::note("removed; changes are found by polling");
    Ok(())
}
