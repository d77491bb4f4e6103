//! Tokens of a data folder on this host, with or without a running gateway: the way to the first one.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use gateway::api::{CreateToken, CreatedToken, GrantInfo, TokenInfo};
use gateway::config::{Config, LocalConfig, Overrides, RightsSource, process_environment};

use crate::error::CommandError;

/// The tokens in a data folder.
pub(crate) struct LocalTokens {
    tokens: gateway::local_tokens::LocalTokens,
    /// Where the gateway of this configuration takes rights from. A gateway that is told by a flag may do otherwise.
    rights: RightsSource,
}

impl LocalTokens {
    /// Opens the store in `data_dir`; makes it if there is none yet.
    pub(crate) async fn open(data_dir: &Path, rights: RightsSource) -> Result<Self, CommandError> {
        let tokens = gateway::local_tokens::LocalTokens::open(data_dir)
            .await
            .map_err(|error| {
                CommandError::failed(error.to_string())
                    .next("run as the gateway's user, with the gateway's --data-dir")
            })?;
        Ok(Self { tokens, rights })
    }

    /// Makes a token. A running gateway knows it within a second or two.
    pub(crate) async fn create(&self, wish: &CreateToken) -> Result<CreatedToken, CommandError> {
        let gives = wish.admin || !wish.read.is_empty() || !wish.manage.is_empty();
        if gives && self.rights == RightsSource::Registry {
            return Err(CommandError::failed(
                "rights are not given here: they come from the registry (auth.rights = \"registry\")",
            )
            .next("give them at the registry, and make the token without --admin, --read and --manage"));
        }
        let created = self.tokens.create(wish, SystemTime::now()).await;
        let mut created = created.map_err(|error| CommandError::failed(error.to_string()))?;
        if self.rights == RightsSource::Registry {
            created.grants.clear();
            created.info.admin = false;
        }
        Ok(created)
    }

    /// Everybody's tokens. Who is an admin of the registry is not known here.
    pub(super) async fn list(&self) -> Result<Vec<TokenInfo>, CommandError> {
        let listed = self.tokens.list().await;
        let mut listed = listed.map_err(|error| CommandError::failed(error.to_string()))?;
        if self.rights == RightsSource::Registry {
            for token in &mut listed {
                token.admin = false;
            }
        }
        Ok(listed)
    }

    /// Makes a token worthless.
    pub(super) async fn revoke(&self, id: &str) -> Result<(), CommandError> {
        let revoked = self.tokens.revoke(id).await;
        if revoked.map_err(|error| CommandError::failed(error.to_string()))? {
            return Ok(());
        }
        Err(CommandError::failed(format!("there is no token {id:?}"))
            .next("`sluicegate tokens list --local` shows their ids"))
    }

    /// What a principal was given, or everybody.
    pub(super) async fn grants(
        &self,
        principal: Option<&str>,
    ) -> Result<Vec<GrantInfo>, CommandError> {
        let listed = self.tokens.grants(principal).await;
        listed.map_err(|error| CommandError::failed(error.to_string()))
    }

    /// Takes a right back.
    pub(super) async fn revoke_grant(&self, grant: &GrantInfo) -> Result<(), CommandError> {
        let revoked = self.tokens.revoke_grant(grant).await;
        if revoked.map_err(|error| CommandError::failed(error.to_string()))? {
            return Ok(());
        }
        let principal = &grant.principal;
        Err(
            CommandError::failed(format!("{principal} was not given the right \"{grant}\""))
                .next("`sluicegate tokens grants list --local` shows what was given"),
        )
    }

    /// Ends the work on the store in good order.
    pub(crate) async fn close(&self) {
        self.tokens.close().await;
    }
}

/// What holds on this host: the data folder that was named, or the one that the gateway of this environment would use.
pub(crate) fn config(named: Option<PathBuf>) -> Result<LocalConfig, CommandError> {
    let overrides = Overrides {
        data_dir: named,
        ..Overrides::default()
    };
    Config::load_local(overrides, process_environment()).map_err(|error| {
        CommandError::usage(error.to_string()).next("name the data folder with --data-dir")
    })
}
