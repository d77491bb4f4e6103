//! One template: a process of an environment that forks workers, as long as somebody needs it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serving_core::LoadError;
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::trouble::{TemplateTrouble, Why};
use crate::process::child::{EndWatch, Launch, Process};
use crate::process::diagnosis::last_lines;
use crate::process::forked::{Forked, NotForked, Order};
use crate::process::host::Host;
use crate::process::logs::Log;
use crate::process::sockets::WorkerFolder;

/// The program, and what it gives its workers; each with its name in the template's folder. Its words with us are those of
/// `process::forked`.
const PROGRAM: (&str, &str) = ("template.py", include_str!("template.py"));
const PLAIN_HTTP: (&str, &str) = ("plain_http.py", include_str!("plain_http.py"));
/// Between two looks whether it listens.
const PAUSE: Duration = Duration::from_millis(20);

/// A running template. Dropping it kills it; what it has forked lives on.
#[derive(Debug)]
pub(super) struct Template {
    host: Host,
    process: Process,
    socket: PathBuf,
    /// How many of its workers live, or are about to.
    workers: watch::Sender<usize>,
}

/// One worker of a template, as long as it lives.
#[derive(Debug)]
pub(super) struct Use(Arc<Template>);

/// A worker that was forked.
#[derive(Debug)]
pub(super) struct Asked {
    used: Use,
    forked: Forked,
    output: pipe::Receiver,
}

/// Where the program is in a template's folder, for the command.
pub(super) fn program(folder: &WorkerFolder) -> PathBuf {
    folder.path().join(PROGRAM.0)
}

impl Template {
    /// Starts it as `launch` says, and returns when it can fork. What it prints goes to `log`, and `keep` is dropped
    /// when it is gone.
    pub(super) async fn start(
        host: &Host,
        launch: &Launch,
        folder: WorkerFolder,
        log: &Log,
        keep: impl Send + 'static,
    ) -> Result<Self, TemplateTrouble> {
        let failed = |error: LoadError| TemplateTrouble::new(Why::NotStarted, error.to_string());
        for (name, text) in [PROGRAM, PLAIN_HTTP] {
            let written = write(&folder.path().join(name), text).await;
            written.map_err(|error| TemplateTrouble::new(Why::NotStarted, error.to_string()))?;
        }
        let socket = folder.socket();
        let keep = (folder, keep);
        let process = host.start(launch, log.clone(), keep).map_err(failed)?;
        let watch = process.end_watch();
        let template = Self {
            host: host.clone(),
            process,
            socket,
            workers: watch::Sender::new(0),
        };
        tokio::select! {
            ended = watch.end() => {
                let trouble = format!("it ended while it started ({})", ended.reason);
                Err(TemplateTrouble::new(Why::NotStarted, trouble).with_lines(last_lines(&ended)))
            }
            () = listens(&template.socket) => Ok(template),
        }
    }

    pub(super) fn end_watch(&self) -> EndWatch {
        self.process.end_watch()
    }

    /// Whether it can be asked.
    pub(super) fn lives(&self) -> bool {
        self.process.end_watch().leader().is_some()
    }

    pub(super) fn is_used(&self) -> bool {
        *self.workers.borrow() > 0
    }

    /// How many live.
    pub(super) fn workers(&self) -> watch::Receiver<usize> {
        self.workers.subscribe()
    }

    /// Counts one more worker.
    pub(super) fn take(self: &Arc<Self>) -> Use {
        self.workers.send_modify(|workers| *workers += 1);
        Use(Arc::clone(self))
    }

    /// For whoever waits until nobody has used it for `idle`.
    pub(super) fn unused_for(&self, idle: Duration) -> impl Future<Output = ()> + use<> {
        let mut workers = self.workers.subscribe();
        async move {
            loop {
                // An error is its end.
                if workers.wait_for(|workers| *workers == 0).await.is_err() {
                    return;
                }
                match timeout(idle, workers.wait_for(|workers| *workers > 0)).await {
                    Ok(Ok(_)) => {}
                    Ok(Err(_)) | Err(_) => return,
                }
            }
        }
    }
}

impl Use {
    /// Has a worker forked.
    pub(super) async fn ask(&self, order: &Order) -> Result<Asked, NotForked> {
        let (forked, output) = Forked::ask(&self.0.socket, order).await?;
        Ok(Asked {
            used: self.0.take(),
            forked,
            output,
        })
    }

    /// Waits for the template's end.
    pub(super) async fn end(&self) {
        self.0.end_watch().end().await;
    }

    pub(super) fn is_of(&self, template: &Arc<Template>) -> bool {
        Arc::ptr_eq(&self.0, template)
    }
}

impl Asked {
    /// What it prints goes to `log`, and `keep` is dropped when it is gone.
    pub(super) fn adopted(self, log: &Log, keep: impl Send + 'static) -> Process {
        let host = self.used.0.host.clone();
        host.adopt(self.forked, self.output, log.clone(), (self.used, keep))
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        self.0.workers.send_modify(|workers| *workers -= 1);
    }
}

/// For nobody else to read or write, as all in its folder.
async fn write(path: &Path, text: &str) -> io::Result<()> {
    tokio::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .await?;
    tokio::fs::write(path, text).await
}

async fn listens(socket: &Path) {
    while UnixStream::connect(socket).await.is_err() {
        sleep(PAUSE).await;
    }
}
