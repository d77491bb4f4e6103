//! Counts the instructions of each operation of a request, with callgrind. `micro FOLDER PROGRAM [--smoke]` writes its report
//! into the folder; the program is the example `instructions`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use benches::program::{command, output};
use benches::report::{Comparison, Figure, Machine, Report, Subject, What};

/// How often each is done in the shorter of its two measurements.
const TIMES: u64 = 200;

const ABOUT: &str = "Instructions that one of each takes, counted by `valgrind --tool=callgrind`: 200 and 400 of them are counted, \
    and the difference divided, so that neither the loop nor what is done once has a share. The same program gives the same \
    figures on every machine of this kind, whatever else runs there (hash tables draw new seeds at each start, and allocators \
    see other addresses: a percent). A processor that has instructions for SHA-256 takes far fewer for a *token*: valgrind \
    hides them, so that the hash in software is counted.";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (folder, program, groups): (_, _, &[&str]) = match words.as_slice() {
        [folder, program] => (folder, program, &[]),
        [folder, program, "--smoke"] => (folder, program, &["path", "token"]),
        _ => bail!("usage: micro FOLDER PROGRAM [--smoke]"),
    };
    let mut valgrind = command("valgrind");
    valgrind.arg("--version");
    let version = output(valgrind).context("valgrind is needed (Debian: apt install valgrind)")?;
    let counts = counts(Path::new(program), groups)?;
    let mut comparisons: Vec<Comparison> = Vec::new();
    for (group, name, instructions) in counts {
        let figure = Figure {
            what: What::plain("instructions", 0),
            values: vec![instructions],
        };
        let subject = Subject {
            name,
            figures: vec![figure],
            note: None,
        };
        match comparisons.last_mut() {
            Some(last) if last.title == group => last.subjects.push(subject),
            _ => comparisons.push(Comparison {
                title: group,
                about: String::new(),
                baseline: None,
                second_baseline: None,
                subjects: vec![subject],
            }),
        }
    }
    let version = version.trim().trim_start_matches("valgrind-");
    let report = Report {
        name: "micro".to_owned(),
        title: "What each request passes, in instructions".to_owned(),
        about: ABOUT.to_owned(),
        command: if groups.is_empty() {
            "scripts/bench micro".to_owned()
        } else {
            "scripts/bench micro --smoke".to_owned()
        },
        machine: Machine::here().with("valgrind", version),
        comparisons,
    };
    report.write(Path::new(folder))
}

/// Group, name and instructions of each operation.
fn counts(program: &Path, groups: &[&str]) -> Result<Vec<(String, String, f64)>> {
    let folder = tempfile::tempdir()?;
    let profile = folder.path().join("callgrind");
    let mut valgrind = command("valgrind");
    valgrind
        .args([
            "--tool=callgrind",
            "--toggle-collect=instructions::measured_operations",
        ])
        .arg("--dump-before=instructions::measured_operations")
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(program)
        .arg(TIMES.to_string())
        .args(groups);
    let names = output(valgrind)?;
    let mut counts = Vec::new();
    for (number, line) in names.lines().enumerate() {
        let (group, name) = line.split_once('\t').context("a group and a name")?;
        let short = total(&dump_after(&profile, 2 * number))?;
        let long = total(&dump_after(&profile, 2 * number + 1))?;
        ensure!(
            short > 0 && long > short,
            "{line}: {short} and {long} were counted"
        );
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        let each = long.saturating_sub(short) as f64 / TIMES as f64;
        counts.push((group.to_owned(), name.to_owned(), each));
    }
    ensure!(!counts.is_empty(), "nothing was counted");
    Ok(counts)
}

/// What was counted in a call, numbered from 0. A dump is written before each call, so that the first, which has the number 1,
/// holds nothing; what was counted in the last call is in the one that is written at the end, which has no number.
fn dump_after(profile: &Path, call: usize) -> PathBuf {
    let mut path = profile.as_os_str().to_owned();
    path.push(format!(".{}", call + 2));
    let path = PathBuf::from(path);
    if path.exists() {
        path
    } else {
        profile.to_owned()
    }
}

/// All instructions of one dump.
fn total(dump: &Path) -> Result<u64> {
    let text = std::fs::read_to_string(dump)
        .with_context(|| format!("callgrind has written no {}", dump.display()))?;
    let line = text.lines().find_map(|line| line.strip_prefix("summary:"));
    let number = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    number.with_context(|| format!("{} has no summary", dump.display()))
}
