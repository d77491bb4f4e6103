//! What the requirements want that cannot be: a package that is nowhere, versions that exclude each other.

use super::told::{Told, shortened};
use super::{Case, EXPLANATION, REASON, Verdict};
use crate::env::trouble::Trouble;

impl Case<'_> {
    pub(super) fn python(&self) -> Option<Verdict> {
        let (package, wanted, has) = unfit_python(&self.told)?;
        Some(Verdict::new(
            Trouble::Unsatisfiable,
            format!(
                "{package} needs Python {wanted}, and the environment has {has}: require a version of it for that \
                 Python, or log the model with another Python"
            ),
        ))
    }

    pub(super) fn not_found(&self) -> Option<Verdict> {
        if let Some(url) = self
            .told
            .word_after("404 Not Found) for url (")
            .or_else(|| self.told.word_after("HTTP error 404 while getting "))
        {
            return Some(Verdict::new(
                Trouble::PackageNotFound,
                format!("there is nothing at {url}, which the model's requirements name"),
            ));
        }
        if let Some(host) = self
            .told
            .between("The repository located at ", " is not a trusted")
        {
            return Some(Verdict::new(
                Trouble::AccessDenied,
                format!(
                    "pip does not ask the package index at {host}, since it is not HTTPS: give it a certificate, or \
                     set PIP_TRUSTED_HOST={host} where the gateway is started"
                ),
            ));
        }
        let name = self
            .told
            .between_last("Because ", " was not found in the package registry")
            .or_else(|| {
                self.told
                    .between_last("Because ", " was not found in the provided")
            })
            .or_else(|| {
                self.told
                    .between("satisfies the requirement ", "(from versions: none)")
            })?;
        let name = name.split(" (from ").next().unwrap_or(name).trim();
        let (marker_free, _) = name.split_once(';').unwrap_or((name, ""));
        Some(Verdict::new(
            Trouble::PackageNotFound,
            format!(
                "no package index has {} (asked: {}): check its name in the model's requirements, or name the index \
                 that has it (pip.index_url, pip.extra_index_urls)",
                marker_free.trim(),
                self.asked()
            ),
        ))
    }

    pub(super) fn unsatisfiable(&self) -> Option<Verdict> {
        if let Some(missing) = missing_version(&self.told) {
            return Some(Verdict::new(
                Trouble::Unsatisfiable,
                format!(
                    "there is no {missing} for this Python and machine (asked: {}): require a version that exists",
                    self.asked()
                ),
            ));
        }
        let why = conflict(&self.told)?;
        Some(Verdict::new(
            Trouble::Unsatisfiable,
            format!(
                "no set of versions satisfies the model's requirements: {}. Change the requirements, or log the model \
                 anew",
                shortened(&why, EXPLANATION).trim_end_matches('.')
            ),
        ))
    }

    pub(super) fn declaration(&self) -> Option<Verdict> {
        let file = self
            .told
            .word_after("File not found: ")
            .or_else(|| self.told.word_after("Distribution not found at: "))
            .or_else(|| self.told.word_after("No such file or directory: "));
        if let Some(file) = file {
            return Some(Verdict::new(
                Trouble::InvalidDeclaration,
                format!("the model's requirements name {file}, which is not there"),
            ));
        }
        // uv names its own copy of the file there, which tells nobody anything: the cause does.
        let cause = self
            .told
            .text
            .split_once("error: Couldn't parse requirement in ")
            .and_then(|(_, rest)| rest.split_once(" cause: "))
            .map(|(_, cause)| cause.trim_end_matches(['^', ' ']));
        let in_line = || {
            ["error: Failed to parse: ", "Invalid requirement: "]
                .iter()
                .find_map(|start| self.told.text.split_once(start))
                .map(|(_, line)| line.split(" Caused by:").next().unwrap_or(line))
                .map(|line| line.split(" cause:").next().unwrap_or(line))
        };
        let line = cause.or_else(in_line)?;
        Some(Verdict::new(
            Trouble::InvalidDeclaration,
            format!(
                "a line of the model's requirements cannot be understood: {}",
                shortened(line, REASON)
            ),
        ))
    }
}

/// A wanted package that is not for this Python: what it is, what it needs, what there is.
fn unfit_python(told: &Told) -> Option<(String, String, String)> {
    if let Some(rest) = told.line_after("ERROR: Package '") {
        let (package, rest) = rest.split_once("' requires a different Python: ")?;
        let (has, wanted) = rest.split_once(" not in ")?;
        return Some((
            package.to_owned(),
            wanted.trim_matches('\'').to_owned(),
            has.to_owned(),
        ));
    }
    if let Some(has) = told.between("the current Python version (", ")") {
        let (before, after) = told.text.split_once(" depends on Python")?;
        let package = before.rsplit(' ').next()?;
        let wanted = after.split([' ', ',']).next()?;
        // Otherwise it is only one of the reasons why no version fits, and the explanation as a whole says which.
        let name = package.split(['=', '<', '>']).next()?;
        let is_wanted = told.has(&[
            &format!("you require {package}"),
            &format!("you require {name},"),
        ]);
        return is_wanted.then(|| (package.to_owned(), wanted.to_owned(), has.to_owned()));
    }
    let requirement = told.between("satisfies the requirement ", " ")?;
    let (_, version) = requirement.split_once("==")?;
    let (_, wanted) = told
        .text
        .split_once(&format!(" {version} Requires-Python "))?;
    let wanted = wanted.split([';', ' ', ':']).next()?;
    Some((
        requirement.to_owned(),
        wanted.to_owned(),
        "another".to_owned(),
    ))
}

/// A version that nobody has.
fn missing_version(told: &Told) -> Option<&str> {
    if let Some(version) = told.between("Because there is no version of ", " and you require") {
        return Some(version);
    }
    let requirement = told.between("satisfies the requirement ", " (from ")?;
    let (requirement, _) = requirement.split_once(';').unwrap_or((requirement, ""));
    Some(requirement.trim())
}

/// The solver's explanation.
fn conflict(told: &Told) -> Option<String> {
    if let Some(start) = told
        .lines
        .iter()
        .position(|line| line == "The conflict is caused by:")
    {
        let reasons = told.lines[start + 1..].iter();
        let reasons: Vec<&str> = reasons
            .map(String::as_str)
            .take_while(|line| !line.is_empty())
            .collect();
        return Some(reasons.join("; "));
    }
    let (_, rest) = told.text.split_once("No solution found when resolving")?;
    let start = rest.find("Because ")?;
    let why = rest[start..].split(" hint: ").next()?;
    let why = why.replacen("Because", "because", 1);
    let end = ", we can conclude that your requirements are unsatisfiable";
    let why = why.split(end).next().unwrap_or(&why);
    // The last sentence has lost its end.
    Some(match why.rsplit_once(". And because ") {
        Some((before, last)) => format!("{before}; but {last}"),
        None => why.to_owned(),
    })
}
