//! How the work of following a registry and of managing versions grows with their number.
//!
//! `scale FOLDER [--smoke]` writes `scale.md` and `scale.json` into the folder. `scale poll URL POLLS` is what it starts to
//! follow a registry in a process of its own, under valgrind as well where there is one.

mod fake_registry;
mod follower;
mod manager;
mod polls;
mod thread_time;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use benches::figures::Table;
use serde_json::json;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["poll", url, polls] => follower::run(url, polls.parse()?),
        [folder] => measure(folder.into(), &[10, 100, 1_000, 10_000]),
        [folder, "--smoke"] => measure(folder.into(), &[10, 100]),
        _ => bail!("usage: scale FOLDER [--smoke]"),
    }
}

#[expect(clippy::print_stdout, reason = "figures are for stdout")]
fn measure(folder: PathBuf, sizes: &[u64]) -> Result<()> {
    let mut polls = Table::new([
        "versions",
        "poll",
        "ms",
        "CPU ms",
        "calls",
        "KB",
        "allocations",
        "KB allocated",
        "most KB at a time",
    ]);
    let mut passes = Table::new(["versions", "what", "ms", "CPU ms", "passes"]);
    let mut all = Vec::new();
    for versions in sizes {
        let measured = polls::measure(*versions).context("follow a registry")?;
        for poll in &measured.polls {
            let heap = poll.heap.as_ref();
            let of_heap = |figure: fn(&polls::Heap) -> u64| {
                heap.map_or_else(|| "–".to_owned(), |heap| figure(heap).to_string())
            };
            polls.row([
                versions.to_string(),
                poll.what.to_owned(),
                format!("{:.1}", poll.wall_ms),
                format!("{:.1}", poll.cpu_ms),
                poll.calls.to_string(),
                (poll.bytes / 1024).to_string(),
                of_heap(|heap| heap.blocks),
                of_heap(|heap| heap.bytes / 1024),
                of_heap(|heap| heap.peak / 1024),
            ]);
            all.push(json!({
                "versions": versions, "poll": poll.what, "wall_ms": poll.wall_ms, "cpu_ms": poll.cpu_ms, "calls": poll.calls,
                "bytes": poll.bytes, "allocations": heap.map(|heap| heap.blocks),
                "allocated": heap.map(|heap| heap.bytes), "peak": heap.map(|heap| heap.peak),
            }));
        }
        for step in manager::measure(*versions)? {
            passes.row([
                versions.to_string(),
                step.what.to_owned(),
                format!("{:.3}", step.wall_ms),
                format!("{:.3}", step.cpu_ms),
                step.passes
                    .map_or_else(|| "–".to_owned(), |passes| passes.to_string()),
            ]);
            all.push(json!({
                "versions": versions, "manager": step.what, "wall_ms": step.wall_ms, "cpu_ms": step.cpu_ms,
            }));
        }
    }
    let text = format!(
        "## One poll of a registry\n\nTen versions a model; everything is of interest. The registry is a server on the same \
         machine that has its pages ready: what MLflow itself takes for them comes on top. CPU is that of the polling thread. \
         Allocations are counted by valgrind in a run of their own.\n\n{}\n## The manager\n\nLoading takes no time here, with \
         the usual two permits. Processor time is that of the thread on which everything runs.\n\n{}",
        polls.markdown(),
        passes.markdown()
    );
    println!("{text}");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("scale.md"), text)?;
    std::fs::write(
        folder.join("scale.json"),
        serde_json::to_string_pretty(&all)?,
    )?;
    Ok(())
}
