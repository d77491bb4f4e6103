//! Threads of its own for each solving and each installation, of low priority: scoring does not feel them, and nothing
//! of them is left when the work is done or no longer wanted.

use std::future::Future;

use serving_core::LoadError;
use tokio::runtime::{Builder, Runtime};

/// Threads that run tasks: they wait for the network most of the time.
const WORKERS: usize = 2;
/// Threads that unpack, read lists and wait for locks.
const BLOCKING: usize = 16;
/// The niceness of the threads, if that of the process is not higher anyway.
const NICENESS: i32 = 10;

/// Does `work` on threads of its own. Dropping the future drops the work, and with it all tasks that it started; what
/// runs on a blocking thread goes on to its own end.
pub(super) async fn gently<T: Send + 'static>(
    work: impl Future<Output = Result<T, LoadError>> + Send + 'static,
) -> Result<T, LoadError> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(BLOCKING)
        .thread_name("conda")
        .on_thread_start(lower_priority)
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| {
        LoadError::transient(format!("cannot start threads for conda packages: {error}"))
    })?;
    let owned = Owned(Some(runtime));
    let task = owned.0.as_ref().map(|runtime| runtime.spawn(work));
    let done = match task {
        Some(task) => task.await.ok(),
        None => None,
    };
    done.unwrap_or_else(|| {
        Err(LoadError::transient(
            "the work on conda packages broke off: the gateway's own log says why",
        ))
    })
}

/// A runtime that may be dropped anywhere: it does not wait for its threads.
struct Owned(Option<Runtime>);

impl Drop for Owned {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Of this thread, and of those that it starts: the pool that links packages is first used, and so started, by one of
/// them. Elsewhere than on Linux niceness belongs to the whole process, and stays.
fn lower_priority() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{getpriority_process, setpriority_process};

        let lowered = getpriority_process(None)
            .and_then(|niceness| setpriority_process(None, niceness.max(NICENESS)));
        if let Err(error) = lowered {
            tracing::debug!(%error, "cannot lower the priority of a thread");
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = NICENESS;
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn work_runs_at_low_priority_and_its_caller_does_not() {
        let own = rustix::process::getpriority_process(None).unwrap();
        let lowered = gently(async {
            let of_task = rustix::process::getpriority_process(None).unwrap();
            let blocking =
                tokio::task::spawn_blocking(|| rustix::process::getpriority_process(None).unwrap());
            Ok((of_task, blocking.await.unwrap()))
        });
        let expected = own.max(NICENESS);
        assert_eq!(lowered.await.unwrap(), (expected, expected));
        assert_eq!(rustix::process::getpriority_process(None).unwrap(), own);
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_any_more_is_dropped() {
        struct Tells(Option<oneshot::Sender<()>>);
        impl Drop for Tells {
            fn drop(&mut self) {
                let _ = self.0.take().unwrap().send(());
            }
        }
        let (tell, dropped) = oneshot::channel();
        let (started, is_started) = oneshot::channel();
        let tells = Tells(Some(tell));
        let mut work = Box::pin(gently(async move {
            let _tells = tells;
            started.send(()).unwrap();
            std::future::pending::<Result<(), LoadError>>().await
        }));
        tokio::select! {
            _ = &mut work => panic!("it never ends"),
            started = is_started => started.unwrap(),
        }
        drop(work);
        tokio::time::timeout(Duration::from_secs(10), dropped)
            .await
            .unwrap()
            .unwrap();
    }

    #[tokio::test]
    async fn a_panic_is_an_error() {
        let error = gently::<()>(async { panic!("on purpose") })
            .await
            .unwrap_err();
        assert!(error.message.contains("broke off"), "{error}");
    }
}
