//! Requirements as a value: what they say, without how they are written.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

use serde::Serialize;
use serving_core::LoadError;
use sha2::{Digest, Sha256};

use crate::error::disk;
use crate::names;

/// How deep files may refer to files.
const DEEPEST: usize = 8;

/// Lines of requirements files with the files that they refer to, in normal form: equal when order, spaces, comments
/// and the spelling of names are all that differs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Requirements {
    wanted: BTreeSet<String>,
    constraints: BTreeSet<String>,
    /// In their order: an index named first is asked first.
    options: Vec<String>,
    /// Files of the model that are installed, by how they are named: digest of the content.
    files: BTreeMap<String, String>,
}

impl Requirements {
    /// Collects what `lines` say. `folder` is where files are looked for, and nowhere else. Blocks on the disk.
    pub(crate) fn collect(folder: &Path, lines: &[String]) -> Result<Self, LoadError> {
        let mut all = Self::default();
        for line in lines {
            all.add(folder, line, Kind::Requirement, DEEPEST)?;
        }
        Ok(all)
    }

    /// Collects what the text of a requirements file says that stands alone.
    pub(crate) fn collect_text(folder: &Path, text: &str) -> Result<Self, LoadError> {
        let mut all = Self::default();
        all.add_text(folder, text, Kind::Requirement, DEEPEST)?;
        Ok(all)
    }

    fn add_text(
        &mut self,
        folder: &Path,
        text: &str,
        kind: Kind,
        depth: usize,
    ) -> Result<(), LoadError> {
        let joined = text.replace("\\\r\n", " ").replace("\\\n", " ");
        joined
            .lines()
            .try_for_each(|line| self.add(folder, line, kind, depth))
    }

    fn add(
        &mut self,
        folder: &Path,
        line: &str,
        kind: Kind,
        depth: usize,
    ) -> Result<(), LoadError> {
        let line = collapse(without_comment(line));
        if line.is_empty() {
            return Ok(());
        }
        if let Some((name, kind)) = file_reference(&line, kind) {
            let text = read_beside(folder, name, depth)?;
            return self.add_text(folder, &text, kind, depth - 1);
        }
        if line.starts_with('-') {
            self.options.push(line);
        } else if let Some(digest) = digest_of_file(folder, &line)? {
            self.files.insert(line, digest);
        } else {
            let line = normal(&line);
            match kind {
                Kind::Requirement => self.wanted.insert(line),
                Kind::Constraint => self.constraints.insert(line),
            };
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Requirement,
    Constraint,
}

/// A comment begins with `#` at the start of a line or after a space (pip's rule): `url#egg=x` holds none.
fn without_comment(line: &str) -> &str {
    let starts = |(at, _): &(usize, &str)| *at == 0 || line[..*at].ends_with(char::is_whitespace);
    let end = line
        .match_indices('#')
        .find(starts)
        .map_or(line.len(), |(at, _)| at);
    &line[..end]
}

fn collapse(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn file_reference(line: &str, kind: Kind) -> Option<(&str, Kind)> {
    let rest = |prefix: &str| line.strip_prefix(prefix);
    if let Some(name) = rest("--requirement").or_else(|| rest("-r")) {
        Some((name.trim_start_matches(['=', ' ']), kind))
    } else {
        let name = rest("--constraint").or_else(|| rest("-c"))?;
        Some((name.trim_start_matches(['=', ' ']), Kind::Constraint))
    }
}

fn read_beside(folder: &Path, name: &str, depth: usize) -> Result<String, LoadError> {
    if depth == 0 {
        return Err(LoadError::permanent(format!(
            "the model's requirements files refer to {name} in a circle"
        )));
    }
    if !is_inside(name) {
        return Err(LoadError::permanent(format!(
            "the model's requirements refer to {name}, which is not a file of the model"
        )));
    }
    std::fs::read_to_string(folder.join(name)).map_err(|error| {
        LoadError::permanent(format!(
            "the model's requirements refer to {name}, which cannot be read: {error}"
        ))
    })
}

/// A package that lies in the model folder counts with its content: MLflow logs wheels so
/// (`add_libraries_to_model`, `code_paths`), under names that may repeat.
fn digest_of_file(folder: &Path, line: &str) -> Result<Option<String>, LoadError> {
    let name = line.split(' ').next().unwrap_or(line);
    let path = folder.join(name);
    if !is_inside(name) || !path.exists() {
        return Ok(None);
    }
    let mut hash = Sha256::new();
    hash_tree(&path, &mut hash).map_err(disk("read", &path))?;
    Ok(Some(names::hexadecimal(&hash.finalize())))
}

fn hash_tree(path: &Path, hash: &mut Sha256) -> std::io::Result<()> {
    if path.is_dir() {
        let mut entries: Vec<_> = std::fs::read_dir(path)?.collect::<Result<_, _>>()?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name();
            hash.update((name.len() as u64).to_be_bytes());
            hash.update(name.as_encoded_bytes());
            if !entry.file_type()?.is_symlink() {
                hash_tree(&entry.path(), hash)?;
            }
        }
        return Ok(());
    }
    let content = std::fs::read(path)?;
    hash.update((content.len() as u64).to_be_bytes());
    hash.update(content);
    Ok(())
}

fn is_inside(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    !name.is_empty() && parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

/// `Scikit_Learn [b, A] >= 1.0 , <2 ; python_version<"3.12" --hash=x` becomes
/// `scikit-learn[a,b]<2,>=1.0;python_version<"3.12" --hash=x`. What is not written like that stays as it is.
fn normal(line: &str) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(files: &[(&str, &str)]) -> Result<Requirements, LoadError> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        Requirements::collect(folder.path(), &["-r requirements.txt".to_owned()])
    }

    #[test]
    fn how_a_requirement_is_written_does_not_matter() {
        for (written, meant) in [
            (
                "Scikit_Learn [b, A] >= 1.0 , <2",
                "scikit-learn[a,b]<2,>=1.0",
            ),
            ("numpy == 1.2.3", "numpy==1.2.3"),
            ("numpy (>=1)", "numpy>=1"),
            (
                "x ; python_version < \"3.12\"",
                "x;python_version < \"3.12\"",
            ),
            ("x==1 --hash=sha256:ab", "x==1 --hash=sha256:ab"),
            (
                "My.Lib @ https://host/My.Lib.whl",
                "my-lib @ https://host/My.Lib.whl",
            ),
            ("git+https://host/Repo@v1", "git+https://host/Repo@v1"),
        ] {
            assert_eq!(normal(&collapse(written)), meant, "{written}");
        }
    }

    #[test]
    fn only_a_hash_after_a_space_begins_a_comment() {
        assert_eq!(without_comment("numpy # fast"), "numpy ");
        assert_eq!(without_comment("# all"), "");
        assert_eq!(
            without_comment("git+https://h/r#egg=x # y"),
            "git+https://h/r#egg=x "
        );
    }

    #[test]
    fn files_that_are_referred_to_count_with_their_content() {
        let text = "mlflow==3.17.2\n-c constraints.txt\n";
        let one = collect(&[("requirements.txt", text), ("constraints.txt", "numpy<2\n")]).unwrap();
        let two = collect(&[("requirements.txt", text), ("constraints.txt", "numpy<3\n")]).unwrap();
        assert_ne!(one, two);
        assert_eq!(one.constraints, BTreeSet::from(["numpy<2".to_owned()]));
        let one = collect(&[("requirements.txt", "own.whl"), ("own.whl", "1")]).unwrap();
        let two = collect(&[("requirements.txt", "own.whl"), ("own.whl", "2")]).unwrap();
        assert_ne!(one, two);
    }

    #[test]
    fn files_outside_of_the_model_and_circles_are_refused() {
        for text in [
            "-r ../secret",
            "-r /etc/passwd",
            "-r requirements.txt",
            "-r missing.txt",
        ] {
            let error = collect(&[("requirements.txt", text)]).unwrap_err();
            assert_eq!(error.retry, serving_core::Retry::Never, "{text}");
        }
    }
}
