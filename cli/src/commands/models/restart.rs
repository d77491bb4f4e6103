//! `models restart`: new workers for a version.

use crate::args::models::VersionArgs;
use crate::client::Client;
use crate::error::CommandError;
use crate::output;

pub(super) async fn run(client: &Client, args: &VersionArgs) -> Result<(), CommandError> {
    let VersionArgs { name, version } = args;
    client.restart(name, *version).await?;
    output::note(&format!(
        "the workers of {name}@{version} are being replaced; `sluicegate models events {name}` tells when"
    ));
    Ok(())
}
