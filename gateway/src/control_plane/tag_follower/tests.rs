//! Following beside a store that does not get on.

use std::time::Duration;

use serde_json::Map;
use serving_core::{AspiredModel, Incarnation, SystemClock};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::*;
use crate::api::Settings;
use crate::store::{ControlFact, EventFilter, LoggedFact};

const PATIENCE: Duration = Duration::from_secs(2);

fn aspired(replicas: &str) -> Arc<Aspired> {
    let model = AspiredModel {
        tags: [("replicas".to_owned(), replicas.to_owned())].into(),
        incarnation: Incarnation::from("1".to_owned()),
        versions: BTreeMap::new(),
        labels: BTreeMap::new(),
    };
    Arc::new(Aspired {
        models: [("iris".into(), model)].into(),
    })
}

#[tokio::test]
async fn a_slow_store_and_a_persons_change_under_way_hold_up_no_tags() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    let book = IntentBook::open(store.clone(), Settings::default(), false);
    let book = book.await.unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let iris = ModelName::from("iris");
    book.enable(&iris, Map::new(), "ada", &clock).await.unwrap();
    let (registry, seen) = watch::channel(Some(aspired("1")));
    let follower = TagFollower::new(Arc::clone(&book), store.clone(), seen, Arc::clone(&clock));
    let mut heeded = follower.aspired();
    let shutdown = CancellationToken::new();
    let mut running = JoinSet::new();
    running.spawn(follower.run(shutdown.clone()));

    let file = SqliteConnectOptions::new().filename(folder.path().join("state.db"));
    let mut other: SqliteConnection = file.connect().await.unwrap();
    let held = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let change = Map::from_iter([("max_queue".to_owned(), 7.into())]);
    let mut person = JoinSet::new();
    {
        let (book, iris, clock) = (Arc::clone(&book), iris.clone(), Arc::clone(&clock));
        person.spawn(async move { book.enable(&iris, change, "ada", &clock).await });
    }
    tokio::task::yield_now().await;
    for replicas in ["2", "3", "4"] {
        registry.send_replace(Some(aspired(replicas)));
        let is_newest = |known: &Known| *known == Some(aspired(replicas));
        let newest = timeout(PATIENCE, heeded.wait_for(is_newest)).await;
        newest.expect("the disk is waited for").unwrap();
        let settings = book.settings("iris").unwrap();
        assert_eq!(settings.replicas.to_string(), replicas);
    }
    assert!(person.try_join_next().is_none());
    held.rollback().await.unwrap();

    person.join_next().await.unwrap().unwrap().unwrap();
    let settings = book.settings("iris").unwrap();
    assert_eq!((settings.replicas.most(), settings.max_queue), (4, 7));
    // What waits for the log is written before the end.
    shutdown.cancel();
    running.join_next().await.unwrap().unwrap();
    let filter = EventFilter::of("iris");
    let events = store.events_before(&filter, None, 100).await.unwrap();
    let told = |event: &&crate::store::LoggedEvent| match &event.fact {
        LoggedFact::Control(ControlFact::SettingsChanged { by, keys, .. }) => {
            by == "the registry's tags" && keys == &["replicas"]
        }
        _ => false,
    };
    let told = events.iter().filter(told).count();
    assert!((1..=2).contains(&told), "{told} of three changes");
}
