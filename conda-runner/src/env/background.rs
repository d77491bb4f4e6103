//! What is done for environments that are in use already: their files are compiled, one environment at a time.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;
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
    /// Replaced when it is used up.
    stop: Mutex<CancellationToken>,
    place: Arc<Semaphore>,
}

impl Background {
    pub(crate) fn new() -> Self {
        Self {
            tasks: TaskTracker::new(),
            stop: Mutex::default(),
            place: Arc::new(Semaphore::new(1)),
        }
    }

    /// Compiles the environment at `place`, which `hold` keeps.
    pub(crate) fn compile(&self, host: Host, place: PathBuf, hold: Vec<Hold>, log: Log) {
        let turn = Arc::clone(&self.place);
        let work = async move {
            let _hold = hold;
            // Closed by nobody.
            let _turn = turn.acquire().await;
            build::compile(&host, &place, &log).await;
        };
        let stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner);
        let stop = stop.clone();
        self.tasks
            .spawn(async move { stop.run_until_cancelled(work).await });
    }

    /// Returns when all is done.
    pub(crate) async fn done(&self) {
        self.tasks.close();
        self.tasks.wait().await;
        self.tasks.reopen();
    }

    /// Breaks off what is being done, and returns when nothing of it is left.
    pub(crate) async fn stop(&self) {
        {
            let mut stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *stop).cancel();
        }
        self.done().await;
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner);
        stop.cancel();
    }
}
