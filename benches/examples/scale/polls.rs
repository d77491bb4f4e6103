//! What polls of a registry take: time, calls, and the heap as valgrind counts it.

use anyhow::{Context, Result, ensure};
use benches::program::command;
use benches::report::{Figure, What};
use serde_json::Value;

use super::fake_registry::FakeRegistry;

/// Polls that find nothing new; the figures of a round are those of the quickest.
const QUIET: u32 = 5;

/// One kind of poll.
pub(crate) struct Poll {
    pub(crate) what: &'static str,
    /// Once a round, as the follower tells it.
    told: Vec<Value>,
    /// `None` without valgrind.
    heap: Option<Heap>,
}

/// What a poll takes of the heap.
#[derive(Clone, Copy)]
pub(crate) struct Heap {
    pub(crate) blocks: u64,
    pub(crate) bytes: u64,
    /// The most at a time, in the whole process.
    pub(crate) peak: u64,
}

/// The kinds of polls of a registry with so many versions; what they take of the heap only where there is valgrind.
pub(crate) fn measure(versions: u64, rounds: usize, with_heap: bool) -> Result<[Poll; 3]> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let registry = runtime.block_on(FakeRegistry::start(versions))?;
    let url = registry.url();
    let (mut first, mut quiet, mut changed) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let mut told = polls(&url, QUIET + 2, versions)?;
        changed.extend(told.pop());
        let rest = told.split_off(1);
        let cpu = |told: &Value| told["cpu_us"].as_f64().unwrap_or_default();
        quiet.extend(
            rest.into_iter()
                .min_by(|one, other| cpu(one).total_cmp(&cpu(other))),
        );
        first.extend(told);
    }
    let none = if with_heap { heap_of(&url, 0)? } else { None };
    let heaps: Option<[Heap; 4]> = match none {
        None => None,
        Some(none) => {
            let of = |polls| heap_of(&url, polls)?.context("valgrind counts");
            // One poll finds everything new; two end with the change; of three the second finds nothing.
            Some([none, of(1)?, of(2)?, of(3)?])
        }
    };
    let heap = |more: usize| heaps.map(|heaps| heaps[more].since(heaps[more - 1]));
    let poll = |what, told, heap| Poll { what, told, heap };
    Ok([
        poll("all is new", first, heap(1)),
        poll("nothing is new", quiet, heap(3)),
        poll("one version has moved", changed, heap(2)),
    ])
}

impl Poll {
    /// As columns of a report.
    pub(crate) fn figures(&self) -> Vec<Figure> {
        let told = |what: What, key: &str| Figure {
            what,
            values: self
                .told
                .iter()
                .filter_map(|told| told[key].as_f64())
                .collect(),
        };
        let mut figures = vec![
            told(What::compared("CPU µs", 0), "cpu_us"),
            told(What::plain("µs", 0), "wall_us"),
            told(What::plain("calls", 0), "calls"),
            told(What::plain("bytes", 0), "bytes"),
        ];
        if let Some(heap) = self.heap {
            #[expect(clippy::cast_precision_loss, reason = "memory is far below 2^52 bytes")]
            let counted = |name, value: u64| Figure {
                what: What::plain(name, 0),
                values: vec![value as f64],
            };
            figures.push(counted("allocations", heap.blocks));
            figures.push(counted("KB allocated", heap.bytes / 1024));
            figures.push(counted("KB held at most", heap.peak / 1024));
        }
        figures
    }
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

/// Follows the registry in a process of its own; gives what it tells of each poll.
fn polls(url: &str, polls: u32, versions: u64) -> Result<Vec<Value>> {
    let output = command(std::env::current_exe()?)
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
    let mut valgrind = command("valgrind");
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
