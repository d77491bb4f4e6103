//! `models logs`: what a version printed.

use crate::args::models::LogsArgs;
use crate::client::{Client, LogQuery};
use crate::error::CommandError;
use crate::output;

pub(super) async fn run(client: &Client, args: &LogsArgs) -> Result<(), CommandError> {
    let query = LogQuery {
        kind: args.kind.as_str(),
        tail: args.tail,
        follow: args.follow,
    };
    let mut log = client.logs(&args.name, args.version, &query).await?;
    let mut is_empty = true;
    while let Some(piece) = client.piece(&mut log).await? {
        is_empty &= piece.is_empty();
        output::bytes(&piece)?;
    }
    if is_empty {
        output::note("the log is empty");
    }
    Ok(())
}
