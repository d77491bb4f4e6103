//! Tasks that must not end before they are told to. That one has is noticed: a gateway whose manager is gone must not
//! look alive.

use tokio::task::JoinSet;
use tracing::error;

/// Tasks with names, on the runtime on which they were started. Dropping it ends them.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    tasks: JoinSet<&'static str>,
}

impl Parts {
    /// Starts a task on the current runtime.
    pub(crate) fn start(
        &mut self,
        name: &'static str,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        self.tasks.spawn(async move {
            work.await;
            name
        });
    }

    /// Resolves when a task has ended, with its name; never if there is none.
    pub(crate) async fn ended(&mut self) -> &'static str {
        match self.tasks.join_next().await {
            Some(Ok(name)) => name,
            Some(Err(reason)) => {
                error!(%reason, "a task has panicked");
                "a task has panicked"
            }
            None => std::future::pending().await,
        }
    }

    /// Resolves when all of them have ended.
    pub(crate) async fn all_ended(&mut self) {
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(reason) = ended {
                error!(%reason, "a task has panicked");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_ends_is_named() {
        let mut parts = Parts::default();
        parts.start("one that stays", std::future::pending());
        parts.start("one that goes", async {});
        assert_eq!(parts.ended().await, "one that goes");
    }

    #[tokio::test]
    async fn a_task_that_panics_is_noticed() {
        let mut parts = Parts::default();
        parts.start("one that panics", async { panic!("on purpose") });
        assert_eq!(parts.ended().await, "a task has panicked");
        parts.all_ended().await;
    }
}
