//! Scoring end to end: the same models behind us, behind `mlflow models serve`, and behind the peers, asked in turn.

mod stage;
mod summary;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::load::Pace;
use crate::report::{Comparison, Figure, Machine, Report, Subject, What};
use crate::rounds::{Contender, Plan, Turn, Turns, order};

pub use stage::{Stage, Staging};

/// The models, as `python/log_models.py` names them.
pub const MODELS: [&str; 3] = ["iris", "forest", "scorecard"];
/// Who takes part if nobody says.
pub const CONTENDERS: [&str; 8] = [
    BASELINE,
    "mlflow-2",
    PEER,
    PEER_OF_TWO,
    "bentoml",
    "litserve",
    "sluicegate-1",
    "sluicegate-2",
];
/// Ratios are taken to it: `mlflow models serve` with one worker, asked directly.
const BASELINE: &str = "mlflow-1";
/// The peer that batches and knows MLflow's models.
const PEER: &str = "mlserver";
/// The same with two processes for the model.
const PEER_OF_TWO: &str = "mlserver:parallel_workers=2";
/// The part of what a contender can do at which it is asked in the open loop.
const OPEN_PART: f64 = 0.6;

/// How long and how often.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effort {
    /// Turns of each contender in each load.
    pub rounds: usize,
    /// Before each turn, unmeasured.
    pub warm_up: Duration,
    /// A turn.
    pub measure: Duration,
    /// Only whether everything works.
    pub smoke: bool,
}

/// One kind of load.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Kind {
    rows: usize,
    connections: usize,
    rate: Rate,
}

/// How fast requests come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rate {
    /// As fast as they are answered.
    Closed,
    /// All at the same rate: a part of what the slowest of them answered in the closed loop over as many connections.
    Slowest,
    /// Each at a part of what it answered there itself.
    Own,
}

const KINDS: [Kind; 10] = [
    closed(1, 1),
    closed(1, 16),
    closed(1, 64),
    closed(1, 256),
    closed(16, 16),
    closed(16, 64),
    closed(256, 16),
    closed(256, 64),
    Kind {
        rate: Rate::Slowest,
        ..closed(1, 64)
    },
    Kind {
        rate: Rate::Own,
        ..closed(1, 64)
    },
];

const fn closed(rows: usize, connections: usize) -> Kind {
    Kind {
        rows,
        connections,
        rate: Rate::Closed,
    }
}

/// Measures one model. `command` is what does it again; `progress` is told what goes on.
pub fn run(
    staging: &Staging,
    model: &str,
    effort: &Effort,
    command: String,
    mut progress: impl FnMut(&str),
) -> Result<Report> {
    ensure!(
        MODELS.contains(&model),
        "there is no model {model}; there are {}",
        MODELS.join(", ")
    );
    let machine = Machine::here();
    progress(&format!(
        "{model}: starting {}",
        staging.contenders.join(", ")
    ));
    let stage = Stage::set(staging, model)?;
    let machine = stage
        .versions()
        .iter()
        .fold(machine, |machine, (program, version)| {
            machine.with(program, version)
        });
    let mut comparisons = Vec::new();
    // What each answered a second in the closed loop, by rows and connections.
    let mut answered: BTreeMap<(usize, usize), Vec<f64>> = BTreeMap::new();
    let kinds: Vec<Kind> = KINDS
        .into_iter()
        .filter(|kind| !effort.smoke || kind.is_in_smoke())
        .collect();
    for kind in kinds {
        let contenders = stage.contenders(kind.rows)?;
        let before = answered.get(&(kind.rows, kind.connections));
        let turns = measure(
            &contenders,
            &kind.plans(&contenders, before, effort),
            |name, turn| {
                progress(&format!(
                    "{model}, {}: {name}: {:.0} requests/s, p50 {:.1} ms, p99 {:.1} ms, {:.0} µs of CPU, {:.1} % errors",
                    kind.title(),
                    turn.rate,
                    turn.p50,
                    turn.p99,
                    turn.cpu,
                    turn.errors
                ));
            },
        )?;
        if kind.rate == Rate::Closed {
            let rates = turns.iter().map(|turns| {
                turns
                    .subject()
                    .figure("requests/s")
                    .map_or(0.0, |figure| figure.spread().median)
            });
            answered.insert((kind.rows, kind.connections), rates.collect());
        }
        comparisons.push(kind.comparison(&turns));
    }
    Ok(Report {
        name: format!("scoring-{model}"),
        title: format!("Scoring end to end: {model}"),
        about: summary::about(model, &comparisons),
        command,
        machine,
        comparisons,
    })
}

/// Gives each contender its turn by its own plan, as often as the effort says.
fn measure(
    contenders: &[Contender],
    plans: &[Plan],
    mut progress: impl FnMut(&str, &Turn),
) -> Result<Vec<Turns>> {
    let mut results: Vec<Turns> = contenders
        .iter()
        .map(|contender| Turns {
            name: contender.name.clone(),
            turns: Vec::new(),
        })
        .collect();
    let rounds = plans.iter().map(|plan| plan.rounds).max().unwrap_or(0);
    for round in 0..rounds {
        for place in order(contenders.len(), round) {
            let turn = contenders[place].turn(&plans[place])?;
            progress(&contenders[place].name, &turn);
            results[place].turns.push(turn);
        }
    }
    Ok(results)
}

impl Kind {
    fn title(&self) -> String {
        let Self {
            rows, connections, ..
        } = self;
        let rows = match rows {
            1 => "single rows".to_owned(),
            rows => format!("{rows} rows a request"),
        };
        let connections = match connections {
            1 => "1 connection".to_owned(),
            connections => format!("{connections} connections"),
        };
        match self.rate {
            Rate::Closed => format!("{rows}, {connections}"),
            Rate::Slowest => format!("{rows}, {connections}, at a rate that all can answer"),
            Rate::Own => format!("{rows}, {connections}, at 60 % of what each can answer"),
        }
    }

    fn about(&self) -> String {
        match self.rate {
            Rate::Closed => String::new(),
            Rate::Slowest => {
                "Open loop: requests come at a fixed rate, 60 % of what the slowest answered in the closed loop over as many \
                 connections; a latency counts from the moment at which the request was due."
                    .to_owned()
            }
            Rate::Own => {
                "Open loop, each at 60 % of what it answered itself: what a caller waits where there is room to spare.".to_owned()
            }
        }
    }

    /// One or two that show whether all of it works.
    fn is_in_smoke(&self) -> bool {
        (self.rows, self.connections) == (1, 64) && self.rate != Rate::Own
            || (self.rows, self.connections) == (256, 16)
    }

    /// A plan for each contender; `answered` is what they answered in the closed loop, in the same order.
    fn plans(
        &self,
        contenders: &[Contender],
        answered: Option<&Vec<f64>>,
        effort: &Effort,
    ) -> Vec<Plan> {
        let answered = answered.map_or(&[][..], Vec::as_slice);
        let slowest = answered.iter().copied().fold(f64::INFINITY, f64::min);
        let pace = |place: usize| {
            let rate = match self.rate {
                Rate::Closed => return Pace::Closed,
                Rate::Slowest => slowest,
                Rate::Own => answered.get(place).copied().unwrap_or(slowest),
            };
            // One that answered nothing is asked now and then all the same, so that the table says so.
            let rate = if rate.is_finite() { rate } else { 0.0 };
            Pace::Open {
                rate: (rate * OPEN_PART).max(1.0),
            }
        };
        (0..contenders.len())
            .map(|place| Plan {
                rounds: effort.rounds,
                warm_up: effort.warm_up,
                measure: effort.measure,
                connections: self.connections,
                pace: pace(place),
                threads: 1,
            })
            .collect()
    }

    fn comparison(&self, turns: &[Turns]) -> Comparison {
        let baseline = turns.iter().any(|turns| turns.name == BASELINE);
        Comparison {
            title: self.title(),
            about: self.about(),
            baseline: baseline.then(|| BASELINE.to_owned()),
            second_baseline: None,
            subjects: turns.iter().map(|turns| self.subject(turns)).collect(),
        }
    }

    /// What the turns showed, with rows a second where they differ from requests.
    fn subject(&self, turns: &Turns) -> Subject {
        let mut subject = turns.subject();
        if self.rows > 1 {
            #[expect(clippy::cast_precision_loss, reason = "hundreds")]
            let rows = self.rows as f64;
            let values = turns.turns.iter().map(|turn| turn.rate * rows).collect();
            let what = What::plain("rows/s", 0);
            subject.figures.insert(1, Figure { what, values });
        }
        subject
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{Endpoint, Request, is_success};
    use crate::meter::Scope;

    const EFFORT: Effort = Effort {
        rounds: 3,
        warm_up: Duration::from_secs(1),
        measure: Duration::from_secs(2),
        smoke: false,
    };

    fn contender(name: &str) -> Contender {
        Contender {
            name: name.to_owned(),
            endpoint: Endpoint::Unix("/nobody".into()),
            requests: [Request::get("/", &[])].into(),
            check: is_success(),
            scope: Scope::Alone(Vec::new()),
        }
    }

    #[test]
    fn in_the_open_loop_the_slowest_sets_the_rate_or_each_its_own() {
        let contenders = ["slow", "fast", "dead"].map(contender);
        let answered = vec![100.0, 1000.0, 0.0];
        let rates = |rate, answered| {
            let kind = Kind {
                rate,
                ..closed(1, 64)
            };
            let plans = kind.plans(&contenders, answered, &EFFORT);
            plans.into_iter().map(|plan| plan.pace).collect::<Vec<_>>()
        };
        let open = |rates: [f64; 3]| rates.map(|rate| Pace::Open { rate }).to_vec();
        assert_eq!(rates(Rate::Own, Some(&answered)), open([60.0, 600.0, 1.0]));
        assert_eq!(rates(Rate::Slowest, Some(&answered)), open([1.0; 3]));
        let answered = vec![100.0, 1000.0, 500.0];
        assert_eq!(rates(Rate::Slowest, Some(&answered)), open([60.0; 3]));
        assert_eq!(rates(Rate::Slowest, None), open([1.0; 3]));
        assert_eq!(rates(Rate::Closed, Some(&answered)), vec![Pace::Closed; 3]);
    }

    #[test]
    fn every_open_loop_has_its_closed_one_before_it() {
        for smoke in [false, true] {
            let kinds: Vec<Kind> = KINDS
                .into_iter()
                .filter(|kind| !smoke || kind.is_in_smoke())
                .collect();
            for (place, kind) in kinds
                .iter()
                .enumerate()
                .filter(|(_, kind)| kind.rate != Rate::Closed)
            {
                let before = &kinds[..place];
                assert!(
                    before.contains(&closed(kind.rows, kind.connections)),
                    "{kind:?}"
                );
            }
        }
    }
}
