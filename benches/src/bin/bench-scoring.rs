//! Measures scoring end to end against the peers, and writes a report for each model. `scripts/bench scoring` calls it.

#![expect(
    clippy::print_stderr,
    reason = "a program of a terminal tells there how far it is"
)]

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use benches::reaper::{self, Reaper};
use benches::scoring::{self, CONTENDERS, Effort, MODELS, Staging};
use clap::Parser;

/// Measures scoring end to end against the peers.
#[derive(Debug, Parser)]
struct Arguments {
    /// The Python that runs MLflow and the workers
    #[arg(long)]
    python: PathBuf,
    /// NAME=PYTHON: the interpreter of a peer's environment
    #[arg(long = "peer")]
    peers: Vec<String>,
    /// The program that is measured
    #[arg(long)]
    sluicegate: PathBuf,
    /// Where the reports go
    #[arg(long)]
    out: PathBuf,
    /// A model; may be given several times [default: all]
    #[arg(long)]
    only: Vec<String>,
    /// Who takes part; may be given several times [default: all]
    #[arg(long)]
    contender: Vec<String>,
    /// Turns of each contender in each load
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of a turn
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// Only whether everything works: few loads, one short round
    #[arg(long)]
    smoke: bool,
    /// Where files and logs go, and stay [default: a temporary folder]
    #[arg(long)]
    work: Option<PathBuf>,
    /// The command that repeats this run, which the reports tell
    #[arg(long, default_value = "scripts/bench scoring")]
    told: String,
}

fn main() -> Result<()> {
    if reaper::obey() {
        return Ok(());
    }
    let arguments = Arguments::parse();
    let effort = if arguments.smoke {
        Effort {
            rounds: 1,
            warm_up: Duration::ZERO,
            measure: Duration::from_secs(1),
            smoke: true,
        }
    } else {
        Effort {
            rounds: arguments.rounds,
            warm_up: Duration::from_secs(2),
            measure: Duration::from_secs_f64(arguments.seconds.clamp(0.01, 3600.0)),
            smoke: false,
        }
    };
    let temporary = tempfile::tempdir()?;
    let work = arguments.work.as_deref();
    let work = work.unwrap_or(temporary.path()).to_owned();
    std::fs::create_dir_all(&work)?;
    let work = work.canonicalize()?;
    // The stage ends what it has started when this ends; not if it is killed too.
    let _reaper = Reaper::watch(&work, arguments.work.is_none())?;
    let staging = Staging {
        python: arguments.python,
        peers: arguments.peers,
        sluicegate: arguments.sluicegate,
        work,
        contenders: or(arguments.contender, &CONTENDERS),
    };
    let all = arguments.only.is_empty();
    for model in or(arguments.only, &MODELS) {
        let mut command = arguments.told.clone();
        if all {
            // The page of one model.
            command += " --only ";
            command += &model;
        }
        let report = scoring::run(&staging, &model, &effort, command, |line| {
            eprintln!("{line}");
        })?;
        report.write(&arguments.out)?;
        if effort.smoke {
            report.ensure_all_answered()?;
        }
    }
    Ok(())
}

fn or(chosen: Vec<String>, all: &[&str]) -> Vec<String> {
    if chosen.is_empty() {
        return all.iter().map(|&one| one.to_owned()).collect();
    }
    chosen
}
