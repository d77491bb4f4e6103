//! Makes an environment right for another place than the one that its files name.
//!
//! Texts name it anywhere: in the first lines of scripts, in `pyvenv.cfg`, in `*.pth` files. A binary file names it in
//! strings that end with a NUL, and cannot grow: what conda installed has room for as many bytes as its placeholder
//! had (255 most often), of which `conda-meta` tells; other programs have no room but for a place that is no longer.
//! Compiled Python files are left as they are: Python corrects what they say about their place when it loads them.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use memchr::memmem::Finder;
use serde::Deserialize;

use super::super::extent::walk;
use super::moves::Moves;

/// Bytes that are looked through at once.
const PIECE: usize = 1 << 20;
/// The longest first line of a script that every system obeys (Linux before 5.1: 127 bytes).
const FIRST_LINE: usize = 127;
/// How programs and libraries begin: ELF, and Mach-O in its variants.
const PROGRAMS: [[u8; 4]; 6] = [
    *b"\x7fELF",
    [0xfe, 0xed, 0xfa, 0xce],
    [0xfe, 0xed, 0xfa, 0xcf],
    [0xce, 0xfa, 0xed, 0xfe],
    [0xcf, 0xfa, 0xed, 0xfe],
    [0xca, 0xfe, 0xba, 0xbe],
];

/// Rewrites the files below `whole`. They may have no other names: none is written through. Blocks on the disk.
pub(super) fn relocate(whole: &Path, moves: &Moves) -> Result<(), String> {
    if moves.are_none() {
        return Ok(());
    }
    let search = Search::new(moves);
    let placeholders = placeholders(whole);
    let mut refused = None;
    let walked = walk(whole, &mut |path, _| {
        if path.extension().is_some_and(|extension| extension == "pyc") || !search.is_in(&path)? {
            return Ok(());
        }
        let content = std::fs::read(&path)?;
        let name = path.strip_prefix(whole).unwrap_or(&path);
        let new = if content.contains(&0) {
            search.binary(&content, placeholders.get(name).copied())
        } else {
            Ok(Some(search.text(&content)))
        };
        match new {
            Ok(Some(new)) if new != content => rewrite(&path, &new)?,
            // It names only what stays. Or nobody knows what it is: it does not run by itself.
            Ok(_) => {}
            Err(TooLong { old, new }) => {
                refused.get_or_insert(format!(
                    "the program {} has the place of its environment in it, which had {old} bytes there and would \
                     have {new} here: use a data folder with a shorter path",
                    name.display()
                ));
            }
        }
        Ok(())
    });
    match (walked, refused) {
        (Err(error), _) => Err(format!("cannot adapt it to its new place: {error}")),
        (Ok(()), Some(refused)) => Err(refused),
        (Ok(()), None) => Ok(()),
    }
}

/// A place does not fit where the old one was. In bytes.
#[derive(Debug, PartialEq, Eq)]
struct TooLong {
    old: usize,
    new: usize,
}

/// Looks for the old places.
struct Search<'a> {
    pairs: Vec<(Finder<'a>, &'a [u8])>,
    longest: usize,
}

impl<'a> Search<'a> {
    fn new(moves: &'a Moves) -> Self {
        let pairs: Vec<_> = moves
            .pairs()
            .map(|(old, new)| (Finder::new(old), new))
            .collect();
        let lengths = pairs.iter().map(|(old, _)| old.needle().len());
        Self {
            longest: lengths.max().unwrap_or_default(),
            pairs,
        }
    }

    /// Where the next old place begins, how long it is, and what it becomes.
    fn next(&self, content: &[u8]) -> Option<(usize, usize, &'a [u8])> {
        let found = self.pairs.iter().filter_map(|(old, new)| {
            let start = old.find(content)?;
            Some((start, old.needle().len(), *new))
        });
        // Of two that begin at once, the longer one is meant.
        found.min_by_key(|(start, length, _)| (*start, std::cmp::Reverse(*length)))
    }

    fn is_in(&self, path: &Path) -> io::Result<bool> {
        let mut file = File::open(path)?;
        let mut piece = Vec::with_capacity(PIECE + self.longest);
        loop {
            let read = (&mut file).take(PIECE as u64).read_to_end(&mut piece)?;
            if self.next(&piece).is_some() {
                return Ok(true);
            }
            if read == 0 {
                return Ok(false);
            }
            // One may begin at the end of this piece.
            let kept = piece.len().saturating_sub(self.longest);
            piece.drain(..kept);
        }
    }

    /// All replaced, and how many there were.
    fn replaced(&self, content: &[u8]) -> (Vec<u8>, usize) {
        let (mut new, mut rest, mut count) = (Vec::with_capacity(content.len()), content, 0);
        while let Some((start, length, place)) = self.next(rest) {
            new.extend_from_slice(&rest[..start]);
            new.extend_from_slice(place);
            rest = &rest[start + length..];
            count += 1;
        }
        new.extend_from_slice(rest);
        (new, count)
    }

    fn text(&self, content: &[u8]) -> Vec<u8> {
        let (new, _) = self.replaced(content);
        let mut places = self.pairs.iter().map(|(_, place)| *place);
        let script = places.find_map(|place| script(&new, place));
        script.unwrap_or(new)
    }

    /// `None` for a file that is neither a program nor conda's.
    fn binary(
        &self,
        content: &[u8],
        placeholder: Option<usize>,
    ) -> Result<Option<Vec<u8>>, TooLong> {
        let is_program = PROGRAMS.iter().any(|magic| content.starts_with(magic));
        if placeholder.is_none() && !is_program {
            return Ok(None);
        }
        let mut new = content.to_vec();
        let mut at = 0;
        while let Some((start, length, _)) = self.next(&content[at..]) {
            let start = at + start;
            let end = start + memchr::memchr(0, &content[start..]).unwrap_or(content.len() - start);
            let (string, count) = self.replaced(&content[start..end]);
            // As many bytes as the string had when the package was made; all that it left must still be unused.
            let grown = placeholder.unwrap_or(length).saturating_sub(length) * count;
            let unused = content[end..]
                .iter()
                .take(grown)
                .take_while(|byte| **byte == 0);
            let room = end - start + unused.count().min(grown);
            // The NUL that ends it stays.
            let room = if room > end - start && content.get(start + room) != Some(&0) {
                room - 1
            } else {
                room
            };
            if string.len() > room {
                return Err(TooLong {
                    old: length,
                    new: length + (string.len() - (end - start)) / count.max(1),
                });
            }
            let width = room.max(end - start);
            new[start..start + width].fill(0);
            new[start..start + string.len()].copy_from_slice(&string);
            at = end;
        }
        Ok(Some(new))
    }
}

/// A script for an interpreter at `place` whose first line has become too long, or has a space in its path: a shell
/// starts the interpreter instead. Python takes the shell's line for a text.
fn script(content: &[u8], place: &[u8]) -> Option<Vec<u8>> {
    let rest = content.strip_prefix(b"#!")?;
    let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
    let line = rest[..end].trim_ascii();
    let program = line.strip_prefix(place)?.strip_prefix(b"/bin/")?;
    let is_fine = end + b"#!".len() <= FIRST_LINE && !place.contains(&b' ');
    if is_fine || !program.starts_with(b"python") {
        return None;
    }
    let length = memchr::memchr(b' ', program).unwrap_or(program.len());
    let (interpreter, arguments) = line.split_at(line.len() - program.len() + length);
    let mut new = b"#!/bin/sh\n'''exec' \"".to_vec();
    for byte in interpreter {
        if b"\\\"$`".contains(byte) {
            new.push(b'\\');
        }
        new.push(*byte);
    }
    new.push(b'"');
    new.extend_from_slice(arguments);
    new.extend_from_slice(b" \"$0\" \"$@\"\n' '''");
    new.extend_from_slice(&rest[end..]);
    Some(new)
}

#[derive(Deserialize)]
struct Record {
    #[serde(default)]
    paths_data: Paths,
}

#[derive(Default, Deserialize)]
struct Paths {
    #[serde(default)]
    paths: Vec<RecordedPath>,
}

#[derive(Deserialize)]
struct RecordedPath {
    #[serde(rename = "_path")]
    path: PathBuf,
    file_mode: Option<String>,
    prefix_placeholder: Option<String>,
}

/// The lengths of the placeholders that conda's binary files had, by their names.
fn placeholders(whole: &Path) -> HashMap<PathBuf, usize> {
    let records = std::fs::read_dir(whole.join("conda-meta"));
    let records = records.into_iter().flatten().flatten();
    let paths = records
        .filter_map(|record| {
            let text = std::fs::read(record.path()).ok()?;
            // What cannot be understood is no record of a package.
            Some(
                serde_json::from_slice::<Record>(&text)
                    .ok()?
                    .paths_data
                    .paths,
            )
        })
        .flatten();
    paths
        .filter(|path| path.file_mode.as_deref() == Some("binary"))
        .filter_map(|path| Some((path.path, path.prefix_placeholder?.len())))
        .collect()
}

/// As a new file, with the present time: what was compiled from the old one does not count any more.
fn rewrite(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".relocated");
    let new = PathBuf::from(name);
    let mut file = File::create_new(&new)?;
    file.write_all(content)?;
    file.set_permissions(std::fs::metadata(path)?.permissions())?;
    std::fs::rename(&new, path)
}

#[cfg(test)]
#[path = "relocate_tests.rs"]
mod tests;
