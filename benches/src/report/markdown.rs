//! Tables for people.

use std::fmt::Write;

use super::{Comparison, Report};

/// How the columns are to be read, once a page.
const READING: &str = "Each cell is the median of the rounds, with the least and the most in parentheses. A column that begins with ÷ \
    is the ratio to the baseline, taken round by round: what the machine did meanwhile it did to both, so that ratios travel to \
    other machines better than figures do.\n";

/// The page of one report.
pub(super) fn page(report: &Report) -> String {
    let Report {
        name,
        title,
        about,
        command,
        machine,
        comparisons,
    } = report;
    let mut page = format!("# {title}\n\n{}\n\n", about.trim());
    let _ = write!(
        page,
        "{}\n```sh\n{command}\n```\n\n{READING}\n![The same as bars]({name}.svg)\n",
        machine.list()
    );
    for comparison in comparisons {
        let _ = write!(page, "\n## {}\n\n", comparison.title);
        if !comparison.about.is_empty() {
            let _ = write!(page, "{}\n\n", comparison.about.trim());
        }
        page.push_str(&table(comparison));
    }
    page
}

/// The page that leads to all reports of a folder.
pub(super) fn index(reports: &[Report]) -> String {
    let mut page = "# Benchmarks\n\nWritten by `scripts/bench`, which runs them again; [decision 26](../decisions/0026-benchmarks.md) \
        says how they measure.\n"
        .to_owned();
    let _ = write!(
        page,
        "{READING}\n| benchmark | command | processor |\n|---|---|---|\n"
    );
    for report in reports {
        let Report {
            name,
            title,
            command,
            machine,
            ..
        } = report;
        let (cores, processor) = (machine.cores, &machine.processor);
        let _ = writeln!(
            page,
            "| [{title}]({name}.md) | `{command}` | {cores} × {processor} |"
        );
    }
    page
}

fn table(comparison: &Comparison) -> String {
    let Some(first) = comparison.subjects.first() else {
        return String::new();
    };
    let shown: Vec<_> = first
        .figures
        .iter()
        .filter(|figure| figure.what.shown)
        .map(|figure| &figure.what)
        .collect();
    let mut table = "| |".to_owned();
    let mut line = "|---|".to_owned();
    for what in &shown {
        let _ = write!(table, " {} |", what.name);
        line.push_str("---:|");
        for baseline in comparison.baselines().filter(|_| what.compared) {
            let _ = write!(table, " ÷ {baseline} |");
            line.push_str("---:|");
        }
    }
    let _ = write!(table, "\n{line}\n");
    for subject in &comparison.subjects {
        let _ = write!(table, "| {} |", subject.name);
        for what in &shown {
            let figure = subject.figure(&what.name);
            let text = figure.map(|figure| figure.spread().shown(what.digits));
            let _ = write!(table, " {} |", text.unwrap_or_default());
            for baseline in comparison.baselines().filter(|_| what.compared) {
                let ratio = comparison.ratio(subject, &what.name, baseline);
                let _ = write!(
                    table,
                    " {} |",
                    ratio.map(|ratio| ratio.shown(2)).unwrap_or_default()
                );
            }
        }
        table.push('\n');
    }
    for subject in &comparison.subjects {
        if let Some(note) = &subject.note {
            let _ = write!(
                table,
                "\n{}: {}\n",
                subject.name,
                note.replace(['\n', '\r'], " ")
            );
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::super::{Figure, Subject, What};
    use super::*;

    #[test]
    fn ratios_are_taken_to_each_baseline_round_by_round() {
        let subject = |name: &str, times: [f64; 2]| Subject {
            name: name.to_owned(),
            figures: vec![
                Figure {
                    what: What::compared("p50 ms", 1),
                    values: times.to_vec(),
                },
                Figure {
                    what: What::plain("memory MB", 0),
                    values: vec![7.0],
                },
            ],
            note: None,
        };
        let comparison = Comparison {
            title: "15 MB".to_owned(),
            about: String::new(),
            baseline: Some("nginx".to_owned()),
            second_baseline: Some("direct".to_owned()),
            subjects: vec![
                subject("direct", [1.0, 2.0]),
                subject("nginx", [2.0, 4.0]),
                subject("ours", [3.0, 6.0]),
            ],
        };
        let expected = "| | p50 ms | ÷ nginx | ÷ direct | memory MB |\n|---|---:|---:|---:|---:|\n\
            | direct | 1.5 (1.0–2.0) | 0.50 | 1.00 | 7 |\n\
            | nginx | 3.0 (2.0–4.0) | 1.00 | 2.00 | 7 |\n\
            | ours | 4.5 (3.0–6.0) | 1.50 | 3.00 | 7 |\n";
        assert_eq!(table(&comparison), expected);
    }
}
