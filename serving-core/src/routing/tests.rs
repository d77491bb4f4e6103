//! References, and the race between callers and a swap.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::phase::{Failure, FailureKind};

fn route(version: u64) -> (Arc<Gate>, Arc<Route<u64>>) {
    let gate = Arc::<Gate>::default();
    let id = ServableId::new("iris", Version(version));
    let route = Route::behind(Arc::clone(&gate), id, Generation(version), version);
    (gate, Arc::new(route))
}

fn table(
    versions: impl IntoIterator<Item = (u64, VersionRoute<u64>)>,
    labels: impl IntoIterator<Item = (&'static str, Option<u64>, Option<u64>)>,
) -> RoutingTable<u64> {
    let routes = ModelRoutes {
        versions: versions
            .into_iter()
            .map(|(version, route)| (Version(version), route))
            .collect(),
        labels: labels
            .into_iter()
            .map(|(label, aspired, current)| {
                let route = LabelRoute {
                    aspired: aspired.map(Version),
                    current: current.map(Version),
                };
                (Label::from(label), route)
            })
            .collect(),
    };
    RoutingTable {
        models: HashMap::from([("iris".into(), Arc::new(routes))]),
    }
}

fn reachable(version: u64) -> (u64, VersionRoute<u64>) {
    (version, VersionRoute::Reachable(route(version).1))
}

fn building(version: u64) -> (u64, VersionRoute<u64>) {
    (version, VersionRoute::Unreachable(Phase::Building))
}

fn by_label(label: &str) -> Reference {
    Reference::Label(label.into())
}

fn ask(router: &Router<u64>, references: &[Reference]) -> Result<u64, Unrouted> {
    router
        .enter("iris", references)
        .map(|entered| entered.target)
}

#[test]
fn the_first_reference_that_names_something_known_decides() {
    let labels = [("Production", Some(1), Some(1)), ("Staging", Some(2), None)];
    let router = Router::fixed(table([reachable(1), building(2)], labels));
    let not_ready = Err(Unrouted::NotReady {
        version: Version(2),
        phase: Phase::Building,
    });
    assert_eq!(ask(&router, &[Reference::Version(Version(1))]), Ok(1));
    assert_eq!(
        ask(&router, &[by_label("@a"), by_label("Production")]),
        Ok(1)
    );
    assert_eq!(
        ask(&router, &[by_label("Staging"), by_label("Production")]),
        not_ready
    );
    assert_eq!(ask(&router, &[Reference::Version(Version(2))]), not_ready);
    assert_eq!(
        ask(&router, &[by_label("production")]),
        Err(Unrouted::UnknownReference)
    );
    assert_eq!(ask(&router, &[]), Err(Unrouted::UnknownReference));
    assert_eq!(
        router.enter("wine", &[Reference::Latest]).unwrap_err(),
        Unrouted::UnknownModel
    );
}

#[test]
fn a_label_whose_target_nobody_knows_names_nothing() {
    let router = Router::fixed(table([reachable(1)], [("Staging", Some(9), None)]));
    assert_eq!(
        ask(&router, &[by_label("Staging")]),
        Err(Unrouted::UnknownReference)
    );
}

#[test]
fn latest_is_the_largest_reachable_version_or_else_the_largest_to_come() {
    let failed = Phase::Failed(Failure {
        kind: FailureKind::Permanent,
        code: None,
        message: "no".into(),
        last_lines: Vec::new(),
        next_try: None,
        attempts: 1,
    });
    let latest = [Reference::Latest];
    let some = Router::fixed(table([reachable(1), reachable(2), building(3)], []));
    assert_eq!(ask(&some, &latest), Ok(2));
    let version_3 = (3, VersionRoute::Unreachable(failed.clone()));
    let none = Router::fixed(table([building(1), version_3], []));
    assert_eq!(
        ask(&none, &latest),
        Err(Unrouted::NotReady {
            version: Version(3),
            phase: failed
        })
    );
    let empty = Router::fixed(table([], []));
    assert_eq!(ask(&empty, &latest), Err(Unrouted::UnknownReference));
}

#[test]
fn a_closed_gate_in_the_newest_table_is_an_unknown_reference() {
    let (gate, closed) = route(1);
    gate.close();
    let router = Router::fixed(table([(1, VersionRoute::Reachable(closed))], []));
    assert_eq!(
        ask(&router, &[Reference::Latest]),
        Err(Unrouted::UnknownReference)
    );
}

/// Real threads: the label always points somewhere, so that nobody may ever be turned away, and
/// nobody may be inside a version that counts as drained.
#[test]
fn no_caller_is_turned_away_or_left_behind_while_a_label_moves() {
    const MOVES: u64 = 3_000;
    let pointing_at = |version| {
        let (gate, route) = route(version);
        let routes = [(version, VersionRoute::Reachable(route))];
        let labels = [("Production", Some(version), Some(version))];
        (gate, table(routes, labels))
    };
    let (mut gate, first) = pointing_at(0);
    let swap = Arc::new(ArcSwap::from_pointee(first));
    let router = Router::over(Arc::clone(&swap));
    // Which versions have been stopped, by number.
    let stopped: Vec<AtomicBool> = (0..=MOVES).map(|_| AtomicBool::new(false)).collect();
    let done = AtomicBool::new(false);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::Acquire) {
                    let entered = router.enter("iris", &[by_label("Production")]).unwrap();
                    let place = usize::try_from(entered.target).unwrap();
                    assert!(!stopped[place].load(Ordering::Acquire));
                    std::hint::black_box(&entered);
                    assert!(!stopped[place].load(Ordering::Acquire));
                }
            });
        }
        for version in 1..=MOVES {
            let (next_gate, next) = pointing_at(version);
            swap.store(Arc::new(next));
            gate.close();
            runtime.block_on(gate.drained());
            stopped[usize::try_from(version - 1).unwrap()].store(true, Ordering::Release);
            gate = next_gate;
        }
        done.store(true, Ordering::Release);
    });
}
