//! What can be said about a run of a benchmark, whichever it is.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::load::Pace;
use crate::rounds::Plan;

/// Options of every benchmark.
#[derive(Args, Clone, Debug, PartialEq)]
pub struct Options {
    /// As short as can be: shows that everything runs, and nothing else
    #[arg(long)]
    pub smoke: bool,
    /// How often each has its turn
    #[arg(long, default_value_t = 5, value_name = "ROUNDS")]
    pub rounds: usize,
    /// Seconds of each measurement; a quarter as long is warmed up before
    #[arg(long, default_value_t = 4.0, value_name = "SECONDS")]
    pub seconds: f64,
    /// Folder for the report
    #[arg(long, default_value = "docs/benchmarks", value_name = "FOLDER")]
    pub out: PathBuf,
    /// Worker processes or threads that the peers are given; all cores by default, as the gateway has
    #[arg(long, default_value_t = all_cores(), value_name = "CORES")]
    pub cores: usize,
    /// Measures without nginx and HAProxy, and so without what a proxy is compared with
    #[arg(long)]
    pub without_peers: bool,
}

impl Options {
    /// Rounds and times, for one connection in a closed loop.
    pub fn plan(&self) -> Plan {
        let measure = if self.smoke {
            0.2
        } else {
            self.seconds.max(0.01)
        };
        let measure = Duration::from_secs_f64(measure);
        Plan {
            rounds: if self.smoke { 1 } else { self.rounds.max(1) },
            warm_up: measure / 4,
            measure,
            connections: 1,
            pace: Pace::Closed,
            threads: 1,
        }
    }

    /// The command that repeats this run of `benchmark`.
    pub fn command(&self, benchmark: &str) -> String {
        let Self {
            smoke,
            rounds,
            seconds,
            cores,
            ..
        } = self;
        let peers = if self.without_peers {
            " --without-peers"
        } else {
            ""
        };
        if *smoke {
            return format!("scripts/bench {benchmark} --smoke{peers}");
        }
        format!(
            "scripts/bench {benchmark} --rounds {rounds} --seconds {seconds} --cores {cores}{peers}"
        )
    }

    /// Tells whoever waits.
    #[expect(
        clippy::print_stderr,
        reason = "a benchmark takes minutes, and says where it is"
    )]
    pub fn say(&self, line: &str) {
        eprintln!("{line}");
    }
}

fn all_cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
