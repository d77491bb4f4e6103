//! How many answers that go on for as long as the client likes there may be at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use auth::Principal;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Refused;

/// Each holds a connection, and wakes with every event or a few times a second.
const MOST: usize = 512;
/// Of one caller, so that nobody alone takes them all.
const MOST_OF_ONE: usize = 32;

/// Room for streams: so many of events, and as many logs that are followed.
#[derive(Clone, Debug)]
pub struct StreamPlaces {
    events: Pot,
    logs: Pot,
}

#[derive(Clone, Debug)]
struct Pot {
    places: Arc<Semaphore>,
    /// How many each principal holds; who holds none is not in it.
    held: Arc<Mutex<HashMap<Arc<str>, usize>>>,
}

/// One of the places, which is free again when this is dropped.
#[derive(Debug)]
pub(super) struct StreamPlace {
    pot: Pot,
    /// `None` where callers are not told apart.
    holder: Option<Arc<str>>,
    _permit: OwnedSemaphorePermit,
}

impl StreamPlaces {
    /// Room for so many of each kind.
    pub fn new(most: usize) -> Self {
        let pot = || Pot {
            places: Arc::new(Semaphore::new(most)),
            held: Arc::default(),
        };
        Self {
            events: pot(),
            logs: pot(),
        }
    }

    /// A place for a stream of events.
    pub(super) fn of_events(&self, caller: &Principal) -> Result<StreamPlace, Refused> {
        self.events.take(
            caller,
            "streams of events are open; close one, or ask for pages",
        )
    }

    /// A place for a log that is followed.
    pub(super) fn of_logs(&self, caller: &Principal) -> Result<StreamPlace, Refused> {
        self.logs.take(
            caller,
            "logs are being followed; close one, or read what is written so far",
        )
    }
}

impl Default for StreamPlaces {
    fn default() -> Self {
        Self::new(MOST)
    }
}

impl Pot {
    fn take(&self, caller: &Principal, busy: &str) -> Result<StreamPlace, Refused> {
        let permit = Arc::clone(&self.places).try_acquire_owned();
        let permit = permit.map_err(|_| Refused::busy(format!("too many {busy}")))?;
        // Without authentication all callers have one name.
        let is_told_apart = caller.token.is_some() || caller.login.is_some();
        let holder = is_told_apart.then(|| Arc::clone(&caller.name));
        if let Some(name) = &holder {
            let mut held = self.held();
            let count = held.entry(Arc::clone(name)).or_default();
            if *count >= MOST_OF_ONE {
                return Err(Refused::busy(format!("too many of your {busy}")));
            }
            *count += 1;
        }
        Ok(StreamPlace {
            pot: self.clone(),
            holder,
            _permit: permit,
        })
    }

    fn held(&self) -> MutexGuard<'_, HashMap<Arc<str>, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for StreamPlace {
    fn drop(&mut self) {
        let Some(name) = &self.holder else { return };
        let mut held = self.pot.held();
        if let Some(count) = held.get_mut(name) {
            *count -= 1;
            if *count == 0 {
                held.remove(name);
            }
        }
    }
}
