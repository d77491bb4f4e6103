//! `environments build`: an environment before somebody waits for it. Its key stands alone on stdout.

use gateway::api::{BuildEnvironment, EnvManager, EnvironmentDetail};
use gateway::config::Overrides;

use super::{local, words};
use crate::args::environments::{BuildArgs, HostArgs};
use crate::client::Client;
use crate::commands::failures;
use crate::error::CommandError;
use crate::output::{self, Format};
use crate::progress::{Progress, Step};

/// By the gateway, for a registered version.
pub(super) async fn of_version(
    client: &Client,
    model: &str,
    version: u64,
    args: &BuildArgs,
    format: Format,
) -> Result<(), CommandError> {
    let wish = BuildEnvironment {
        model: model.to_owned(),
        version,
        env_manager: args.env_manager,
        fresh: args.fresh,
    };
    let mut step = Progress::new().step(format!("{model}@{version}"));
    let built = client
        .build_environment(&wish, |text| step.detail(text))
        .await?;
    let built = built.map_err(|failure| {
        let log = format!(
            "`sluicegate models logs {model} {version} --kind build` shows all that the build printed"
        );
        failures::of_build(&failure, Some(&log))
    })?;
    told(&built, step, format)
}

/// On this host, for a model's folder.
pub(super) async fn of_folder(
    host: HostArgs,
    args: BuildArgs,
    format: Format,
) -> Result<(), CommandError> {
    let folder = args.folder.unwrap_or_default();
    if !folder.is_dir() {
        let shown = folder.display();
        return Err(CommandError::failed(format!("{shown} is no folder"))
            .next("name the folder that holds the model's MLmodel and conda.yaml"));
    }
    let overrides = Overrides {
        offline: args.offline,
        env_manager: args.env_manager.map(|manager| manager.to_string()),
        ..Overrides::default()
    };
    let config = local::config(host, overrides)?;
    if config.env_manager == EnvManager::Local {
        return Err(
            CommandError::usage("the environment manager local builds nothing")
                .next("name another: --env-manager conda, uv or virtualenv"),
        );
    }
    let environments = local::open_with(&config).await?;
    let mut step = Progress::new().step(folder.display().to_string());
    let built = environments
        .build(&folder, config.env_manager, args.fresh, |text| {
            step.detail(text);
        })
        .await
        .map_err(local::failed)?;
    step.detail("compiling, so that workers start fast");
    environments.close().await;
    told(&built.detail, step, format)
}

fn told(built: &EnvironmentDetail, step: Step, format: Format) -> Result<(), CommandError> {
    let summary = &built.summary;
    let key = words::short(&summary.key);
    step.done(&format!(
        "environment {key} is there: {}",
        words::content(summary)
    ));
    match format {
        Format::Json => output::json(built),
        Format::Table => output::line(&summary.key),
    }
}
