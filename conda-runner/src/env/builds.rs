//! What all who wait for one build see of it: its steps, whoever of them began it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use serving_core::Progress;
use tokio::sync::watch;

/// Builds by key, as long as anybody waits for them. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Builds(Arc<Mutex<HashMap<String, Weak<Build>>>>);

/// One build.
#[derive(Debug)]
pub(crate) struct Build {
    /// Where it says what is being done.
    pub(crate) progress: Progress,
    steps: watch::Receiver<Option<Arc<str>>>,
    is_new: AtomicBool,
}

impl Builds {
    /// The build of this key that others wait for already, or a new one.
    pub(crate) fn join(&self, key: &str) -> Arc<Build> {
        let mut builds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        builds.retain(|_, build| build.strong_count() > 0);
        if let Some(build) = builds.get(key).and_then(Weak::upgrade) {
            return build;
        }
        let (progress, steps) = Progress::channel();
        let build = Arc::new(Build {
            progress,
            steps,
            is_new: AtomicBool::new(false),
        });
        builds.insert(key.to_owned(), Arc::downgrade(&build));
        build
    }
}

impl Build {
    /// Passes its steps on to one who waits, those to come and the current one. Never returns.
    pub(crate) async fn tell<R>(&self, progress: &Progress) -> R {
        let mut steps = self.steps.clone();
        loop {
            if let Some(step) = steps.borrow_and_update().clone() {
                progress.step(step);
            }
            if steps.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Says that it was done, not found done.
    pub(crate) fn done(&self) {
        self.is_new.store(true, Ordering::Relaxed);
    }

    /// Whether it was done, and nobody has asked yet.
    pub(crate) fn take_new(&self) -> bool {
        self.is_new.swap(false, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_who_wait_see_the_same_steps_whenever_they_came() {
        let builds = Builds::default();
        let first = builds.join("key");
        first.progress.step("solving");
        let second = builds.join("key");
        assert!(Arc::ptr_eq(&first, &second));
        assert!(!Arc::ptr_eq(&first, &builds.join("other")));
        let (progress, mut seen) = Progress::channel();
        tokio::select! {
            () = second.tell(&progress) => {}
            step = seen.wait_for(Option::is_some) => {
                assert_eq!(step.unwrap().as_deref(), Some("solving"));
            }
        }
        drop((first, second));
        let next = builds.join("key");
        assert_eq!(*next.steps.borrow(), None);
    }

    #[test]
    fn only_one_hears_that_a_build_is_new() {
        let build = Builds::default().join("key");
        assert!(!build.take_new());
        build.done();
        assert!(build.take_new());
        assert!(!build.take_new());
    }
}
