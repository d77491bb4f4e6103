//! `tokens …`: one file a verb; of a gateway, or of a data folder with `--local`.

mod create;
mod grants;
mod list;
pub(crate) mod local;
mod revoke;

use gateway::api::{CreateToken, CreatedToken, GrantInfo, TokenInfo};

use crate::args::environment::Environment;
use crate::args::tokens::{TokensArgs, TokensVerb};
use crate::client::Client;
use crate::error::CommandError;
use crate::output::Format;
use local::LocalTokens;

/// Runs one of the verbs.
pub(crate) async fn run(
    args: TokensArgs,
    environment: &Environment,
    format: Format,
) -> Result<(), CommandError> {
    let tokens = if args.local.local {
        let config = local::config(args.local.data_dir)?;
        Tokens::Local(LocalTokens::open(&config.data_dir, config.rights).await?)
    } else {
        Tokens::Remote(Client::new(args.connection.resolve(environment)?)?)
    };
    let done = match args.verb {
        TokensVerb::Create(args) => create::run(&tokens, args, format).await,
        TokensVerb::List => list::run(&tokens, format).await,
        TokensVerb::Revoke { id } => revoke::run(&tokens, &id).await,
        TokensVerb::Grants(args) => grants::run(&tokens, args.verb, format).await,
    };
    if let Tokens::Local(tokens) = &tokens {
        tokens.close().await;
    }
    done
}

/// Where the tokens are.
enum Tokens {
    /// Behind a gateway.
    Remote(Client),
    /// In a data folder of this host.
    Local(LocalTokens),
}

impl Tokens {
    async fn create(&self, wish: &CreateToken) -> Result<CreatedToken, CommandError> {
        match self {
            Self::Remote(client) => client.create_token(wish).await,
            Self::Local(tokens) => tokens.create(wish).await,
        }
    }

    async fn list(&self) -> Result<Vec<TokenInfo>, CommandError> {
        match self {
            Self::Remote(client) => client.list_tokens().await,
            Self::Local(tokens) => tokens.list().await,
        }
    }

    async fn revoke(&self, id: &str) -> Result<(), CommandError> {
        match self {
            Self::Remote(client) => client.revoke_token(id).await,
            Self::Local(tokens) => tokens.revoke(id).await,
        }
    }

    async fn grants(&self, principal: Option<&str>) -> Result<Vec<GrantInfo>, CommandError> {
        match self {
            Self::Remote(client) => client.list_grants(principal).await,
            Self::Local(tokens) => tokens.grants(principal).await,
        }
    }

    async fn revoke_grant(&self, grant: &GrantInfo) -> Result<(), CommandError> {
        match self {
            Self::Remote(client) => client.revoke_grant(grant).await,
            Self::Local(tokens) => tokens.revoke_grant(grant).await,
        }
    }
}
