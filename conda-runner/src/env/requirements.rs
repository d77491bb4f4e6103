//! Requirements as a value: what they say, without how they are written.

mod content;
mod spelling;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serving_core::LoadError;

use self::content::inside;
use self::spelling::{collapse, normal, without_comment};
use super::secrets::redacted;
use super::trouble::Trouble;
use crate::error::disk;

/// How deep files may refer to files.
const DEEPEST: usize = 64;

/// Lines of requirements files with the files that they refer to, in normal form: equal when order, spaces, comments
/// and the spelling of names are all that differs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Requirements {
    wanted: BTreeSet<String>,
    constraints: BTreeSet<String>,
    /// In their order: an index named first is asked first. A requirements file of a server counts by its address.
    options: Vec<String>,
    /// Files and folders of the model that a line refers to, by how it does: digest of the content, or where they are.
    files: BTreeMap<String, String>,
}

impl Requirements {
    /// Collects what `lines` say. `folder` is where files are looked for, and nowhere else. Blocks on the disk.
    pub(crate) fn collect(folder: &Path, lines: &[String]) -> Result<Self, LoadError> {
        let mut reader = Reader::new(Whose::Model(folder));
        for line in lines {
            reader.add(Path::new(""), line, Kind::Requirement)?;
        }
        Ok(reader.into)
    }

    /// Collects what the operator's constraints file says. It may refer to files anywhere. Blocks on the disk.
    pub(crate) fn of_operator(constraints: &Path) -> Result<Self, LoadError> {
        let mut reader = Reader::new(Whose::Operator(constraints));
        let text = content::text(constraints).map_err(disk("read", constraints))?;
        reader.add_text(constraints.to_owned(), &text, Kind::Requirement)?;
        Ok(reader.into)
    }
}

/// Whose files refer to others: who may mend them, and where they may lead.
#[derive(Clone, Copy)]
enum Whose<'a> {
    /// The model's, in this folder.
    Model(&'a Path),
    /// The operator's, beginning with this one.
    Operator(&'a Path),
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Requirement,
    Constraint,
}

/// Follows references. Paths of the model's files are relative to its folder, the operator's are absolute.
struct Reader<'a> {
    whose: Whose<'a>,
    /// The files that are being read: each but the first is referred to by the one before.
    open: Vec<PathBuf>,
    /// A file says the same every time, however often it is referred to.
    done: BTreeSet<(PathBuf, Kind)>,
    into: Requirements,
}

impl<'a> Reader<'a> {
    fn new(whose: Whose<'a>) -> Self {
        Self {
            whose,
            open: Vec::new(),
            done: BTreeSet::new(),
            into: Requirements::default(),
        }
    }

    fn add_text(&mut self, file: PathBuf, text: &str, kind: Kind) -> Result<(), LoadError> {
        let folder = file.parent().unwrap_or(Path::new("")).to_owned();
        self.open.push(file);
        let joined = text.replace("\\\r\n", " ").replace("\\\n", " ");
        for line in joined.lines() {
            self.add(&folder, line, kind)?;
        }
        self.open.pop();
        Ok(())
    }

    /// Takes up a line of a file in `folder`.
    fn add(&mut self, folder: &Path, line: &str, kind: Kind) -> Result<(), LoadError> {
        let line = collapse(without_comment(line));
        if line.is_empty() {
            return Ok(());
        }
        match file_reference(&line, kind) {
            Some((name, _)) if is_remote(name) => self.into.options.push(line),
            Some((name, kind)) => self.follow(folder, name, kind)?,
            None => {
                let refers = self.add_files(folder, &line)?;
                if line.starts_with('-') {
                    self.into.options.push(line);
                } else if !refers {
                    let line = normal(&line);
                    match kind {
                        Kind::Requirement => self.into.wanted.insert(line),
                        Kind::Constraint => self.into.constraints.insert(line),
                    };
                }
            }
        }
        Ok(())
    }

    /// Reads the file that one in `folder` calls `name`: relative to that folder, as pip and uv do.
    fn follow(&mut self, folder: &Path, name: &str, kind: Kind) -> Result<(), LoadError> {
        let wrong = |what: &str| self.whose.wrong(name, what);
        let (file, path) = match self.whose {
            Whose::Model(root) => {
                let file = inside(folder, name)
                    .ok_or_else(|| wrong("which is not a file of the model"))?;
                let path = root.join(&file);
                (file, path)
            }
            Whose::Operator(_) => {
                let name = name.strip_prefix("file://").unwrap_or(name);
                (folder.join(name), folder.join(name))
            }
        };
        if self.open.contains(&file) {
            return Err(wrong("in a circle"));
        }
        if self.open.len() >= DEEPEST {
            return Err(wrong("through too many other files"));
        }
        if !self.done.insert((file.clone(), kind)) {
            return Ok(());
        }
        let text = content::text(&path)
            .map_err(|error| wrong(&format!("which cannot be read: {error}")))?;
        self.add_text(file, &text, kind)
    }

    /// Takes up what a line refers to in the model folder; whether it does. pip looks for packages where it is started,
    /// which is the model's folder, and for folders of wheels beside the file as well.
    fn add_files(&mut self, folder: &Path, line: &str) -> Result<bool, LoadError> {
        let Whose::Model(root) = self.whose else {
            return Ok(false);
        };
        let mut refers = false;
        for name in paths(line) {
            let places = BTreeSet::from([Path::new(""), folder]);
            let found = places.iter().filter_map(|place| inside(place, name));
            for path in found.filter(|path| root.join(path).exists()) {
                let content = if is_editable(line) {
                    // Stays where it is, so the environment is only good for the model in this very folder.
                    root.display().to_string()
                } else {
                    content::digest(&root.join(&path))?
                };
                let reference = format!("{line} {}", path.display());
                self.into.files.insert(reference, content);
                refers = true;
            }
        }
        Ok(refers)
    }
}

impl Whose<'_> {
    fn wrong(self, name: &str, what: &str) -> LoadError {
        let name = redacted(name);
        match self {
            Self::Model(_) => Trouble::InvalidDeclaration
                .error(format!("the model's requirements refer to {name}, {what}")),
            // Whoever mends it need not change the model.
            Self::Operator(first) => Trouble::InvalidDeclaration.passing(format!(
                "the constraints file {}, which the gateway's configuration names, refers to {name}, {what}",
                first.display()
            )),
        }
    }
}

fn file_reference(line: &str, kind: Kind) -> Option<(&str, Kind)> {
    let rest = |prefix: &str| line.strip_prefix(prefix);
    let (name, kind) = if let Some(name) = rest("--requirement").or_else(|| rest("-r")) {
        (name, kind)
    } else {
        let name = rest("--constraint").or_else(|| rest("-c"))?;
        (name, Kind::Constraint)
    };
    let name = name.trim_start_matches(['=', ' ']);
    Some((name.trim_matches(['"', '\'']), kind))
}

/// What pip fetches from a server by itself. Its content is not known before.
fn is_remote(name: &str) -> bool {
    let is = |scheme: &str| {
        let start = name.get(..scheme.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    is("http://") || is("https://")
}

/// The words of a line that may name files and folders: the requirement itself, what is after `@`, an option's value.
/// A name that only looks like one of them costs no more than an environment of its own.
fn paths(line: &str) -> BTreeSet<&str> {
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
    words.chain(glued).collect()
}

fn is_editable(line: &str) -> bool {
    line.starts_with("-e") || line.starts_with("--editable")
}
