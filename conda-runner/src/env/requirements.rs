//! Requirements as a value: what they say, without how they are written.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

use serde::Serialize;
use serving_core::LoadError;
use sha2::{Digest, Sha256};

use super::trouble::Trouble;
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
    /// Files and folders of the model that a line refers to, by how it does: digest of the content, or where they are.
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
        let refers = self.add_files(folder, &line)?;
        if line.starts_with('-') {
            self.options.push(line);
        } else if !refers {
            let line = normal(&line);
            match kind {
                Kind::Requirement => self.wanted.insert(line),
                Kind::Constraint => self.constraints.insert(line),
            };
        }
        Ok(())
    }
}

impl Requirements {
    /// Takes up what a line refers to in the model folder; whether it does.
    fn add_files(&mut self, folder: &Path, line: &str) -> Result<bool, LoadError> {
        let mut refers = false;
        for name in paths(folder, line) {
            let content = if is_editable(line) {
                // Stays where it is, so the environment is only good for the model in this very folder.
                folder.display().to_string()
            } else {
                digest_of(&folder.join(name))?
            };
            self.files.insert(format!("{line} {name}"), content);
            refers = true;
        }
        Ok(refers)
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
        return Err(Trouble::InvalidDeclaration.error(format!(
            "the model's requirements files refer to {name} in a circle"
        )));
    }
    if !is_inside(name) {
        return Err(Trouble::InvalidDeclaration.error(format!(
            "the model's requirements refer to {name}, which is not a file of the model"
        )));
    }
    std::fs::read_to_string(folder.join(name)).map_err(|error| {
        Trouble::InvalidDeclaration.error(format!(
            "the model's requirements refer to {name}, which cannot be read: {error}"
        ))
    })
}

/// The files and folders in the model folder that a line names: as the requirement itself, after `@`, or as an
/// option's value. A name that only looks like one of them costs no more than an environment of its own.
fn paths<'a>(folder: &Path, line: &'a str) -> BTreeSet<&'a str> {
    let words = line.split([' ', '=', '@']).map(|word| {
        let word = word.strip_prefix("file:").unwrap_or(word);
        // Extras: `./code[serving]`.
        word.split_once('[').map_or(word, |(path, _)| path)
    });
    // `-e./code`, `-fwheels`
    let glued = line
        .strip_prefix("-e")
        .or_else(|| line.strip_prefix("-f"))
        .map(|rest| rest.split(' ').next().unwrap_or(rest));
    words
        .chain(glued)
        .filter(|name| is_inside(name) && folder.join(name).exists())
        .collect()
}

fn is_editable(line: &str) -> bool {
    line.starts_with("-e") || line.starts_with("--editable")
}

/// MLflow logs packages with a model under names that may repeat (`add_libraries_to_model`, `code_paths`).
fn digest_of(path: &Path) -> Result<String, LoadError> {
    let mut hash = Sha256::new();
    hash_tree(path, &mut hash).map_err(disk("read", path))?;
    Ok(names::hexadecimal(&hash.finalize()))
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
    fn whatever_way_a_line_refers_to_the_model_its_content_counts() {
        for line in [
            "./own/a.whl",
            "./own[extra]",
            "own/a.whl ; python_version > '3'",
            "own @ ./own/a.whl",
            "own @ file:own/a.whl",
            "--find-links own/",
            "--find-links=own",
            "-fown",
        ] {
            let of = |content: &str| {
                let folder = tempfile::tempdir().unwrap();
                std::fs::create_dir(folder.path().join("own")).unwrap();
                std::fs::write(folder.path().join("own/a.whl"), content).unwrap();
                Requirements::collect(folder.path(), &[line.to_owned()]).unwrap()
            };
            assert_eq!(of("1"), of("1"), "{line}");
            assert_ne!(of("1"), of("2"), "{line}");
        }
    }

    #[test]
    fn what_is_installed_where_it_is_belongs_to_one_folder() {
        let lines = ["-e ./own", "--editable=own", "-e./own"];
        let one = tempfile::tempdir().unwrap();
        let two = tempfile::tempdir().unwrap();
        for folder in [&one, &two] {
            std::fs::create_dir(folder.path().join("own")).unwrap();
        }
        for line in lines.map(|line| vec![line.to_owned()]) {
            let of = |folder: &Path| Requirements::collect(folder, &line).unwrap();
            assert_eq!(of(one.path()), of(one.path()), "{line:?}");
            assert_ne!(of(one.path()), of(two.path()), "{line:?}");
        }
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
            assert_eq!(error.code.as_deref(), Some("INVALID_DECLARATION"), "{text}");
            assert_eq!(error.retry, serving_core::Retry::Never, "{text}");
        }
    }
}
