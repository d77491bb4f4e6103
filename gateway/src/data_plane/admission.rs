//! The bounded queue before one version: so many work, so many wait in order, and one more is refused.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places at work, first come first served. Their number changes with replicas and settings; who is at work stays.
#[derive(Debug)]
pub(super) struct Admission {
    places: Arc<Semaphore>,
    size: Mutex<Size>,
    /// Equal to the one in `size`; read without the lock.
    capacity: AtomicUsize,
    /// Equal to the one in `size`; read without the lock.
    debt: AtomicUsize,
    waiting: AtomicUsize,
}

/// How many places there are, and how many of those in use are to vanish when they are given back.
#[derive(Debug, Default)]
struct Size {
    capacity: usize,
    debt: usize,
}

/// A place at work; dropping it gives it back.
#[derive(Debug)]
pub(super) struct Permit {
    admission: Arc<Admission>,
    place: Option<OwnedSemaphorePermit>,
}

/// Where one call may work: a place at work, and where calls of rows that several callers may share are counted, a slot.
#[derive(Debug)]
pub(super) struct Place {
    // Freed in this order: whoever waits for a slot wants a place next.
    _permit: Permit,
    slot: Option<Permit>,
}

/// A place in the queue; dropping it leaves the queue.
#[derive(Debug)]
pub(super) struct Waiting {
    admission: Arc<Admission>,
}

/// What becomes of one who wants in.
#[derive(Debug)]
pub(super) enum Admitted {
    /// Work can begin.
    Now(Permit),
    /// There is room to wait.
    Later(Waiting),
    /// There is none.
    Refused,
}

impl Admission {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            places: Arc::new(Semaphore::new(0)),
            size: Mutex::default(),
            capacity: AtomicUsize::new(0),
            debt: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
        })
    }

    /// Sets the number of places. Waiting callers get new ones at once; of places that vanish, those in use do so when
    /// they are given back.
    pub(super) fn resize(&self, capacity: usize) {
        let capacity = capacity.min(Semaphore::MAX_PERMITS);
        if self.capacity.load(Ordering::Acquire) == capacity {
            return;
        }
        let mut size = self.size.lock().unwrap_or_else(PoisonError::into_inner);
        if capacity > size.capacity {
            let more = capacity - size.capacity;
            let kept = more.min(size.debt);
            size.debt -= kept;
            self.places.add_permits(more - kept);
        } else {
            let fewer = size.capacity - capacity;
            size.debt += fewer - self.places.forget_permits(fewer);
        }
        size.capacity = capacity;
        self.capacity.store(capacity, Ordering::Release);
        self.debt.store(size.debt, Ordering::Release);
    }

    /// Takes a place at work, or one of `max_queue` in the queue. Never waits.
    pub(super) fn enter(self: &Arc<Self>, max_queue: usize) -> Admitted {
        if let Some(permit) = self.enter_now() {
            return Admitted::Now(permit);
        }
        match self.wait(max_queue) {
            Some(waiting) => Admitted::Later(waiting),
            None => Admitted::Refused,
        }
    }

    /// Takes a place at work if there is one.
    pub(super) fn enter_now(self: &Arc<Self>) -> Option<Permit> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        Some(self.permit(place))
    }

    /// Waits for a place in one's turn, without a place in the queue: for one who works for many that have theirs.
    pub(super) async fn turn(self: &Arc<Self>) -> Option<Permit> {
        // An error means that the semaphore was closed, which nobody does.
        let place = Arc::clone(&self.places).acquire_owned().await.ok()?;
        Some(self.permit(place))
    }

    /// Takes one of `max_queue` in the queue, for one who may come to work in another way than by its own turn.
    pub(super) fn wait(self: &Arc<Self>, max_queue: usize) -> Option<Waiting> {
        let before = self.waiting.fetch_add(1, Ordering::AcqRel);
        let waiting = Waiting {
            admission: Arc::clone(self),
        };
        (before < max_queue).then_some(waiting)
    }

    /// Whether one who came now would be refused.
    pub(super) fn is_full(&self, max_queue: usize) -> bool {
        self.places.available_permits() == 0 && self.waiting.load(Ordering::Acquire) >= max_queue
    }

    fn permit(self: &Arc<Self>, place: OwnedSemaphorePermit) -> Permit {
        Permit {
            admission: Arc::clone(self),
            place: Some(place),
        }
    }

    /// Whether a place that is given back is one that has to vanish.
    fn pay_debt(&self) -> bool {
        if self.debt.load(Ordering::Acquire) == 0 {
            return false;
        }
        let mut size = self.size.lock().unwrap_or_else(PoisonError::into_inner);
        if size.debt == 0 {
            return false;
        }
        size.debt -= 1;
        self.debt.store(size.debt, Ordering::Release);
        true
    }
}

impl Place {
    pub(super) fn new(permit: Permit, slot: Option<Permit>) -> Self {
        Self {
            _permit: permit,
            slot,
        }
    }

    /// The slot, for one who gives it back itself.
    pub(super) fn take_slot(&mut self) -> Option<Permit> {
        self.slot.take()
    }

    /// Python has computed: the next call of rows may begin, however long the answer takes to its client.
    pub(super) fn leave_slot(&mut self) {
        self.slot = None;
    }
}

impl Waiting {
    /// Waits for a place at work. To be called once and kept until it is done: a call that is dropped loses its turn.
    pub(super) async fn turn(self) -> Option<Permit> {
        self.admission.turn().await
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.admission.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(place) = self.place.take()
            && self.admission.pay_debt()
        {
            place.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn now(admission: &Arc<Admission>) -> Option<Permit> {
        match admission.enter(0) {
            Admitted::Now(permit) => Some(permit),
            _ => None,
        }
    }

    fn later(admission: &Arc<Admission>, max_queue: usize) -> Option<Waiting> {
        match admission.enter(max_queue) {
            Admitted::Later(waiting) => Some(waiting),
            _ => None,
        }
    }

    #[test]
    fn one_more_than_places_and_queue_is_refused() {
        let admission = Admission::new();
        admission.resize(2);
        let _first = now(&admission).unwrap();
        let _second = now(&admission).unwrap();
        assert!(!admission.is_full(1));
        let waiting = later(&admission, 1).unwrap();
        assert!(admission.is_full(1));
        assert!(matches!(admission.enter(1), Admitted::Refused));
        drop(waiting);
        assert!(!admission.is_full(1));
        assert!(later(&admission, 1).is_some());
        assert!(matches!(admission.enter(0), Admitted::Refused));
    }

    #[test]
    fn who_waits_longest_is_next_and_nobody_overtakes() {
        let admission = Admission::new();
        admission.resize(1);
        let working = now(&admission).unwrap();
        let mut first = Box::pin(later(&admission, 9).unwrap().turn());
        let mut second = Box::pin(later(&admission, 9).unwrap().turn());
        assert!(first.as_mut().now_or_never().is_none());
        assert!(second.as_mut().now_or_never().is_none());
        drop(working);
        assert!(now(&admission).is_none());
        assert!(second.as_mut().now_or_never().is_none());
        let turn = first.now_or_never().unwrap();
        drop(turn);
        assert!(second.now_or_never().is_some());
    }

    #[test]
    fn one_who_gives_up_leaves_the_place_to_the_next() {
        let admission = Admission::new();
        admission.resize(1);
        let working = now(&admission).unwrap();
        let mut gone = Box::pin(later(&admission, 9).unwrap().turn());
        let mut patient = Box::pin(later(&admission, 9).unwrap().turn());
        assert!(gone.as_mut().now_or_never().is_none());
        assert!(patient.as_mut().now_or_never().is_none());
        drop(working);
        drop(gone);
        assert!(patient.now_or_never().is_some());
    }

    #[test]
    fn places_grow_and_shrink_under_those_at_work() {
        let admission = Admission::new();
        admission.resize(3);
        let mut working = vec![
            now(&admission).unwrap(),
            now(&admission).unwrap(),
            now(&admission).unwrap(),
        ];
        admission.resize(1);
        working.pop();
        assert!(now(&admission).is_none());
        working.pop();
        assert!(now(&admission).is_none());
        working.pop();
        working.push(now(&admission).unwrap());
        assert!(now(&admission).is_none());
        let mut waiting = Box::pin(later(&admission, 1).unwrap().turn());
        assert!(waiting.as_mut().now_or_never().is_none());
        admission.resize(2);
        assert!(waiting.now_or_never().is_some());
        admission.resize(0);
        admission.resize(2);
        drop(working);
        assert!(now(&admission).is_some());
    }
}
