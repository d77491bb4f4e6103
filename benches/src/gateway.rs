//! The real `sluicegate-gateway` as it runs in production, with authentication, metrics and access log on.
//!
//! Where the model is the fast upstream, that is what the gateway takes for the interpreter of `env_manager = "local"`:
//! every part of the gateway and of its path does what it does with a real model.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::load::{Endpoint, Request, call};
use crate::program::{Program, command, output, sibling};
use crate::registry::StandInRegistry;

/// The name of the model that it serves.
pub const MODEL: &str = "fast";

/// For a start, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
const CALL: Duration = Duration::from_secs(10);

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    program: Program,
    address: SocketAddr,
    token: String,
    /// Outlives the gateway: dropped after it.
    _registry: StandInRegistry,
}

/// What it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serving {
    /// Nothing: an idle gateway.
    Nothing,
    /// The fast upstream as the only version of one model.
    FastUpstream,
}

impl Gateway {
    /// Starts one in an empty folder, with these further variables, and waits until it listens or, if it serves, until it answers.
    pub fn start(folder: &Path, serving: Serving, variables: &[(&str, &str)]) -> Result<Self> {
        let data = folder.join("data");
        let model = folder.join("model");
        fs::create_dir_all(&model)?;
        fs::create_dir(&data)?;
        fs::write(model.join("MLmodel"), "flavors: {python_function: {}}\n")?;
        // As many at a time as there are connections: the upstream is no Python with a lock.
        let registry = StandInRegistry::start(MODEL, &model, &[("max_concurrency", "64")])?;

        let mut create = command(sibling("sluicegate")?);
        create
            .args([
                "tokens",
                "create",
                "--principal",
                "bench",
                "--admin",
                "--local",
                "--data-dir",
            ])
            .arg(&data);
        let token = output(create)
            .context("make the first token")?
            .trim()
            .to_owned();

        let mut serve = command(sibling("sluicegate-gateway")?);
        serve
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("SLUICEGATE_REGISTRY", registry.url())
            .env("SLUICEGATE_LISTEN", "127.0.0.1:0")
            .env("SLUICEGATE_DATA_DIR", &data)
            .env("SLUICEGATE_ENV_MANAGER", "local")
            .env("SLUICEGATE_PYTHON", sibling("fast-upstream")?)
            .env("SLUICEGATE_ACCESS_LOG_ENABLED", "true")
            .env("SLUICEGATE_LOG_FORMAT", "json")
            .env("SLUICEGATE_BODY_LIMIT", "17MB")
            .envs(variables.iter().copied());
        if serving == Serving::FastUpstream {
            serve.env("SLUICEGATE_ENABLE", MODEL);
        }
        let mut program = Program::start("sluicegate-gateway", serve, &folder.join("gateway.log"))?;
        let log = folder.join("gateway.log");
        let address = program.until(PATIENCE, "the gateway listens", || listening(&log))?;
        let mut gateway = Self {
            program,
            address,
            token,
            _registry: registry,
        };
        if serving == Serving::FastUpstream {
            gateway.answers()?;
        }
        Ok(gateway)
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.program.id()
    }

    /// Where it listens.
    pub fn endpoint(&self) -> Endpoint {
        Endpoint::Tcp(self.address)
    }

    /// A request to score `body`, as a caller with a token makes it.
    pub fn score(&self, body: &[u8]) -> Request {
        let path = format!("/model/{MODEL}/1/invocations");
        Request::post(
            &path,
            &[("Authorization", &format!("Bearer {}", self.token))],
            body,
        )
    }

    fn answers(&mut self) -> Result<()> {
        let (request, endpoint) = (self.score(b"{}"), self.endpoint());
        self.program.until(PATIENCE, "the gateway scores", || {
            let answer = call(&endpoint, &request, CALL);
            matches!(answer, Ok((200, _))).then_some(())
        })
    }
}

/// The address that a gateway has announced, once its line is whole.
fn listening(log: &Path) -> Option<SocketAddr> {
    let text = fs::read_to_string(log).ok()?;
    let whole = text
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'));
    let address = whole
        .filter_map(|line| line.split_once("listening on http://"))
        .map(|(_, rest)| rest.split(['"', '\n', ' ']).next().unwrap_or_default())
        .next()?;
    address.parse().ok()
}
