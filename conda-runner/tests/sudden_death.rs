//! The host of a worker is killed with SIGKILL: nothing of the worker stays.
//!
//! A program of its own instead of test functions, because it runs itself a second time as the host that is killed.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test, though no test function"
)]

#[expect(dead_code, reason = "another test file uses the rest")]
mod support;

use std::process::{Command, Stdio};
use std::time::Duration;

use serving_core::{Loader, ReplicaId};
use support::{Machine, dead, eventually, is_alive, job};

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut words = std::env::args().skip_while(|argument| argument != "host");
    match (words.nth(1), words.next()) {
        (Some(pids), Some(launcher)) => runtime.block_on(host(&pids, &launcher)),
        _ => {
            for launcher in ["mlflow-serve", "direct", "template"] {
                runtime.block_on(nothing_of_a_worker_outlives_its_host(launcher));
            }
        }
    }
}

/// Runs a worker until it is killed.
async fn host(pids: &str, launcher: &str) {
    // Below the folder of whoever kills it, because it will not clear up after itself.
    let machine = Machine::on(tempfile::tempdir_in(pids).unwrap());
    let runner = machine.runner();
    let words = format!("{{\"PIDS\": {pids:?}}}");
    let prepared = runner
        .prepare(job(1, &[("environment", &words), ("launcher", launcher)]))
        .await
        .unwrap();
    let _instance = prepared.load(ReplicaId(0)).await.unwrap();
    std::fs::write(format!("{pids}/ready"), "").unwrap();
    // Whoever kills it may itself be gone.
    tokio::time::sleep(Duration::from_secs(60)).await;
}

#[expect(
    clippy::disallowed_methods,
    reason = "this host is to be killed, not run by the module under test"
)]
async fn nothing_of_a_worker_outlives_its_host(launcher: &str) {
    let machine = Machine::new();
    let pids = machine.path("pids");
    std::fs::create_dir(&pids).unwrap();
    let mut host = Command::new(std::env::current_exe().unwrap())
        .args(["host", pids.to_str().unwrap(), launcher])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let ready = pids.join("ready");
    eventually(|| ready.exists().then_some(())).await;
    let worker = machine.pid("pids/worker").await;
    let mut members = vec![worker, machine.pid("pids/grandchild").await];
    if launcher == "template" {
        members.push(parent(worker));
    }
    assert!(members.iter().all(|pid| is_alive(*pid)));
    host.kill().unwrap();
    host.wait().unwrap();
    dead(&members).await;
    println!("nothing of a worker outlives its host, {launcher} ... ok");
}

fn parent(process: u32) -> u32 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let (_, rest) = stat.rsplit_once(") ").unwrap();
    rest.split(' ').nth(1).unwrap().parse().unwrap()
}
