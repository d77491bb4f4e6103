//! Contenders in turn: A B C C B A A B C …, so that whatever the machine does meanwhile, it does to all of them, and nobody
//! always follows the same one.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::load::{Check, Endpoint, Load, PATIENCE, Pace, Request};
use crate::meter::Scope;
use crate::report::{Figure, Subject, What};

/// One of those that are compared. It runs already.
#[derive(Clone)]
pub struct Contender {
    /// Its name in tables.
    pub name: String,
    /// Where it answers.
    pub endpoint: Endpoint,
    /// What it is asked, in turn.
    pub requests: Arc<[Request]>,
    /// What it has to answer.
    pub check: Check,
    /// The processes whose CPU time and memory are its own.
    pub scope: Scope,
}

/// How contenders are measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// How often each has its turn.
    pub rounds: usize,
    /// Before each measurement, unmeasured.
    pub warm_up: Duration,
    /// Each measurement.
    pub measure: Duration,
    /// Connections.
    pub connections: usize,
    /// Closed, or open at a rate.
    pub pace: Pace,
    /// Threads of the generator.
    pub threads: usize,
}

/// What one turn of one contender showed.
#[derive(Clone, Debug, PartialEq)]
pub struct Turn {
    /// Good answers a second.
    pub rate: f64,
    /// Milliseconds within which half of the good answers came.
    pub p50: f64,
    /// Milliseconds within which 99 of 100 came.
    pub p99: f64,
    /// Microseconds of CPU time for each good answer.
    pub cpu: f64,
    /// The generator's own.
    pub generator_cpu: f64,
    /// Milliseconds after it was due within which half of the requests of an open loop were given out: of `p50`, what is not
    /// the subject's. Zero in a closed loop.
    pub late_p50: f64,
    /// The same of 99 in 100.
    pub late_p99: f64,
    /// Megabytes after it, as if nobody else ran.
    pub memory: f64,
    /// Megabytes at most, the largest resident size of each process added up.
    pub peak: f64,
    /// Of a hundred requests, those without a good answer.
    pub errors: f64,
    /// What was wrong with the first of them.
    pub first_error: Option<String>,
}

/// What all turns of one contender showed.
#[derive(Clone, Debug, PartialEq)]
pub struct Turns {
    /// Its name.
    pub name: String,
    /// In their order.
    pub turns: Vec<Turn>,
}

/// How the columns of memory are to be read, in Markdown.
pub const MEMORY: &str = "*memory MB* is what the processes take together after the measurement, as if nobody else ran: what they share is \
    counted once, also the libraries that others have open. *peak RSS MB* is the largest resident size of each process since the \
    warm-up, added up: what processes share is counted for each, so that it stands above the other and is no limit of it.";

/// Gives each contender its turn, as often as the plan says. `progress` is told of each turn.
pub fn run(
    contenders: &[Contender],
    plan: &Plan,
    mut progress: impl FnMut(&str, &Turn),
) -> Result<Vec<Turns>> {
    ensure!(plan.rounds > 0, "a measurement needs a round");
    let mut results: Vec<Turns> = contenders
        .iter()
        .map(|contender| Turns {
            name: contender.name.clone(),
            turns: Vec::new(),
        })
        .collect();
    for round in 0..plan.rounds {
        for place in order(contenders.len(), round) {
            let turn = contenders[place].turn(plan)?;
            progress(&contenders[place].name, &turn);
            results[place].turns.push(turn);
        }
    }
    Ok(results)
}

/// The order of so many contenders in a round: every other one is the other way round.
pub fn order(count: usize, round: usize) -> impl Iterator<Item = usize> {
    let backwards = !round.is_multiple_of(2);
    (0..count).map(
        move |place| {
            if backwards { count - 1 - place } else { place }
        },
    )
}

impl Contender {
    /// One turn: warmed up, then measured.
    pub fn turn(&self, plan: &Plan) -> Result<Turn> {
        let load = Load {
            endpoint: self.endpoint.clone(),
            requests: Arc::clone(&self.requests),
            check: Arc::clone(&self.check),
            connections: plan.connections,
            pace: plan.pace,
            duration: plan.warm_up,
            threads: plan.threads,
            patience: PATIENCE,
        };
        if !plan.warm_up.is_zero() {
            load.run()?;
        }
        self.scope.forget_peaks()?;
        let before = self.scope.cpu()?;
        let outcome = Load {
            duration: plan.measure,
            ..load
        }
        .run()?;
        let usage = self.scope.usage()?;
        let milliseconds = |part| outcome.quantile(part).as_secs_f64() * 1e3;
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        let errors =
            outcome.errors as f64 * 100.0 / (outcome.requests + outcome.errors).max(1) as f64;
        Ok(Turn {
            rate: outcome.rate(),
            p50: milliseconds(0.5),
            p99: milliseconds(0.99),
            cpu: outcome.microseconds_each(usage.cpu.saturating_sub(before)),
            generator_cpu: outcome.microseconds_each(outcome.own_cpu),
            late_p50: outcome.lateness(0.5).as_secs_f64() * 1e3,
            late_p99: outcome.lateness(0.99).as_secs_f64() * 1e3,
            memory: megabytes(usage.together),
            peak: megabytes(usage.peak),
            errors,
            first_error: outcome.first_error.clone(),
        })
    }
}

impl Turns {
    /// As a row of a report.
    pub fn subject(&self) -> Subject {
        let of = |what: What, value: fn(&Turn) -> f64| Figure {
            what,
            values: self.turns.iter().map(value).collect(),
        };
        let first_error = self.turns.iter().find_map(|turn| turn.first_error.clone());
        Subject {
            name: self.name.clone(),
            figures: vec![
                of(What::compared("requests/s", 0), |turn| turn.rate),
                of(What::plain("p50 ms", 3), |turn| turn.p50),
                of(What::plain("p99 ms", 3), |turn| turn.p99),
                of(What::compared("CPU µs a request", 1), |turn| turn.cpu),
                of(What::plain("memory MB", 1), |turn| turn.memory),
                of(What::plain("peak RSS MB", 1), |turn| turn.peak),
                of(What::plain("generator's CPU µs", 1), |turn| {
                    turn.generator_cpu
                }),
                of(What::hidden("generator late p50 ms", 3), |turn| {
                    turn.late_p50
                }),
                of(What::hidden("generator late p99 ms", 3), |turn| {
                    turn.late_p99
                }),
                of(What::plain("errors %", 2), |turn| turn.errors),
            ],
            note: first_error,
        }
    }
}

/// Megabytes of 1,048,576 bytes.
#[expect(clippy::cast_precision_loss, reason = "memory is far below 2^52 bytes")]
pub fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_turn_in_each_round_and_nobody_always_follows_the_same() {
        let turns: Vec<usize> = (0..3).flat_map(|round| order(3, round)).collect();
        assert_eq!(turns, [0, 1, 2, 2, 1, 0, 0, 1, 2]);
    }
}
