//! From the places that packed environments had to those that they get.

use std::path::{Path, PathBuf};

use super::manifest::Manifest;

/// What is to be replaced, and by what; what contains another is first. A place that stays is among them: what is found
/// there is whole, though another old place may be the end of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Moves(Vec<(PathBuf, PathBuf)>);

impl Moves {
    /// To the shelf at `root`.
    pub(super) fn new(manifest: &Manifest, root: &Path) -> Self {
        let mut moves: Vec<(PathBuf, PathBuf)> = Vec::new();
        for packed in &manifest.environments {
            let new = root.join(&packed.key);
            let old = packed.places.iter().cloned();
            moves.extend(old.map(|old| (old, new.clone())));
            // Where it is in a folder that is named twice, both names may be in its files.
            moves.push((new.clone(), new));
        }
        moves.sort_by(|(one, _), (other, _)| {
            let lengths = (one.as_os_str().len(), other.as_os_str().len());
            lengths.1.cmp(&lengths.0).then_with(|| one.cmp(other))
        });
        moves.dedup();
        Self(moves)
    }

    /// Whether everything stays where it was.
    pub(super) fn are_none(&self) -> bool {
        self.0.iter().all(|(old, new)| old == new)
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
        let pairs = self.0.iter();
        let pairs: Vec<_> = pairs
            .map(|(old, new)| (old.to_string_lossy(), new.to_string_lossy()))
            .collect();
        let (mut moved, mut rest) = (String::with_capacity(text.len()), text);
        // Each piece of the text is looked at once: what has been replaced is nobody's old place any more.
        while let Some((start, old, new)) = pairs
            .iter()
            .filter_map(|(old, new)| Some((rest.find(&**old)?, old, new)))
            .min_by_key(|(start, old, _)| (*start, std::cmp::Reverse(old.len())))
        {
            moved.push_str(&rest[..start]);
            moved.push_str(new);
            rest = &rest[start + old.len()..];
        }
        moved + rest
    }
}
