//! How requirements are written: one spelling for all that pip takes for the same.

use std::collections::BTreeSet;

/// A comment begins with `#` at the start of a line or after a space (pip's rule): `url#egg=x` holds none.
pub(super) fn without_comment(line: &str) -> &str {
    let starts = |(at, _): &(usize, &str)| *at == 0 || line[..*at].ends_with(char::is_whitespace);
    let end = line
        .match_indices('#')
        .find(starts)
        .map_or(line.len(), |(at, _)| at);
    &line[..end]
}

pub(super) fn collapse(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `Scikit_Learn [b, A] >= 1.0 , <2 ; python_version<"3.12" --hash=x` becomes
/// `scikit-learn[a,b]<2,>=1.0;python_version<"3.12" --hash=x`. What is not written like that stays as it is.
pub(super) fn normal(line: &str) -> String {
    let is_of_name =
        |character: char| character.is_ascii_alphanumeric() || "._-".contains(character);
    let name_end = line
        .find(|character| !is_of_name(character))
        .unwrap_or(line.len());
    let (name, rest) = line.split_at(name_end);
    if name.is_empty() {
        return line.to_owned();
    }
    let rest = rest.trim_start();
    let (extras, rest) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((extras, rest)) => (parts(extras, normal_name), rest.trim_start()),
        None => (String::new(), rest),
    };
    let extras = if extras.is_empty() {
        extras
    } else {
        format!("[{extras}]")
    };
    let name = normal_name(name);
    if rest.starts_with('@') {
        return format!("{name}{extras} {rest}");
    }
    if !rest.is_empty() && !rest.starts_with(['=', '<', '>', '!', '~', '(', ';', '-']) {
        return line.to_owned();
    }
    let (rest, hashes) = rest.find("--").map_or((rest, ""), |at| rest.split_at(at));
    let (versions, marker) = rest.split_once(';').unwrap_or((rest, ""));
    let versions = versions
        .trim()
        .trim_start_matches('(')
        .trim_end_matches(')');
    let versions = parts(versions, |version| version.replace(' ', ""));
    let marker = marker.trim();
    let semicolon = if marker.is_empty() { "" } else { ";" };
    let space = if hashes.is_empty() { "" } else { " " };
    format!("{name}{extras}{versions}{semicolon}{marker}{space}{hashes}")
}

/// The spelling that PEP 503 gives to a name.
fn normal_name(name: &str) -> String {
    let words = name.split(['-', '_', '.']).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").to_ascii_lowercase()
}

/// Parts between commas, each in normal form, in one order.
fn parts(list: &str, normal: impl Fn(&str) -> String) -> String {
    let parts = list
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty());
    let parts: BTreeSet<String> = parts.map(normal).collect();
    parts.into_iter().collect::<Vec<_>>().join(",")
}
