//! `models enable`: serve every version that is not archived.

use serde_json::Map;

use super::wait;
use crate::args::models::EnableArgs;
use crate::client::Client;
use crate::error::CommandError;
use crate::output::{self, Format};
use crate::progress::Progress;

pub(super) async fn run(
    client: &Client,
    args: &EnableArgs,
    format: Format,
) -> Result<(), CommandError> {
    let name = &args.name;
    if !args.waiting.wait {
        let enabled = client.serve_model(name, &Map::new()).await?;
        output::note(&format!(
            "serving of {name} is enabled; `sluicegate models show {name}` tells how far it is"
        ));
        return match format {
            Format::Json => output::json(&enabled),
            Format::Table => Ok(()),
        };
    }
    let ready = wait::until_ready(
        client,
        name,
        &Map::new(),
        args.waiting.timeout.0,
        &Progress::new(),
    )
    .await?;
    if format == Format::Json {
        return output::json(&ready);
    }
    for uri in ready.versions.iter().flat_map(|version| &version.uris) {
        output::line(uri)?;
    }
    Ok(())
}
