//! Who takes what waits: one task for each call, which waits for a slot, takes all that may go together, and asks.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt;
use serving_core::Batching;
use serving_core::batch::{Batch, Member};
use tokio::time::{Instant, timeout};
use tracing::debug;

use super::super::admission::Place;
use super::super::stack::VersionStack;
use super::check;
use super::together::together;
use super::turn::{Asked, Heard, Item};
use super::verdict::{Check, PROBATION_REQUESTS};

/// Whoever waits for a slot for so long goes without. Not shorter: more calls at a time are smaller ones.
const LONG: Duration = Duration::from_secs(1);

/// A caller that waits to hear.
pub(super) type Caller = Member<Item, Heard>;

impl VersionStack {
    /// Sees to it that somebody waits for a slot for what is in the queue.
    pub(super) fn await_slot(self: &Arc<Self>) {
        if !self.batcher().is_awaited.swap(true, Ordering::AcqRel) {
            self.run(pull(Arc::clone(self)));
        }
    }

    /// Waits until a batch is due, a replica lives or the version is given up, and a slot and a place are free. `None` if the
    /// version is retired.
    async fn slot(&self) -> Option<Place> {
        let batcher = self.batcher();
        tokio::select! {
            biased;
            () = batcher.queue.ripe() => {}
            () = self.is_retired() => return None,
        }
        self.can_answer().await?;
        // Calls that do not end must not hold up all: beside them work goes on as if there were no slots, place by place.
        let slot = match timeout(LONG, self.permit_of(&batcher.slots)).await {
            Ok(slot) => Some(slot?),
            Err(_) => None,
        };
        let permit = self.permit_of(self.admission()).await?;
        batcher.reunion.gather(|| batcher.queue.len()).await;
        Some(Place::new(permit, slot))
    }
}

async fn pull(stack: Arc<VersionStack>) {
    let longest = stack.settings().timeout;
    let place = timeout(longest, stack.slot()).await;
    let batcher = stack.batcher();
    let settings = stack.settings();
    if matches!(place, Ok(None)) {
        // What waits goes alone, and hears why it cannot.
        batcher.queue.close();
    }
    batcher.limit(&settings);
    // Who comes from here on finds nobody that waits for a slot, and sees to it.
    batcher.is_awaited.swap(false, Ordering::AcqRel);
    let batch = match place {
        Ok(Some(place)) => {
            let batch = batcher.queue.next().now_or_never().flatten();
            batch.map(|batch| (batch, place))
        }
        Ok(None) => {
            while let Some(Some(batch)) = batcher.queue.next().now_or_never() {
                tell_again(batch.members);
            }
            None
        }
        Err(_) => None,
    };
    if !batcher.queue.is_empty() {
        stack.await_slot();
    }
    if let Some((batch, place)) = batch {
        serve(&stack, batch, place).await;
    }
}

async fn serve(stack: &Arc<VersionStack>, batch: Batch<Item, Heard>, mut place: Place) {
    let settings = stack.settings();
    let batcher = stack.batcher();
    let mut callers: Vec<Caller> = batch.members;
    callers.retain(|caller| !caller.is_abandoned());
    for caller in &mut callers {
        caller.item.waits = None;
    }
    if callers.len() < 2 {
        if let Some(only) = callers.pop() {
            stack.metrics().called(only.item.asked.rows.rows());
            only.answer(Heard::Alone(place));
        }
        return;
    }
    if !batcher.is_on(&settings) {
        drop(place);
        return tell_again(callers);
    }
    let mut asked: Vec<Asked> = callers
        .iter()
        .map(|caller| caller.item.asked.clone())
        .collect();
    let check = match settings.batching {
        Batching::Auto => check::due(&batcher.verdict, &asked),
        Batching::On | Batching::Off => Check::Nothing,
    };
    match check {
        Check::Refused => {
            drop(place);
            return tell_again(callers);
        }
        Check::Probation(_) if callers.len() > PROBATION_REQUESTS => {
            asked.truncate(PROBATION_REQUESTS);
            tell_again(callers.split_off(PROBATION_REQUESTS));
        }
        Check::Probation(_) | Check::Sample | Check::Nothing => {}
    }
    let rows = asked.iter().map(|asked| asked.rows.rows()).sum();
    stack.metrics().called(rows);
    let since = Instant::now();
    let deadlines = callers.iter().map(|caller| caller.deadline);
    let deadline = deadlines.max().unwrap_or(since);
    // Kept until it is known who is expected back: whoever waits already would take it before.
    let slot = place.take_slot();
    let shares = match together(stack, &asked, place, deadline).await {
        Ok(shares) => shares,
        Err(failed) => {
            debug!(version = %stack.id(), ?failed, rows, "a shared call failed, its requests go alone");
            if failed.is_for_its_rows() {
                batcher.pace.failed(rows);
            }
            return tell_again(callers);
        }
    };
    let took = since.elapsed();
    batcher.pace.went_well(rows);
    batcher.fit.took(rows, took);
    batcher.reunion.expect(callers.len(), took);
    drop(slot);
    match check {
        Check::Probation(kind) => {
            check::on_probation(stack, callers, &asked, &shares, deadline, kind).await;
        }
        Check::Sample => {
            tell(callers, shares.iter().cloned());
            check::sample(stack, &asked, &shares).await;
        }
        Check::Refused | Check::Nothing => tell(callers, shares),
    }
}

fn tell(callers: Vec<Caller>, shares: impl IntoIterator<Item = super::turn::Share>) {
    for (caller, share) in callers.into_iter().zip(shares) {
        caller.answer(Heard::Shared(share));
    }
}

/// Each goes alone.
pub(super) fn tell_again(callers: Vec<Caller>) {
    for caller in callers {
        caller.answer(Heard::Again);
    }
}
