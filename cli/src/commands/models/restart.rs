//! `models restart`: new workers for a version.

use super::wait;
use crate::args::models::RestartArgs;
use crate::client::Client;
use crate::error::CommandError;
use crate::output;
use crate::progress::Progress;

pub(super) async fn run(client: &Client, args: &RestartArgs) -> Result<(), CommandError> {
    let RestartArgs {
        name,
        version,
        waiting,
    } = args;
    client.restart(name, *version).await?;
    if waiting.wait {
        return wait::until_renewed(client, name, *version, waiting.timeout.0, &Progress::new())
            .await;
    }
    output::note(&format!(
        "the workers of {name}@{version} are being replaced; `sluicegate models events {name}` tells when"
    ));
    Ok(())
}
