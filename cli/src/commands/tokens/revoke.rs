//! `tokens revoke`: a token becomes worthless.

use super::Tokens;
use crate::error::CommandError;
use crate::output;

pub(super) async fn run(tokens: &Tokens, id: &str) -> Result<(), CommandError> {
    tokens.revoke(id).await?;
    output::note(&format!(
        "token {id} is revoked; its principal keeps its rights: see `sluicegate tokens grants list`"
    ));
    Ok(())
}
