//! The contenders, started by a program of Python's (`python/stage.py`) and kept by it until this lets go.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::load::{Check, Endpoint, Request};
use crate::meter::Scope;
use crate::program::command;
use crate::rounds::Contender;

/// What is needed to put contenders on stage.
#[derive(Clone, Debug)]
pub struct Staging {
    /// The Python that runs MLflow and the workers.
    pub python: PathBuf,
    /// `NAME=PYTHON` for each peer that has an environment of its own.
    pub peers: Vec<String>,
    /// The program `sluicegate`.
    pub sluicegate: PathBuf,
    /// Where files and logs go.
    pub work: PathBuf,
    /// Who takes part, by the names that `python/contenders.py` gives.
    pub contenders: Vec<String>,
}

/// All contenders of one model, running. Dropping it ends them.
#[derive(Debug)]
pub struct Stage {
    process: Child,
    announced: Announced,
}

/// The line that the program prints when all are ready.
#[derive(Debug, Deserialize)]
struct Announced {
    versions: BTreeMap<String, String>,
    contenders: Vec<Announcement>,
}

#[derive(Debug, Deserialize)]
struct Announcement {
    name: String,
    address: SocketAddr,
    path: String,
    headers: BTreeMap<String, String>,
    process: u32,
    /// By the number of rows.
    requests: BTreeMap<usize, Vec<Exchange>>,
}

/// What is sent, and a part that each right answer to it contains.
#[derive(Debug, Deserialize)]
struct Exchange {
    body: String,
    answer_contains: String,
}

impl Stage {
    /// Starts all contenders with this model; returns when each has answered each body as the model does.
    pub fn set(staging: &Staging, model: &str) -> Result<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/stage.py");
        let mut program = command(&staging.python);
        program.arg(script).args(["--model", model]);
        program.arg("--work").arg(staging.work.join(model));
        program.arg("--sluicegate").arg(&staging.sluicegate);
        for peer in &staging.peers {
            program.args(["--peer", peer]);
        }
        program.args(&staging.contenders);
        program.env("PYTHONDONTWRITEBYTECODE", "1");
        let process = program.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        // From here on dropping it ends what was started.
        let mut stage = Self {
            process: process.context("start the stage")?,
            announced: Announced {
                versions: BTreeMap::new(),
                contenders: Vec::new(),
            },
        };
        let stdout = stage
            .process
            .stdout
            .take()
            .context("its stdout is a pipe")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        ensure!(
            !line.is_empty(),
            "the contenders could not be started with {model}; their logs are in {}",
            staging.work.join(model).display()
        );
        stage.announced = serde_json::from_str(&line).context("read what the stage announces")?;
        Ok(stage)
    }

    /// The versions of the programs, by their names.
    pub fn versions(&self) -> &BTreeMap<String, String> {
        &self.announced.versions
    }

    /// The contenders, each asked with a body of so many rows.
    pub fn contenders(&self, rows: usize) -> Result<Vec<Contender>> {
        let all = self.announced.contenders.iter();
        all.map(|announced| announced.contender(rows)).collect()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // It ends when its input does, and everything that it started with it.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

impl Announcement {
    fn contender(&self, rows: usize) -> Result<Contender> {
        let exchanges = self.requests.get(&rows);
        let exchanges = exchanges.with_context(|| format!("there is no body of {rows} rows"))?;
        let headers: Vec<(&str, &str)> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        Ok(Contender {
            name: self.name.clone(),
            endpoint: Endpoint::Tcp(self.address),
            requests: exchanges
                .iter()
                .map(|exchange| Request::post(&self.path, &headers, exchange.body.as_bytes()))
                .collect(),
            check: contain(exchanges),
            scope: Scope::Tree(self.process),
        })
    }
}

/// The check that each request is answered with status 200 and what belongs to it.
fn contain(exchanges: &[Exchange]) -> Check {
    let parts = exchanges.iter();
    let parts: Vec<String> = parts.map(|one| one.answer_contains.clone()).collect();
    Arc::new(move |number, answer| {
        let text = std::str::from_utf8(&answer.body);
        if answer.status == 200 && text.is_ok_and(|text| text.contains(&parts[number])) {
            return Ok(());
        }
        Err(format!("status {}: {}", answer.status, answer.text()))
    })
}
