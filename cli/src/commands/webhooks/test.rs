//! `webhooks test`: the registry delivers something now.

use gateway::api::WebhookName;

use crate::client::Client;
use crate::error::CommandError;
use crate::output::{self, Format};

pub(super) async fn run(
    client: &Client,
    which: &WebhookName,
    format: Format,
) -> Result<(), CommandError> {
    let trial = client.test_webhook(which).await?;
    if format == Format::Json {
        output::json(&trial)?;
    }
    if trial.success {
        output::note("the registry's delivery arrived, and its signature is right");
        return Ok(());
    }
    let problem = trial.problem.as_deref();
    Err(
        CommandError::failed(problem.unwrap_or("the delivery did not arrive"))
            .next("`sluicegate webhooks install --url URL`, with the address at which the registry reaches the gateway"),
    )
}
