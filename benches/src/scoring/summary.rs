//! What a benchmark of scoring says in short: how we stand to the baseline and to the peer, load by load.

use std::fmt::Write;

use super::{BASELINE, PEER};
use crate::report::{Comparison, Spread, Subject};

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
        "{what} Everybody serves the same files. Contenders take turns in each round (A B C A B C …), all of them running; every \
         answer is checked. Ours has authentication, routing, metrics and the access log on. `sluicegate-2` and `mlflow-2` have two workers. \
         [How the peers were set up](peers.md), and why that is their best.\n\n\
         CPU time and memory are those of the whole process tree, workers included.\n"
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
                against(comparison, ours, PEER, "requests/s"),
                against(comparison, ours, PEER, "p99 ms"),
                shown(ratios(ours, "p99 ms", ours, "p50 ms")),
            );
        }
    }
    if !table.is_empty() {
        let _ = write!(
            text,
            "\n| load | | requests/s ÷ {BASELINE} | requests/s ÷ {PEER} | p99 ÷ {PEER}'s | p99 ÷ p50 |\n|---|---|---:|---:|---:|---:|\n{table}"
        );
    }
    text
}

fn is_ours(subject: &Subject) -> bool {
    subject.name.starts_with("sluicegate")
}

fn against(comparison: &Comparison, ours: &Subject, other: &str, figure: &str) -> String {
    let other = comparison
        .subjects
        .iter()
        .find(|subject| subject.name == other);
    shown(other.and_then(|other| ratios(ours, figure, other, figure)))
}

/// One figure divided by another, round by round; `None` where there is nothing to divide.
fn ratios(above: &Subject, over: &str, below: &Subject, under: &str) -> Option<Spread> {
    let (above, below) = (above.figure(over)?, below.figure(under)?);
    let pairs = above.values.iter().zip(&below.values);
    let ratios: Vec<f64> = pairs
        .map(|(above, below)| above / below)
        .filter(|ratio| ratio.is_finite())
        .collect();
    (!ratios.is_empty()).then(|| Spread::of(&ratios))
}

fn shown(spread: Option<Spread>) -> String {
    spread.map_or_else(|| "–".to_owned(), |spread| spread.shown(2))
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
            subjects: vec![
                subject(BASELINE, 100.0, 10.0, 40.0),
                subject(PEER, 500.0, 2.0, 8.0),
                subject("sluicegate-1", 2000.0, 1.0, 2.0),
            ],
        };
        let text = about("iris", std::slice::from_ref(&comparison));
        let row = "| single rows | sluicegate-1 | 20.00 | 4.00 | 0.25 | 2.00 |\n";
        assert!(text.ends_with(row), "{text}");
        comparison.subjects.remove(1);
        let text = about("iris", &[comparison]);
        let row = "| single rows | sluicegate-1 | 20.00 | – | – | 2.00 |\n";
        assert!(text.ends_with(row), "{text}");
    }
}
