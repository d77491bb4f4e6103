//! How the work of following a registry and of managing versions grows with their number.
//!
//! `scale FOLDER [--smoke | --without-heap]` writes its report into the folder. `scale poll URL POLLS` is what it starts to follow a registry
//! in a process of its own, under valgrind as well where there is one.

mod fake_registry;
mod follower;
mod manager;
mod polls;
mod thread_time;

use std::path::Path;

use anyhow::{Result, bail};
use benches::program::{command, output};
use benches::report::{Comparison, Figure, Machine, Report, Subject, What};

const SIZES: [u64; 4] = [10, 100, 1_000, 10_000];
const ROUNDS: usize = 3;

const ABOUT: &str = "Ten versions a model, all of interest. Polls are of a registry on the same machine that has its pages ready, in \
    the form and size of MLflow 3.17's (1,000 models or 10,000 versions a page): what MLflow itself takes for them comes on top. \
    The manager's versions are loaded at once, with the usual two permits: what is left is the manager's own work. CPU time is \
    that of the one thread on which all of it runs. Memory is counted by valgrind in runs of their own.";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["poll", url, polls] => follower::run(url, polls.parse()?),
        [folder] => measure(
            Path::new(folder),
            "scripts/bench scale",
            &SIZES,
            ROUNDS,
            true,
        ),
        // Of a debug build, valgrind's counts take a minute.
        [folder, "--smoke"] => measure(
            Path::new(folder),
            "scripts/bench scale --smoke",
            &SIZES[..2],
            1,
            false,
        ),
        [folder, "--without-heap"] => measure(
            Path::new(folder),
            "cargo run --release -p benches --example scale -- FOLDER --without-heap",
            &SIZES,
            ROUNDS,
            false,
        ),
        _ => bail!("usage: scale FOLDER [--smoke | --without-heap]"),
    }
}

fn measure(folder: &Path, told: &str, sizes: &[u64], rounds: usize, heap: bool) -> Result<()> {
    let mut machine = Machine::here();
    let mut valgrind = command("valgrind");
    valgrind.arg("--version");
    if let Ok(version) = output(valgrind) {
        let version = version.trim().trim_start_matches("valgrind-");
        machine = machine.with("valgrind", version);
    }
    let baseline = format!("{} versions", sizes[0]);
    let mut polls: Vec<Comparison> = Vec::new();
    let mut passes: Vec<Comparison> = Vec::new();
    for versions in sizes {
        let subject = |figures| Subject {
            name: format!("{versions} versions"),
            figures,
            note: None,
        };
        for poll in polls::measure(*versions, rounds, heap)? {
            let title = format!("A poll: {}", poll.what);
            add(&mut polls, title, &baseline, subject(poll.figures()));
        }
        let all: Vec<_> = (0..rounds)
            .map(|_| manager::measure(*versions))
            .collect::<Result<_>>()?;
        for (number, step) in all[0].iter().enumerate() {
            let of = |what, value: fn(&manager::Step) -> f64| Figure {
                what,
                values: all.iter().map(|round| value(&round[number])).collect(),
            };
            let figures = vec![
                of(What::compared("CPU µs", 1), |step| step.cpu_us),
                of(What::plain("µs", 1), |step| step.wall_us),
            ];
            let title = format!("The manager: {}", step.what);
            add(&mut passes, title, &baseline, subject(figures));
        }
    }
    let report = Report {
        name: "scale".to_owned(),
        title: "Following and managing ever more versions".to_owned(),
        about: ABOUT.to_owned(),
        command: told.to_owned(),
        machine,
        comparisons: polls.into_iter().chain(passes).collect(),
    };
    report.write(folder)
}

/// Adds a subject to the comparison of that title.
fn add(all: &mut Vec<Comparison>, title: String, baseline: &str, subject: Subject) {
    let known = all.iter_mut().find(|one| one.title == title);
    match known {
        Some(comparison) => comparison.subjects.push(subject),
        None => all.push(Comparison {
            title,
            about: String::new(),
            baseline: Some(baseline.to_owned()),
            second_baseline: None,
            subjects: vec![subject],
        }),
    }
}
