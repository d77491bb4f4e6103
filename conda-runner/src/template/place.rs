//! Where the template of a key is: none, one that starts, or one that runs.
//!
//! A start is a task of its own. Whoever wants a worker waits for it as long as he likes, and it goes on without him.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::record::Record;
use super::running::{Template, Use};
use super::trouble::{TemplateTrouble, Why};
use super::{Start, Templates};
use crate::running::TemplatePost;
use crate::time::rfc3339;

/// The place of the templates of a key, one after the other.
#[derive(Debug, Default)]
pub(super) struct Place {
    known: Mutex<Known>,
    record: Mutex<Record>,
    /// The kinds of models of which a fork was ready.
    proven: Mutex<HashSet<Vec<String>>>,
}

#[derive(Debug, Default)]
enum Known {
    #[default]
    Nothing,
    Starting(Starting),
    Running(Arc<Template>, Instant),
}

#[derive(Debug)]
struct Starting {
    number: u64,
    /// Those who wait for it.
    tell: watch::Sender<Outcome>,
    /// Ends it when this is forgotten.
    _end: DropGuard,
}

/// What came of a start; `None` as long as it goes on.
type Outcome = Option<Result<Arc<Template>, TemplateTrouble>>;

impl Place {
    /// The template, in use by one worker more. If none runs, waits for a start, which goes on if this is dropped.
    pub(super) async fn used<Keep: Clone + Send + 'static>(
        self: &Arc<Self>,
        start: &Start<'_, Keep>,
        templates: &Templates,
    ) -> Result<Use, TemplateTrouble> {
        let mut told = {
            let mut known = locked(&self.known);
            match &*known {
                Known::Running(template, _) if template.lives() => return Ok(template.take()),
                Known::Starting(starting) => starting.tell.subscribe(),
                Known::Running(..) | Known::Nothing => {
                    let starting = self.begin(start, templates)?;
                    let told = starting.tell.subscribe();
                    *known = Known::Starting(starting);
                    told
                }
            }
        };
        let outcome = told.wait_for(Option::is_some).await;
        let outcome = outcome.ok().and_then(|outcome| outcome.clone());
        let stopped = || TemplateTrouble::new(Why::NotStarted, "it was stopped while it started");
        Ok(outcome.unwrap_or_else(|| Err(stopped()))?.take())
    }

    /// Whether a worker that came at `first` and had time until `last` lost most of it to the template's start.
    pub(super) fn was_late(&self, first: Instant, last: Instant) -> bool {
        match &*locked(&self.known) {
            Known::Nothing => false,
            Known::Starting(_) => true,
            Known::Running(_, since) => *since > first + last.duration_since(first) / 2,
        }
    }

    /// Has the next worker start another template; this one lives as long as it has workers.
    pub(super) fn forget(&self, used: &Use) {
        let mut known = locked(&self.known);
        if matches!(&*known, Known::Running(template, _) if used.is_of(template)) {
            *known = Known::Nothing;
        }
    }

    /// Ends what starts or runs.
    pub(super) fn end(&self) {
        *locked(&self.known) = Known::Nothing;
    }

    pub(super) fn record(&self) -> MutexGuard<'_, Record> {
        locked(&self.record)
    }

    pub(super) fn proven(&self) -> MutexGuard<'_, HashSet<Vec<String>>> {
        locked(&self.proven)
    }

    /// The task ends when what is returned is dropped, or its template is gone.
    fn begin<Keep: Clone + Send + 'static>(
        self: &Arc<Self>,
        start: &Start<'_, Keep>,
        templates: &Templates,
    ) -> Result<Starting, TemplateTrouble> {
        let folder = start
            .sockets
            .next()
            .map_err(|error| TemplateTrouble::new(Why::NotStarted, error.to_string()))?;
        let launch = (start.launch)(&folder);
        let number = self.record().begin_start();
        let (host, log, keep) = (start.host.clone(), start.log.clone(), start.keep.clone());
        let patience = templates.patience;
        let starting = async move {
            let begins = format!(
                "--- template started at {}, {} ---",
                rfc3339(SystemTime::now()),
                launch.shown()
            );
            log.line(&begins).await;
            Template::start(&host, &launch, folder, &log, keep).await
        };
        let (key, environment) = (start.key.to_owned(), start.environment.map(str::to_owned));
        let (watched_by, idle) = (templates.watched_by.clone(), templates.idle);
        let place = Arc::downgrade(self);
        let end = CancellationToken::new();
        let ended = end.clone();
        start.host.tasks().spawn(async move {
            let started = tokio::select! {
                () = ended.cancelled() => return,
                started = timeout(patience, starting) => started,
            };
            let started = started.unwrap_or_else(|_| Err(too_slow(patience)));
            let started = started.map(|template| {
                let post = TemplatePost {
                    key,
                    environment,
                    workers: template.workers(),
                };
                watched_by.enter_template(post, template.end_watch());
                Arc::new(template)
            });
            let template = started.as_ref().ok().map(Arc::downgrade);
            if let Some(place) = place.upgrade() {
                place.started(number, started);
            }
            if let Some(template) = template {
                look_after(place, template, idle).await;
            }
        });
        let tell = watch::Sender::new(None);
        Ok(Starting {
            number,
            tell,
            _end: end.drop_guard(),
        })
    }

    /// A start that nobody wants any more leaves nothing.
    fn started(&self, number: u64, started: Result<Arc<Template>, TemplateTrouble>) {
        let mut known = locked(&self.known);
        if !matches!(&*known, Known::Starting(starting) if starting.number == number) {
            return;
        }
        let next = if let Ok(template) = &started {
            Known::Running(Arc::clone(template), Instant::now())
        } else {
            self.record().start_failed(number);
            Known::Nothing
        };
        let started = started.map_err(|trouble| trouble.of_start(number));
        if let Known::Starting(starting) = std::mem::replace(&mut *known, next) {
            starting.tell.send_replace(Some(started));
        }
    }

    /// Lets go of this template, unless it lives and somebody has begun to use it.
    fn clear(&self, template: &Weak<Template>) {
        let mut known = locked(&self.known);
        let is_over = matches!(&*known, Known::Running(running, _)
            if Weak::ptr_eq(&Arc::downgrade(running), template)
                && !(running.lives() && running.is_used()));
        if is_over {
            *known = Known::Nothing;
        }
    }
}

/// Has the place forget the template when it has ended, or has been idle for long enough to end.
async fn look_after(place: Weak<Place>, template: Weak<Template>, idle: Duration) {
    loop {
        let known = template.upgrade();
        let Some((watch, unused)) = known.map(|known| (known.end_watch(), known.unused_for(idle)))
        else {
            return;
        };
        tokio::select! {
            _ = watch.end() => {}
            () = unused => {}
        }
        let Some(place) = place.upgrade() else { return };
        place.clear(&template);
        if watch.leader().is_none() {
            return;
        }
    }
}

fn too_slow(patience: Duration) -> TemplateTrouble {
    let seconds = patience.as_secs();
    let message = format!("it was not ready to fork within {seconds} seconds");
    TemplateTrouble::new(Why::NotStarted, message)
}

fn locked<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
