//! What may be typed after `tokens`.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};
use gateway::api::HumaneDuration;

use super::connection::ConnectionArgs;

/// `tokens`.
#[derive(Debug, Args)]
pub(crate) struct TokensArgs {
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,

    #[command(flatten)]
    pub(crate) local: LocalArgs,

    #[command(subcommand)]
    pub(crate) verb: TokensVerb,
}

/// The way past the gateway, for whoever may write its data folder.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct LocalArgs {
    /// Work on the data folder itself: on the gateway's host, with or without a running gateway, without a token.
    #[arg(long, global = true, display_order = super::LAST)]
    pub(crate) local: bool,

    /// The gateway's data folder, with --local [default: the platform's data folder].
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        requires = "local",
        display_order = super::LAST
    )]
    pub(crate) data_dir: Option<PathBuf>,
}

/// The verbs of `tokens`.
#[derive(Debug, Subcommand)]
pub(crate) enum TokensVerb {
    /// Make a token and print it, once, alone on stdout.
    Create(CreateArgs),
    /// List tokens: an admin sees everybody's. The tokens themselves are never shown again.
    List,
    /// Make a token worthless, at once and for ever.
    Revoke {
        /// The token's id, as `tokens list` shows it.
        id: String,
    },
    /// See and take back the rights that principals were given: they outlive their tokens.
    Grants(GrantsArgs),
}

/// `tokens grants`.
#[derive(Debug, Args)]
pub(crate) struct GrantsArgs {
    #[command(subcommand)]
    pub(crate) verb: GrantsVerb,
}

/// The verbs of `tokens grants`.
#[derive(Debug, Subcommand)]
pub(crate) enum GrantsVerb {
    /// List who may do what: an admin sees everybody's rights.
    List {
        /// Only of this principal.
        #[arg(long, value_name = "NAME")]
        principal: Option<String>,
    },
    /// Take rights back, at once; each is named as it was given.
    Revoke(RevokeGrantsArgs),
}

/// `tokens grants revoke`.
#[derive(Clone, Debug, Args)]
#[command(group(ArgGroup::new("rights").required(true).multiple(true)))]
pub(crate) struct RevokeGrantsArgs {
    /// Who is to lose them.
    #[arg(long, value_name = "NAME")]
    pub(crate) principal: String,

    /// All models, and everybody's tokens.
    #[arg(long, group = "rights")]
    pub(crate) admin: bool,

    /// The right to score and see this model, or models like fraud-*; may be given several times.
    #[arg(long, value_name = "MODEL", group = "rights")]
    pub(crate) read: Vec<String>,

    /// The right to manage this model; may be given several times.
    #[arg(long, value_name = "MODEL", group = "rights")]
    pub(crate) manage: Vec<String>,
}

/// `tokens create`.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct CreateArgs {
    /// Whom the token speaks for.
    #[arg(long, value_name = "NAME")]
    pub(crate) principal: String,

    /// All models, and everybody's tokens.
    #[arg(long)]
    pub(crate) admin: bool,

    /// Let the principal score and see this model, or models like fraud-*; may be given several times.
    #[arg(long, value_name = "MODEL")]
    pub(crate) read: Vec<String>,

    /// Let the principal also enable, disable and restart this model; may be given several times.
    #[arg(long, value_name = "MODEL")]
    pub(crate) manage: Vec<String>,

    /// How long it is good for, for example 30d [default: until it is revoked].
    #[arg(long, value_name = "DURATION")]
    pub(crate) lifetime: Option<HumaneDuration>,

    /// A note for people.
    #[arg(long, value_name = "TEXT")]
    pub(crate) comment: Option<String>,
}
