//! What conda asks of a version, in terms of pip, and which version of Python fulfils it.

use std::cmp::Ordering;
use std::fmt;

use crate::env::key::Spec;

/// Minor versions of Python 3 that may be asked for, the newest first.
const MINORS: std::ops::RangeInclusive<u32> = 6..=15;
/// More patches than any minor version has.
const PATCHES: u32 = 40;
/// The longer of two that begin alike comes first.
const OPERATORS: [&str; 8] = ["==", ">=", "<=", "!=", "~=", "=", ">", "<"];

/// All have to hold. Each is an operator of PEP 440 and a version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Conditions(Vec<(&'static str, String)>);

impl Conditions {
    /// Of the rest of a match spec after its name. In terms of pip `=1.2` is `==1.2.*`, and both `1.2 build` and
    /// `=1.2=build` are `==1.2`. Alternatives (`1.2|1.3`), for which pip has no words, are no condition.
    pub(super) fn of_conda(rest: &str) -> Self {
        let (version, has_build) = Spec::version(rest);
        if version.contains(['|', '(', '^']) {
            return Self::default();
        }
        let terms = version.split(',').map(str::trim);
        Self(
            terms
                .filter_map(|term| condition(term, has_build))
                .collect(),
        )
    }

    /// The version, if one is all that is asked for: `3.8.18`, or `3.8` for any patch of that.
    pub(super) fn exact(&self) -> Option<String> {
        match self.0.as_slice() {
            [("==", version)] => Some(version.trim_end_matches(".*").to_owned()),
            _ => None,
        }
    }

    /// Whether nothing is asked for.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `version` (`3.11.7`) fulfils all.
    pub(super) fn hold_for(&self, version: &str) -> bool {
        let version = numbers(version);
        self.0
            .iter()
            .all(|(operator, than)| holds(operator, than, &version))
    }

    /// The newest version of Python that fulfils all: `3.11`, or `3.11.5` if no later patch does.
    pub(super) fn newest_python(&self) -> Option<String> {
        let minors = MINORS.rev().map(|minor| format!("3.{minor}"));
        let mut patches = minors.flat_map(|minor| {
            let patches = (0..=PATCHES).rev();
            patches.map(move |patch| (minor.clone(), patch))
        });
        let (minor, patch) =
            patches.find(|(minor, patch)| self.hold_for(&format!("{minor}.{patch}")))?;
        Some(match patch {
            PATCHES => minor,
            patch => format!("{minor}.{patch}"),
        })
    }
}

/// As in a line of a requirements file.
impl fmt::Display for Conditions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (operator, version)) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(formatter, "{comma}{operator}{version}")?;
        }
        Ok(())
    }
}

fn condition(term: &str, has_build: bool) -> Option<(&'static str, String)> {
    let operator = OPERATORS
        .iter()
        .find(|operator| term.starts_with(**operator));
    let version = term[operator.map_or(0, |operator| operator.len())..].trim();
    let plain = version.trim_end_matches('*').trim_end_matches('.');
    if plain.is_empty() {
        return None;
    }
    let is_open = plain != version;
    match operator.copied() {
        Some("=") if !has_build || is_open => Some(("==", format!("{plain}.*"))),
        None | Some("==" | "=") if !is_open => Some(("==", plain.to_owned())),
        None | Some("==") => Some(("==", format!("{plain}.*"))),
        Some("!=") if is_open => Some(("!=", format!("{plain}.*"))),
        Some(operator) => Some((operator, plain.to_owned())),
    }
}

fn holds(operator: &str, than: &str, version: &[u64]) -> bool {
    let is_open = than.ends_with(".*");
    let than = numbers(than.trim_end_matches(".*"));
    let begins = |length: usize| version.iter().take(length).eq(than.iter().take(length));
    let order = compare(version, &than);
    match operator {
        "==" if is_open => begins(than.len()),
        "!=" if is_open => !begins(than.len()),
        "==" => order == Ordering::Equal,
        "!=" => order != Ordering::Equal,
        ">=" => order != Ordering::Less,
        "<=" => order != Ordering::Greater,
        ">" => order == Ordering::Greater,
        "<" => order == Ordering::Less,
        "~=" => order != Ordering::Less && begins(than.len().saturating_sub(1)),
        _ => true,
    }
}

/// What follows a part that is no number counts as nothing: `3.12.0rc1` is 3.12.0.
fn numbers(version: &str) -> Vec<u64> {
    let parts = version.split('.').map(|part| {
        let end = part.find(|character: char| !character.is_ascii_digit());
        part[..end.unwrap_or(part.len())].parse().unwrap_or(0)
    });
    parts.collect()
}

/// 3.8 is 3.8.0.
fn compare(one: &[u64], other: &[u64]) -> Ordering {
    let at = |numbers: &[u64], at: usize| numbers.get(at).copied().unwrap_or(0);
    let longest = one.len().max(other.len());
    (0..longest)
        .map(|place| at(one, place).cmp(&at(other, place)))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_python_in_a_range_is_found() {
        for (range, newest) in [
            (">=3.10,<3.12", Some("3.11")),
            (">=3.8,<3.11,!=3.10.*", Some("3.9")),
            ("<=3.9", Some("3.9.0")),
            ("~=3.8.5", Some("3.8")),
            ("<3.11.6", Some("3.11.5")),
            (">=4", None),
            ("<2", None),
        ] {
            let conditions = Conditions::of_conda(range);
            assert_eq!(conditions.newest_python().as_deref(), newest, "{range}");
        }
    }

    #[test]
    fn versions_are_judged_as_pep_440_does() {
        for (range, version, holds) in [
            (">=3.10,<3.12", "3.11.7", true),
            (">=3.10,<3.12", "3.9.18", false),
            (">=3.10,<3.12", "3.12", false),
            ("<=3.9", "3.9.18", false),
            ("~=3.8", "3.11.7", true),
            ("!=3.11.7", "3.11.7", false),
            ("", "3.11.7", true),
            ("3.8|3.9", "3.11.7", true),
        ] {
            let conditions = Conditions::of_conda(range);
            assert_eq!(conditions.hold_for(version), holds, "{range} {version}");
        }
    }
}
