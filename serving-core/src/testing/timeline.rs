//! The event log as a few lines of text, one a fact, with the seconds since the clock's start.

use std::time::SystemTime;

use tokio::sync::mpsc;

use crate::event::{Event, Fact};
use crate::id::Version;

/// Reads the events that a manager writes. Times are those of a `RuntimeClock`.
pub struct Timeline {
    events: mpsc::Receiver<Event>,
}

impl Timeline {
    /// A timeline and the sender to give to the manager.
    pub fn new() -> (mpsc::Sender<Event>, Self) {
        Self::with_room_for(10_000)
    }

    /// The same with room for so many events that were not read yet.
    pub fn with_room_for(events: usize) -> (mpsc::Sender<Event>, Self) {
        let (sender, events) = mpsc::channel(events);
        (sender, Self { events })
    }

    /// The events since the last call.
    pub fn events(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Ok(event) = self.events.try_recv() {
            events.push(event);
        }
        events
    }

    /// The lines since the last call.
    pub fn lines(&mut self) -> Vec<String> {
        self.events().iter().map(line).collect()
    }
}

fn line(event: &Event) -> String {
    let at = event.at.duration_since(SystemTime::UNIX_EPOCH);
    let seconds = at.unwrap_or_default().as_secs_f64();
    let model = &event.model;
    let fact = fact(&event.fact);
    match event.version {
        Some(version) => format!("{seconds:.1} {model}@{version} {fact}"),
        None => format!("{seconds:.1} {model} {fact}"),
    }
}

fn fact(fact: &Fact) -> String {
    let place = |version: &Option<Version>| {
        version.map_or_else(|| "nowhere".to_owned(), |version| version.to_string())
    };
    match fact {
        Fact::Discovered { generation } => format!("discovered as generation {generation}"),
        Fact::Prepared { .. } => "prepared".to_owned(),
        Fact::Noted(note) => format!("{}: {}", note.kind, note.message),
        Fact::ReplicaStarted { replica, .. } => format!("replica {replica} started"),
        Fact::ReplicaCrashed {
            replica,
            reason,
            restart_in,
            ..
        } => {
            let pause = restart_in.as_secs_f64();
            format!("replica {replica} crashed: {reason}; next in {pause:.1} s")
        }
        Fact::ReplicaReplaced { replica, reason } => {
            format!("replica {replica} replaced: {reason}")
        }
        Fact::Scaled { from, to, reason } => format!("scaled from {from} to {to}: {reason}"),
        Fact::Asleep { idle } => format!("asleep after {:.1} s", idle.as_secs_f64()),
        Fact::Woken { took } => format!("woken in {:.1} s", took.as_secs_f64()),
        Fact::Ready { .. } => "ready".to_owned(),
        Fact::Failed { failure } => format!("failed, {:?}: {}", failure.kind, failure.message),
        Fact::LabelMoved { label, from, to } => {
            format!("{label} moved from {} to {}", place(from), place(to))
        }
        Fact::Restarting {} => "restarting".to_owned(),
        Fact::Draining {} => "draining".to_owned(),
        Fact::Retired { abandoned: 0 } => "retired".to_owned(),
        Fact::Retired { abandoned } => format!("retired, {abandoned} cut off"),
    }
}
