//! What polls of a registry take: time, processor, calls, and the heap as valgrind counts it.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::fake_registry::FakeRegistry;

/// Polls that find nothing new; the figures are of the quickest.
const QUIET: u32 = 5;

pub(crate) struct Polls {
    pub(crate) polls: Vec<Poll>,
}

/// One kind of poll.
pub(crate) struct Poll {
    pub(crate) what: &'static str,
    pub(crate) wall_ms: f64,
    pub(crate) cpu_ms: f64,
    pub(crate) calls: u64,
    pub(crate) bytes: u64,
    /// `None` without valgrind.
    pub(crate) heap: Option<Heap>,
}

/// What a poll takes of the heap.
#[derive(Clone, Copy)]
pub(crate) struct Heap {
    pub(crate) blocks: u64,
    pub(crate) bytes: u64,
    /// The most at a time, in the whole process.
    pub(crate) peak: u64,
}

pub(crate) fn measure(versions: u64) -> Result<Polls> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let registry = runtime.block_on(FakeRegistry::start(versions))?;
    let told = polls(&registry.url(), QUIET + 2, versions)?;
    let [first, quiet @ .., changed] = told.as_slice() else {
        anyhow::bail!("there are several polls");
    };
    let quickest = quiet
        .iter()
        .min_by(|one, other| cpu(one).total_cmp(&cpu(other)))
        .context("some are quiet")?;
    let url = registry.url();
    let heaps: Option<[Heap; 4]> = match heap_of(&url, 0)? {
        None => None,
        Some(none) => {
            let of = |polls| heap_of(&url, polls)?.context("valgrind counts");
            // One poll finds everything new; two end with the change; of three the second finds nothing.
            Some([none, of(1)?, of(2)?, of(3)?])
        }
    };
    let heap = |more: usize| heaps.map(|heaps| heaps[more].since(heaps[more - 1]));
    Ok(Polls {
        polls: vec![
            poll("the first", first, heap(1)),
            poll("nothing new", quickest, heap(3)),
            poll("one version in another stage", changed, heap(2)),
        ],
    })
}

impl Heap {
    /// What was taken beyond an earlier total.
    fn since(self, earlier: Self) -> Self {
        Self {
            blocks: self.blocks.saturating_sub(earlier.blocks),
            bytes: self.bytes.saturating_sub(earlier.bytes),
            peak: self.peak,
        }
    }
}

fn poll(what: &'static str, told: &Value, heap: Option<Heap>) -> Poll {
    Poll {
        what,
        wall_ms: told["wall_ms"].as_f64().unwrap_or_default(),
        cpu_ms: cpu(told),
        calls: told["calls"].as_u64().unwrap_or_default(),
        bytes: told["bytes"].as_u64().unwrap_or_default(),
        heap,
    }
}

fn cpu(told: &Value) -> f64 {
    told["cpu_ms"].as_f64().unwrap_or_default()
}

/// Follows the registry in a process of its own; gives what it tells of each poll.
fn polls(url: &str, polls: u32, versions: u64) -> Result<Vec<Value>> {
    let output = program(std::env::current_exe()?)
        .args(["poll", url, &polls.to_string()])
        .output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "it failed: {errors}");
    let told: Vec<Value> = String::from_utf8(output.stdout)?
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    let seen = told.iter().all(|told| told["versions"] == versions);
    ensure!(seen, "not all {versions} versions were seen: {told:?}");
    Ok(told)
}

/// The heap of a process that polls so often; `None` without valgrind.
fn heap_of(url: &str, polls: u32) -> Result<Option<Heap>> {
    let mut valgrind = program("valgrind");
    valgrind
        .args(["--tool=dhat", "--dhat-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(["poll", url, &polls.to_string()]);
    let Ok(output) = valgrind.output() else {
        return Ok(None);
    };
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "it failed: {told}");
    let line = |word: &str| {
        let line = told
            .lines()
            .find_map(|line| line.split_once(word)?.1.into());
        let mut numbers = line?
            .split(' ')
            .filter_map(|text: &str| text.replace(',', "").parse::<u64>().ok());
        Some((numbers.next()?, numbers.next()?))
    };
    let (bytes, blocks) = line("Total:").with_context(|| told.clone().into_owned())?;
    let (peak, _) = line("At t-gmax:").with_context(|| told.clone().into_owned())?;
    Ok(Some(Heap {
        blocks,
        bytes,
        peak,
    }))
}

#[expect(
    clippy::disallowed_methods,
    reason = "a benchmark starts its own processes"
)]
fn program(program: impl AsRef<std::ffi::OsStr>) -> Command {
    Command::new(program)
}
