//! Templates: one warmed process for each environment and its variables, which forks that environment's workers.
//!
//! A template is started when a worker is first wanted of it, and ends when it has had no worker for a while. It has
//! imported what workers need, and never loads a model. Where it fails, workers are started without it: after a few
//! failures in a row for good, until the next start of this program. One that is only slow to start is there for those
//! who come later.

mod place;
mod record;
mod running;
mod trouble;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::process::child::{Launch, Process};
use crate::process::forked::{NotForked, Order};
use crate::process::host::Host;
use crate::process::logs::Log;
use crate::process::sockets::{Sockets, WorkerFolder};
use crate::running::RunnerWorkers;

use place::Place;
use record::PATIENCE;
pub(crate) use trouble::{TemplateTrouble, Why};

/// A start may take at least as long, however little workers may: nobody has to wait for it.
const SHORTEST_PATIENCE: Duration = Duration::from_secs(60);

/// How long it may take until it is known that a template has ended which breaks a connection off.
const LAST_BREATH: Duration = Duration::from_secs(1);

/// The templates of a runner.
#[derive(Debug)]
pub(crate) struct Templates {
    places: Mutex<HashMap<String, Arc<Place>>>,
    /// How long one lives without a worker.
    idle: Duration,
    /// How long one may take to start.
    patience: Duration,
    /// Who looks at what they take of the machine.
    watched_by: RunnerWorkers,
}

/// How a template is started, should there be none.
pub(crate) struct Start<'a, Keep> {
    /// What tells it from others: two workers with the same key can be forked from the same template.
    pub(crate) key: &'a str,
    /// The key of its environment; `None` if that was not built here.
    pub(crate) environment: Option<&'a str>,
    pub(crate) host: &'a Host,
    /// Where it gets a folder of its own.
    pub(crate) sockets: &'a Sockets,
    /// Its command, for that folder.
    pub(crate) launch: &'a (dyn Fn(&WorkerFolder) -> Launch + Sync),
    /// Where it prints.
    pub(crate) log: &'a Log,
    /// Dropped when it is gone.
    pub(crate) keep: Keep,
}

impl Templates {
    /// None runs yet. A start may take as long as that of a worker, a minute at least; each template will end when it has
    /// had no worker for `idle`, and be told to `watched_by` until then.
    pub(crate) fn new(idle: Duration, start_timeout: Duration, watched_by: RunnerWorkers) -> Self {
        Self {
            places: Mutex::default(),
            idle,
            patience: start_timeout.max(SHORTEST_PATIENCE),
            watched_by,
        }
    }

    /// Where the program of a template in this folder is to be.
    pub(crate) fn program(folder: &WorkerFolder) -> std::path::PathBuf {
        running::program(folder)
    }

    /// A worker of the template that `start` describes, which is started if need be. What the worker prints goes to
    /// `log`; `keep` is dropped when it is gone. If this is dropped, a template that starts does so all the same.
    pub(crate) async fn fork<Keep: Clone + Send + 'static>(
        &self,
        start: &Start<'_, Keep>,
        order: &Order,
        log: &Log,
        keep: impl Send + 'static,
    ) -> Result<Process, TemplateTrouble> {
        let place = self.place(start.key);
        if place.record().is_given_up() {
            let message = format!("it has failed {PATIENCE} times in a row");
            return Err(TemplateTrouble::new(Why::GivenUp, message));
        }
        let used = place.used(start, self).await?;
        let asked = used.ask(order).await;
        let is_of_the_past = match &asked {
            Err(NotForked::Stale(_)) => true,
            // It has ended since it was last seen, or does now: that is nothing that a worker could be blamed for.
            Err(NotForked::Failed(_)) => timeout(LAST_BREATH, used.end()).await.is_ok(),
            Ok(_) | Err(NotForked::Unsuited(_)) => false,
        };
        let asked = if is_of_the_past {
            place.forget(&used);
            place.used(start, self).await?.ask(order).await
        } else {
            asked
        };
        let asked = asked.map_err(|error| {
            let why = match error {
                NotForked::Unsuited(_) => Why::Unsuited,
                NotForked::Stale(_) => Why::Stale,
                NotForked::Failed(_) => Why::NotForked,
            };
            TemplateTrouble::new(why, error.to_string())
        })?;
        Ok(asked.adopted(log, keep))
    }

    /// Whether this template has failed so often that it is not asked any more.
    pub(crate) fn is_given_up(&self, key: &str) -> bool {
        self.place(key).record().is_given_up()
    }

    /// A fork of this template was ready, with a model of these flavors.
    pub(crate) fn was_of_use(&self, key: &str, flavors: &[String]) {
        let place = self.place(key);
        place.record().was_of_use();
        place.proven().insert(flavors.to_vec());
    }

    /// Whether there was such a fork: then a model of these flavors that raises would do so anywhere.
    pub(crate) fn is_proven(&self, key: &str, flavors: &[String]) -> bool {
        self.place(key).proven().contains(flavors)
    }

    /// What is to be said of a worker that wanted a fork at `first` and had none at `last`: if it was the template's
    /// start that took so long, that was not the fork's fault.
    pub(crate) fn understood(
        &self,
        key: &str,
        trouble: TemplateTrouble,
        first: Instant,
        last: Instant,
    ) -> TemplateTrouble {
        let place = self.place(key);
        if trouble.why != Why::Silent || !place.was_late(first, last) {
            return trouble;
        }
        let seconds = last.duration_since(first).as_secs();
        let message =
            format!("its template took most of {seconds} seconds to start, or still does");
        let start = place.record().newest_start();
        TemplateTrouble::new(Why::NotReady, message).of_start(start)
    }

    /// A worker was ready without this template that was not with it.
    pub(crate) fn was_of_no_use(&self, key: &str, trouble: &TemplateTrouble) {
        let place = self.place(key);
        match (trouble.why, trouble.start) {
            (Why::Unsuited | Why::Stale, _) => {}
            (_, Some(start)) => place.record().was_spared(start),
            (_, None) => place.record().fork_failed(),
        }
    }

    /// Ends all of them, and all starts.
    pub(crate) fn stop(&self) {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        for place in places.values() {
            place.end();
        }
    }

    fn place(&self, key: &str) -> Arc<Place> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(places.entry(key.to_owned()).or_default())
    }
}
