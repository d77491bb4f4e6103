//! Runs a benchmark of the whole and writes its report; `scripts/bench` installs and builds what it needs.

use anyhow::Result;
use benches::options::Options;
use benches::reaper;
use clap::{Parser, Subcommand};

/// Benchmarks against peers, in the same run
#[derive(Parser)]
#[command(name = "bench")]
struct Arguments {
    #[command(subcommand)]
    benchmark: Benchmark,
}

#[derive(Subcommand)]
enum Benchmark {
    /// What a proxy adds to a request: nginx, HAProxy, the gateway
    Proxy(Options),
}

fn main() -> Result<()> {
    if reaper::obey() {
        return Ok(());
    }
    match Arguments::parse().benchmark {
        Benchmark::Proxy(options) => benches::proxy::run(&options),
    }
}
