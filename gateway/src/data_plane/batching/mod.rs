//! Requests of several callers in one call of a worker: what that costs is nearly the same for one row and for hundreds.
//!
//! A request whose rows may be joined ([`Mergeable`]) needs a slot, of which each worker has one. If one is free, the request
//! goes its way as any other, and nothing here costs it anything. If none is, it waits in a queue, and when a slot comes free, all
//! of its kind that wait go together: [`pull`] takes them, [`together`] asks and cuts the answer, and each caller goes on with
//! its own share. So a batch forms exactly where there is contention. Those who are answered together ask again at nearly the same
//! time: [`reunion`] has them wait for each other.
//!
//! A call that fails is forgotten, and each of its requests goes alone as if it had never been in company: a bad row is its
//! owner's trouble. [`pace`] keeps such calls few; [`fit`] keeps calls short. Where it is left to us whether calls are shared,
//! [`trial`] finds out whether a row gets the same answer alone and in company, and [`check`] goes on asking; [`verdict`] remembers.
//!
//! All laws of a request hold for one that waits here: it is one of `max_queue`, it leaves with its client or at its deadline,
//! and its version waits for it when it is retired. A shared call takes one place of `max_concurrency`.

mod check;
mod fit;
mod pace;
mod pull;
mod reunion;
mod share_body;
mod together;
mod trial;
mod turn;
mod verdict;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serving_core::batch::{BatchLimits, BatchQueue, Unanswered};
use serving_core::{Batching, Settings};
use tokio::time::Instant;

use super::admission::{Admission, Place};
use super::attempt::{Question, no_answer_in_time};
use super::metrics::{Counted, Sharing};
use super::stack::VersionStack;
use crate::error::ApiError;
use crate::protocol::merge::Mergeable;
use crate::telemetry::Trail;
use fit::Fit;
use pace::Pace;
use reunion::Reunion;
use turn::{Asked, Company, Heard, Item, Waits};
use verdict::Verdict;

pub(super) use turn::{SharedAnswer, Turn};

/// Calls of rows that could be shared, on one worker at a time. Python computes one at a time anyway, and a call costs nearly
/// the same for one row and for hundreds: two calls at a time are twice as many of half the size.
pub(super) const SLOTS: usize = 1;
/// Bytes of a body that is looked into for rows. In a longer one the rows are so many that company is no gain.
pub(super) const LARGEST: usize = 64 << 10;

/// What a version has for sharing calls.
#[derive(Debug)]
pub(super) struct Batcher {
    queue: Arc<BatchQueue<Company, Item, Heard>>,
    slots: Arc<Admission>,
    /// Whether somebody is about to take what waits.
    is_awaited: AtomicBool,
    pace: Pace,
    fit: Fit,
    reunion: Reunion,
    verdict: Verdict,
}

/// Whether requests to a version share calls, and what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchingState {
    /// Whether they may now.
    pub on: bool,
    /// Why, or why not: a sentence for people.
    pub reason: Arc<str>,
    /// Rows of a call on the average, of those calls of which they are known, since the version became ready.
    pub mean_rows: Option<f64>,
}

impl Batcher {
    pub(super) fn new() -> Self {
        // Until the first request, which sets them as the settings are.
        let limits = BatchLimits {
            max_items: 0,
            max_weight: 1,
            max_delay: std::time::Duration::ZERO,
        };
        Self {
            queue: BatchQueue::new(limits),
            slots: Admission::new(),
            is_awaited: AtomicBool::new(false),
            pace: Pace::new(),
            fit: Fit::new(),
            reunion: Reunion::new(),
            verdict: Verdict::new(),
        }
    }

    /// Fits the number of slots to that of live replicas.
    pub(super) fn resize(&self, replicas: usize) {
        self.slots.resize(SLOTS.saturating_mul(replicas));
    }

    /// Fits the queue to the settings and to what is known.
    fn limit(&self, settings: &Settings) {
        self.queue.set_limits(BatchLimits {
            max_items: usize::try_from(settings.max_queue).unwrap_or(usize::MAX),
            max_weight: self.most(settings).max(1),
            max_delay: settings.max_batch_delay,
        });
    }

    /// Rows that a call may have now; fewer than two: none is shared.
    fn most(&self, settings: &Settings) -> usize {
        let configured = usize::try_from(settings.max_batch_rows.get()).unwrap_or(usize::MAX);
        configured.min(self.pace.rows()).min(self.fit.rows())
    }

    fn is_on(&self, settings: &Settings) -> bool {
        match settings.batching {
            Batching::Off => false,
            Batching::On => true,
            Batching::Auto => self.verdict.is_on(),
        }
    }
}

impl VersionStack {
    /// Whether requests share calls, and why.
    pub fn batching(&self) -> BatchingState {
        let settings = self.settings();
        let reason = match settings.batching {
            Batching::Off => "the model's settings say so".into(),
            Batching::On => "the model's settings say so, and nothing is compared".into(),
            Batching::Auto => self.batcher().verdict.reason(),
        };
        BatchingState {
            on: self.batcher().is_on(&settings),
            reason,
            mean_rows: self.metrics().mean_rows(),
        }
    }

    /// Rows share calls from now on, or do not, because of `reason`.
    fn decide(&self, on: bool, reason: &str) {
        if self.batcher().verdict.decide(on, reason) {
            self.tell(on, reason);
        }
    }

    /// Waits until a request may be put to a worker, or has been together with others.
    pub(super) async fn turn(
        self: &Arc<Self>,
        question: &Question,
        trail: &Trail,
        deadline: Instant,
    ) -> Result<Turn, ApiError> {
        let settings = self.settings();
        if let Some(rows) = self.asked(question, trail, &settings) {
            // Boxed: what it takes would be moved along by every request that goes alone.
            return Box::pin(self.in_company(rows, trail, deadline)).await;
        }
        self.alone(trail, deadline).await
    }

    /// Waits as any request does that shares nothing.
    async fn alone(&self, trail: &Trail, deadline: Instant) -> Result<Turn, ApiError> {
        Ok(Turn::Alone(self.place(trail, deadline).await?))
    }

    /// Waits for a place for a request that shares nothing.
    pub(super) async fn place(&self, trail: &Trail, deadline: Instant) -> Result<Place, ApiError> {
        let queued = trail.queues();
        let permit = self.admit(deadline).await;
        drop(queued);
        let place = Place::new(permit?, None);
        self.metrics().went(Sharing::Alone);
        Ok(place)
    }

    /// What a request has that could be joined with others, if calls are shared at all.
    fn asked(
        self: &Arc<Self>,
        question: &Question,
        trail: &Trail,
        settings: &Settings,
    ) -> Option<Asked> {
        let one_goes_alone = settings.max_batch_rows.get() < 2;
        if settings.batching == Batching::Off || one_goes_alone || question.size() > LARGEST {
            return None;
        }
        let batcher = self.batcher();
        if !batcher.is_on(settings) {
            if batcher.verdict.begins() {
                self.run(trial::run(Arc::clone(self)));
            }
            return None;
        }
        let most = batcher.most(settings);
        if most < 2 {
            return None;
        }
        let dialect = self.dialect()?;
        // What is wrong with it is said where it is sent.
        let translation = question.translated(dialect).ok()?;
        let rows = Mergeable::read(dialect, &translation)?;
        // As many as a call may have now need no company, and no slot.
        (rows.rows() < most).then(|| Asked {
            rows,
            dialect,
            shape: translation.answer,
            headers: question.headers().clone(),
            trail: trail.clone(),
            memory: Arc::clone(question.memory()),
        })
    }

    async fn in_company(
        self: &Arc<Self>,
        asked: Asked,
        trail: &Trail,
        deadline: Instant,
    ) -> Result<Turn, ApiError> {
        let max_queue = self.resize()?;
        let batcher = self.batcher();
        let settings = self.settings();
        if settings.max_batch_delay.is_zero()
            && !batcher.reunion.is_near()
            && let Some(slot) = batcher.slots.enter_now()
            && let Some(permit) = self.admission().enter_now()
        {
            self.metrics().called(asked.rows.rows());
            self.metrics().went(Sharing::Alone);
            return Ok(Turn::Alone(Place::new(permit, Some(slot))));
        }
        let Some(place) = self.admission().wait(max_queue) else {
            // There may be a place that is no slot.
            return self.alone(trail, deadline).await;
        };
        let shape = asked.shape;
        let (company, rows) = (asked.company(), asked.rows.rows());
        let item = Item {
            asked,
            waits: Some(Waits {
                _noted: trail.queues(),
                _counted: Counted::up(&self.metrics().queue_length),
                _place: place,
                _demand: self.demand().waits_in_a_queue(),
            }),
        };
        batcher.limit(&settings);
        let offered = batcher.queue.offer(item, Some(company), rows, deadline);
        let Ok(waiting) = offered else {
            return self.alone(trail, deadline).await;
        };
        batcher.reunion.came(|| batcher.queue.len());
        self.await_slot();
        match waiting.answer().await {
            Ok(Heard::Alone(place)) => {
                self.metrics().went(Sharing::Alone);
                Ok(Turn::Alone(place))
            }
            Ok(Heard::Shared(share)) => {
                self.metrics().went(Sharing::Batched);
                Ok(Turn::Shared(SharedAnswer { share, shape }))
            }
            Ok(Heard::Again) | Err(Unanswered::Lost) => {
                self.metrics().went(Sharing::Replayed);
                let queued = trail.queues();
                let permit = self.admit_again(deadline).await;
                drop(queued);
                Ok(Turn::Alone(Place::new(permit?, None)))
            }
            Err(Unanswered::Expired) => Err(self.late()),
            // A worker that is awaited is what it would have waited for alone, too.
            Err(Unanswered::Late) => Err(self
                .unavailable()
                .unwrap_or_else(|| no_answer_in_time(self))),
        }
    }
}
