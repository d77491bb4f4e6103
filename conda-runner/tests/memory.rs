//! What workers take of the machine is seen, and one that takes too much goes: in peace, or at once.
#![cfg(target_os = "linux")]

#[expect(dead_code, reason = "another test file uses the rest")]
mod support;

use std::time::Duration;

use conda_runner::{CondaRunner, RunningWorker, Worker};
use serving_core::{Instance, LoadError, Loader, ReplicaId, Retry};
use support::{Machine, PATIENCE, eventually, get, job, socket};
use tokio::time::timeout;

const MB: u64 = 1 << 20;

async fn limited(
    runner: &CondaRunner<Worker>,
    mode: &str,
    megabytes: u64,
) -> Result<Instance<Worker>, LoadError> {
    let environment = format!("{{\"MODE\": {mode:?}}}");
    let limit = (megabytes * MB).to_string();
    let words = [
        ("environment", environment.as_str()),
        ("memory_limit", &limit),
    ];
    let prepared = runner.prepare(job(1, &words)).await?;
    prepared.load(ReplicaId(3)).await
}

async fn take(instance: &Instance<Worker>, megabytes: u64) {
    get(socket(&instance.servable), &format!("/take/{megabytes}")).await;
}

fn only(runner: &CondaRunner<Worker>) -> RunningWorker {
    let workers = runner.workers().list();
    assert_eq!(workers.len(), 1, "{workers:?}");
    workers[0].clone()
}

#[tokio::test]
async fn what_a_worker_takes_is_known_when_it_is_ready_follows_it_and_goes_with_it() {
    let machine = Machine::new();
    let runner = machine.runner();
    let instance = limited(&runner, "", 1000).await.unwrap();
    let first = only(&runner);
    assert_eq!((first.id.version.0, first.replica), (1, ReplicaId(3)));
    assert_eq!(first.memory_limit, Some(1000 * MB));
    let at_first = first.memory.unwrap();
    assert!((2 * MB..90 * MB).contains(&at_first), "{first:?}");
    assert!(first.cpu.unwrap() > Duration::ZERO, "{first:?}");
    take(&instance, 100).await;
    eventually(|| only(&runner).memory.filter(|now| *now > at_first + 90 * MB)).await;
    assert!(only(&runner).cpu >= first.cpu);
    instance.stop.stop().await;
    assert_eq!(runner.workers().list(), []);
}

#[tokio::test]
async fn a_worker_over_its_limit_asks_for_a_successor_and_lives_on() {
    let machine = Machine::new();
    let runner = machine.runner();
    let instance = limited(&runner, "", 120).await.unwrap();
    take(&instance, 120).await;
    let reason = timeout(PATIENCE, instance.give_up).await.unwrap();
    assert!(
        reason.starts_with("it used 1") && reason.ends_with("MB, its memory_limit is 120MB"),
        "{reason}"
    );
    assert_eq!(
        get(socket(&instance.servable), "/scored").await[0][0],
        "application/json"
    );
    instance.stop.stop().await;
}

#[tokio::test]
async fn a_worker_far_over_its_limit_is_killed_and_its_death_says_why() {
    let machine = Machine::new();
    let runner = machine.runner();
    let instance = limited(&runner, "", 120).await.unwrap();
    take(&instance, 300).await;
    let exit = timeout(PATIENCE, instance.exit).await.unwrap();
    assert!(
        exit.reason.starts_with("killed: it used 3")
            && exit.reason.ends_with("MB, its memory_limit is 120MB"),
        "{}",
        exit.reason
    );
    assert_eq!(runner.workers().list(), []);
}

#[tokio::test]
async fn one_that_is_over_its_limit_only_while_it_loads_is_none_too_large() {
    let machine = Machine::new();
    let runner = machine.runner();
    let instance = limited(&runner, "peaks", 200).await.unwrap();
    let now = only(&runner).memory.unwrap();
    assert!(now < 200 * MB, "it takes {now} bytes still");
    // Nor is it given up for what is over.
    assert!(timeout(Duration::ZERO, instance.give_up).await.is_err());
    instance.stop.stop().await;
}

#[tokio::test]
async fn one_that_is_too_large_to_begin_with_waits_for_a_change() {
    let machine = Machine::new();
    for (mode, limit) in [("large", 180), ("", 1)] {
        let runner = machine.runner();
        let Err(error) = limited(&runner, mode, limit).await else {
            panic!("a worker of mode {mode:?} was started within {limit}MB");
        };
        assert_eq!(error.retry, Retry::Never);
        assert_eq!(error.code.as_deref(), Some("MEMORY_LIMIT"));
        assert!(
            error
                .message
                .contains(&format!("its memory_limit is {limit}MB")),
            "{error}"
        );
        timeout(PATIENCE, runner.idle()).await.unwrap();
        assert_eq!(runner.workers().list(), []);
    }
}
