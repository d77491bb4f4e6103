//! Puts what is decided about sharing calls into the event log, from where scoring happens: nobody waits for a disk.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serving_core::{Clock, Event, Fact, Note, ServableId};
use tokio::sync::mpsc;
use tracing::warn;

use crate::api::EventType;
use crate::ports::BatchingEvents;

/// Characters of a reason that the log keeps.
const LONGEST_REASON: usize = 300;

/// Writes into the queue that the engine's events go through too.
pub struct BatchingNotes {
    events: mpsc::Sender<Event>,
    clock: Arc<dyn Clock>,
    dropped: AtomicU64,
}

impl BatchingNotes {
    /// Tells `events`, with the time of `clock`.
    pub fn new(events: mpsc::Sender<Event>, clock: Arc<dyn Clock>) -> Self {
        Self {
            events,
            clock,
            dropped: AtomicU64::new(0),
        }
    }

    /// Events that were dropped so far, because nobody took them out of the queue in time.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl BatchingEvents for BatchingNotes {
    fn decided(&self, id: &ServableId, on: bool, reason: &str) {
        let reason: String = reason.chars().take(LONGEST_REASON).collect();
        let state = if on { "on" } else { "off" };
        let message = match reason.as_str() {
            "" => format!("Batching is {state}"),
            reason => format!("Batching is {state}: {reason}"),
        };
        let mut note = Note::new(EventType::Batching.as_str(), message).about("on", on);
        if !reason.is_empty() {
            note = note.about("reason", reason.as_str());
        }
        let event = Event {
            at: self.clock.now(),
            model: id.model.clone(),
            version: Some(id.version),
            fact: Fact::Noted(note),
        };
        // After the gateway's end nobody reads, and nobody asks either.
        if let Err(mpsc::error::TrySendError::Full(event)) = self.events.try_send(event) {
            let dropped = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
            warn!(model = %event.model, fact = ?event.fact, dropped, "the event log is full; event dropped");
        }
    }
}

impl fmt::Debug for BatchingNotes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("BatchingNotes")
            .field("dropped", &self.dropped())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use serving_core::{SystemClock, Version};

    use super::*;

    fn notes(room: usize) -> (BatchingNotes, mpsc::Receiver<Event>) {
        let (events, queue) = mpsc::channel(room);
        (BatchingNotes::new(events, Arc::new(SystemClock)), queue)
    }

    #[test]
    fn a_decision_is_an_event_of_its_version() {
        let (notes, mut queue) = notes(2);
        let id = ServableId::new("iris", Version(3));
        notes.decided(&id, false, "no input example was logged");
        let event = queue.try_recv().unwrap();
        assert_eq!(
            (event.model.as_str(), event.version),
            ("iris", Some(Version(3)))
        );
        let Fact::Noted(note) = event.fact else {
            panic!("{:?}", event.fact);
        };
        assert_eq!(
            json!(note),
            json!({
                "kind": "batching",
                "message": "Batching is off: no input example was logged",
                "about": {"on": false, "reason": "no input example was logged"},
            })
        );
        let kept: Note = serde_json::from_value(json!(note)).unwrap();
        assert_eq!(kept, note);

        notes.decided(&id, true, "");
        let Fact::Noted(note) = queue.try_recv().unwrap().fact else {
            panic!("it is a note");
        };
        assert_eq!(&*note.message, "Batching is on");
        assert_eq!(json!(note.about), json!({"on": true}));
    }

    #[test]
    fn what_does_not_fit_is_dropped_and_counted_and_nobody_waits() {
        let (notes, mut queue) = notes(1);
        let id = ServableId::new("iris", Version(3));
        for _ in 0..3 {
            notes.decided(&id, false, &"é".repeat(1000));
        }
        assert_eq!(notes.dropped(), 2);
        let Fact::Noted(note) = queue.try_recv().unwrap().fact else {
            panic!("it is a note");
        };
        assert!(note.message.chars().count() < 330, "{}", note.message);
        drop(queue);
        notes.decided(&id, true, "");
        assert_eq!(notes.dropped(), 2, "nobody reads any more");
    }
}
