//! `environments …`: one file a verb; of a gateway, or of a data folder with `--local`.

mod build;
mod export;
mod import;
mod list;
mod local;
mod prune;
mod show;
mod words;

use gateway::api::{EnvironmentDetail, EnvironmentSummary, PruneEnvironments, PrunedEnvironments};
use gateway::local_environments::LocalEnvironments;

use crate::args::environment::Environment;
use crate::args::environments::{EnvironmentsArgs, EnvironmentsVerb, HostArgs};
use crate::client::Client;
use crate::error::CommandError;
use crate::output::Format;

/// Runs one of the verbs.
pub(crate) async fn run(
    args: EnvironmentsArgs,
    environment: &Environment,
    format: Format,
) -> Result<(), CommandError> {
    let EnvironmentsArgs {
        connection,
        host,
        verb,
    } = args;
    let client = || Client::new(connection.resolve(environment)?);
    let environments = async |host: HostArgs| {
        if host.local {
            return local::open_existing(host).await.map(Environments::Local);
        }
        local::refuse(&host)?;
        client().map(Environments::Remote)
    };
    match verb {
        EnvironmentsVerb::List => list::run(&environments(host).await?, format).await,
        EnvironmentsVerb::Show { key, log } => {
            show::run(&environments(host).await?, &key, log, format).await
        }
        EnvironmentsVerb::Prune(args) => {
            let environments = environments(host).await?;
            let done = prune::run(&environments, args, format).await;
            environments.close().await;
            done
        }
        EnvironmentsVerb::Build(args) => match (&args.model, args.version) {
            (Some(_), _) if host.local => Err(CommandError::usage(
                "a registered version is built by a gateway, which --local does without",
            )
            .next("leave --local out, or name the model's folder instead of --model")),
            (Some(model), Some(version)) => {
                local::refuse(&host)?;
                build::of_version(&client()?, model, version, &args, format).await
            }
            _ => build::of_folder(host, args, format).await,
        },
        EnvironmentsVerb::Export { key, file } => {
            export::run(&local::open_existing(host).await?, &key, &file).await
        }
        EnvironmentsVerb::Import { file } => {
            import::run(local::open(host).await?, &file, format).await
        }
    }
}

/// Where the environments are.
enum Environments {
    /// Behind a gateway.
    Remote(Client),
    /// In a data folder of this host.
    Local(LocalEnvironments),
}

impl Environments {
    async fn list(&self) -> Result<Vec<EnvironmentSummary>, CommandError> {
        match self {
            Self::Remote(client) => client.list_environments().await,
            Self::Local(local) => local.list().await.map_err(local::failed),
        }
    }

    async fn find(&self, key: &str) -> Result<EnvironmentDetail, CommandError> {
        match self {
            Self::Remote(client) => client.environment(key).await,
            Self::Local(local) => local.find(key).await.map_err(local::failed),
        }
    }

    async fn build_log(&self, key: &str) -> Result<String, CommandError> {
        match self {
            Self::Remote(client) => client.environment_log(key).await,
            Self::Local(local) => local.build_log(key).await.map_err(local::failed),
        }
    }

    async fn close(self) {
        match self {
            Self::Remote(_) => {}
            Self::Local(local) => local.close().await,
        }
    }

    async fn prune(&self, wish: &PruneEnvironments) -> Result<PrunedEnvironments, CommandError> {
        match self {
            Self::Remote(client) => client.prune_environments(wish).await,
            Self::Local(local) => local.prune(wish).await.map_err(local::failed),
        }
    }
}
