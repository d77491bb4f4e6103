//! Why no set of packages fits, for people who do not know solvers.

use std::collections::BTreeSet;

use rattler_conda_types::{MatchSpec, Matches, PackageName, RepoDataRecord, Subdir, Version};
use rattler_repodata_gateway::RepoData;
use serving_core::LoadError;

use super::failures::listed;
use super::lists::{Age, Lists};
use super::specs::Specs;
use crate::env::trouble::Trouble;

/// Near names that are shown.
const NEAR: usize = 3;
/// Names less similar than this (Jaro-Winkler, 1 is equal) are not near.
const SIMILAR: f64 = 0.86;
/// Versions that are shown.
const VERSIONS: usize = 12;
/// Lines of the solver's explanation that are shown.
const LINES: usize = 40;

/// What can be said before anything is solved: unknown names, and versions that nobody has.
pub(super) async fn foresee(
    specs: &Specs,
    lists: &Lists,
    platform: Subdir,
) -> Result<(), LoadError> {
    for spec in &specs.wanted {
        // `__glibc` and the like are no packages of channels.
        let Some(name) = spec.name.as_exact() else {
            continue;
        };
        if name.as_normalized().starts_with("__") || spec.url.is_some() {
            continue;
        }
        let fits = |record: &RepoDataRecord| {
            spec.matches(&record.package_record) && specs.is_allowed(record)
        };
        if lists.named(name).any(fits) {
            continue;
        }
        let of_name = lists.everything_named(name).await;
        let of_name: Vec<&RepoDataRecord> = of_name
            .iter()
            .flat_map(RepoData::iter)
            .filter(|record| specs.is_allowed(record))
            .collect();
        let channels = listed(&specs.channels_of(name), "and");
        if of_name.is_empty() {
            let near = near(name, &lists.names().await);
            return Err(not_found(name, &channels, platform, &near, &lists.age));
        }
        return Err(no_version(
            spec, name, &of_name, &channels, platform, &lists.age,
        ));
    }
    Ok(())
}

/// From the explanation of the solver.
pub(super) fn unsatisfiable(explanation: &[String], age: &Age) -> LoadError {
    let lines = explanation.iter().flat_map(|text| text.lines());
    let mut lines: Vec<String> = lines
        .map(|line| line.trim_end().to_owned())
        .filter(|line| !line.is_empty())
        .collect();
    if lines.len() > LINES {
        let more = lines.len() - LINES;
        lines.truncate(LINES);
        lines.push(format!("… and {more} more lines"));
    }
    let message = "the conda packages that conda.yaml wants do not fit together; what the solver says is below. \
                   Loosen a version in it, or log the model again in an environment that exists"
        .to_owned();
    let mut error = aged(Trouble::Unsatisfiable, message, age);
    error.last_lines = lines;
    error
}

fn not_found(
    name: &PackageName,
    channels: &str,
    platform: Subdir,
    near: &[String],
    age: &Age,
) -> LoadError {
    let source = name.as_source();
    let near = match near {
        [] => String::new(),
        near => format!(" Near names: {}.", listed(near, "and")),
    };
    let message = format!(
        "the conda package {source} is not in {channels} for {platform}.{near} \
         If it is a package of PyPI, it belongs under `pip:` in conda.yaml"
    );
    match age {
        // What was never looked at is not known to be missing.
        Age::Offline if !channels.is_empty() => aged(Trouble::Offline, message, age),
        _ => aged(Trouble::PackageNotFound, message, age),
    }
}

fn no_version(
    spec: &MatchSpec,
    name: &PackageName,
    of_name: &[&RepoDataRecord],
    channels: &str,
    platform: Subdir,
    age: &Age,
) -> LoadError {
    let versions = versions(spec, of_name);
    if name.as_normalized() == "python" {
        let wanted = spec.version.as_ref().map(|version| format!(" {version}"));
        let message = format!(
            "Python{} is not in {channels} for {platform}. There is {versions}. Log the model with one of these, or \
             name a channel that has it",
            wanted.unwrap_or_default(),
        );
        return aged(Trouble::PythonNotAvailable, message, age);
    }
    let message = format!(
        "no conda package in {channels} fits {spec} for {platform}. There is {} {versions}",
        name.as_source(),
    );
    aged(Trouble::Unsatisfiable, message, age)
}

/// An error about lists of this age: with newer ones it might not be one.
fn aged(trouble: Trouble, message: String, age: &Age) -> LoadError {
    match age {
        Age::Asked | Age::Young => trouble.error(message),
        Age::Offline => trouble.error(format!(
            "{message}. This is what the cached lists of packages say: the gateway is offline by its configuration"
        )),
        Age::Stale(why) => trouble.passing(format!(
            "{message}. This is what the cached lists of packages say, for the channels cannot be reached now: {why}"
        )),
    }
}

/// The names most like `name`, the nearest first.
fn near(name: &PackageName, all: &[PackageName]) -> Vec<String> {
    let name = name.as_normalized();
    let mut near: Vec<(f64, &str)> = all
        .iter()
        .map(|other| {
            let other = other.as_normalized();
            (strsim::jaro_winkler(name, other), other)
        })
        .filter(|(likeness, _)| *likeness >= SIMILAR)
        .collect();
    near.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(other.1)));
    near.dedup();
    near.truncate(NEAR);
    near.into_iter().map(|(_, name)| name.to_owned()).collect()
}

/// The versions that there are, oldest first: all that begin like the wanted one, else the newest of each beginning.
fn versions(spec: &MatchSpec, of_name: &[&RepoDataRecord]) -> String {
    let all: BTreeSet<&Version> = of_name
        .iter()
        .map(|record| record.package_record.version.version())
        .collect();
    let wanted = spec.version.as_ref().map(ToString::to_string);
    let wanted = wanted.unwrap_or_default();
    let wanted = wanted.trim_start_matches(['=', '<', '>', '~', '!']);
    let minor: String = wanted.splitn(3, '.').take(2).collect::<Vec<_>>().join(".") + ".";
    let alike: Vec<String> = all
        .iter()
        .map(ToString::to_string)
        .filter(|version| wanted.contains('.') && format!("{version}.").starts_with(&minor))
        .collect();
    let mut shown = if alike.is_empty() {
        newest_of_each_minor(&all)
    } else {
        alike
    };
    let more = shown.len().saturating_sub(VERSIONS);
    let mut shown = shown.split_off(more);
    if more > 0 {
        shown.insert(0, format!("{more} older ones"));
    }
    listed(&shown, "and")
}

fn newest_of_each_minor(all: &BTreeSet<&Version>) -> Vec<String> {
    let mut newest: Vec<(String, String)> = Vec::new();
    for version in all {
        let version = version.to_string();
        let minor = version.splitn(3, '.').take(2).collect::<Vec<_>>().join(".");
        match newest.last_mut() {
            Some((last, newest)) if *last == minor => *newest = version,
            _ => newest.push((minor, version)),
        }
    }
    newest.into_iter().map(|(_, version)| version).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_those_that_a_slip_of_the_finger_gives() {
        let all = ["numpy", "scikit-learn", "pandas", "nump", "numba", "zlib"];
        let all = all.map(PackageName::new_unchecked);
        let near = |name: &str| super::near(&PackageName::new_unchecked(name), &all);
        assert_eq!(near("numpi"), ["nump", "numpy"]);
        assert_eq!(near("scikit-lern"), ["scikit-learn"]);
        assert!(near("tensorflow").is_empty());
    }

    #[test]
    fn a_long_explanation_is_cut() {
        let text: Vec<String> = (0..100).map(|line| format!("line {line}\n")).collect();
        let error = unsatisfiable(&[text.concat()], &Age::Asked);
        assert_eq!(error.last_lines.len(), LINES + 1);
        assert_eq!(error.last_lines[LINES], "… and 60 more lines");
    }
}
