//! The store's suite, on a file: what is written is there after a reopen, and other processes see it.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use auth::{Grant, NewToken, TokenStore};
use serving_core::{
    Aspired, AspiredModel, Event, Fact, Generation, Incarnation, ModelName, SystemClock, Version,
};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::api::ModelSettings;
use crate::metrics::LifeMetrics;

const START: SystemTime = SystemTime::UNIX_EPOCH;

async fn store() -> (TempDir, Store) {
    let folder = TempDir::new().unwrap();
    let store = Store::open(&folder.path().join("data")).await.unwrap();
    (folder, store)
}

async fn reopened(folder: &TempDir, store: Store) -> Store {
    store.close().await;
    Store::open(&folder.path().join("data")).await.unwrap()
}

fn iris() -> ModelName {
    "iris".into()
}

fn put(serve: bool) -> Change {
    Change::Put {
        intent: Box::new(StoredIntent {
            serve,
            settings: ModelSettings::default(),
        }),
        facts: vec![ControlFact::Enabled {
            by: "ada".to_owned(),
        }],
        by: "ada".to_owned(),
    }
}

fn event(version: u64) -> Event {
    Event {
        at: START + Duration::from_secs(version),
        model: iris(),
        version: Some(Version(version)),
        fact: Fact::Discovered {
            generation: Generation(1),
        },
    }
}

async fn newest(store: &Store, limit: u32) -> Vec<LoggedEvent> {
    let all = EventFilter::of(iris());
    store.events_before(&all, None, limit).await.unwrap()
}

#[tokio::test]
async fn the_folder_and_the_files_are_private() {
    let (folder, store) = store().await;
    store.append_events(&[event(1)]).await.unwrap();
    let data = folder.path().join("data");
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    for name in ["state.db", "state.db-wal", "state.db-shm"] {
        assert_eq!(mode(&data.join(name)), 0o600, "{name}");
    }
}

#[tokio::test]
async fn an_intent_and_its_event_survive_together() {
    let (folder, store) = store().await;
    let changed = store
        .change_intent(&iris(), START, |current| {
            assert_eq!(current, None);
            Ok::<_, ()>(put(true))
        })
        .await
        .unwrap();
    assert!(changed.is_some());
    let store = reopened(&folder, store).await;
    assert!(store.intents().await.unwrap()["iris"].serve);
    let events = newest(&store, 10).await;
    assert_eq!(events.len(), 1);
    assert_eq!(
        events[0].fact,
        ControlFact::Enabled {
            by: "ada".to_owned()
        }
        .into()
    );
}

#[tokio::test]
async fn a_refused_change_and_one_that_is_cut_off_leave_neither_intent_nor_event() {
    let (folder, store) = store().await;
    let refused = store
        .change_intent(&iris(), START, |_| Err::<Change, _>("no"))
        .await;
    assert!(matches!(refused, Err(ChangeError::Refused("no"))));

    // The event cannot be written after the intent was: as if the process had died between the two.
    sqlx::query(
        "CREATE TRIGGER cut AFTER INSERT ON event BEGIN SELECT RAISE(ABORT, 'cut off'); END",
    )
    .execute(&store.pool)
    .await
    .unwrap();
    let cut = store
        .change_intent(&iris(), START, |_| Ok::<_, ()>(put(true)))
        .await;
    assert!(matches!(cut, Err(ChangeError::Store(_))));

    let store = reopened(&folder, store).await;
    assert!(store.intents().await.unwrap().is_empty());
    assert!(newest(&store, 10).await.is_empty());
}

#[tokio::test]
async fn events_come_newest_first_in_pages_that_new_events_do_not_shift() {
    let (_folder, store) = store().await;
    let seen: Vec<_> = (1..=5).map(event).collect();
    store.append_events(&seen).await.unwrap();
    let first = newest(&store, 2).await;
    store.append_events(&[event(6)]).await.unwrap();
    let all = EventFilter::of(iris());
    let rest = store
        .events_before(&all, Some(first[1].id), 10)
        .await
        .unwrap();
    let versions: Vec<_> = first
        .iter()
        .chain(&rest)
        .filter_map(|event| event.version)
        .collect();
    assert_eq!(versions, [5, 4, 3, 2, 1].map(Version));
    assert_eq!(rest[2].fact, seen[0].fact.clone().into());
    assert_eq!(rest[2].at, seen[0].at);
}

#[tokio::test]
async fn events_of_one_version_are_its_own_however_large_its_number() {
    let (_folder, store) = store().await;
    store
        .append_events(&[
            event(1),
            Event {
                version: Some(Version(u64::MAX)),
                ..event(2)
            },
        ])
        .await
        .unwrap();
    let filter = EventFilter {
        version: Some(Version(u64::MAX)),
        ..EventFilter::of(iris())
    };
    let events = store.events_before(&filter, None, 10).await.unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].version, Some(Version(u64::MAX)));
}

#[tokio::test]
async fn old_and_surplus_events_are_forgotten_model_by_model() {
    let (_folder, store) = store().await;
    let quiet = Event {
        model: "quiet".into(),
        ..event(9)
    };
    let mut events: Vec<_> = (1..=8).map(event).collect();
    events.push(quiet);
    store.append_events(&events).await.unwrap();
    let now = START + Duration::from_secs(10);
    let forgotten = store
        .prune_events(now, Duration::from_secs(7), 2)
        .await
        .unwrap();
    assert_eq!(forgotten, 6);
    let left = newest(&store, 10).await;
    assert_eq!(
        left.iter()
            .filter_map(|event| event.version)
            .collect::<Vec<_>>(),
        [8, 7].map(Version)
    );
    let quiet = EventFilter::of("quiet");
    assert_eq!(
        store.events_before(&quiet, None, 10).await.unwrap().len(),
        1
    );
}

#[tokio::test]
async fn what_another_release_has_logged_is_still_an_entry() {
    let (_folder, store) = store().await;
    sqlx::query("INSERT INTO event (at, model, fact) VALUES (0, 'iris', '{\"type\":\"teleported\",\"to\":7}')")
        .execute(&store.pool)
        .await
        .unwrap();
    let events = newest(&store, 10).await;
    assert_eq!(events[0].fact, LoggedFact::Unknown("teleported".to_owned()));
}

#[tokio::test]
async fn the_writer_writes_what_is_in_the_queue_before_it_ends() {
    let (_folder, store) = store().await;
    let (sender, receiver) = mpsc::channel(1000);
    for version in 1..=700 {
        sender.try_send(event(version)).unwrap();
    }
    let shutdown = CancellationToken::new();
    shutdown.cancel();
    // Far in the future for the events' own times, so nothing is cut while it is written.
    let retention = EventRetention {
        age: Duration::MAX,
        ..EventRetention::default()
    };
    write_events(
        store.clone(),
        receiver,
        SeenLabels {
            snapshot: watch::channel(Arc::default()).1,
            known: Box::pin(std::future::pending()),
            ending: CancellationToken::new(),
        },
        LifeMetrics::new(),
        retention,
        Arc::new(SystemClock),
        shutdown,
    )
    .await;
    assert_eq!(newest(&store, 1000).await.len(), 700);
    assert!(sender.is_closed());
}

#[tokio::test]
async fn tokens_and_grants_are_kept_whole_and_without_the_token() {
    let (folder, store) = store().await;
    let new = NewToken {
        comment: "for the dashboard".to_owned(),
        lifetime: Some(Duration::from_secs(60)),
        scopes: auth::Scopes::only([auth::Permission::new(
            "iris".parse().unwrap(),
            auth::Right::Read,
        )]),
        ..NewToken::new("ada")
    };
    let (record, token) = new.issue(SystemTime::now()).unwrap();
    store.insert(record.clone()).await.unwrap();
    assert!(store.insert(record.clone()).await.is_err());
    for grant in [Grant::Admin, Grant::read("fraud-*".parse().unwrap())] {
        store.grant("ada", &grant).await.unwrap();
    }
    let store = reopened(&folder, store).await;
    let mut kept = store.load().await.unwrap();
    assert_eq!(kept.tokens, [record]);
    kept.grants.sort();
    assert_eq!(
        kept.grants,
        [
            ("ada".into(), Grant::Admin),
            ("ada".into(), Grant::read("fraud-*".parse().unwrap()))
        ]
    );
    store.close().await;
    let file = std::fs::read(folder.path().join("data/state.db")).unwrap();
    let token = token.expose().as_bytes();
    assert!(!file.windows(token.len()).any(|window| window == token));
}

#[tokio::test]
async fn every_change_of_tokens_and_nothing_else_moves_the_revision_of_every_process() {
    let (folder, store) = store().await;
    let other = Store::open(&folder.path().join("data")).await.unwrap();
    let (record, _) = NewToken::new("ada").issue(SystemTime::now()).unwrap();
    let mut seen = vec![other.revision().await.unwrap()];
    store.insert(record.clone()).await.unwrap();
    seen.push(other.revision().await.unwrap());
    store.grant("ada", &Grant::Admin).await.unwrap();
    seen.push(other.revision().await.unwrap());
    assert!(store.revoke_grant("ada", &Grant::Admin).await.unwrap());
    seen.push(other.revision().await.unwrap());
    assert!(store.revoke(&record.id).await.unwrap());
    seen.push(other.revision().await.unwrap());
    assert!(
        seen.is_sorted_by(|earlier, later| earlier < later),
        "{seen:?}"
    );

    assert!(!store.revoke(&record.id).await.unwrap());
    assert!(!store.revoke_grant("ada", &Grant::Admin).await.unwrap());
    store.append_events(&[event(1)]).await.unwrap();
    assert_eq!(other.revision().await.unwrap(), seen[4]);
}

#[tokio::test]
async fn two_processes_that_change_the_same_model_at_once_lose_no_change() {
    let (folder, store) = store().await;
    let other = Store::open(&folder.path().join("data")).await.unwrap();
    let mut tasks = JoinSet::new();
    for turn in 0..20_u32 {
        let store = if turn % 2 == 0 {
            store.clone()
        } else {
            other.clone()
        };
        tasks.spawn(async move {
            let count_one = |current: Option<&StoredIntent>| {
                let queue = current.and_then(|intent| intent.settings.max_queue);
                let settings = ModelSettings {
                    max_queue: Some(queue.unwrap_or(0) + 1),
                    ..ModelSettings::default()
                };
                let Change::Put { intent, facts, by } = put(true) else {
                    unreachable!()
                };
                let intent = Box::new(StoredIntent {
                    settings,
                    ..*intent
                });
                Ok::<_, ()>(Change::Put { intent, facts, by })
            };
            store
                .change_intent(&iris(), START, count_one)
                .await
                .unwrap();
        });
    }
    while let Some(result) = tasks.join_next().await {
        result.unwrap();
    }
    assert_eq!(
        store.intents().await.unwrap()["iris"].settings.max_queue,
        Some(20)
    );
    assert_eq!(newest(&store, 100).await.len(), 20);
}

#[tokio::test]
async fn many_may_open_a_new_folder_at_once() {
    let folder = TempDir::new().unwrap();
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let data = folder.path().join("data");
        tasks.spawn(async move { Store::open(&data).await.unwrap().check().await });
    }
    while let Some(result) = tasks.join_next().await {
        assert_eq!(result.unwrap(), Ok(()));
    }
}

#[tokio::test]
async fn the_last_aspired_value_is_kept_and_an_unreadable_one_is_none() {
    let (folder, store) = store().await;
    assert_eq!(store.last_aspired().await.unwrap(), None);
    let model = AspiredModel {
        incarnation: Incarnation::from("1"),
        versions: std::collections::BTreeMap::default(),
        labels: [("Production".into(), Version(1))].into(),
        tags: [("replicas".to_owned(), "2".to_owned())].into(),
    };
    let aspired = Arc::new(Aspired {
        models: [(iris(), model)].into(),
    });
    let (sender, receiver) = watch::channel(None);
    sender.send(Some(Arc::clone(&aspired))).unwrap();
    drop(sender);
    keep_last_aspired(
        store.clone(),
        receiver,
        Arc::new(SystemClock),
        CancellationToken::new(),
    )
    .await;
    let store = reopened(&folder, store).await;
    assert_eq!(
        store.last_aspired().await.unwrap().as_ref(),
        Some(&*aspired)
    );
    sqlx::query("UPDATE last_aspired SET value = '[]'")
        .execute(&store.pool)
        .await
        .unwrap();
    assert_eq!(store.last_aspired().await.unwrap(), None);
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused() {
    let (folder, store) = store().await;
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'later', 1, x'00', 0)",
    )
    .execute(&store.pool)
    .await
    .unwrap();
    store.close().await;
    let error = Store::open(&folder.path().join("data")).await.unwrap_err();
    assert!(matches!(error, OpenError::Newer { .. }), "{error}");
}

#[tokio::test]
async fn what_is_no_database_is_refused_and_left_alone() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("state.db");
    let text = "this is a letter and no database".repeat(100);
    std::fs::write(&path, &text).unwrap();
    let error = Store::open(folder.path()).await.unwrap_err();
    assert!(
        matches!(
            error,
            OpenError::Unusable {
                source: StoreError::Damaged(_),
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_named() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = Store::open(&file.join("data")).await.unwrap_err();
    assert!(matches!(error, OpenError::Folder { .. }), "{error}");
    assert!(error.to_string().contains("file/data"), "{error}");
}

#[test]
fn one_gateway_claims_a_data_folder_and_dropping_the_claim_frees_it() {
    let folder = TempDir::new().unwrap();
    let claim = DataDirLock::claim(folder.path()).unwrap();
    assert!(matches!(
        DataDirLock::claim(folder.path()),
        Err(LockError::Taken(_))
    ));
    drop(claim);
    assert!(DataDirLock::claim(folder.path()).is_ok());
}
