//! What the gateway adds to a request, beside nginx and HAProxy in front of the same upstream.

mod peers;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::gateway::{Gateway, Serving};
use crate::load::{Endpoint, Pace, Request, is_body};
use crate::meter::Scope;
use crate::options::Options;
use crate::program::{Program, command, sibling};
use crate::reaper::Reaper;
use crate::report::{Comparison, Figure, Machine, Report, Subject, What};
use crate::rounds::{self, Contender, MEMORY, Plan, Turns, megabytes};
use crate::upstream::ANSWER;

use peers::Peer;

const PATIENCE: Duration = Duration::from_secs(30);
/// Which part of what the slowest can do is asked of all in the open loop.
const SHARE: f64 = 0.6;
/// How long a program is left alone before its idle memory is looked at.
const REST: Duration = Duration::from_secs(3);

/// The upstream, asked without anything before it.
const DIRECT: &str = "direct";

const KILOBYTE: usize = 1 << 10;
const MEGABYTE: usize = 1 << 20;

const ABOUT: &str = "What a proxy adds to a request. Behind each stands the same trivially fast program, which reads a request and gives \
    every one the same answer, at a Unix socket; *direct* is that program asked at its TCP port. nginx and HAProxy are bare proxies: \
    connections kept on both sides, nothing logged, bodies passed on as they come. **Sluicegate is the whole gateway**, the real \
    `sluicegate-gateway` with a registered model whose interpreter is the fast program: bearer token, rights, routing, limits, metrics \
    and an access log of every request are on, and nothing in it is replaced.\n\n\
    CPU time and memory are the proxy's alone, of all its processes, without upstream and generator; those of *direct* are the \
    upstream's own. Generator, proxy and upstream share the machine: at one connection most of a request's time is waiting for the \
    next of them to be woken.";

/// Runs it and writes the report.
pub fn run(options: &Options) -> Result<()> {
    let folder = tempfile::Builder::new()
        .prefix("sluicegate-bench-")
        .tempdir()?;
    let _reaper = Reaper::watch(folder.path(), true)?;
    let mut report = Report {
        name: "proxy".to_owned(),
        title: "Proxy overhead".to_owned(),
        about: format!("{ABOUT}\n\n{MEMORY}"),
        command: options.command("proxy"),
        machine: Machine::here().with("sluicegate", env!("CARGO_PKG_VERSION")),
        comparisons: Vec::new(),
    };
    let street = Street::open(folder.path(), options)?;
    for (program, version) in &street.versions {
        report.machine = report.machine.with(program, version);
    }
    report
        .comparisons
        .push(street.idle(folder.path(), options)?);

    let sizes: &[(usize, &str)] = if options.smoke {
        &[(KILOBYTE, "1 KB"), (MEGABYTE, "1 MB")]
    } else {
        &[
            (KILOBYTE, "1 KB"),
            (MEGABYTE, "1 MB"),
            (15 * MEGABYTE, "15 MB"),
        ]
    };
    for (size, shown) in sizes {
        let body = body(*size);
        for connections in [1, 64] {
            let title = format!("{shown}, {connections} connections")
                .replace(" 1 connections", " 1 connection");
            let plan = Plan {
                connections,
                pace: Pace::Closed,
                ..options.plan()
            };
            let turns = street.compare(&body, &plan, &title, options)?;
            let mut compared = comparison(&title, "", &turns);
            if *size >= MEGABYTE {
                beside_direct(&mut compared);
            }
            report.comparisons.push(compared);
            if *size != KILOBYTE || connections != 64 {
                continue;
            }
            let rate = SHARE * slowest(&turns);
            let title = format!("{title}, {rate:.0} requests/s");
            let plan = Plan {
                pace: Pace::Open { rate },
                ..plan
            };
            let about = "Open loop: requests are due at a fixed rate, 60 % of what the slowest could do, and their time begins when \
                they are due.";
            let turns = street.compare(&body, &plan, &title, options)?;
            report.comparisons.push(comparison(&title, about, &turns));
        }
    }
    report.write(&options.out)?;
    if options.smoke {
        report.ensure_all_answered()?;
    }
    Ok(())
}

/// Everything that is measured side by side, running.
struct Street {
    /// First, so that they end before what they stand before.
    peers: Vec<Peer>,
    gateway: Gateway,
    upstream: Program,
    address: SocketAddr,
    versions: Vec<(&'static str, String)>,
}

impl Street {
    fn open(folder: &Path, options: &Options) -> Result<Self> {
        let (upstream, address, socket) = upstream(folder)?;
        let mut peers = Vec::new();
        let mut versions = Vec::new();
        let place = |name: &str| -> Result<PathBuf> {
            let place = folder.join(name);
            fs::create_dir(&place)?;
            Ok(place)
        };
        let version = |program, word| {
            let found = (!options.without_peers)
                .then(|| peers::version(program, "-v", word))
                .flatten();
            if found.is_none() {
                options.say(&format!("without {program}"));
            }
            found
        };
        let nginx = version("nginx", "nginx/");
        ensure!(
            nginx.is_some() || options.smoke || options.without_peers,
            "nginx is not installed, which proxies are compared with: install it, or say --without-peers"
        );
        if let Some(version) = nginx {
            let about = (options.cores, version.as_str());
            peers.push(peers::nginx(&place("nginx")?, &socket, about)?);
            versions.push(("nginx", version));
        }
        if let Some(version) = version("haproxy", "version ") {
            versions.push(("HAProxy", version));
            peers.push(peers::haproxy(&place("haproxy")?, &socket, options.cores)?);
        }
        let gateway = Gateway::start(&place("gateway")?, Serving::FastUpstream, &[])?;
        Ok(Self {
            peers,
            gateway,
            upstream,
            address,
            versions,
        })
    }

    /// All of them, asked to score `body`.
    fn contenders(&self, body: &[u8]) -> Vec<Contender> {
        let bare: Arc<[Request]> = [Request::post("/invocations", &[], body)].into();
        let contender = |name: &str, address: SocketAddr, id: u32| Contender {
            name: name.to_owned(),
            endpoint: Endpoint::Tcp(address),
            requests: Arc::clone(&bare),
            check: is_body(ANSWER),
            scope: Scope::Tree(id),
        };
        let mut all = vec![contender(DIRECT, self.address, self.upstream.id())];
        all.extend(
            self.peers
                .iter()
                .map(|peer| contender(peer.name, peer.address, peer.program.id())),
        );
        all.push(Contender {
            name: "Sluicegate".to_owned(),
            endpoint: self.gateway.endpoint(),
            requests: [self.gateway.score(body)].into(),
            check: is_body(ANSWER),
            // Its child is the upstream.
            scope: Scope::Alone(vec![self.gateway.id()]),
        });
        all
    }

    fn compare(
        &self,
        body: &[u8],
        plan: &Plan,
        title: &str,
        options: &Options,
    ) -> Result<Vec<Turns>> {
        rounds::run(&self.contenders(body), plan, |name, turn| {
            options.say(&format!(
                "{title}: {name}: {:.0} requests/s, p50 {:.3} ms, p99 {:.3} ms, {:.1} µs CPU, {:.1} MB, {:.2} % errors",
                turn.rate, turn.p50, turn.p99, turn.cpu, turn.memory, turn.errors
            ));
        })
    }

    /// What they take when nobody asks them anything.
    fn idle(&self, folder: &Path, options: &Options) -> Result<Comparison> {
        let place = folder.join("idle");
        fs::create_dir(&place)?;
        let gateway = Gateway::start(&place, Serving::Nothing, &[])?;
        if !options.smoke {
            std::thread::sleep(REST);
        }
        let mut scopes: Vec<(&str, Scope)> = Vec::new();
        scopes.extend(
            self.peers
                .iter()
                .map(|peer| (peer.name, Scope::Tree(peer.program.id()))),
        );
        scopes.push(("Sluicegate", Scope::Alone(vec![gateway.id()])));
        let subjects = scopes.into_iter().map(|(name, scope)| {
            let usage = scope.usage()?;
            let figure = |name, bytes| Figure {
                what: What::plain(name, 1),
                values: vec![megabytes(bytes)],
            };
            Ok(Subject {
                name: name.to_owned(),
                figures: vec![
                    figure("resident MB", usage.resident),
                    figure("memory MB", usage.together),
                ],
                note: None,
            })
        });
        Ok(Comparison {
            title: "Idle".to_owned(),
            about: "Memory before the first request; Sluicegate serves no model. Resident memory counts what processes share for \
                each of them, *memory MB* once."
                .to_owned(),
            baseline: None,
            second_baseline: None,
            subjects: subjects.collect::<Result<_>>()?,
        })
    }
}

fn comparison(title: &str, about: &str, turns: &[Turns]) -> Comparison {
    let has = |name: &str| turns.iter().any(|turns| turns.name == name);
    let baseline = ["nginx", "HAProxy", DIRECT]
        .into_iter()
        .find(|name| has(name));
    Comparison {
        title: title.to_owned(),
        about: about.to_owned(),
        baseline: baseline.map(str::to_owned),
        second_baseline: None,
        subjects: turns.iter().map(Turns::subject).collect(),
    }
}

/// Large bodies are compared with those sent to the upstream itself as well: what a proxy adds to them is copying, which their time
/// tells.
fn beside_direct(comparison: &mut Comparison) {
    if comparison.baseline.as_deref() != Some(DIRECT) {
        comparison.second_baseline = Some(DIRECT.to_owned());
    }
    let figures = comparison
        .subjects
        .iter_mut()
        .flat_map(|subject| &mut subject.figures);
    for figure in figures.filter(|figure| figure.what.name == "p50 ms") {
        figure.what.compared = true;
    }
}

/// Requests a second of the slowest, by medians.
fn slowest(turns: &[Turns]) -> f64 {
    let rates = turns.iter().filter_map(|turns| {
        let subject = turns.subject();
        Some(subject.figure("requests/s")?.spread().median)
    });
    rates.fold(f64::INFINITY, f64::min).max(1.0)
}

/// The fast upstream as a process of its own, with its port and its socket.
fn upstream(folder: &Path) -> Result<(Program, SocketAddr, PathBuf)> {
    let socket = folder.join("upstream.sock");
    let log = folder.join("upstream.log");
    let mut serve = command(sibling("fast-upstream")?);
    serve.arg("listen").arg(&socket);
    let mut program = Program::start("fast-upstream", serve, &log)?;
    let address = program.until(PATIENCE, "the upstream listens", || {
        let text = fs::read_to_string(&log).ok()?;
        text.strip_suffix('\n')?.parse().ok()
    });
    let address = address.context("start the upstream")?;
    Ok((program, address, socket))
}

/// JSON that a scoring server takes, of exactly this size.
fn body(size: usize) -> Vec<u8> {
    let (start, row, end) = (
        r#"{"inputs": [[5.1, 3.5, 1.4, 0.2]"#,
        ", [5.1, 3.5, 1.4, 0.2]",
        "]}",
    );
    let mut body = start.to_owned();
    while body.len() + row.len() + end.len() <= size {
        body.push_str(row);
    }
    let spaces = size.saturating_sub(body.len() + end.len());
    body.push_str(&" ".repeat(spaces));
    body.push_str(end);
    body.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_json_of_its_size() {
        for size in [100, KILOBYTE, MEGABYTE] {
            let body = body(size);
            assert_eq!(body.len(), size);
            serde_json::from_slice::<serde_json::Value>(&body).unwrap();
        }
    }
}
