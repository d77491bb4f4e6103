//! The event log: what older releases wrote, what is never forgotten, and what a start of the gateway says of labels.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serving_core::{Event, Fact, Label, LabelRoute, ModelSnapshot, Snapshot, SystemClock, Version};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::metrics::LifeMetrics;

const START: SystemTime = SystemTime::UNIX_EPOCH;

async fn store() -> (TempDir, Store) {
    let folder = TempDir::new().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    (folder, store)
}

fn moved(second: u64, label: &str, from: Option<u64>, to: Option<u64>) -> Event {
    Event {
        at: START + Duration::from_secs(second),
        model: "iris".into(),
        version: to.map(Version),
        fact: Fact::LabelMoved {
            label: label.into(),
            from: from.map(Version),
            to: to.map(Version),
        },
    }
}

fn draining(second: u64) -> Event {
    Event {
        at: START + Duration::from_secs(second),
        model: "iris".into(),
        version: Some(Version(1)),
        fact: Fact::Draining {},
    }
}

/// The moves of `label` by the log: from where to where.
async fn moves(store: &Store, label: &str) -> Vec<(Option<u64>, Option<u64>)> {
    let moves = store.label_moves(&"iris".into(), &Label::from(label)).await;
    let number = |version: Option<Version>| version.map(|version| version.0);
    let moves = moves.unwrap().into_iter();
    moves
        .map(|step| (number(step.from), number(step.to)))
        .collect()
}

#[tokio::test]
async fn what_an_older_release_has_logged_is_found_by_kind_and_label() {
    let (folder, store) = store().await;
    for statement in [
        "DROP INDEX event_of_kind",
        "DROP INDEX event_of_label",
        "ALTER TABLE event DROP COLUMN kind",
        "ALTER TABLE event DROP COLUMN label",
        "DELETE FROM _sqlx_migrations WHERE version = 2",
        "INSERT INTO event (at, model, version, fact) VALUES
             (1, 'iris', 1, '{\"type\":\"prepared\",\"took\":{\"secs\":1,\"nanos\":0}}'),
             (2, 'iris', 1, '{\"type\":\"label_moved\",\"label\":\"Production\",\"from\":null,\"to\":1}'),
             (3, 'iris', NULL, 'torn')",
    ] {
        sqlx::query(statement).execute(&store.pool).await.unwrap();
    }
    store.close().await;
    let store = Store::open(folder.path()).await.unwrap();
    let filter = EventFilter {
        kinds: ["prepared".to_owned()].into(),
        ..EventFilter::of("iris")
    };
    let found = store.events_before(&filter, None, 10).await.unwrap();
    assert_eq!(found.len(), 1);
    let took = Duration::from_secs(1);
    assert_eq!(found[0].fact, Fact::Prepared { took }.into());
    assert_eq!(moves(&store, "Production").await, [(None, Some(1))]);
    assert_eq!(*store.newest_event().borrow(), 3);
}

#[tokio::test]
async fn where_a_label_points_is_never_forgotten() {
    let (_folder, store) = store().await;
    let mut events = vec![
        moved(1, "Production", None, Some(1)),
        moved(2, "Production", Some(1), Some(2)),
        moved(3, "@gone", None, Some(1)),
        moved(4, "@gone", Some(1), None),
    ];
    events.extend((5..20).map(draining));
    store.append_events(&events).await.unwrap();
    let now = START + Duration::from_secs(1000);
    for (age, per_model) in [
        (Duration::from_secs(1), 100),
        (Duration::from_secs(5000), 3),
    ] {
        store.prune_events(now, age, per_model).await.unwrap();
        assert_eq!(moves(&store, "Production").await, [(Some(1), Some(2))]);
        assert_eq!(moves(&store, "@gone").await, []);
        store.append_events(&events[4..]).await.unwrap();
    }
}

#[tokio::test]
async fn whoever_follows_is_told_of_every_entry_whoever_wrote_it() {
    let (folder, store) = store().await;
    let mut newest = store.newest_event();
    let mut seen = vec![*newest.borrow_and_update()];
    store
        .append_events(&[draining(1), draining(2)])
        .await
        .unwrap();
    seen.push(*newest.borrow_and_update());
    let by = "ada".to_owned();
    let fact = ControlFact::RestartRequested { by: by.clone() };
    store
        .append_fact(START, &"iris".into(), None, fact)
        .await
        .unwrap();
    seen.push(*newest.borrow_and_update());
    let put = Change::Put {
        intent: Box::new(StoredIntent {
            serve: true,
            settings: crate::api::ModelSettings::default(),
        }),
        facts: vec![ControlFact::Enabled { by: by.clone() }],
        by,
    };
    let iris = "iris".into();
    let changed = store.change_intent(&iris, START, |_| Ok::<_, ()>(put));
    changed.await.unwrap();
    seen.push(*newest.borrow_and_update());
    assert_eq!(seen, [0, 2, 3, 4]);

    // An id is never used twice, also when the newest entries were forgotten.
    store
        .prune_events(SystemTime::now(), Duration::ZERO, 1)
        .await
        .unwrap();
    store.close().await;
    let store = Store::open(folder.path()).await.unwrap();
    assert_eq!(*store.newest_event().borrow(), 4);
}

#[tokio::test]
async fn a_start_of_the_gateway_moves_no_label_but_tells_what_was_moved_while_it_was_down() {
    let (_folder, store) = store().await;
    let before = ["Production", "Staging", "@champion"].map(|label| moved(1, label, None, Some(1)));
    store.append_events(&before).await.unwrap();

    let (sender, receiver) = mpsc::channel(10);
    let point = |label: &str, aspired| {
        let route = LabelRoute {
            aspired: Some(Version(aspired)),
            current: None,
        };
        (Label::from(label), route)
    };
    let model = ModelSnapshot {
        labels: [point("Production", 1), point("Staging", 2)].into(),
        ..ModelSnapshot::default()
    };
    let shown = Snapshot {
        models: [("iris".into(), model)].into(),
    };
    let (snapshot, seen) = watch::channel(Arc::default());
    let ending = CancellationToken::new();
    // The nothing of a start counts for nothing, before what is wanted is known.
    let known = {
        let snapshot = snapshot.clone();
        Box::pin(async move {
            snapshot.send_replace(Arc::new(shown));
        })
    };
    let writing = write_events(
        store.clone(),
        receiver,
        SeenLabels {
            snapshot: seen,
            known,
            ending: ending.clone(),
        },
        LifeMetrics::new(),
        EventRetention::new(Duration::MAX, 1000),
        Arc::new(SystemClock),
        CancellationToken::new(),
    );
    let mut newest = store.newest_event();
    let engine = async {
        newest.wait_for(|id| *id >= 4).await.unwrap();
        assert_eq!(
            moves(&store, "@champion").await,
            [(None, Some(1)), (Some(1), None)]
        );
        // Both are ready now.
        sender
            .try_send(moved(5, "Production", None, Some(1)))
            .unwrap();
        sender.try_send(moved(6, "Staging", None, Some(2))).unwrap();
        newest.wait_for(|id| *id >= 5).await.unwrap();
        // The end of the engine, which shows nothing any more, is no move either.
        ending.cancel();
        snapshot.send_replace(Arc::default());
        drop(sender);
    };
    let both = async { tokio::join!(writing, engine) };
    timeout(Duration::from_secs(60), both).await.unwrap();
    assert_eq!(moves(&store, "Production").await, [(None, Some(1))]);
    assert_eq!(
        moves(&store, "Staging").await,
        [(None, Some(1)), (Some(1), Some(2))]
    );
    assert_eq!(*newest.borrow(), 5);
}
