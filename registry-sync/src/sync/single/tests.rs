//! Looks at single models under paused time, with a scripted registry.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serving_core::{AspiredModel, Incarnation};
use tokio::task::JoinSet;

use super::super::follow::Reading;
use super::*;

const IRIS: &str = "iris";

/// Shows each model in a state; notes when it was asked for which.
#[derive(Clone, Default)]
struct Script(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    shown: BTreeMap<String, u32>,
    asked: Vec<(Instant, String)>,
    takes: Duration,
    down: bool,
}

impl Registry for Script {
    async fn read(
        &self,
        interest: &Interest,
        _: Option<&Aspired>,
        _: &Usage,
    ) -> Result<Reading, RegistryError> {
        let Interest::Models(names) = interest else {
            panic!("more than one model is read");
        };
        let name = names.iter().next().unwrap().clone();
        let (shown, takes, down) = {
            let mut state = self.0.lock().unwrap();
            state.asked.push((Instant::now(), name.to_string()));
            let shown = state.shown.get(name.as_str()).copied();
            (shown, state.takes, state.down)
        };
        sleep(takes).await;
        if down {
            return Err(RegistryError::Unsettled);
        }
        let mut reading = Reading::default();
        reading.selection.aspired = aspired(shown.map(|shown| (name.as_str(), shown)));
        Ok(reading)
    }
}

struct Running {
    script: Script,
    hints: Hints,
    board: Board,
    interest: watch::Sender<Interest>,
    nudged: watch::Receiver<u64>,
    _task: JoinSet<()>,
}

impl Running {
    fn start(known: &[(&str, u32)]) -> Self {
        Self::start_with(Some(aspired(known.iter().copied())))
    }

    fn start_with(published: Option<Aspired>) -> Self {
        let script = Script::default();
        let (interest, seen) = watch::channel(Interest::All);
        let (nudges, nudged) = watch::channel(0);
        let hints = Hints::default();
        let board = Board::new(watch::Sender::new(published.map(Arc::new)));
        let looks = SingleLooks {
            registry: script.clone(),
            interest: seen,
            hints: hints.clone(),
            board: board.clone(),
            nudges,
        };
        let mut task = JoinSet::new();
        task.spawn(looks.run());
        Self {
            script,
            hints,
            board,
            interest,
            nudged,
            _task: task,
        }
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.script.0.lock().unwrap());
    }

    fn asked(&self, name: &str) -> usize {
        let state = self.script.0.lock().unwrap();
        let asked = state.asked.iter().filter(|(_, asked)| asked == name);
        asked.count()
    }

    fn shown(&self) -> Aspired {
        (*self.board.current().unwrap()).clone()
    }
}

fn aspired<'a>(models: impl IntoIterator<Item = (&'a str, u32)>) -> Aspired {
    let models = models.into_iter().map(|(name, state)| {
        let model = AspiredModel {
            tags: BTreeMap::new(),
            incarnation: Incarnation::from(state.to_string()),
            versions: BTreeMap::new(),
            labels: BTreeMap::new(),
        };
        (ModelName::from(name), model)
    });
    Aspired {
        models: models.collect(),
    }
}

async fn pass(millis: u64) {
    sleep(Duration::from_millis(millis)).await;
}

#[tokio::test(start_paused = true)]
async fn a_hint_is_followed_at_once_and_touches_no_other_model() {
    let running = Running::start(&[(IRIS, 1), ("wine", 1)]);
    running.set(|state| {
        state.shown = [(IRIS.into(), 2), ("wine".into(), 2)].into();
    });
    running.hints.add(IRIS.into());
    pass(1).await;
    assert_eq!(running.shown(), aspired([(IRIS, 2), ("wine", 1)]));
    assert_eq!(*running.nudged.borrow(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_hints_is_at_most_one_look_at_a_time_and_five_a_second() {
    let running = Running::start(&[(IRIS, 1)]);
    running.set(|state| state.takes = Duration::from_millis(50));
    for _ in 0..1000 {
        running.hints.add(IRIS.into());
        pass(1).await;
    }
    let looks = running.asked(IRIS);
    assert!((3..=5).contains(&looks), "{looks} looks in a second");
}

#[tokio::test(start_paused = true)]
async fn a_hint_that_comes_during_a_look_is_followed_by_another() {
    let running = Running::start(&[(IRIS, 1)]);
    running.set(|state| {
        state.takes = Duration::from_millis(100);
        state.shown = [(IRIS.into(), 2)].into();
    });
    running.hints.add(IRIS.into());
    pass(50).await;
    running.set(|state| state.shown = [(IRIS.into(), 3)].into());
    running.hints.add(IRIS.into());
    pass(1000).await;
    assert_eq!(running.asked(IRIS), 2);
    assert_eq!(running.shown(), aspired([(IRIS, 3)]));
}

#[tokio::test(start_paused = true)]
async fn a_slow_look_at_one_model_holds_up_no_other() {
    let running = Running::start(&[(IRIS, 1)]);
    running.set(|state| state.takes = Duration::from_secs(30));
    running.hints.add(IRIS.into());
    pass(1).await;
    running.set(|state| state.takes = Duration::ZERO);
    running.hints.add("wine".into());
    pass(1).await;
    assert_eq!(running.asked("wine"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_look_that_fails_changes_nothing_and_leads_to_a_poll() {
    let running = Running::start(&[(IRIS, 1)]);
    running.set(|state| state.down = true);
    running.hints.add(IRIS.into());
    pass(5000).await;
    assert_eq!(running.asked(IRIS), 1);
    assert_eq!(running.shown(), aspired([(IRIS, 1)]));
    assert_eq!(*running.nudged.borrow(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_hint_before_the_first_poll_has_ended_leads_to_another_poll() {
    let running = Running::start_with(None);
    running.hints.add(IRIS.into());
    pass(5000).await;
    assert_eq!(running.board.current(), None);
    assert_eq!(*running.nudged.borrow(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_look_that_a_whole_poll_overtook_is_made_again() {
    let running = Running::start(&[(IRIS, 1)]);
    running.set(|state| {
        state.takes = Duration::from_millis(100);
        state.shown = [(IRIS.into(), 2)].into();
    });
    running.hints.add(IRIS.into());
    pass(50).await;
    running.board.begin_whole();
    running
        .board
        .publish_whole(aspired([(IRIS, 3)]), &Interest::All);
    running.set(|state| state.shown = [(IRIS.into(), 4)].into());
    pass(100).await;
    assert_eq!(running.shown(), aspired([(IRIS, 3)]), "the first look");
    pass(100).await;
    assert_eq!(running.shown(), aspired([(IRIS, 4)]), "the second one");
}

#[tokio::test(start_paused = true)]
async fn a_model_of_no_interest_is_not_looked_at() {
    let running = Running::start(&[]);
    running.interest.send_replace(Interest::Models([].into()));
    running.hints.add(IRIS.into());
    pass(1000).await;
    assert_eq!(running.asked(IRIS), 0);
}
