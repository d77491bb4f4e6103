//! The workers that run now: what they take of the machine, and what follows if that is more than they may.
//!
//! One task looks at all of them, at those with a limit more often. A worker over its limit asks for another one in its
//! place; far over it, waiting for that would be a risk for everybody else on the machine, and it is killed. No limit of
//! the kernel's is set: see `docs/decisions/0014-metrics-and-memory.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use serving_core::{ReplicaId, ServableId};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep_until};

use crate::bytes::human;
use crate::process::child::EndWatch;
use crate::process::usage::{self, Usage};

/// Between two looks at a worker that may take what it likes.
const USUAL: Duration = Duration::from_secs(5);
/// Between two looks at one that may not.
const LIMITED: Duration = Duration::from_secs(1);
/// Looking takes the kernel time that grows with the workers' memory: a pause is at least so many times as long.
const REST: u32 = 20;

/// The workers of a runner, and the templates that fork them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct RunnerWorkers {
    all: Arc<All>,
}

/// One worker and what it took when it was last looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningWorker {
    /// Its version.
    pub id: ServableId,
    /// Which of its version's replicas it is.
    pub replica: ReplicaId,
    /// The process that leads its group.
    pub process: u32,
    /// When it was started.
    pub since: SystemTime,
    /// Bytes of memory, of all its processes; `None` while or where nothing is known.
    pub memory: Option<u64>,
    /// Time of processors, of all its processes; grows.
    pub cpu: Option<Duration>,
    /// Bytes that it may take.
    pub memory_limit: Option<u64>,
}

/// A template, and what it took when it was last looked at. What its workers take is theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningTemplate {
    /// Tells it from others: what is forked of it runs in one environment with the same variables.
    pub key: String,
    /// The key of that environment; `None` if it was not built here.
    pub environment: Option<String>,
    /// The process that leads its group.
    pub process: u32,
    /// When it was started.
    pub since: SystemTime,
    /// Workers of it that live.
    pub workers: usize,
    /// Bytes of memory; `None` while or where nothing is known.
    pub memory: Option<u64>,
    /// Time of processors; grows.
    pub cpu: Option<Duration>,
}

/// What a worker is told to be.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    pub(crate) id: ServableId,
    pub(crate) replica: ReplicaId,
    /// Bytes.
    pub(crate) memory_limit: Option<u64>,
}

/// What a template is told to be.
#[derive(Clone, Debug)]
pub(crate) struct TemplatePost {
    pub(crate) key: String,
    pub(crate) environment: Option<String>,
    /// How many workers of it live.
    pub(crate) workers: watch::Receiver<usize>,
}

/// Hears when a worker takes more than it may.
#[derive(Clone, Debug)]
pub(crate) struct Excess {
    all: Arc<All>,
    number: u64,
    verdict: watch::Receiver<Verdict>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Verdict {
    #[default]
    Fine,
    Over(Arc<str>),
    Killed(Arc<str>),
}

#[derive(Debug, Default)]
struct All {
    state: Mutex<State>,
    /// There is a new one.
    arrived: Arc<Notify>,
    watcher: Mutex<JoinSet<()>>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    entries: BTreeMap<u64, Entry>,
}

#[derive(Debug)]
enum Role {
    Worker(Post),
    Template(TemplatePost),
}

#[derive(Debug)]
struct Entry {
    role: Role,
    since: SystemTime,
    end: EndWatch,
    usage: Option<Usage>,
    due: Instant,
    verdict: watch::Sender<Verdict>,
}

impl RunnerWorkers {
    pub(crate) fn new() -> Self {
        Self {
            all: Arc::default(),
        }
    }

    /// Those that run now, in the order in which they were started.
    pub fn list(&self) -> Vec<RunningWorker> {
        let state = self.all.state();
        let running = state.entries.values().filter_map(|entry| {
            let Role::Worker(post) = &entry.role else {
                return None;
            };
            Some(RunningWorker {
                id: post.id.clone(),
                replica: post.replica,
                process: u32::try_from(entry.end.leader()?).ok()?,
                since: entry.since,
                memory: entry.usage.map(|usage| usage.memory),
                cpu: entry.usage.map(|usage| usage.cpu),
                memory_limit: post.memory_limit,
            })
        });
        running.collect()
    }

    /// The templates that run now, in the order in which they were started.
    pub fn templates(&self) -> Vec<RunningTemplate> {
        let state = self.all.state();
        let running = state.entries.values().filter_map(|entry| {
            let Role::Template(post) = &entry.role else {
                return None;
            };
            Some(RunningTemplate {
                key: post.key.clone(),
                environment: post.environment.clone(),
                process: u32::try_from(entry.end.leader()?).ok()?,
                since: entry.since,
                workers: *post.workers.borrow(),
                memory: entry.usage.map(|usage| usage.memory),
                cpu: entry.usage.map(|usage| usage.cpu),
            })
        });
        running.collect()
    }

    /// Takes a worker in until its end. To be called in a runtime.
    pub(crate) fn enter(&self, post: Post, end: EndWatch) -> Excess {
        self.take_in(Role::Worker(post), end)
    }

    /// Takes a template in until its end. To be called in a runtime.
    pub(crate) fn enter_template(&self, post: TemplatePost, end: EndWatch) {
        self.take_in(Role::Template(post), end);
    }

    fn take_in(&self, role: Role, end: EndWatch) -> Excess {
        let (verdict, heard) = watch::channel(Verdict::Fine);
        let mut state = self.all.state();
        let number = state.next;
        state.next += 1;
        let entry = Entry {
            role,
            since: SystemTime::now(),
            end,
            usage: None,
            due: Instant::now(),
            verdict,
        };
        state.entries.insert(number, entry);
        drop(state);
        self.watch();
        Excess {
            all: Arc::clone(&self.all),
            number,
            verdict: heard,
        }
    }

    fn watch(&self) {
        let mut watcher = self
            .all
            .watcher
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if watcher.is_empty() {
            let arrived = Arc::clone(&self.all.arrived);
            watcher.spawn(keep_looking(Arc::downgrade(&self.all), arrived));
        }
        self.all.arrived.notify_one();
    }
}

impl Excess {
    /// Looks at the worker now: what it takes is known afterwards, and whether that is too much, whatever it was before.
    pub(crate) async fn look(&self) -> Option<Arc<str>> {
        self.all.look(|number, _| number == self.number).await;
        self.verdict.borrow().over()
    }

    /// Resolves, with what to tell people, when it takes so much that it is killed.
    pub(crate) async fn unbearable(self) -> Arc<str> {
        self.heard(|verdict| matches!(verdict, Verdict::Killed(_)))
            .await
    }

    /// Resolves, with what to tell people, when it takes more than it may, unless it is killed for it: then it has no
    /// time to wait for a successor.
    pub(crate) async fn bearable(self) -> Arc<str> {
        self.heard(|verdict| matches!(verdict, Verdict::Over(_)))
            .await
    }

    async fn heard(mut self, waited_for: impl FnMut(&Verdict) -> bool) -> Arc<str> {
        let heard = self.verdict.wait_for(waited_for).await;
        match heard.ok().and_then(|verdict| verdict.over()) {
            Some(reason) => reason,
            // It has ended.
            None => std::future::pending().await,
        }
    }

    /// Why it was killed, if it was for that.
    pub(crate) fn killed_for(&self) -> Option<Arc<str>> {
        match &*self.verdict.borrow() {
            Verdict::Killed(reason) => Some(Arc::clone(reason)),
            Verdict::Fine | Verdict::Over(_) => None,
        }
    }
}

impl All {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the system about those of `wanted`, and judges what it says.
    async fn look(&self, wanted: impl Fn(u64, &Entry) -> bool) {
        let groups: BTreeMap<u64, i32> = {
            let mut state = self.state();
            state
                .entries
                .retain(|_, entry| entry.end.leader().is_some());
            let wanted = state
                .entries
                .iter()
                .filter(|(number, entry)| wanted(**number, entry));
            wanted
                .filter_map(|(number, entry)| Some((*number, entry.end.leader()?)))
                .collect()
        };
        let leaders: BTreeSet<i32> = groups.values().copied().collect();
        let began = Instant::now();
        // An error is a panic, or the end of the runtime: nothing is known then.
        let seen = spawn_blocking(move || usage::of_groups(&leaders)).await;
        let seen = seen.unwrap_or_default();
        let rest = began.elapsed() * REST;
        let mut state = self.state();
        for (number, group) in groups {
            let Some(entry) = state.entries.get_mut(&number) else {
                continue;
            };
            entry.due = Instant::now() + entry.role.pause().max(rest);
            // One that has ended by now may have left its number to a stranger.
            if let Some(usage) = seen.get(&group)
                && entry.end.leader() == Some(group)
            {
                entry.saw(*usage);
            }
        }
    }
}

impl Entry {
    fn saw(&mut self, usage: Usage) {
        // What a member took goes with it, unless somebody waited for it: the sum is not to fall.
        let before = self.usage.map_or(Duration::ZERO, |before| before.cpu);
        self.usage = Some(Usage {
            cpu: usage.cpu.max(before),
            ..usage
        });
        let judged = judge(usage.memory, self.role.memory_limit());
        // Before it is killed: whoever sees it die asks why.
        let is_news = self
            .verdict
            .send_if_modified(|verdict| verdict.become_by(judged));
        if is_news && matches!(*self.verdict.borrow(), Verdict::Killed(_)) {
            self.end.kill();
        }
    }
}

impl Role {
    /// Bytes; a template is small by what it is.
    fn memory_limit(&self) -> Option<u64> {
        match self {
            Self::Worker(post) => post.memory_limit,
            Self::Template(_) => None,
        }
    }

    fn pause(&self) -> Duration {
        match self.memory_limit() {
            Some(_) => LIMITED,
            None => USUAL,
        }
    }
}

impl Verdict {
    /// Follows what was `judged` last: a peak passes, a killing does not. Returns whether somebody wants to hear of it.
    fn become_by(&mut self, judged: Self) -> bool {
        let is_news = match (&*self, &judged) {
            (Self::Killed(_), _) => return false,
            (Self::Fine, Self::Fine) | (Self::Over(_), Self::Over(_)) => false,
            _ => true,
        };
        *self = judged;
        is_news
    }

    fn over(&self) -> Option<Arc<str>> {
        match self {
            Self::Fine => None,
            Self::Over(reason) | Self::Killed(reason) => Some(Arc::clone(reason)),
        }
    }
}

/// A worker may peak over its limit for as long as its successor takes to start, but not by more than half.
fn judge(memory: u64, limit: Option<u64>) -> Verdict {
    let Some(limit) = limit.filter(|limit| memory > *limit) else {
        return Verdict::Fine;
    };
    let used = format!(
        "it used {}, its memory_limit is {}",
        human(memory),
        human(limit)
    );
    if memory > limit.saturating_add(limit / 2) {
        Verdict::Killed(format!("killed: {used}").into())
    } else {
        Verdict::Over(used.into())
    }
}

/// Ends with the last one who holds `all`; it holds on to nothing while it waits.
async fn keep_looking(all: Weak<All>, arrived: Arc<Notify>) {
    loop {
        let Some(strong) = all.upgrade() else { return };
        let now = Instant::now();
        let due = strong.state().entries.values().map(|entry| entry.due).min();
        if due.is_some_and(|due| due <= now) {
            strong.look(|_, entry| entry.due <= now).await;
            continue;
        }
        drop(strong);
        tokio::select! {
            () = arrived.notified() => {}
            () = until(due) => {}
        }
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_passed_by_more_than_it_and_kills_beyond_one_and_a_half_times() {
        const LIMIT: u64 = 1 << 30;
        for (memory, verdict) in [
            (LIMIT, Verdict::Fine),
            (
                LIMIT + (LIMIT / 2),
                Verdict::Over("it used 1.5GB, its memory_limit is 1GB".into()),
            ),
            (
                LIMIT * 2,
                Verdict::Killed("killed: it used 2GB, its memory_limit is 1GB".into()),
            ),
        ] {
            assert_eq!(judge(memory, Some(LIMIT)), verdict);
            assert_eq!(judge(memory, None), Verdict::Fine);
        }
        assert_eq!(judge(u64::MAX, Some(u64::MAX)), Verdict::Fine);
    }

    #[test]
    fn a_peak_passes_and_a_killing_does_not() {
        let over = |reason: &str| Verdict::Over(reason.into());
        let killed = Verdict::Killed("killed".into());
        let mut verdict = Verdict::Fine;
        let mut turns = [
            (over("it used 1.2GB"), true),
            (over("it used 1.3GB"), false),
            (Verdict::Fine, true),
            (Verdict::Fine, false),
            (over("it used 1.4GB"), true),
            (killed.clone(), true),
        ]
        .into_iter();
        assert!(turns.all(|(judged, news)| {
            verdict.become_by(judged.clone()) == news && verdict == judged
        }));
        assert!(!verdict.become_by(Verdict::Fine));
        assert_eq!(verdict, killed);
    }
}
