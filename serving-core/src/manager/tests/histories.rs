//! Random histories of a registry, its people and its misfortunes: no law is broken on the way, and
//! once the misfortunes stop, what is served is exactly what is aspired.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Debug;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::collection::{btree_set, vec};
use proptest::prelude::{Strategy, any};
use proptest::test_runner::{Config, RngSeed};
use proptest::{prop_oneof, proptest};

use super::observer::observe;
use super::world::{Stack, World, config, id};
use crate::testing::{Call, Outcome, Script, Step};
use crate::{
    Entered, Generation, Incarnation, Label, LabelRoute, ManagerConfig, ModelName, Phase,
    Reference, ReplicaRange, RoutingTable, ServableId, Settings, Snapshot, Source, Takeover,
    Version, VersionPolicy, VersionRoute,
};

const MODELS: [&str; 2] = ["iris", "wine"];
const LABELS: [&str; 2] = ["Production", "@champion"];

#[derive(Clone, Debug)]
enum Turn {
    Register(usize, u64),
    MakeUnreadable(usize, u64),
    Archive(usize, u64),
    /// One version takes over the label of another one, which is archived at once.
    Promote(usize, usize, u64),
    Point(usize, usize, u64),
    Unpoint(usize, usize),
    RecreateVersion(usize, u64),
    RecreateModel(usize),
    DeleteModel(usize),
    Enable(usize, Wish),
    Disable(usize),
    Crash(usize, u64),
    Script(usize, u64, Outcome, Outcome),
    Restart(usize, u64),
    Recycle(usize, u64),
    Enter(usize, u64),
    Leave,
}

/// Some settings: from how many replicas to how many, a word for the loader, which versions, whether memory is short.
type Wish = ((u32, u32), bool, VersionPolicy, bool);

fn wishes() -> impl Strategy<Value = Wish> {
    let listed = btree_set(1..4_u64, 1..3);
    let policy = prop_oneof![
        3 => proptest::strategy::Just(VersionPolicy::All),
        2 => (1..3_u32).prop_map(|count| VersionPolicy::Latest(NonZeroU32::new(count).unwrap())),
        1 => listed.prop_map(|listed| VersionPolicy::Listed(listed.into_iter().map(Version).collect())),
    ];
    (
        (0..4_u32, 0..3_u32).prop_map(|(least, more)| (least, (least + more).max(1))),
        any::<bool>(),
        policy,
        proptest::bool::weighted(0.2),
    )
}

fn turns() -> impl Strategy<Value = Turn> {
    let model = || 0..MODELS.len();
    let version = || 1..4_u64;
    let label = || 0..LABELS.len();
    let outcome = || {
        prop_oneof![
            3 => proptest::strategy::Just(Outcome::Works),
            1 => proptest::strategy::Just(Outcome::FailsForNow),
            1 => proptest::strategy::Just(Outcome::FailsForGood),
            1 => proptest::strategy::Just(Outcome::Hangs),
            1 => proptest::strategy::Just(Outcome::Panics),
        ]
    };
    prop_oneof![
        6 => (model(), version()).prop_map(|(model, version)| Turn::Register(model, version)),
        1 => (model(), version()).prop_map(|(model, version)| Turn::MakeUnreadable(model, version)),
        2 => (model(), version()).prop_map(|(model, version)| Turn::Archive(model, version)),
        3 => (model(), label(), version()).prop_map(|(model, label, version)| Turn::Promote(model, label, version)),
        3 => (model(), label(), version()).prop_map(|(model, label, version)| Turn::Point(model, label, version)),
        1 => (model(), label()).prop_map(|(model, label)| Turn::Unpoint(model, label)),
        1 => (model(), version()).prop_map(|(model, version)| Turn::RecreateVersion(model, version)),
        1 => model().prop_map(Turn::RecreateModel),
        1 => model().prop_map(Turn::DeleteModel),
        4 => (model(), wishes()).prop_map(|(model, wish)| Turn::Enable(model, wish)),
        1 => model().prop_map(Turn::Disable),
        4 => (model(), version()).prop_map(|(model, version)| Turn::Crash(model, version)),
        3 => (model(), version(), outcome(), outcome()).prop_map(|(model, version, prepare, load)| Turn::Script(model, version, prepare, load)),
        1 => (model(), version()).prop_map(|(model, version)| Turn::Restart(model, version)),
        1 => (model(), version()).prop_map(|(model, version)| Turn::Recycle(model, version)),
        2 => (model(), version()).prop_map(|(model, version)| Turn::Enter(model, version)),
        2 => proptest::strategy::Just(Turn::Leave),
    ]
}

/// Milliseconds after a turn: often none, so that the next turn meets work under way.
fn pauses() -> impl Strategy<Value = u64> {
    prop_oneof![2 => proptest::strategy::Just(1), 3 => 1..3_000_u64, 1 => 3_000..100_000_u64]
}

proptest! {
    #![proptest_config(Config {
        cases: 300,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(20_200_101),
        ..Config::default()
    })]

    #[test]
    fn no_law_is_broken_on_the_way_and_in_the_end_it_is_as_aspired(
        history in vec((turns(), pauses()), 1..60)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(live_through(history));
    }
}

async fn live_through(history: Vec<(Turn, u64)>) {
    let world = World::with(ManagerConfig {
        // So long that nothing here can depend on it: every change has to wake the manager by itself.
        tick: Duration::from_secs(1_000_000),
        drain_deadline: Duration::from_secs(20),
        prepare_deadline: Duration::from_secs(30),
        load_deadline: Duration::from_secs(30),
        prepare_permits: 2,
        load_permits: 2,
        ..config()
    });
    world.registry(|_| {});
    let wrongs = Arc::new(Mutex::new(Vec::new()));
    let found = Arc::clone(&wrongs);
    observe(&world.handle, move |snapshot, table| {
        found.lock().unwrap().extend(wrongs_of(snapshot, table));
    });
    let mut player = Player {
        world,
        inside: Vec::new(),
        lives: 0,
    };
    let mut before = player.look();
    for (turn, pause) in history {
        player.play(&turn).await;
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let after = player.look();
        compare(&before, &after, &turn);
        before = after;
    }
    player.end_misfortunes().await;
    let last = player.look();
    compare(&before, &last, &"the end of all misfortunes");
    player.assert_as_aspired(&last);
    assert_eq!(player.world.loader.violations(), Vec::<String>::new());
    assert_eq!(*wrongs.lock().unwrap(), Vec::<String>::new());
}

/// What holds at every publication.
fn wrongs_of(snapshot: &Snapshot, table: &RoutingTable<Stack>) -> Vec<String> {
    let mut wrongs = Vec::new();
    for (name, model) in &snapshot.models {
        for (version, seen) in &model.versions {
            let generation =
                table
                    .models
                    .get(name)
                    .and_then(|routes| match routes.versions.get(version)? {
                        VersionRoute::Reachable(route) => Some(route.generation),
                        VersionRoute::Unreachable(_) => None,
                    });
            if seen.phase == Phase::Ready && generation != Some(seen.generation) {
                wrongs.push(format!("{name}@{version} is ready but out of reach"));
            }
        }
    }
    for (name, routes) in &table.models {
        for (label, route) in &routes.labels {
            let reachable = |version| {
                matches!(
                    routes.versions.get(&version),
                    Some(VersionRoute::Reachable(_))
                )
            };
            if route.current.is_some_and(|version| !reachable(version)) {
                wrongs.push(format!("{label} of {name} points out of reach"));
            }
        }
    }
    wrongs
}

struct Player {
    world: World,
    inside: Vec<Entered<Stack>>,
    /// For incarnations that were not there before.
    lives: u64,
}

/// The incarnations of a model and of its version.
type Lives = (Incarnation, Incarnation);

/// What is wanted and what callers get, at one moment.
struct Look {
    wanted: BTreeMap<ServableId, Lives>,
    /// What is aspired and not wanted.
    left_out: BTreeMap<ServableId, Lives>,
    /// Models whose old versions go first.
    stops_first: BTreeSet<ModelName>,
    wanted_labels: BTreeMap<(ModelName, Label), (Incarnation, Version)>,
    reachable: BTreeMap<ServableId, (Generation, Lives)>,
    labels: BTreeMap<(ModelName, Label), LabelRoute>,
    snapshot: Arc<Snapshot>,
}

impl Player {
    async fn play(&mut self, turn: &Turn) {
        let world = &self.world;
        let readable = || Source::Readable("files".into());
        match turn {
            Turn::Register(model, version) => {
                let known = self.incarnation(MODELS[*model], *version);
                let life = known.unwrap_or_else(|| "first".into());
                world.register_as(MODELS[*model], *version, life.as_str(), readable());
            }
            Turn::MakeUnreadable(model, version) => {
                if let Some(life) = self.incarnation(MODELS[*model], *version) {
                    let source = Source::Unreadable("it is gone".into());
                    world.register_as(MODELS[*model], *version, life.as_str(), source);
                }
            }
            Turn::Archive(model, version) => world.archive(MODELS[*model], *version),
            Turn::Promote(model, label, version) => world.model(MODELS[*model], |model| {
                let old = model
                    .labels
                    .insert(LABELS[*label].into(), Version(*version));
                if let Some(old) = old.filter(|old| old.0 != *version) {
                    model.versions.remove(&old);
                }
            }),
            Turn::Point(model, label, version) => {
                world.point(MODELS[*model], LABELS[*label], *version);
            }
            Turn::Unpoint(model, label) => world.model(MODELS[*model], |model| {
                model.labels.remove(LABELS[*label]);
            }),
            Turn::RecreateVersion(model, version) => {
                self.lives += 1;
                let life = format!("life {}", self.lives);
                world.register_as(MODELS[*model], *version, &life, readable());
            }
            Turn::RecreateModel(model) => {
                self.lives += 1;
                let life = format!("life {}", self.lives);
                world.model(MODELS[*model], |model| model.incarnation = life.into());
            }
            Turn::DeleteModel(model) => world.registry(|aspired| {
                aspired.models.remove(MODELS[*model]);
            }),
            Turn::Enable(model, ((least, most), word, versions, is_short)) => {
                let mut settings = Settings {
                    replicas: ReplicaRange::new(*least, *most).unwrap(),
                    scale_down_after: Duration::from_secs(20),
                    versions: versions.clone(),
                    takeover: if *is_short {
                        Takeover::ResourcePreserving
                    } else {
                        Takeover::AvailabilityPreserving
                    },
                    ..Settings::default()
                };
                let word = if *word { "uv" } else { "conda" };
                settings.loader.insert("env_manager".into(), word.into());
                world.enable_with(MODELS[*model], settings);
            }
            Turn::Disable(model) => world.disable(MODELS[*model]),
            Turn::Crash(model, version) => {
                world.loader.crash(&id(MODELS[*model], *version), "killed");
            }
            Turn::Script(model, version, prepare, load) => {
                let script = Script {
                    prepare: Step::ends(*prepare),
                    load: Step::ends(*load),
                    stop: Duration::from_secs(*version),
                    note: None,
                    cached: false,
                };
                world.loader.script(&id(MODELS[*model], *version), script);
            }
            Turn::Restart(model, version) => {
                let id = id(MODELS[*model], *version);
                // There may be no such version: that is for the manager to know.
                let _ = world.handle.restart(&id).await;
            }
            Turn::Recycle(model, version) => {
                let references = [Reference::Version(Version(*version))];
                if let Ok(entered) = world.enter(MODELS[*model], &references) {
                    for replica in &entered.target.replicas.current().live {
                        replica.recycle("work piles up");
                    }
                }
            }
            Turn::Enter(model, version) => {
                let references = [Reference::Version(Version(*version))];
                if let Ok(entered) = world.enter(MODELS[*model], &references) {
                    let replicas = &entered.target.replicas;
                    replicas.demand().came();
                    if replicas.current().live.is_empty() {
                        replicas.demand().found_nobody();
                    }
                    self.inside.push(entered);
                }
            }
            Turn::Leave => self.inside.clear(),
        }
    }

    fn incarnation(&self, model: &str, version: u64) -> Option<Incarnation> {
        let aspired = self.world.aspired.borrow();
        let model = aspired.as_ref()?.models.get(model)?;
        Some(model.versions.get(&Version(version))?.incarnation.clone())
    }

    fn look(&self) -> Look {
        let aspired = self.world.aspired.borrow().clone().unwrap();
        let intents = self.world.intents.borrow().clone();
        let enabled = crate::overlay(&aspired, &intents);
        let mut look = Look {
            wanted: BTreeMap::new(),
            left_out: BTreeMap::new(),
            stops_first: BTreeSet::new(),
            wanted_labels: BTreeMap::new(),
            reachable: BTreeMap::new(),
            labels: BTreeMap::new(),
            snapshot: self.world.handle.snapshot().borrow().clone(),
        };
        for (name, model) in &enabled.models {
            for (version, wanted) in &model.versions {
                look.wanted.insert(
                    ServableId::new(name.clone(), *version),
                    (model.incarnation.clone(), wanted.incarnation.clone()),
                );
            }
            if intents.settings(name).unwrap().takeover == Takeover::ResourcePreserving {
                look.stops_first.insert(name.clone());
            }
            for (version, aspired) in &aspired.models[name].versions {
                let id = ServableId::new(name.clone(), *version);
                if !look.wanted.contains_key(&id) {
                    let lives = (model.incarnation.clone(), aspired.incarnation.clone());
                    look.left_out.insert(id, lives);
                }
            }
            for (label, version) in &model.labels {
                let key = (name.clone(), label.clone());
                let value = (model.incarnation.clone(), *version);
                look.wanted_labels.insert(key, value);
            }
        }
        let prepared = self.world.loader.calls().into_iter();
        let specs: HashMap<_, _> = prepared
            .filter_map(|call| match call {
                Call::Prepare(spec, generation) => Some((generation, spec)),
                _ => None,
            })
            .collect();
        for (name, routes) in &self.world.handle.router().table().models {
            for route in routes.versions.values() {
                if let VersionRoute::Reachable(route) = route {
                    let spec = &specs[&route.generation];
                    let lives = (spec.model_incarnation.clone(), spec.incarnation.clone());
                    let value = (route.generation, lives);
                    look.reachable.insert(route.id.clone(), value);
                }
            }
            for (label, route) in &routes.labels {
                look.labels.insert((name.clone(), label.clone()), *route);
            }
        }
        look
    }

    /// From now on everything works, and people ask for another try of what had failed for good.
    async fn end_misfortunes(&mut self) {
        self.inside.clear();
        for model in MODELS {
            for version in 1..4 {
                self.world
                    .loader
                    .script(&id(model, version), Script::default());
            }
        }
        self.world.pass(1_000).await;
        for (name, model) in &self.look().snapshot.models {
            for version in model.versions.keys() {
                let id = ServableId::new(name.clone(), *version);
                self.world.handle.restart(&id).await.unwrap();
            }
        }
        self.world.pass(2_000).await;
    }

    fn assert_as_aspired(&self, look: &Look) {
        let live = self.world.loader.live();
        let aspired = self.world.aspired.borrow().clone().unwrap();
        let intents = self.world.intents.borrow().clone();
        for (id, lives) in &look.wanted {
            let seen = &look.snapshot.models[&id.model].versions[&id.version];
            let version = &aspired.models[&id.model].versions[&id.version];
            let reached = look.reachable.get(id).map(|(_, lives)| lives);
            if matches!(version.source, Source::Unreadable(_)) && reached.is_none() {
                assert_eq!(seen.phase.name(), "FAILED", "{id}");
                continue;
            }
            assert_eq!(reached, Some(lives), "{id}");
            assert_eq!(seen.phase, Phase::Ready, "{id}");
        }
        for (id, (generation, lives)) in &look.reachable {
            let settings = intents.settings(&id.model).unwrap();
            let of_it = || live.iter().filter(|replica| replica.spec.id == *id);
            // Nobody has called for long.
            let least = settings.replicas.least();
            assert_eq!(of_it().count(), least as usize, "{id}");
            let seen = &look.snapshot.models[&id.model].versions[&id.version];
            assert_eq!(
                (seen.replicas_wanted, seen.asleep),
                (least, least == 0),
                "{id}"
            );
            for replica in of_it() {
                let spec = &replica.spec;
                assert_eq!(replica.generation, *generation);
                assert_eq!(
                    (&spec.model_incarnation, &spec.incarnation),
                    (&lives.0, &lives.1)
                );
                assert_eq!(spec.settings.loader, settings.loader, "{id}");
            }
        }
        // What is left out stays only where too little of what is chosen answers, or a label waits.
        for id in look
            .left_out
            .keys()
            .filter(|id| look.reachable.contains_key(*id))
        {
            let chosen = || look.wanted.keys().filter(|wanted| wanted.model == id.model);
            let all_answer = chosen().all(|wanted| look.reachable.contains_key(wanted));
            assert!(!all_answer || chosen().next().is_none(), "{id} was to go");
        }
        for (id, seen) in look.snapshot.models.iter().flat_map(|(name, model)| {
            let id = |version: &Version| ServableId::new(name.clone(), *version);
            model
                .versions
                .iter()
                .map(move |(version, seen)| (id(version), seen))
        }) {
            assert!(!seen.renewing, "{id} is renewed for ever");
        }
        let unreached = |id: &ServableId| !look.reachable.contains_key(id);
        assert!(!live.iter().any(|replica| unreached(&replica.spec.id)));
        for ((model, label), (_, target)) in &look.wanted_labels {
            let route = look.labels[&(model.clone(), label.clone())];
            let target_id = ServableId::new(model.clone(), *target);
            if look.wanted.contains_key(&target_id) && look.reachable.contains_key(&target_id) {
                assert_eq!(route.current, Some(*target), "{label} of {model}");
            }
        }
        for (name, model) in &look.snapshot.models {
            assert!(intents.settings(name).is_some(), "{name}");
            for (version, seen) in &model.versions {
                assert_ne!(seen.phase, Phase::Draining, "{name}@{version}");
            }
        }
    }
}

/// What holds between two looks, the inputs having changed once, right after the first.
fn compare(before: &Look, after: &Look, turn: &dyn Debug) {
    for (id, (generation, lives)) in &before.reachable {
        let wanted = |look: &Look| look.wanted.get(id) == Some(lives);
        if wanted(before) && wanted(after) {
            let now = after.reachable.get(id).map(|(generation, _)| generation);
            assert_eq!(now, Some(generation), "{id} was dropped after {turn:?}");
        }
    }
    for (key, route) in &before.labels {
        let Some(current) = route.current else {
            continue;
        };
        let same_model = |look: &Look| look.wanted_labels.get(key).map(|(model, _)| model.clone());
        if same_model(before).is_none() || same_model(before) != same_model(after) {
            continue;
        }
        let id = ServableId::new(key.0.clone(), current);
        let lives = before.reachable.get(&id).map(|(_, lives)| lives);
        let re_created = after
            .wanted
            .get(&id)
            .is_some_and(|wanted| Some(wanted) != lives);
        if re_created {
            continue;
        }
        let (_, target) = after.wanted_labels[key];
        let target_comes = after
            .wanted
            .contains_key(&ServableId::new(key.0.clone(), target));
        if after.stops_first.contains(&key.0) || (after.left_out.contains_key(&id) && !target_comes)
        {
            continue;
        }
        let now = after.labels[key].current;
        assert!(
            now == Some(current) || now == Some(target),
            "{key:?} went from {current} to {now:?} after {turn:?}"
        );
    }
    for (id, (_, lives)) in &after.reachable {
        let protecting = |((model, _), route): (&(ModelName, Label), &LabelRoute)| {
            *model == id.model && route.current == Some(id.version)
        };
        let protected = || {
            let same_model = |model: &Incarnation| *model == lives.0;
            let mut wanted = after.wanted_labels.iter();
            after.labels.iter().any(protecting)
                && wanted.any(|((name, _), (model, _))| *name == id.model && same_model(model))
        };
        let fits = match after.wanted.get(id) {
            Some(wanted) => wanted == lives,
            None if after.stops_first.contains(&id.model) => false,
            None => protected() || after.left_out.get(id) == Some(lives),
        };
        assert!(fits, "{id} is still reachable after {turn:?}");
    }
}
