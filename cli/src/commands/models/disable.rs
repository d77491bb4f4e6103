//! `models disable`: drain, stop, terminate.

use crate::client::Client;
use crate::error::CommandError;
use crate::output;

pub(super) async fn run(client: &Client, name: &str) -> Result<(), CommandError> {
    client.rest_model(name).await?;
    output::note(&format!(
        "serving of {name} is disabled; requests in flight end before its workers stop"
    ));
    Ok(())
}
