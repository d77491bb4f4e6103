//! What is done for environments that are in use already: their files are compiled, one environment at a time.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::build;
use crate::process::host::Host;
use crate::process::logs::Log;
use crate::shelf::Hold;

/// The tasks. They end with this value.
#[derive(Debug)]
pub(crate) struct Background {
    tasks: TaskTracker,
    /// By the key of the environment.
    running: Mutex<HashMap<String, Task>>,
    place: Arc<Semaphore>,
    grown: Arc<Notify>,
}

#[derive(Clone, Debug)]
struct Task {
    stop: CancellationToken,
    ended: CancellationToken,
}

impl Background {
    pub(crate) fn new() -> Self {
        Self {
            tasks: TaskTracker::new(),
            running: Mutex::default(),
            place: Arc::new(Semaphore::new(1)),
            grown: Arc::default(),
        }
    }

    /// Told whenever an environment has become larger.
    pub(crate) fn grown(&self) -> Arc<Notify> {
        Arc::clone(&self.grown)
    }

    /// Compiles the environment of this key at `place`, which `hold` keeps.
    pub(crate) fn compile(&self, key: &str, host: Host, place: PathBuf, hold: Vec<Hold>, log: Log) {
        let (turn, grown) = (Arc::clone(&self.place), Arc::clone(&self.grown));
        let work = async move {
            let _hold = hold;
            // Closed by nobody.
            let _turn = turn.acquire().await;
            build::compile(&host, &place, &log).await;
            grown.notify_one();
        };
        let task = Task {
            stop: CancellationToken::new(),
            ended: CancellationToken::new(),
        };
        let mut running = self.running();
        running.retain(|_, task| !task.ended.is_cancelled());
        running.insert(key.to_owned(), task.clone());
        self.tasks.spawn(async move {
            let _ended = task.ended.drop_guard();
            task.stop.run_until_cancelled_owned(work).await;
        });
    }

    /// Returns when all is done.
    pub(crate) async fn done(&self) {
        self.tasks.close();
        self.tasks.wait().await;
        self.tasks.reopen();
    }

    /// Breaks off what is done for the environment of this key, and returns when it no longer holds that.
    pub(crate) async fn leave(&self, key: &str) {
        let task = self.running().remove(key);
        if let Some(task) = task {
            task.stop.cancel();
            task.ended.cancelled().await;
        }
    }

    /// Breaks off everything, and returns when nothing of it is left.
    pub(crate) async fn stop(&self) {
        self.running().values().for_each(|task| task.stop.cancel());
        self.done().await;
    }

    fn running(&self) -> std::sync::MutexGuard<'_, HashMap<String, Task>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.running().values().for_each(|task| task.stop.cancel());
    }
}
