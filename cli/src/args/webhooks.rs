//! What may be typed after `webhooks`.

use clap::{Args, Subcommand};

use super::connection::ConnectionArgs;

/// `webhooks`.
#[derive(Debug, Args)]
pub(crate) struct WebhooksArgs {
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,

    #[command(subcommand)]
    pub(crate) verb: WebhooksVerb,
}

/// The verbs of `webhooks`.
#[derive(Debug, Subcommand)]
pub(crate) enum WebhooksVerb {
    /// Have the registry tell the gateway of changes at once; again, to change where or after another secret.
    Install {
        /// How the registry reaches the gateway [default: public_url of the gateway's configuration].
        #[arg(long, value_name = "URL")]
        url: Option<String>,

        #[command(flatten)]
        named: NameArgs,
    },
    /// List the registry's webhooks that deliver to a gateway, and say how deliveries go.
    List,
    /// Have the registry deliver something now, and say whether it arrived.
    Test(NameArgs),
    /// Take the webhook away from the registry; changes are found by polling again.
    Remove(NameArgs),
}

/// Which webhook is meant.
#[derive(Clone, Debug, Args)]
pub(crate) struct NameArgs {
    /// Its name at the registry; several gateways of one registry need several names [default: sluicegate].
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
}
