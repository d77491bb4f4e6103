//! The loop under paused time, with a scripted registry.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use serving_core::{AspiredModel, Incarnation, ModelName};
use tokio::task::JoinSet;

use super::*;

/// Answers from a script, then repeats its last answer; notes when it was asked.
#[derive(Clone, Default)]
struct Script(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    answers: VecDeque<Result<Reading, RegistryError>>,
    last: Option<Result<Reading, RegistryError>>,
    asked: Vec<Instant>,
    /// How long each answer takes.
    takes: Duration,
}

impl Registry for Script {
    async fn read(
        &self,
        _: &Interest,
        _: Option<&Aspired>,
        _: &Usage,
    ) -> Result<Reading, RegistryError> {
        let (answer, takes) = {
            let mut state = self.0.lock().unwrap();
            state.asked.push(Instant::now());
            if let Some(answer) = state.answers.pop_front() {
                state.last = Some(answer);
            }
            (state.last.clone().unwrap(), state.takes)
        };
        tokio::time::sleep(takes).await;
        answer
    }
}

struct Loop {
    script: Script,
    interest: watch::Sender<Interest>,
    nudges: watch::Sender<u64>,
    aspired: watch::Receiver<Option<Arc<Aspired>>>,
    status: watch::Receiver<SyncStatus>,
    answered: watch::Receiver<u64>,
    start: Instant,
    _task: JoinSet<()>,
}

impl Loop {
    fn start(
        answers: impl IntoIterator<Item = Result<Reading, RegistryError>>,
        last_known: Option<Aspired>,
        takes: Duration,
    ) -> Self {
        let script = Script::default();
        script.0.lock().unwrap().answers = answers.into_iter().collect();
        script.0.lock().unwrap().takes = takes;
        let (interest, interest_seen) = watch::channel(Interest::All);
        let (nudges, nudged) = watch::channel(0);
        let (aspired, aspired_seen) = watch::channel(last_known.map(Arc::new));
        let (status, status_seen) = watch::channel(SyncStatus::default());
        let (answered, answers) = watch::channel(0);
        let spacing = Duration::from_millis(200);
        let follower = Follower {
            registry: script.clone(),
            pace: Pace::new("testing", Duration::from_secs(10), spacing),
            interest: interest_seen,
            nudged,
            answered,
            board: Board::new(aspired),
            hints: Hints::default(),
            catalog: watch::channel(Arc::default()).0,
            status,
        };
        let mut task = JoinSet::new();
        task.spawn(follower.run());
        Self {
            script,
            interest,
            nudges,
            aspired: aspired_seen,
            status: status_seen,
            answered: answers,
            start: Instant::now(),
            _task: task,
        }
    }

    async fn run_for(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    /// When the registry was asked, in seconds from the start.
    fn asked(&self) -> Vec<f64> {
        let state = self.script.0.lock().unwrap();
        let asked = state.asked.iter();
        asked.map(|at| (*at - self.start).as_secs_f64()).collect()
    }
}

fn aspired(names: &[&str]) -> Aspired {
    let model = || AspiredModel {
        incarnation: Incarnation::from("1"),
        versions: std::collections::BTreeMap::new(),
        labels: std::collections::BTreeMap::new(),
        tags: std::collections::BTreeMap::new(),
    };
    let models = names.iter().map(|name| (ModelName::from(*name), model()));
    Aspired {
        models: models.collect(),
    }
}

fn sees(names: &[&str]) -> Reading {
    let mut reading = Reading::default();
    reading.selection.aspired = aspired(names);
    reading
}

fn down() -> RegistryError {
    RegistryError::Unreachable {
        url: "http://mlflow".into(),
        reason: "connection refused".into(),
    }
}

#[tokio::test(start_paused = true)]
async fn polls_come_at_the_interval_give_or_take_a_tenth() {
    let running = Loop::start([Ok(sees(&["iris"]))], None, Duration::ZERO);
    running.run_for(Duration::from_secs(100)).await;
    let asked = running.asked();
    assert!((10..=12).contains(&asked.len()), "{asked:?}");
    for pair in asked.windows(2) {
        let pause = pair[1] - pair[0];
        assert!((8.99..=11.01).contains(&pause), "{asked:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_fails_sends_nothing_and_the_last_value_stands() {
    let known = aspired(&["iris"]);
    let mut running = Loop::start([Err(down())], Some(known.clone()), Duration::ZERO);
    running.aspired.mark_unchanged();
    running.run_for(Duration::from_secs(300)).await;
    assert!(!running.aspired.has_changed().unwrap());
    assert_eq!(running.aspired.borrow().as_deref(), Some(&known));
    let status = running.status.borrow().clone();
    assert!(status.consecutive_failures > 5 && status.last_success.is_none());
    assert!(status.error.unwrap().contains("connection refused"));
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_while_the_registry_fails_and_shrink_when_it_is_back() {
    let answers = (0..10).map(|_| Err(down())).chain([Ok(sees(&[]))]);
    let running = Loop::start(answers, None, Duration::ZERO);
    running.run_for(Duration::from_secs(400)).await;
    let asked = running.asked();
    let pauses: Vec<f64> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (pause, longest) in pauses
        .iter()
        .zip([1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0, 30.0, 30.0])
    {
        assert!(
            *pause <= longest + 0.01 && *pause >= longest / 2.0 - 0.01,
            "{pauses:?}"
        );
    }
    assert!((8.99..=11.01).contains(&pauses[10]), "{pauses:?}");
    let status = running.status.borrow().clone();
    assert_eq!((status.consecutive_failures, status.error), (0, None));
    assert!(status.last_success.is_some());
}

#[tokio::test(start_paused = true)]
async fn an_equal_value_is_not_sent_again() {
    let answers = [
        Ok(sees(&["iris"])),
        Ok(sees(&["iris"])),
        Ok(sees(&["iris", "wine"])),
    ];
    let mut running = Loop::start(answers, None, Duration::ZERO);
    running.aspired.changed().await.unwrap();
    assert_eq!(running.asked().len(), 1);
    running.aspired.changed().await.unwrap();
    assert_eq!(running.asked().len(), 3);
    assert_eq!(
        running.aspired.borrow().as_deref(),
        Some(&aspired(&["iris", "wine"]))
    );
}

#[tokio::test(start_paused = true)]
async fn wishes_for_a_poll_are_answered_at_once_and_at_most_five_a_second() {
    let running = Loop::start([Ok(sees(&[]))], None, Duration::ZERO);
    running.run_for(Duration::from_secs(1)).await;
    running.nudges.send_modify(|count| *count += 1);
    running.run_for(Duration::from_millis(1)).await;
    assert_eq!(running.asked().len(), 2, "not at once");
    for _ in 0..100 {
        running.nudges.send_modify(|count| *count += 1);
        running.run_for(Duration::from_millis(10)).await;
    }
    let polls = running.asked().len() - 2;
    assert!((4..=5).contains(&polls), "{polls} polls in a second");
}

#[tokio::test(start_paused = true)]
async fn another_interest_wakes_the_loop_at_once() {
    let running = Loop::start([Ok(sees(&[]))], None, Duration::ZERO);
    running.run_for(Duration::from_secs(1)).await;
    running
        .interest
        .send_replace(Interest::Models(["iris".into()].into()));
    running.run_for(Duration::from_millis(1)).await;
    assert_eq!(running.asked().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_was_read_for_an_older_interest_is_not_published() {
    let answers = [Ok(sees(&["iris"])), Ok(sees(&["iris", "wine"]))];
    let mut running = Loop::start(answers, None, Duration::from_secs(3));
    running.run_for(Duration::from_secs(1)).await;
    let both = Interest::Models(["iris".into(), "wine".into()].into());
    running.interest.send_replace(both);
    running.aspired.changed().await.unwrap();
    assert_eq!(
        running.aspired.borrow().as_deref(),
        Some(&aspired(&["iris", "wine"]))
    );
    assert!(
        running.start.elapsed() < Duration::from_secs(7),
        "did not poll again at once"
    );
}

#[tokio::test(start_paused = true)]
async fn a_wish_is_answered_by_a_poll_that_began_after_it_and_succeeded() {
    let answers = [Ok(sees(&[])), Err(down()), Ok(sees(&["iris"]))];
    let mut running = Loop::start(answers, None, Duration::from_secs(3));
    running.run_for(Duration::from_secs(1)).await;
    // In the middle of the first poll, which may have looked already.
    running.nudges.send_modify(|count| *count += 1);
    running
        .answered
        .wait_for(|count| *count == 1)
        .await
        .unwrap();
    assert_eq!(running.asked().len(), 3);
    assert_eq!(
        running.aspired.borrow().as_deref(),
        Some(&aspired(&["iris"]))
    );
}

#[tokio::test(start_paused = true)]
async fn a_wish_is_not_answered_by_what_was_read_for_an_older_interest() {
    let answers = [Ok(sees(&[])), Ok(sees(&["wine"]))];
    let mut running = Loop::start(answers, None, Duration::from_secs(3));
    running.run_for(Duration::from_secs(4)).await;
    running.nudges.send_modify(|count| *count += 1);
    running.run_for(Duration::from_secs(1)).await;
    running
        .interest
        .send_replace(Interest::Models(["wine".into()].into()));
    running
        .answered
        .wait_for(|count| *count == 1)
        .await
        .unwrap();
    assert_eq!(
        running.aspired.borrow().as_deref(),
        Some(&aspired(&["wine"]))
    );
}
