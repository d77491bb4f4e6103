//! What a benchmark of scoring says in short: how we stand to the baseline and to the peer, load by load.

use std::fmt::Write;

use super::{BASELINE, PEER, PEER_OF_TWO};
use crate::report::{Comparison, Spread, Subject};
use crate::rounds::MEMORY;

/// From so many of a hundred requests without a good answer on, those with one are a choice of their own, often of the fast:
/// they are compared with nobody's.
const TOO_MANY_ERRORS: f64 = 0.1;

/// What there is to say about how two stand to each other.
#[derive(Clone, Debug, PartialEq)]
enum Ratio {
    Of(Spread),
    /// One of them had too many errors in a round, or answered nothing.
    Errors,
    /// One of them is not there.
    Nothing,
}

/// What is measured, and the ratios of ours, in Markdown.
pub(super) fn about(model: &str, comparisons: &[Comparison]) -> String {
    let what = match model {
        "iris" => {
            "A logistic regression over four columns: what it costs is nearly all the server's share."
        }
        "forest" => {
            "A random forest of 200 trees over 30 columns: milliseconds a call, nearly the same for one row and for hundreds."
        }
        _ => {
            "Points for an applicant in pure Python, row by row: joining calls saves the server's share, never the model's."
        }
    };
    let mut text = format!(
        "{what} Everybody serves the same files. Contenders take turns in each round (A B C C B A …), all of them running; every \
         answer is checked. Ours has authentication, routing, metrics and the access log on. `sluicegate-2` and `mlflow-2` have two workers. \
         Peers have one process for the model, \
         except for `{PEER_OF_TWO}`. [How the peers were set up](peers.md): the best \
         that we found.\n\n\
         CPU time and memory are those of the whole process tree, workers included. {MEMORY}\n"
    );
    let mut table = String::new();
    for comparison in comparisons {
        for ours in comparison
            .subjects
            .iter()
            .filter(|subject| is_ours(subject))
        {
            let _ = writeln!(
                table,
                "| {} | {} | {} | {} | {} | {} |",
                comparison.title,
                ours.name,
                against(comparison, ours, BASELINE, "requests/s"),
                against(comparison, ours, peer_of(ours), "requests/s"),
                against(comparison, ours, peer_of(ours), "p99 ms"),
                Ratio::of(ours, "p99 ms", ours, "p50 ms").shown(),
            );
        }
    }
    if !table.is_empty() {
        let _ = write!(
            text,
            "\n`sluicegate-2` is compared with `{PEER_OF_TWO}` where `{PEER}` is said. *(errors)*: in a round one of the two left a thousandth of the requests or more without a good answer.\n\n| load | | requests/s ÷ {BASELINE} | requests/s ÷ {PEER} | p99 ÷ {PEER}'s | p99 ÷ p50 |\n|---|---|---:|---:|---:|---:|\n{table}"
        );
    }
    text
}

fn is_ours(subject: &Subject) -> bool {
    subject.name.starts_with("sluicegate")
}

/// The peer with as many processes for the model.
fn peer_of(ours: &Subject) -> &'static str {
    let kind = ours.name.split(':').next();
    if kind.is_some_and(|kind| kind.ends_with("-2")) {
        PEER_OF_TWO
    } else {
        PEER
    }
}

fn against(comparison: &Comparison, ours: &Subject, other: &str, figure: &str) -> String {
    let other = comparison
        .subjects
        .iter()
        .find(|subject| subject.name == other);
    let ratio = other.map(|other| Ratio::of(ours, figure, other, figure));
    ratio.unwrap_or(Ratio::Nothing).shown()
}

impl Ratio {
    /// One figure divided by another, round by round.
    fn of(above: &Subject, over: &str, below: &Subject, under: &str) -> Self {
        let (Some(over), Some(under)) = (above.figure(over), below.figure(under)) else {
            return Self::Nothing;
        };
        if !is_sound(above) || !is_sound(below) {
            return Self::Errors;
        }
        let pairs = over.values.iter().zip(&under.values);
        let ratios: Vec<f64> = pairs.map(|(above, below)| above / below).collect();
        if ratios.is_empty() {
            return Self::Nothing;
        }
        // Nobody takes no time: a figure of zero is one of no answers.
        if ratios.iter().any(|ratio| !ratio.is_normal()) {
            return Self::Errors;
        }
        Self::Of(Spread::of(&ratios))
    }

    fn shown(&self) -> String {
        match self {
            Self::Of(spread) => spread.shown(2),
            Self::Errors => "– (errors)".to_owned(),
            Self::Nothing => "–".to_owned(),
        }
    }
}

/// Whether all rounds had good answers to speak of.
fn is_sound(subject: &Subject) -> bool {
    let errors = subject.figure("errors %");
    errors.is_none_or(|errors| errors.values.iter().all(|&part| part < TOO_MANY_ERRORS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Figure, What};

    fn subject(name: &str, rate: f64, p50: f64, p99: f64) -> Subject {
        let figure = |name: &str, value: f64| Figure {
            what: What::plain(name, 1),
            values: vec![value, value],
        };
        Subject {
            name: name.to_owned(),
            figures: vec![
                figure("requests/s", rate),
                figure("p50 ms", p50),
                figure("p99 ms", p99),
                figure("errors %", 0.0),
            ],
            note: None,
        }
    }

    #[test]
    fn ours_stands_beside_the_baseline_and_the_peer() {
        let mut comparison = Comparison {
            title: "single rows".to_owned(),
            about: String::new(),
            baseline: None,
            second_baseline: None,
            subjects: vec![
                subject(BASELINE, 100.0, 10.0, 40.0),
                subject(PEER, 500.0, 2.0, 8.0),
                subject("sluicegate-1", 2000.0, 1.0, 2.0),
            ],
        };
        let text = about("iris", std::slice::from_ref(&comparison));
        let row = "| single rows | sluicegate-1 | 20.00 | 4.00 | 0.25 | 2.00 |\n";
        assert!(text.ends_with(row), "{text}");
        // Two processes are compared with two.
        let two = subject("sluicegate-2:batching=off", 3000.0, 1.0, 2.0);
        comparison.subjects[2] = two;
        let text = about("iris", std::slice::from_ref(&comparison));
        let row = "| single rows | sluicegate-2:batching=off | 30.00 | – | – | 2.00 |\n";
        assert!(text.ends_with(row), "{text}");
        let peer = subject(PEER_OF_TWO, 1000.0, 2.0, 8.0);
        comparison.subjects.push(peer);
        let text = about("iris", std::slice::from_ref(&comparison));
        let row = "| single rows | sluicegate-2:batching=off | 30.00 | 3.00 | 0.25 | 2.00 |\n";
        assert!(text.ends_with(row), "{text}");
        comparison.subjects[2] = subject("sluicegate-1", 2000.0, 1.0, 2.0);
        comparison.subjects.remove(1);
        let text = about("iris", &[comparison]);
        let row = "| single rows | sluicegate-1 | 20.00 | – | – | 2.00 |\n";
        assert!(text.ends_with(row), "{text}");
    }

    #[test]
    fn who_did_not_answer_is_compared_with_nobody() {
        let comparison = |change: fn(&mut Subject)| {
            let mut ours = subject("sluicegate-1", 2000.0, 1.0, 2.0);
            change(&mut ours);
            Comparison {
                title: "single rows".to_owned(),
                about: String::new(),
                baseline: None,
                second_baseline: None,
                subjects: vec![subject(BASELINE, 100.0, 10.0, 40.0), ours],
            }
        };
        // One round of two.
        let refused = comparison(|ours| ours.figures[3].values[1] = 30.0);
        let silent = comparison(|ours| {
            for figure in &mut ours.figures[..3] {
                figure.values[1] = 0.0;
            }
        });
        for comparison in [refused, silent] {
            let text = about("iris", &[comparison]);
            let row = "| single rows | sluicegate-1 | – (errors) | – | – | – (errors) |\n";
            assert!(text.ends_with(row), "{text}");
        }
        let hardly = comparison(|ours| ours.figures[3].values[1] = 0.09);
        let text = about("iris", &[hardly]);
        assert!(text.ends_with("| 20.00 | – | – | 2.00 |\n"), "{text}");
    }
}
