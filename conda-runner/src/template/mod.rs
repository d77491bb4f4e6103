//! Templates: one warmed process for each environment and its variables, which forks that environment's workers.
//!
//! A template is started when a worker is first wanted of it, and ends when it has had no worker for a while. It has
//! imported what workers need, and never loads a model. Where it fails, workers are started without it: after a few
//! failures in a row for good, until the next start of this program.

mod running;
mod trouble;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use tokio_util::task::TaskTracker;

use crate::process::child::{Launch, Process};
use crate::process::forked::{NotForked, Order};
use crate::process::host::Host;
use crate::process::logs::Log;
use crate::process::sockets::{Sockets, WorkerFolder};
use crate::running::{RunnerWorkers, TemplatePost};
use crate::time::rfc3339;

use running::{Template, Use};
pub(crate) use trouble::{TemplateTrouble, Why};

/// So many failures in a row, and a template is not tried again.
const PATIENCE: u32 = 3;

/// The templates of a runner.
#[derive(Debug)]
pub(crate) struct Templates {
    places: Mutex<HashMap<String, Arc<Place>>>,
    /// How long one lives without a worker.
    idle: Duration,
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

/// Where the template of a key is, if it runs.
#[derive(Debug, Default)]
struct Place {
    /// Held while it starts, so that it starts once.
    template: tokio::sync::Mutex<Option<Arc<Template>>>,
    /// In a row.
    failures: AtomicU32,
    /// The kinds of models of which a fork was ready.
    proven: Mutex<HashSet<Vec<String>>>,
}

impl Templates {
    /// None runs yet; each will end when it has had no worker for `idle`, and be told to `watched_by` until then.
    pub(crate) fn new(idle: Duration, watched_by: RunnerWorkers) -> Self {
        Self {
            places: Mutex::default(),
            idle,
            watched_by,
        }
    }

    /// Where the program of a template in this folder is to be.
    pub(crate) fn program(folder: &WorkerFolder) -> std::path::PathBuf {
        running::program(folder)
    }

    /// A worker of the template that `start` describes, which is started if need be. What the worker prints goes to
    /// `log`; `keep` is dropped when it is gone.
    pub(crate) async fn fork<Keep: Clone + Send + 'static>(
        &self,
        start: &Start<'_, Keep>,
        order: &Order,
        log: &Log,
        keep: impl Send + 'static,
    ) -> Result<Process, TemplateTrouble> {
        let place = self.place(start.key);
        if place.is_given_up() {
            let message = format!("it has failed {PATIENCE} times in a row");
            return Err(TemplateTrouble::new(Why::GivenUp, message));
        }
        let used = place.used(start, self).await?;
        let asked = match used.ask(order).await {
            Err(NotForked::Stale(_)) => {
                place.forget(&used).await;
                place.used(start, self).await?.ask(order).await
            }
            asked => asked,
        };
        let asked = asked.map_err(|error| {
            let why = match error {
                NotForked::Unsuited(_) => Why::Unsuited,
                NotForked::Stale(_) | NotForked::Failed(_) => Why::NotForked,
            };
            TemplateTrouble::new(why, error.to_string())
        })?;
        Ok(asked.adopted(log, keep))
    }

    /// Whether this template has failed so often that it is not asked any more.
    pub(crate) fn is_given_up(&self, key: &str) -> bool {
        self.place(key).is_given_up()
    }

    /// A fork of this template was ready, with a model of these flavors.
    pub(crate) fn was_of_use(&self, key: &str, flavors: &[String]) {
        let place = self.place(key);
        place.failures.store(0, Ordering::Relaxed);
        let mut proven = place.proven.lock().unwrap_or_else(PoisonError::into_inner);
        proven.insert(flavors.to_vec());
    }

    /// Whether there was such a fork: then a model of these flavors that raises would do so anywhere.
    pub(crate) fn is_proven(&self, key: &str, flavors: &[String]) -> bool {
        let place = self.place(key);
        let proven = place.proven.lock().unwrap_or_else(PoisonError::into_inner);
        proven.contains(flavors)
    }

    /// A worker was ready without this template that was not with it.
    pub(crate) fn was_of_no_use(&self, key: &str) {
        self.place(key).failures.fetch_add(1, Ordering::Relaxed);
    }

    /// Ends all of them.
    pub(crate) async fn stop(&self) {
        let places: Vec<_> = {
            let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
            places.values().cloned().collect()
        };
        for place in places {
            place.template.lock().await.take();
        }
    }

    fn place(&self, key: &str) -> Arc<Place> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(places.entry(key.to_owned()).or_default())
    }
}

impl Place {
    fn is_given_up(&self) -> bool {
        self.failures.load(Ordering::Relaxed) >= PATIENCE
    }

    /// The template, in use by one worker more.
    async fn used<Keep: Clone + Send + 'static>(
        self: &Arc<Self>,
        start: &Start<'_, Keep>,
        templates: &Templates,
    ) -> Result<Use, TemplateTrouble> {
        let mut template = self.template.lock().await;
        if let Some(running) = template.as_ref().filter(|running| running.lives()) {
            return Ok(running.take());
        }
        let Start { host, log, .. } = start;
        let folder = start
            .sockets
            .next()
            .map_err(|error| TemplateTrouble::new(Why::NotStarted, error.to_string()))?;
        let launch = (start.launch)(&folder);
        log.line(&format!(
            "--- template started at {}, {} ---",
            rfc3339(SystemTime::now()),
            launch.shown()
        ))
        .await;
        let started = Template::start(host, &launch, folder, log, start.keep.clone()).await?;
        let started = Arc::new(started);
        templates.watched_by.enter_template(
            TemplatePost {
                key: start.key.to_owned(),
                environment: start.environment.map(str::to_owned),
                workers: started.workers(),
            },
            started.end_watch(),
        );
        self.look_after(&started, host.tasks(), templates.idle);
        *template = Some(Arc::clone(&started));
        Ok(started.take())
    }

    /// Forgets the template when it has ended, or has been idle for long enough to end.
    fn look_after(self: &Arc<Self>, template: &Arc<Template>, tasks: &TaskTracker, idle: Duration) {
        let (place, watch) = (Arc::downgrade(self), template.end_watch());
        let template = Arc::downgrade(template);
        tasks.spawn(async move {
            while let Some(unused) = template.upgrade().map(|known| known.unused_for(idle)) {
                tokio::select! {
                    _ = watch.end() => {}
                    () = unused => {}
                }
                let Some(place) = Weak::upgrade(&place) else {
                    return;
                };
                place.clear(&template).await;
                drop(place);
                if watch.leader().is_none() {
                    return;
                }
            }
        });
    }

    /// Has the next worker start another template; this one lives as long as it has workers.
    async fn forget(&self, used: &Use) {
        let mut current = self.template.lock().await;
        if current.as_ref().is_some_and(|running| used.is_of(running)) {
            current.take();
        }
    }

    /// Lets go of this template, unless it lives and somebody has begun to use it.
    async fn clear(&self, template: &Weak<Template>) {
        let mut current = self.template.lock().await;
        let is_over = current.as_ref().is_some_and(|running| {
            Weak::ptr_eq(&Arc::downgrade(running), template)
                && !(running.lives() && running.is_used())
        });
        if is_over {
            current.take();
        }
    }
}
