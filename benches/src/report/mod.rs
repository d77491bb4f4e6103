//! What was measured, as it is written: JSON for programs, tables and plots for people.

mod machine;
mod markdown;
mod plot;
mod spread;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

pub use machine::Machine;
pub use spread::Spread;

/// Everything that one benchmark found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The name of its files.
    pub name: String,
    /// Its heading.
    pub title: String,
    /// What is measured and how, in Markdown.
    pub about: String,
    /// The command that does it again.
    pub command: String,
    /// Where it was measured.
    pub machine: Machine,
    /// What was measured, in its order.
    pub comparisons: Vec<Comparison>,
}

/// Several subjects under the same conditions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Its heading.
    pub title: String,
    /// What is special about it, in Markdown; may be empty.
    pub about: String,
    /// The name of the subject that ratios are taken to, round by round.
    pub baseline: Option<String>,
    /// The name of another one.
    #[serde(default)]
    pub second_baseline: Option<String>,
    /// All with the same figures in the same order.
    pub subjects: Vec<Subject>,
}

/// One of those that are compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Subject {
    /// Its name.
    pub name: String,
    /// What was measured about it.
    pub figures: Vec<Figure>,
    /// What has to be said about it, for example its first error.
    pub note: Option<String>,
}

/// One quantity, measured once a round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Which one.
    pub what: What,
    /// One a round, in the order of the rounds.
    pub values: Vec<f64>,
}

/// Which quantity, and how it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct What {
    /// With its unit: `p50 ms`.
    pub name: String,
    /// Digits after the point.
    pub digits: usize,
    /// Whether it has a column.
    pub shown: bool,
    /// Whether it has a column of ratios to the baseline, and is plotted.
    pub compared: bool,
}

impl What {
    /// A quantity with a column, a column of ratios, and a plot.
    pub fn compared(name: &str, digits: usize) -> Self {
        Self {
            name: name.to_owned(),
            digits,
            shown: true,
            compared: true,
        }
    }

    /// A quantity with a column.
    pub fn plain(name: &str, digits: usize) -> Self {
        Self {
            compared: false,
            ..Self::compared(name, digits)
        }
    }

    /// A quantity that is in the JSON only.
    pub fn hidden(name: &str, digits: usize) -> Self {
        Self {
            shown: false,
            ..Self::plain(name, digits)
        }
    }
}

impl Figure {
    /// Its values as one.
    pub fn spread(&self) -> Spread {
        Spread::of(&self.values)
    }
}

impl Subject {
    /// The figure of this name.
    pub fn figure(&self, name: &str) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.what.name == name)
    }
}

impl Comparison {
    /// Those that ratios are taken to.
    pub fn baselines(&self) -> impl Iterator<Item = &str> {
        self.baseline
            .iter()
            .chain(&self.second_baseline)
            .map(String::as_str)
    }

    /// A subject's figure divided by a baseline's, round by round; `None` where there is nothing to divide by.
    pub fn ratio(&self, subject: &Subject, figure: &str, baseline: &str) -> Option<Spread> {
        let baseline = self.subjects.iter().find(|other| other.name == baseline)?;
        let (above, below) = (subject.figure(figure)?, baseline.figure(figure)?);
        let pairs = above.values.iter().zip(&below.values);
        let ratios: Vec<f64> = pairs
            .map(|(above, below)| above / below)
            .filter(|ratio| ratio.is_finite())
            .collect();
        (!ratios.is_empty()).then(|| Spread::of(&ratios))
    }
}

impl Report {
    /// Refuses what tables only tell of: that a request was not answered as it had to be. For smoke tests.
    pub fn ensure_all_answered(&self) -> Result<()> {
        let subjects = self.comparisons.iter().flat_map(|one| &one.subjects);
        for subject in subjects {
            if let Some(note) = &subject.note {
                bail!(
                    "{}: a request was not answered as it had to be: {note}",
                    subject.name
                );
            }
        }
        Ok(())
    }

    /// Writes `<name>.json`, `<name>.md` and `<name>.svg` into a folder, and the folder's index anew. Once all is measured.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let mut report = self.clone();
        report.machine.load_after = machine::load();
        report.put(folder)
    }

    fn put(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
        let write = |extension: &str, text: String| {
            let path = folder.join(&self.name).with_extension(extension);
            fs::write(&path, text).with_context(|| format!("write {}", path.display()))
        };
        write("json", format!("{}\n", serde_json::to_string_pretty(self)?))?;
        write("md", markdown::page(self))?;
        write("svg", plot::svg(self))?;
        let index = folder.join("README.md");
        let reports = read_all(folder)?;
        fs::write(&index, markdown::index(&reports))
            .with_context(|| format!("write {}", index.display()))
    }
}

/// All reports of a folder, by name. What is no report is left out.
fn read_all(folder: &Path) -> Result<Vec<Report>> {
    let mut reports = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
            && let Ok(report) = serde_json::from_str(&fs::read_to_string(&path)?)
        {
            reports.push(report);
        }
    }
    reports.sort_by(|one: &Report, other| one.name.cmp(&other.name));
    Ok(reports)
}
