//! Match specs of conda as a value: what they ask for, without how they are written.
//!
//! Two specs that are equal here mean the same to conda. Two that mean the same may still differ: that costs no more
//! than an environment of its own.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::channel::Channels;

/// Operators, spaces around which say nothing.
const SIGNS: &str = "=<>!~,|";

/// One wanted package.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Spec {
    /// The addresses of the channels that it may come from; empty leaves it to the file.
    channels: Vec<String>,
    /// In lower case.
    name: String,
    /// One of these sets of conditions has to hold as a whole. Empty takes any version.
    versions: BTreeSet<BTreeSet<String>>,
    build: Option<String>,
    /// What is between brackets: `[version=">=1", subdir=linux-64]`.
    attributes: BTreeMap<String, String>,
}

impl Spec {
    /// Understands `text`, in which names of channels mean what `channels` says.
    pub(crate) fn new(text: &str, channels: &Channels) -> Self {
        let (channel, name, rest) = Self::split(text);
        let (rest, attributes) = brackets(rest);
        let (versions, build) = parts(rest);
        let is_exact_build = build.is_some();
        Self {
            channels: channel.map_or_else(Vec::new, |channel| channels.meant(channel)),
            name: name.to_ascii_lowercase(),
            versions: conditions(&versions, is_exact_build),
            build,
            attributes,
        }
    }

    /// The channel that it names, the name of its package, and the rest. The address of a file is all name.
    pub(crate) fn split(text: &str) -> (Option<&str>, &str, &str) {
        let text = text.trim();
        let (channel, text) = match text.rsplit_once("::") {
            Some((channel, text)) if !text.contains('/') => (Some(channel.trim()), text.trim()),
            _ => (None, text),
        };
        if text.contains('/') {
            return (channel, text, "");
        }
        let is_end = |character: char| {
            character.is_whitespace() || SIGNS.contains(character) || "[(".contains(character)
        };
        let (name, rest) = text.split_at(text.find(is_end).unwrap_or(text.len()));
        (channel, name, rest.trim())
    }

    /// The version that the rest of a [`split`](Self::split) asks for, without spaces that say nothing, and whether it
    /// asks for a build as well.
    pub(crate) fn version(rest: &str) -> (String, bool) {
        let (rest, mut attributes) = brackets(rest);
        let (version, build) = parts(rest);
        let is_exact_build = build.is_some() || attributes.contains_key("build");
        if version.is_empty() {
            let version = attributes.remove("version").unwrap_or_default();
            return (tight(&version), is_exact_build);
        }
        (version, is_exact_build)
    }
}

/// Takes off `[key=value, …]`.
fn brackets(text: &str) -> (&str, BTreeMap<String, String>) {
    let Some((before, inside)) = text.strip_suffix(']').and_then(|text| text.split_once('['))
    else {
        return (text, BTreeMap::new());
    };
    let mut attributes = BTreeMap::new();
    let mut quote = None;
    let is_comma = |character: char| {
        match quote {
            None if "'\"".contains(character) => quote = Some(character),
            Some(open) if open == character => quote = None,
            _ => {}
        }
        character == ',' && quote.is_none()
    };
    for pair in inside.split(is_comma) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = value.trim().trim_matches(['\'', '"']).trim();
        attributes.insert(key.trim().to_owned(), value.to_owned());
    }
    (before.trim(), attributes)
}

/// The version and the build, of `1.2 py37_0`, `=1.2=py37_0`, `>= 1, < 2`.
fn parts(text: &str) -> (String, Option<String>) {
    let text = tight(text);
    let (version, build) = match text.split_once(' ') {
        Some((version, build)) => (version.to_owned(), Some(build.trim().to_owned())),
        None => match second_equals_sign(&text) {
            Some(at) => (text[..at].to_owned(), Some(text[at + 1..].to_owned())),
            None => (text, None),
        },
    };
    (version, build.filter(|build| build != "*"))
}

/// Without the spaces that say nothing.
fn tight(text: &str) -> String {
    let mut tight = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        let is_glued = tight.is_empty() || tight.ends_with(is_sign) || word.starts_with(is_sign);
        if !is_glued {
            tight.push(' ');
        }
        tight.push_str(word);
    }
    tight
}

fn is_sign(character: char) -> bool {
    SIGNS.contains(character)
}

/// Where the build begins in `=1.2=py37_0`: at an equals sign that is no part of an operator.
fn second_equals_sign(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let is_word = |at: usize| {
        bytes
            .get(at)
            .is_some_and(|byte| !SIGNS.contains(*byte as char))
    };
    (1..bytes.len()).find(|at| bytes[*at] == b'=' && is_word(at - 1) && is_word(at + 1))
}

fn conditions(text: &str, is_exact_build: bool) -> BTreeSet<BTreeSet<String>> {
    // Between parentheses the order of evaluation is another.
    if text.contains(['(', '^']) {
        return BTreeSet::from([BTreeSet::from([text.to_owned()])]);
    }
    let all_of = |part: &str| -> BTreeSet<String> {
        part.split(',')
            .map(|term| condition(term, is_exact_build))
            .filter(|term| !term.is_empty())
            .collect()
    };
    let any_of: BTreeSet<_> = text.split('|').map(all_of).collect();
    // What any version fulfils asks for nothing.
    if any_of.iter().any(BTreeSet::is_empty) {
        return BTreeSet::new();
    }
    any_of
}

/// One condition. `=1.2` is `1.2.*`, and `1.2` is `==1.2`; beside a build, conda reads both in another way.
fn condition(term: &str, is_exact_build: bool) -> String {
    let term = term.to_ascii_lowercase();
    let bare = term.strip_prefix('=').unwrap_or(&term);
    if bare.is_empty() || bare == "*" {
        return String::new();
    }
    if is_exact_build || bare.starts_with(is_sign) {
        return term;
    }
    let is_fuzzy = term.starts_with('=');
    match (is_fuzzy, bare.contains('*')) {
        (true, false) => format!("{bare}.*"),
        (false, false) => format!("=={bare}"),
        (true, true) if bare.ends_with(".*") => bare.to_owned(),
        (_, true) => term,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> Spec {
        Spec::new(text, &Channels::new(&crate::config::CondaConfig::default()))
    }

    #[test]
    fn how_a_spec_is_written_does_not_matter() {
        for same in [
            &[
                "numpy",
                "NumPy",
                " numpy ",
                "numpy *",
                "numpy=*",
                "numpy * *",
            ][..],
            &[
                "numpy=1.2",
                "numpy =1.2",
                "numpy = 1.2",
                "numpy=1.2.*",
                "numpy 1.2.*",
            ],
            &["numpy==1.2", "numpy == 1.2", "numpy 1.2"],
            &[
                "numpy>=1,<2",
                "numpy >=1,<2",
                "numpy <2 , >= 1",
                "numpy<2,>=1,<2",
            ],
            &["numpy >=1|<0.5", "numpy <0.5 | >=1"],
            &["numpy 1.2 py37_0", "numpy  1.2  py37_0"],
            &[
                "numpy[version='>=1', build=py3*]",
                "numpy [build=py3*,version=\">=1\"]",
            ],
            &[
                "conda-forge::numpy",
                "https://conda.anaconda.org/conda-forge::numpy",
                "https://conda.anaconda.org/conda-forge/::numpy",
                "defaults::numpy",
            ],
        ] {
            let first = spec(same[0]);
            for other in same {
                assert_eq!(spec(other), first, "{other}");
            }
        }
    }

    #[test]
    fn what_means_something_else_differs() {
        let all = [
            "numpy",
            "scipy",
            "numpy=1.2",
            "numpy==1.2",
            "numpy=1.20",
            "numpy=1.2*",
            "numpy>=1,<2",
            "numpy>=1|<2",
            "numpy>=1",
            "numpy>1",
            "numpy~=1",
            "numpy!=1",
            "numpy=1.2=py37_0",
            "numpy==1.2=py37_0",
            "numpy=1.2=py38_0",
            "numpy=*=py38_0",
            "numpy[build=py38_0]",
            "numpy[version='>=1,<2']",
            "bioconda::numpy",
            "conda-forge::numpy",
            "conda-forge/linux-64::numpy",
            "https://host/conda-forge/noarch/numpy-1.2-py37_0.conda",
            "numpy (>=1|<0.5),!=3",
            "numpy >=1|<0.5,!=3",
        ];
        let different: BTreeSet<Spec> = all.into_iter().map(spec).collect();
        assert_eq!(different.len(), all.len());
    }

    #[test]
    fn odd_texts_are_specs_of_their_own() {
        let all = [
            "", "=", "==", "=1.2", "[", "a[", "a]", "a[b]", "::", "a::", "é=1=", "a=1=", "a ==",
            "a=é=é",
        ];
        for text in all {
            assert_eq!(spec(text), spec(text), "{text}");
        }
    }

    #[test]
    fn the_name_is_found_whatever_is_around_it() {
        for (text, name) in [
            ("python=3.11.7", "python"),
            ("pip<=23.2.1", "pip"),
            ("conda-forge::numpy >=1.2", "numpy"),
            ("numpy[version='1']", "numpy"),
            ("https://host/a::b-c =1", "b-c"),
        ] {
            assert_eq!(Spec::split(text).1, name);
        }
    }
}
