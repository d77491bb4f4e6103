//! `models …`: one file a verb.

mod disable;
mod enable;
mod events;
mod list;
mod logs;
mod restart;
mod score;
mod settings;
mod show;
mod uris;
pub(crate) mod wait;

use crate::args::environment::Environment;
use crate::args::models::{ModelsArgs, ModelsVerb};
use crate::client::Client;
use crate::error::CommandError;
use crate::output::Format;

/// Runs one of the verbs.
pub(crate) async fn run(
    args: ModelsArgs,
    environment: &Environment,
    format: Format,
) -> Result<(), CommandError> {
    let client = Client::new(args.connection.resolve(environment)?)?;
    match args.verb {
        ModelsVerb::List(args) => list::run(&client, &args, format).await,
        ModelsVerb::Show(args) => show::run(&client, &args.name, format).await,
        ModelsVerb::Enable(args) => enable::run(&client, &args, format).await,
        ModelsVerb::Disable(args) => disable::run(&client, &args.name).await,
        ModelsVerb::Settings(args) => settings::run(&client, &args, format).await,
        ModelsVerb::Restart(args) => restart::run(&client, &args).await,
        ModelsVerb::Events(args) => events::run(&client, &args, format).await,
        ModelsVerb::Logs(args) => logs::run(&client, &args, format).await,
        ModelsVerb::Score(args) => score::run(&client, args).await,
        ModelsVerb::Uris(args) => uris::run(&client, &args.name, format).await,
    }
}
