//! Makes things anew, beside those that are there: these stay until the new ones are whole.

use std::future::Future;
use std::io;
use std::time::Duration;

use serving_core::{LoadError, ServableId};
use tokio::time::Instant;

use super::hold::Seized;
use super::{Finished, LOCKS, Shelf, Staging};
use crate::error::disk;

/// How long somebody may hold a thing who is no user of it: no longer than a look takes.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks whether they still do.
const PAUSE: Duration = Duration::from_millis(50);

impl Shelf {
    /// Makes the thing of this key as [`Shelf::find_or_make`] does, also if there is one. That one stays as it is unless
    /// the new one is made, and then makes way for it. What is in use is not replaced, which is a permanent error. Waits
    /// for whoever is making the thing already.
    pub(crate) async fn make_anew<F, Made>(&self, key: &str, make: F) -> Result<Finished, LoadError>
    where
        F: FnOnce(Staging) -> Made + Send + 'static,
        Made: Future<Output = Result<String, LoadError>> + Send + 'static,
    {
        self.unused(key).await?;
        let work = || self.clone().anew(key.to_owned(), make);
        // Not the run of those who take what they find.
        let made = self.flights.run(&format!("{key} anew"), work).await;
        made.unwrap_or_else(|| {
            Err(LoadError::transient(
                "the making of a folder broke off: the gateway's own log says why",
            ))
        })
    }

    async fn anew<F, Made>(self, key: String, make: F) -> Result<Finished, LoadError>
    where
        F: FnOnce(Staging) -> Made + Send + 'static,
        Made: Future<Output = Result<String, LoadError>> + Send + 'static,
    {
        let locks = self.root.join(LOCKS);
        tokio::fs::create_dir_all(&locks)
            .await
            .map_err(disk("make", &locks))?;
        let _lock = self.lock(&key, || {}).await?;
        let staging = Staging::new(&self.root, &key, self.tasks.clone()).await?;
        let marker = make(staging.clone()).await?;
        Self::settle(&staging, &marker).await?;
        let seized = self.seized(&key).await?;
        self.put(&key, &staging).await?;
        drop(seized);
        self.find(&key).await.ok_or_else(|| {
            LoadError::transient("what was made anew was removed at once: try it again")
        })
    }

    /// An error that says who uses the thing, if anybody does.
    async fn unused(&self, key: &str) -> Result<(), LoadError> {
        // Nothing is left of what was only asked for.
        let is_free = |shelf: &Self, key: &str| Ok((!shelf.is_held(key)).then_some(()));
        self.once_free(key, is_free).await
    }

    /// From now on nobody can take it.
    async fn seized(&self, key: &str) -> Result<Seized, LoadError> {
        self.once_free(key, |shelf, key| shelf.holds.seize(key))
            .await
    }

    /// Waits a little for those who only look at it, or have just made it: versions that use it are no such.
    async fn once_free<R: Send + 'static>(
        &self,
        key: &str,
        take: impl Fn(&Self, &str) -> io::Result<Option<R>> + Copy + Send + 'static,
    ) -> Result<R, LoadError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (shelf, owned) = (self.clone(), key.to_owned());
            let attempt = move || {
                let taken = take(&shelf, &owned)?;
                Ok(taken.ok_or_else(|| shelf.users(&owned)))
            };
            let taken = tokio::task::spawn_blocking(attempt)
                .await
                .unwrap_or_else(|error| Err(io::Error::other(error)))
                .map_err(disk("replace", &self.place(key)))?;
            match taken {
                Ok(taken) => return Ok(taken),
                Err(users) if users.is_empty() && Instant::now() < deadline => {
                    tokio::time::sleep(PAUSE).await;
                }
                Err(users) => return Err(in_use(key, &users)),
            }
        }
    }
}

fn in_use(key: &str, users: &[ServableId]) -> LoadError {
    let users: Vec<String> = users.iter().map(ToString::to_string).collect();
    let by = match users.as_slice() {
        [] => String::new(),
        users => format!(" by {}", users.join(", ")),
    };
    let short: String = key.chars().take(8).collect();
    LoadError::permanent(format!(
        "the environment {short} is in use{by}, so it cannot be built afresh: disable what uses it, and build it then"
    ))
}
