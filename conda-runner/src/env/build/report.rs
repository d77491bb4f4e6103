//! What a build says while it runs: lines of its log, the current step for people who wait, and how long each took.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serving_core::Progress;
use tokio::time::Instant;

use crate::process::logs::Log;

/// Cheap to clone; all clones tell of the same build.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    /// For the output of programs.
    pub(crate) log: Log,
    progress: Progress,
    steps: Arc<Mutex<Vec<StepTime>>>,
}

/// How long one step of a build took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepTime {
    /// In the present participle: "solving".
    pub step: String,
    /// Its duration in seconds.
    pub seconds: f64,
}

impl Report {
    /// Of a build that writes to `log`, while `progress` shows people its current step.
    pub(crate) fn new(log: Log, progress: Progress) -> Self {
        Self {
            log,
            progress,
            steps: Arc::default(),
        }
    }

    /// The report of another build that this one needs: it is also told to `log`, and its steps are its own.
    pub(crate) fn of_another(&self, log: &Log) -> Self {
        Self::new(self.log.tee(log), self.progress.clone())
    }

    /// Does `work` as a step of its own, which is logged with its duration, also when it fails.
    pub(crate) async fn step<R>(&self, step: &str, work: impl Future<Output = R>) -> R {
        self.progress.step(step);
        self.log.line(&format!("[{step}]")).await;
        let started = Instant::now();
        let result = work.await;
        let seconds = started.elapsed().as_secs_f64();
        self.log
            .line(&format!("[{step}] took {seconds:.1} s"))
            .await;
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        steps.push(StepTime {
            step: step.to_owned(),
            seconds,
        });
        result
    }

    /// Shows people how far the current step is: "downloading 3 of 12 packages".
    pub(crate) fn progress(&self, text: &str) {
        self.progress.step(text);
    }

    /// A line of the log.
    pub(crate) async fn line(&self, text: &str) {
        self.log.line(text).await;
    }

    /// The steps so far, in their order.
    pub(crate) fn steps(&self) -> Vec<StepTime> {
        let steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        steps.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::process::logs::LogWriter;

    #[tokio::test(start_paused = true)]
    async fn steps_are_shown_timed_and_logged_also_those_that_fail() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("build.log");
        let log = LogWriter::start(1 << 20).unwrap().log(path.clone());
        let (progress, seen) = Progress::channel();
        let report = Report::new(log, progress);
        let solving = async {
            report.progress("solving for python");
            tokio::time::sleep(Duration::from_millis(1500)).await;
            Err::<(), _>("no solution")
        };
        let failed = report.clone().step("solving", solving).await;
        assert_eq!(failed, Err("no solution"));
        assert_eq!(seen.borrow().as_deref(), Some("solving for python"));
        let steps = [StepTime {
            step: "solving".to_owned(),
            seconds: 1.5,
        }];
        assert_eq!(report.steps(), steps);
        report.log.written().await;
        let told = std::fs::read_to_string(path).unwrap();
        assert_eq!(told, "[solving]\n[solving] took 1.5 s\n");
    }
}
