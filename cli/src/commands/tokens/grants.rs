//! `tokens grants …`: what principals were given with their tokens, and how it is taken back.

use gateway::api::{GrantInfo, GrantedRight};

use super::Tokens;
use crate::args::tokens::{GrantsVerb, RevokeGrantsArgs};
use crate::error::CommandError;
use crate::output::{self, Format};

pub(super) async fn run(
    tokens: &Tokens,
    verb: GrantsVerb,
    format: Format,
) -> Result<(), CommandError> {
    match verb {
        GrantsVerb::List { principal } => list(tokens, principal.as_deref(), format).await,
        GrantsVerb::Revoke(args) => revoke(tokens, args).await,
    }
}

/// What a principal holds, in words: `admin; manage fraud-*`.
pub(super) fn held(grants: &[GrantInfo]) -> String {
    let words: Vec<_> = grants.iter().map(ToString::to_string).collect();
    words.join("; ")
}

async fn list(
    tokens: &Tokens,
    principal: Option<&str>,
    format: Format,
) -> Result<(), CommandError> {
    let grants = tokens.grants(principal).await?;
    if format == Format::Json {
        return output::json(&grants);
    }
    if grants.is_empty() {
        output::note(
            "nobody holds a right here; `sluicegate tokens create` gives some with --read, --manage and --admin",
        );
        return Ok(());
    }
    let rows = grants.iter().map(|grant| {
        let right = format!("{:?}", grant.right).to_lowercase();
        let model = grant.model.clone().unwrap_or_else(|| "-".to_owned());
        vec![grant.principal.clone(), right, model]
    });
    output::line(&output::table(&["PRINCIPAL", "RIGHT", "MODEL"], rows))
}

async fn revoke(tokens: &Tokens, args: RevokeGrantsArgs) -> Result<(), CommandError> {
    for grant in named(args) {
        tokens.revoke_grant(&grant).await?;
        output::note(&format!("{} has no longer: {grant}", grant.principal));
    }
    Ok(())
}

fn named(args: RevokeGrantsArgs) -> Vec<GrantInfo> {
    let RevokeGrantsArgs {
        principal,
        admin,
        read,
        manage,
    } = args;
    let admin = admin.then_some((GrantedRight::Admin, None));
    let read = read
        .into_iter()
        .map(|model| (GrantedRight::Read, Some(model)));
    let manage = manage
        .into_iter()
        .map(|model| (GrantedRight::Manage, Some(model)));
    let rights = admin.into_iter().chain(read).chain(manage);
    rights
        .map(|(right, model)| GrantInfo {
            principal: principal.clone(),
            right,
            model,
        })
        .collect()
}
