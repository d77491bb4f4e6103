//! Bars with whiskers, one panel for each comparison and compared quantity, in SVG.

use std::fmt::Write;

use super::spread::number;
use super::{Comparison, Report, What};

/// Pixels.
const PANEL: f64 = 440.0;
const GAP: f64 = 24.0;
const LABEL: f64 = 150.0;
const BAR: f64 = 18.0;
const ROW: f64 = 26.0;
const HEAD: f64 = 46.0;
/// For the number behind a bar.
const NUMBER: f64 = 70.0;

/// Follows whatever the reader prefers.
const STYLE: &str = "<style>\
    text{font:12px system-ui,sans-serif;fill:#1f2328}.title{font-weight:600}.quiet{fill:#59636e}\
    .ground{fill:#ffffff}.bar{fill:#4a7fb5}.base{fill:#9aa4ae}.whisker{stroke:#1f2328;stroke-width:1.5;fill:none}\
    @media(prefers-color-scheme:dark){text{fill:#e6edf3}.quiet{fill:#9aa4ae}.ground{fill:#0d1117}\
    .bar{fill:#5b9bd9}.base{fill:#6e7681}.whisker{stroke:#e6edf3}}</style>";

/// All of a report.
pub(super) fn svg(report: &Report) -> String {
    let mut body = String::new();
    let mut top = GAP;
    let mut columns = 1;
    for comparison in &report.comparisons {
        let Some(first) = comparison.subjects.first() else {
            continue;
        };
        let compared = first.figures.iter().filter(|figure| figure.what.compared);
        let mut left = GAP;
        let mut count = 0;
        for figure in compared {
            panel(&mut body, comparison, &figure.what, left, top);
            left += PANEL + GAP;
            count += 1;
        }
        columns = columns.max(count);
        top += height(comparison) + GAP;
    }
    let width = GAP + f64::from(columns) * (PANEL + GAP);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {top}\" width=\"{width}\" height=\"{top}\" \
         role=\"img\" aria-label=\"{}\">{STYLE}\n<rect class=\"ground\" width=\"{width}\" height=\"{top}\"/>\n{body}</svg>\n",
        escaped(&report.title)
    )
}

#[expect(clippy::cast_precision_loss, reason = "subjects are few")]
fn height(comparison: &Comparison) -> f64 {
    HEAD + ROW * comparison.subjects.len() as f64
}

fn panel(body: &mut String, comparison: &Comparison, what: &What, left: f64, top: f64) {
    let spreads: Vec<_> = comparison
        .subjects
        .iter()
        .filter_map(|subject| Some((&subject.name, subject.figure(&what.name)?.spread())))
        .collect();
    let most = spreads
        .iter()
        .map(|(_, spread)| spread.most)
        .fold(0.0, f64::max);
    let scale = if most > 0.0 {
        (PANEL - LABEL - NUMBER) / most
    } else {
        0.0
    };
    let _ = writeln!(
        body,
        "<g transform=\"translate({left:.0} {top:.0})\"><text class=\"title\" y=\"12\">{}</text>\
         <text class=\"quiet\" y=\"30\">{}</text>",
        escaped(&comparison.title),
        escaped(&what.name)
    );
    let mut middle = HEAD + ROW / 2.0;
    for (name, spread) in spreads {
        let class = if comparison.baseline.as_ref() == Some(name) {
            "base"
        } else {
            "bar"
        };
        let [median, least, most] =
            [spread.median, spread.least, spread.most].map(|value| LABEL + value * scale);
        let _ = writeln!(
            body,
            "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{}</text>\
             <rect class=\"{class}\" x=\"{LABEL:.0}\" y=\"{:.0}\" width=\"{:.1}\" height=\"{BAR:.0}\" rx=\"2\"/>\
             <path class=\"whisker\" d=\"M{least:.1} {middle:.1}H{most:.1}M{least:.1} {:.1}v8M{most:.1} {:.1}v8\"/>\
             <text class=\"quiet\" x=\"{:.1}\" y=\"{:.0}\">{}</text>",
            LABEL - 8.0,
            middle + 4.0,
            escaped(name),
            middle - BAR / 2.0,
            median - LABEL,
            middle - 4.0,
            middle - 4.0,
            most + 8.0,
            middle + 4.0,
            number(spread.median, what.digits)
        );
        middle += ROW;
    }
    body.push_str("</g>\n");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}
