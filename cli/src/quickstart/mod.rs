//! `quickstart`: the main job on a real model, from an empty machine to a promotion without a failed request.
//!
//! A real MLflow server, two real versions of a model, and a gateway as anybody would start it, each a program of its
//! own that ends with this one. Only the Python environment is kept for the next time; a machine without a Python gets
//! one from conda packages.

mod conda;
mod farewell;
mod folder;
mod gateway;
mod interpreter;
mod log;
mod ports;
mod process;
mod promotion;
mod python;
mod registry;
mod scoring;
mod stop;
mod training;
mod venv;

use std::path::Path;
use std::time::Duration;

use ::gateway::api::EnvManager;
use tokio::time::Instant;

use crate::args::environment::Environment;
use crate::args::quickstart::QuickstartArgs;
use crate::commands::models::wait;
use crate::error::CommandError;
use crate::output;
use crate::progress::{Progress, seconds};
use folder::Folder;
use gateway::Gateway;
use process::Processes;
use registry::{Registry, StartError};
use training::MODEL;

/// Both versions load from warm caches in some seconds each; the first time, Python compiles everything.
const READY_DEADLINE: Duration = Duration::from_secs(300);

/// The same where the versions' own environment is built first: a slow line needs minutes for some 300 MB.
const BUILT_DEADLINE: Duration = Duration::from_secs(1_800);

/// From SIGTERM to SIGKILL: a gateway drains in that time.
const GRACE: Duration = Duration::from_secs(10);

/// Ports that are tried for the registry.
const ATTEMPTS: u32 = 5;

/// Runs it until it is done, somebody stops it, or something fails; then ends all that it started.
pub(crate) async fn run(
    args: QuickstartArgs,
    environment: Environment,
) -> Result<(), CommandError> {
    let cache = environment
        .cache_folder()
        .ok_or_else(|| {
            CommandError::usage("no home folder is known here").next("set HOME or XDG_CACHE_HOME")
        })?
        .join("quickstart");
    ports::require_free(args.port.unwrap_or(0), "--port")?;
    ports::require_free(args.registry_port, "--registry-port")?;
    let state = args.data_dir.clone().unwrap_or_else(|| cache.join("run"));
    let folder = Folder::claim(&state)?;
    let processes = processes(&folder, &environment);
    let quickstart = Quickstart {
        args,
        environment,
        folder,
        processes,
        progress: Progress::new(),
    };
    let mut stop = stop::Stop::listen()?;
    let ended = tokio::select! {
        ended = quickstart.story(&cache) => ended,
        () = stop.asked() => Ok(()),
    };
    output::note("Stopping everything …");
    // What was started has been dropped by now; its groups end by themselves. A second signal does not wait for it.
    tokio::select! {
        () = quickstart.processes.all_ended() => {}
        () = stop.asked() => {}
    }
    ended
}

fn processes(folder: &Folder, environment: &Environment) -> Processes {
    let here = "127.0.0.1,localhost";
    let no_proxy = match &environment.no_proxy {
        Some(others) => format!("{others},{here}"),
        None => here.to_owned(),
    };
    Processes::new(
        folder.logs(),
        GRACE,
        environment.bending.clone(),
        vec![
            ("no_proxy", no_proxy.clone()),
            ("NO_PROXY", no_proxy),
            ("MLFLOW_DISABLE_TELEMETRY", "true".to_owned()),
        ],
    )
}

struct Quickstart {
    args: QuickstartArgs,
    environment: Environment,
    folder: Folder,
    processes: Processes,
    progress: Progress,
}

impl Quickstart {
    async fn story(&self, cache: &Path) -> Result<(), CommandError> {
        let started = Instant::now();
        let named = self.args.python.as_deref();
        let (environment, processes) = (&self.environment, &self.processes);
        let python =
            python::environment(named, environment, cache, processes, &self.progress).await?;
        let mut registry = self.registry_with_models(&python.path).await?;
        let mut gateway = self.gateway(&python.path, &registry).await?;
        self.enable(&gateway).await?;
        self.score(&gateway).await?;
        self.promote(&gateway, &registry).await?;
        let took = seconds(started.elapsed());
        self.progress.line(&format!("\nDone in {took}.\n"));
        if self.args.once {
            return Ok(());
        }
        output::line(&farewell::text(
            &gateway,
            &registry.url,
            &self.folder,
            &self.environment,
        )?)?;
        tokio::select! {
            _ = registry.server.exited() => Err(registry.server.ended_early()),
            _ = gateway.server.exited() => Err(gateway.server.ended_early()),
        }
    }

    /// The server starts while the training loads its libraries.
    async fn registry_with_models(&self, python: &Path) -> Result<Registry, CommandError> {
        let script = training::write_script(&self.folder)?;
        let mut attempt = 1;
        loop {
            let port = self.args.registry_port;
            let mut registry = Registry::start(python, port, &self.folder, &self.processes)?;
            let url = registry.url.clone();
            let step = self.progress.step("MLflow server");
            let training = training::train(python, &script, &url, &self.processes, &self.progress);
            tokio::pin!(training);
            let ready = tokio::select! {
                ready = registry.ready() => ready,
                // It ends first only when it fails: it waits for the server.
                trained = &mut training => trained.map_err(StartError::Failed),
            };
            match ready {
                Ok(()) => {
                    step.done(&format!("MLflow server on {}", farewell::plain(&url)));
                    training.await?;
                    return Ok(registry);
                }
                Err(StartError::PortTaken(_)) if port == 0 && attempt < ATTEMPTS => attempt += 1,
                Err(StartError::PortTaken(error) | StartError::Failed(error)) => return Err(error),
            }
        }
    }

    async fn gateway(&self, python: &Path, registry: &Registry) -> Result<Gateway, CommandError> {
        let step = self.progress.step("Gateway");
        let (url, args) = (&registry.url, &self.args);
        let gateway = Gateway::start(python, url, args, &self.folder, &self.processes).await?;
        step.done(&format!("Gateway on {}", farewell::plain(&gateway.url)));
        Ok(gateway)
    }

    async fn enable(&self, gateway: &Gateway) -> Result<(), CommandError> {
        self.progress
            .line("\n$ sluicegate models enable iris --wait");
        let client = &gateway.client;
        let logs = |error: CommandError| {
            error.also(&format!(
                "the gateway's log is {}",
                gateway.server.log().display()
            ))
        };
        let deadline = match self.args.env_manager {
            None | Some(EnvManager::Local) => READY_DEADLINE,
            Some(_) => BUILT_DEADLINE,
        };
        wait::until_ready(
            client,
            MODEL,
            &serde_json::Map::new(),
            deadline,
            &self.progress,
        )
        .await
        .map_err(logs)?;
        Ok(())
    }

    async fn score(&self, gateway: &Gateway) -> Result<(), CommandError> {
        let line = scoring::curl_line(&gateway.url, "1");
        self.progress.line(&format!("\n$ {line}"));
        let (client, token) = (&gateway.client, gateway.token.as_str());
        let answer =
            scoring::run_curl_line(client, token, "1", &self.environment, &self.processes).await?;
        self.progress.line(answer.trim_end());
        if answer.trim() == "[0]" {
            return Ok(());
        }
        Err(
            CommandError::failed("that is not the number of a species in a list").next(format!(
                "the gateway's log is {}",
                gateway.server.log().display()
            )),
        )
    }

    async fn promote(&self, gateway: &Gateway, registry: &Registry) -> Result<(), CommandError> {
        let before = scoring::score(&gateway.client, "Production").await?;
        self.progress.line(&format!(
            "\nThe Production URL answers {} from {}.",
            before.body, before.served_by
        ));
        let step = self
            .progress
            .step("Promoting version 2 while somebody keeps scoring");
        let switch = promotion::promote_under_traffic(&gateway.client, registry, 2).await?;
        step.done("Promoted version 2 while somebody kept scoring");
        self.progress.line(&format!(
            "The Production URL answers {} from {}, {} after the promotion; {} requests meanwhile, none failed.",
            switch.answer.body,
            switch.answer.served_by,
            seconds(switch.took),
            switch.requests,
        ));
        Ok(())
    }
}
