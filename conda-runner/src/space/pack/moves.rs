//! From the places that packed environments had to those that they get.

use std::path::{Path, PathBuf};

use super::manifest::Manifest;

/// What is to be replaced, and by what; what contains another is first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Moves(Vec<(PathBuf, PathBuf)>);

impl Moves {
    /// To the shelf at `root`.
    pub(super) fn new(manifest: &Manifest, root: &Path) -> Self {
        let mut moves: Vec<(PathBuf, PathBuf)> = Vec::new();
        for packed in &manifest.environments {
            let new = root.join(&packed.key);
            let old = packed.places.iter().filter(|old| **old != new);
            moves.extend(old.map(|old| (old.clone(), new.clone())));
        }
        moves.sort_by_key(|(old, _)| std::cmp::Reverse(old.as_os_str().len()));
        Self(moves)
    }

    /// Whether everything stays where it was.
    pub(super) fn are_none(&self) -> bool {
        self.0.is_empty()
    }

    /// Old and new bytes.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.iter().map(|(old, new)| {
            let bytes = (old.as_os_str(), new.as_os_str());
            (bytes.0.as_encoded_bytes(), bytes.1.as_encoded_bytes())
        })
    }

    /// Where a path leads to after the moves.
    pub(super) fn path(&self, path: &Path) -> PathBuf {
        let moved = self.0.iter().find_map(|(old, new)| {
            let rest = path.strip_prefix(old).ok()?;
            Some(new.join(rest))
        });
        moved.unwrap_or_else(|| path.to_owned())
    }

    /// All old places in a text replaced.
    pub(super) fn text(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (old, new)| {
            text.replace(&*old.to_string_lossy(), &new.to_string_lossy())
        })
    }
}
