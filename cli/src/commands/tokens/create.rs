//! `tokens create`: the token alone on stdout, once.

use gateway::api::CreateToken;

use super::Tokens;
use super::grants::held;
use crate::args::tokens::CreateArgs;
use crate::error::CommandError;
use crate::output::{self, Format};

pub(super) async fn run(
    tokens: &Tokens,
    args: CreateArgs,
    format: Format,
) -> Result<(), CommandError> {
    let created = tokens.create(&args.into()).await?;
    let info = &created.info;
    match format {
        Format::Json => output::json(&created)?,
        Format::Table => output::line(&created.token)?,
    }
    let end = match info.expires {
        Some(end) => format!("until {end}"),
        None => "until it is revoked".to_owned(),
    };
    output::note(&format!(
        "token {} of {} holds {end}; it is not shown again. Export it as SLUICEGATE_TOKEN",
        info.id, info.principal
    ));
    if !created.grants.is_empty() {
        output::note(&format!(
            "rights belong to the principal and stay when a token goes; {} now holds: {}",
            info.principal,
            held(&created.grants)
        ));
    }
    Ok(())
}

impl From<CreateArgs> for CreateToken {
    fn from(args: CreateArgs) -> Self {
        Self {
            principal: Some(args.principal),
            comment: args.comment,
            lifetime: args.lifetime,
            admin: args.admin,
            read: args.read,
            manage: args.manage,
        }
    }
}
