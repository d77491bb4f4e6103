//! A gate that counts who is inside, and that lets nobody in once it is closed.
//!
//! Reference counts cannot tell when something has fallen out of use: a reader may hold the old
//! routing table and enter after the count was looked at. A closed gate turns such a reader away.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Set once the gate is closed; the other bits count who is inside.
const CLOSED: usize = 1 << (usize::BITS - 1);

/// Open when made; closing is final.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: AtomicUsize,
    emptied: Notify,
}

/// Somebody inside; dropping it leaves.
#[derive(Debug)]
pub(crate) struct GateGuard {
    gate: Arc<Gate>,
}

impl Gate {
    /// Goes in, or is turned away because the gate is closed. Never waits.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<GateGuard> {
        // Counted first, asked second: `drained` can then never miss somebody on the way in.
        let before = self.state.fetch_add(1, Ordering::AcqRel);
        if before & CLOSED != 0 {
            self.leave();
            return None;
        }
        Some(GateGuard {
            gate: Arc::clone(self),
        })
    }

    /// Lets nobody in any more.
    pub(crate) fn close(&self) {
        self.state.fetch_or(CLOSED, Ordering::AcqRel);
    }

    /// How many are inside.
    pub(crate) fn inside(&self) -> u64 {
        (self.state.load(Ordering::Acquire) & !CLOSED) as u64
    }

    /// Waits until the gate is closed and everybody has left.
    pub(crate) async fn drained(&self) {
        loop {
            let mut emptied = std::pin::pin!(self.emptied.notified());
            // Listening before looking: who leaves in between is heard.
            emptied.as_mut().enable();
            if self.state.load(Ordering::Acquire) == CLOSED {
                return;
            }
            emptied.await;
        }
    }

    fn leave(&self) {
        let before = self.state.fetch_sub(1, Ordering::AcqRel);
        if before == CLOSED | 1 {
            self.emptied.notify_waiters();
        }
    }
}

impl Drop for GateGuard {
    fn drop(&mut self) {
        self.gate.leave();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_closed_gate_lets_nobody_in_and_is_drained_when_the_last_one_leaves() {
        let gate = Arc::<Gate>::default();
        let first = gate.enter().unwrap();
        let second = gate.enter().unwrap();
        assert!(gate.drained().now_or_never().is_none());
        gate.close();
        assert!(gate.enter().is_none());
        assert_eq!(gate.inside(), 2);
        let mut drained = Box::pin(gate.drained());
        assert!(drained.as_mut().now_or_never().is_none());
        drop(first);
        assert!(drained.as_mut().now_or_never().is_none());
        drop(second);
        assert!(drained.now_or_never().is_some());
        assert!(gate.drained().now_or_never().is_some());
    }

    #[test]
    fn an_open_gate_is_never_drained() {
        let gate = Arc::<Gate>::default();
        drop(gate.enter());
        assert!(gate.drained().now_or_never().is_none());
    }

    /// Real threads: once drained, nobody is inside and nobody comes in.
    #[test]
    fn nobody_is_inside_after_it_was_drained() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        for _ in 0..300 {
            let gate = Arc::<Gate>::default();
            let stopped = AtomicBool::new(false);
            std::thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| {
                        while let Some(inside) = gate.enter() {
                            assert!(!stopped.load(Ordering::Acquire));
                            std::thread::yield_now();
                            assert!(!stopped.load(Ordering::Acquire));
                            drop(inside);
                        }
                    });
                }
                std::thread::yield_now();
                gate.close();
                runtime.block_on(gate.drained());
                stopped.store(true, Ordering::Release);
            });
        }
    }
}
