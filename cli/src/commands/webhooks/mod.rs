//! `webhooks …`: one file a verb.

mod install;
mod list;
mod remove;
mod test;

use gateway::api::WebhookName;

use crate::args::environment::Environment;
use crate::args::webhooks::{NameArgs, WebhooksArgs, WebhooksVerb};
use crate::client::Client;
use crate::error::CommandError;
use crate::output::Format;

/// Runs one of the verbs.
pub(crate) async fn run(
    args: WebhooksArgs,
    environment: &Environment,
    format: Format,
) -> Result<(), CommandError> {
    let client = Client::new(args.connection.resolve(environment)?)?;
    match args.verb {
        WebhooksVerb::Install { url, named } => {
            install::run(&client, url, named.into(), format).await
        }
        WebhooksVerb::List => list::run(&client, format).await,
        WebhooksVerb::Test(named) => test::run(&client, &named.into(), format).await,
        WebhooksVerb::Remove(named) => remove::run(&client, &named.into(), format).await,
    }
}

impl From<NameArgs> for WebhookName {
    fn from(NameArgs { name }: NameArgs) -> Self {
        Self { name }
    }
}
