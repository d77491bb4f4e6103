//! Keeps the table in memory equal to the store, asking the store as rarely as that allows.
//!
//! Three things make it ask: the clock (every second, for changes by other processes), [`Directory::reload`] (after a
//! change by this process) and [`Directory::catch_up`] (somebody showed a token that is not in the table). One such
//! question is a *check*; there is one at a time, and those who can do with the result of another's check do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use tokio::sync::{Mutex, MutexGuard, Semaphore};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::table::Table;
use crate::token_store::{StoreError, TokenStore};

/// How often and how long the store is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectoryConfig {
    /// How often the store's revision is asked for: the longest that a change by another process stays unseen.
    pub poll_interval: Duration,
    /// The shortest time between two checks for unknown tokens, however many are shown.
    pub unknown_interval: Duration,
    /// Callers with unknown tokens that may wait for a check; one more is refused without.
    pub unknown_waiting: usize,
    /// How long the store may take to answer.
    pub store_deadline: Duration,
}

impl Default for DirectoryConfig {
    fn default() -> Self {
        Self {
            poll_interval: Duration::from_secs(1),
            unknown_interval: Duration::from_millis(200),
            unknown_waiting: 256,
            store_deadline: Duration::from_secs(2),
        }
    }
}

/// The table in memory and the store behind it.
pub(crate) struct Directory {
    store: Arc<dyn TokenStore>,
    config: DirectoryConfig,
    table: ArcSwap<Table>,
    /// Number of the last check that began, and of the last one that ended, well or not. Whoever reads `n` in `begun`
    /// can do with the end of any check above `n`: it began later.
    begun: AtomicU64,
    ended: AtomicU64,
    /// Held during a check. Only the holder replaces the table, so the table never goes back in time.
    checking: Mutex<Checking>,
    /// Where callers with unknown tokens queue, with the time of the last check for one of them. Apart from `checking`,
    /// so that junk tokens delay no other check.
    unknown: Mutex<Option<Instant>>,
    /// Places in that queue.
    places: Semaphore,
}

#[derive(Default)]
struct Checking {
    /// Whether the last one failed: said once when that starts and once when it is over.
    failing: bool,
}

/// How thoroughly to ask.
enum Ask {
    /// Load only if the revision is another one.
    Revision,
    /// Load whatever the revision says.
    Everything,
}

impl Directory {
    /// Loads the first table.
    pub(crate) async fn open(
        store: Arc<dyn TokenStore>,
        config: DirectoryConfig,
    ) -> Result<Self, StoreError> {
        let directory = Self {
            store,
            config,
            table: ArcSwap::default(),
            begun: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            checking: Mutex::default(),
            unknown: Mutex::default(),
            places: Semaphore::new(config.unknown_waiting.min(Semaphore::MAX_PERMITS)),
        };
        directory.reload().await?;
        Ok(directory)
    }

    /// The table as it is now; not to be kept over an await.
    pub(crate) fn table(&self) -> Guard<Arc<Table>> {
        self.table.load()
    }

    /// Loads again: when it returns, the table holds everything that was in the store when it was called.
    pub(crate) async fn reload(&self) -> Result<(), StoreError> {
        self.check(Ask::Everything).await
    }

    /// Returns when the table is at least as new as this call, or when that takes too long or too many wait for it.
    pub(crate) async fn catch_up(&self) {
        let Ok(_place) = self.places.try_acquire() else {
            return;
        };
        let seen = self.begun.load(Ordering::SeqCst);
        let Ok(mut last) = timeout(self.config.store_deadline, self.unknown.lock()).await else {
            return;
        };
        if self.ended.load(Ordering::SeqCst) > seen {
            return;
        }
        if let Some(last) = *last {
            sleep_until(last + self.config.unknown_interval).await;
        }
        *last = Some(Instant::now());
        // A failure is reported by the check itself; the table stays as it was.
        let _ = self.check(Ask::Revision).await;
    }

    /// Follows the store until `shutdown`.
    pub(crate) async fn run(&self, shutdown: CancellationToken) {
        let mut ticks = interval(self.config.poll_interval.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let follow = async {
            loop {
                ticks.tick().await;
                let _ = self.check(Ask::Revision).await;
            }
        };
        // A check that is cut off has not touched the table.
        shutdown.run_until_cancelled(follow).await;
    }

    async fn check(&self, ask: Ask) -> Result<(), StoreError> {
        let mut checking = self.wait_for_turn().await?;
        let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let outcome = timeout(self.config.store_deadline, self.newer(ask))
            .await
            .unwrap_or_else(|_| Err(no_answer()));
        match &outcome {
            Err(error) if !checking.failing => {
                warn!(%error, "tokens and grants cannot be read: those known so far stay");
            }
            Ok(_) if checking.failing => info!("tokens and grants can be read again"),
            _ => {}
        }
        checking.failing = outcome.is_err();
        let newer = outcome.map(|table| {
            if let Some(table) = table {
                self.table.store(Arc::new(table));
            }
        });
        self.ended.store(number, Ordering::SeqCst);
        newer
    }

    async fn wait_for_turn(&self) -> Result<MutexGuard<'_, Checking>, StoreError> {
        let turn = timeout(self.config.store_deadline, self.checking.lock()).await;
        turn.map_err(|_| no_answer())
    }

    /// What the store holds, if that is worth a new table.
    async fn newer(&self, ask: Ask) -> Result<Option<Table>, StoreError> {
        if let Ask::Revision = ask {
            let current = self.table.load().revision();
            if self.store.revision().await? == current {
                return Ok(None);
            }
        }
        Ok(Some(Table::new(self.store.load().await?)))
    }
}

fn no_answer() -> StoreError {
    StoreError("no answer in time".to_owned())
}
