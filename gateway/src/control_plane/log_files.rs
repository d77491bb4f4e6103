//! Reads the end of log files that somebody else writes and rotates.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// How much is read back from the end, at most.
const LONGEST_TAIL: u64 = 4 << 20;

const BLOCK: u64 = 64 << 10;

/// The last `lines` lines of `files` (oldest first) taken together, at most 4 MB. Files that are gone are passed over.
/// With it comes the place where the newest file ended, to go on from.
pub(super) fn tail(files: &[PathBuf], lines: usize) -> io::Result<(Vec<u8>, Option<Position>)> {
    let mut text = Vec::new();
    let mut wanted = lines;
    let mut budget = LONGEST_TAIL;
    let mut newest = None;
    for path in files.iter().rev() {
        let mut file = match File::open(path) {
            Ok(file) => file,
            // Rotated away between the listing and now.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let end = file.metadata()?.len();
        let (part, found) = last_lines(&mut file, end, wanted, budget)?;
        budget -= part.len() as u64;
        wanted -= found;
        text.splice(0..0, part);
        if newest.is_none() {
            newest = Some(Position { file, offset: end });
        }
        if wanted == 0 || budget == 0 {
            break;
        }
    }
    Ok((text, newest))
}

/// A place in a log that grows.
#[derive(Debug)]
pub(super) struct Position {
    file: File,
    offset: u64,
}

impl Position {
    /// The beginning of `path`.
    pub(super) fn beginning(path: &PathBuf) -> io::Result<Self> {
        let file = File::open(path)?;
        Ok(Self { file, offset: 0 })
    }

    /// What was written since, a block at most; empty if nothing was.
    pub(super) fn read_on(&mut self) -> io::Result<Vec<u8>> {
        let mut block = Vec::new();
        self.file.seek(SeekFrom::Start(self.offset))?;
        (&self.file).take(BLOCK).read_to_end(&mut block)?;
        self.offset += block.len() as u64;
        Ok(block)
    }

    /// Whether `path` is another file by now.
    pub(super) fn was_rotated(&self, path: &PathBuf) -> bool {
        let now = std::fs::metadata(path).map(|now| (now.dev(), now.ino()));
        let mine = self.file.metadata().map(|mine| (mine.dev(), mine.ino()));
        matches!((now, mine), (Ok(now), Ok(mine)) if now != mine)
    }
}

/// The last `wanted` lines before `end`, `budget` bytes at most, and how many lines that are.
fn last_lines(
    file: &mut File,
    end: u64,
    wanted: usize,
    budget: u64,
) -> io::Result<(Vec<u8>, usize)> {
    let first = end.saturating_sub(budget);
    let mut start = end;
    let mut text = Vec::new();
    let mut breaks = 0;
    // One line break more than lines: the one before the first wanted line.
    while start > first && breaks <= wanted {
        let size = BLOCK.min(start - first);
        start -= size;
        file.seek(SeekFrom::Start(start))?;
        let mut block = Vec::new();
        file.take(size).read_to_end(&mut block)?;
        breaks += block.split(|byte| *byte == b'\n').count() - 1;
        text.splice(0..0, block);
    }
    let mut begins: Vec<usize> = Vec::new();
    if start == 0 {
        begins.push(0);
    }
    let breaks = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    begins.extend(
        breaks
            .map(|(place, _)| place + 1)
            .filter(|begin| *begin < text.len()),
    );
    if text.is_empty() {
        begins.clear();
    }
    let found = begins.len().min(wanted);
    let begin = begins
        .get(begins.len() - found)
        .copied()
        .unwrap_or(text.len());
    text.drain(..begin);
    Ok((text, found))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(contents: &[&str]) -> (tempfile::TempDir, Vec<PathBuf>) {
        let folder = tempfile::TempDir::new().unwrap();
        let paths = contents.iter().enumerate().map(|(number, content)| {
            let path = folder.path().join(format!("{number}.log"));
            std::fs::write(&path, content).unwrap();
            path
        });
        let paths = paths.collect();
        (folder, paths)
    }

    fn text(files: &[PathBuf], lines: usize) -> String {
        String::from_utf8(tail(files, lines).unwrap().0).unwrap()
    }

    #[test]
    fn the_last_lines_are_taken_across_files() {
        let (_folder, files) = files(&["a\nb\n", "c\nd\n", "e\nf"]);
        assert_eq!(text(&files, 1), "f");
        assert_eq!(text(&files, 2), "e\nf");
        assert_eq!(text(&files, 3), "d\ne\nf");
        assert_eq!(text(&files, 5), "b\nc\nd\ne\nf");
        assert_eq!(text(&files, 99), "a\nb\nc\nd\ne\nf");
        assert_eq!(text(&files, 0), "");
    }

    #[test]
    fn empty_and_missing_files_are_no_lines() {
        let (folder, mut files) = files(&["a\n", ""]);
        files.push(folder.path().join("gone.log"));
        assert_eq!(text(&files, 9), "a\n");
        assert_eq!(text(&[], 9), "");
    }

    #[test]
    fn a_long_file_is_read_from_its_end_and_cut_at_a_line() {
        let line = "x".repeat(99) + "\n";
        let (_folder, files) = files(&[&line.repeat(60_000)]);
        assert_eq!(text(&files, 2000).len(), 200_000);
        let most = text(&files, usize::MAX);
        assert!(most.len() as u64 <= LONGEST_TAIL && most.len() as u64 > LONGEST_TAIL - 100);
        assert!(most.len().is_multiple_of(100));
    }

    #[test]
    fn reading_on_gives_what_was_written_since_also_after_a_rotation() {
        let (folder, files) = files(&["a\n"]);
        let (_, position) = tail(&files, 1).unwrap();
        let mut position = position.unwrap();
        assert_eq!(position.read_on().unwrap(), b"");
        let mut writer = std::fs::OpenOptions::new()
            .append(true)
            .open(&files[0])
            .unwrap();
        io::Write::write_all(&mut writer, b"b\n").unwrap();
        assert!(!position.was_rotated(&files[0]));
        std::fs::rename(&files[0], folder.path().join("old")).unwrap();
        std::fs::write(&files[0], "c\n").unwrap();
        assert_eq!(position.read_on().unwrap(), b"b\n");
        assert!(position.was_rotated(&files[0]));
        assert_eq!(
            Position::beginning(&files[0]).unwrap().read_on().unwrap(),
            b"c\n"
        );
    }
}
