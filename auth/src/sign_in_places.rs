//! How many passwords that nobody knows yet one address may have checked at a time: the registry is asked about each
//! before anybody can tell that it is wrong, so who tries many must not take all places in the queue to the registry.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::throttle::neighbourhood;

/// Sign-ins of one address that the registry is asked about at a time.
const AT_A_TIME: usize = 4;
/// Sign-ins of one address that may wait for their turn besides; one more is refused.
const WAITING: usize = 60;
/// How long one waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// Hands out places by address. Remembers only addresses that have sign-ins pending.
#[derive(Clone, Debug, Default)]
pub(crate) struct SignInPlaces(Arc<Mutex<HashMap<IpAddr, Neighbour>>>);

#[derive(Debug)]
struct Neighbour {
    turns: Arc<Semaphore>,
    /// Who has a turn or waits for one.
    pending: usize,
}

/// The right to ask the registry about a sign-in, until dropped.
#[derive(Debug)]
pub(crate) struct SignInPlace {
    _turn: OwnedSemaphorePermit,
    _pending: Pending,
}

#[derive(Debug)]
struct Pending {
    places: SignInPlaces,
    address: IpAddr,
}

impl SignInPlaces {
    /// Waits for a place for `peer`; `None` if there is none in time, or too many wait already.
    pub(crate) async fn take(&self, peer: IpAddr) -> Option<SignInPlace> {
        let (turns, pending) = self.enter(neighbourhood(peer))?;
        let turn = timeout(PATIENCE, turns.acquire_owned()).await;
        Some(SignInPlace {
            _turn: turn.ok()?.ok()?,
            _pending: pending,
        })
    }

    fn enter(&self, address: IpAddr) -> Option<(Arc<Semaphore>, Pending)> {
        let mut neighbours = self.neighbours();
        let neighbour = neighbours.entry(address).or_insert_with(|| Neighbour {
            turns: Arc::new(Semaphore::new(AT_A_TIME)),
            pending: 0,
        });
        if neighbour.pending >= AT_A_TIME + WAITING {
            return None;
        }
        neighbour.pending += 1;
        let pending = Pending {
            places: self.clone(),
            address,
        };
        Some((Arc::clone(&neighbour.turns), pending))
    }

    fn neighbours(&self) -> MutexGuard<'_, HashMap<IpAddr, Neighbour>> {
        // Nothing panics under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let mut neighbours = self.places.neighbours();
        if let Some(neighbour) = neighbours.get_mut(&self.address) {
            neighbour.pending -= 1;
            if neighbour.pending == 0 {
                neighbours.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::task::JoinSet;

    use super::*;

    const ONE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

    #[tokio::test(start_paused = true)]
    async fn an_address_has_a_few_places_of_its_own_and_leaves_nothing_behind() {
        let places = SignInPlaces::default();
        let mut held = Vec::new();
        for _ in 0..AT_A_TIME {
            held.push(places.take(ONE).await.unwrap());
        }
        assert!(places.take(ONE).await.is_none());
        assert!(places.take(OTHER).await.is_some());
        held.pop();
        assert!(places.take(ONE).await.is_some());
        held.clear();
        assert!(places.neighbours().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_when_too_many_wait_is_refused_at_once() {
        let places = SignInPlaces::default();
        let mut waiting = JoinSet::new();
        for _ in 0..AT_A_TIME + WAITING {
            let places = places.clone();
            waiting.spawn(async move {
                let _place = places.take(ONE).await;
                std::future::pending::<()>().await;
            });
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        let refused = timeout(Duration::from_millis(1), places.take(ONE)).await;
        assert!(matches!(refused, Ok(None)), "{refused:?}");
        waiting.shutdown().await;
        assert!(places.neighbours().is_empty());
    }
}
