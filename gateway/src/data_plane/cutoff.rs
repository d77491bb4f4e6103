//! The time at which a connection is cut, because the answer on it has to have ended by then.
//!
//! A body's own deadline is looked at when somebody asks the body for more. A client that stops reading stops the
//! asking too, and would hold its place for as long as it likes: so the connection watches the time as well.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// One connection's time, put by the server into the extensions of its requests.
#[derive(Clone, Debug)]
pub struct Cutoff(Arc<watch::Sender<Option<Instant>>>);

/// The time stands until this is dropped.
#[derive(Debug)]
pub(super) struct Standing(Cutoff);

impl Cutoff {
    /// No time yet.
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }

    /// Resolves when the time has passed.
    pub async fn passed(&self) {
        let mut times = self.0.subscribe();
        loop {
            let time = *times.borrow_and_update();
            let passing = async {
                match time {
                    Some(time) => sleep_until(time).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = passing => return,
                // `self` holds the sender: this is a change, never the end.
                _ = times.changed() => {}
            }
        }
    }

    pub(super) fn stand(&self, time: Instant) -> Standing {
        self.0.send_replace(Some(time));
        Standing(self.clone())
    }
}

impl Default for Cutoff {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        self.0.0.send_replace(None);
    }
}
