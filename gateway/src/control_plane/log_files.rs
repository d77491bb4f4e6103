//! Reads logs that somebody else writes, by places that stay what they are however their files change.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use crate::ports::LogPiece;

/// Bytes that are read at once, and the longest piece of a line that is handed on as one.
pub(super) const BLOCK: u64 = 64 << 10;

/// How a log is looked through from its end.
pub(super) struct Wanted<'a> {
    /// Lines.
    pub(super) lines: usize,
    /// Which lines count.
    pub(super) filter: &'a Filter,
    /// Bytes that may still be read; what was read is taken off.
    pub(super) budget: &'a mut u64,
}

/// Which lines are shown: all, or those that contain a text, in whichever case.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter(Option<String>);

impl Filter {
    pub(super) fn containing(text: Option<&str>) -> Self {
        let text = text.filter(|text| !text.is_empty());
        Self(text.map(str::to_lowercase))
    }

    pub(super) fn is_open(&self) -> bool {
        self.0.is_none()
    }

    pub(super) fn takes(&self, line: &[u8]) -> bool {
        let Some(text) = &self.0 else { return true };
        String::from_utf8_lossy(line).to_lowercase().contains(text)
    }
}

/// The end of the log now.
pub(super) fn end(pieces: &[LogPiece]) -> io::Result<u64> {
    let Some(last) = pieces.last() else {
        return Ok(0);
    };
    Ok(last.start + length(last)?.unwrap_or(0))
}

/// What is at `offset`, up to [`BLOCK`] bytes, and where it really begins: what is gone is passed over.
pub(super) fn read_at(pieces: &[LogPiece], offset: u64) -> io::Result<(u64, Vec<u8>)> {
    let first = pieces.iter().rposition(|piece| piece.start <= offset);
    let mut place = offset;
    let mut block = Vec::new();
    for piece in &pieces[first.unwrap_or(0)..] {
        let end = place + block.len() as u64;
        if piece.start > end {
            // A gap. What is before it comes first.
            if !block.is_empty() {
                break;
            }
            place = piece.start;
        }
        let Some(mut file) = open(piece)? else {
            continue;
        };
        let from = place + block.len() as u64 - piece.start;
        file.seek(SeekFrom::Start(from))?;
        let room = BLOCK - block.len() as u64;
        file.take(room).read_to_end(&mut block)?;
        if block.len() as u64 == BLOCK {
            break;
        }
    }
    Ok((place, block))
}

/// Where the last lines that are wanted begin, and how many there are.
pub(super) fn last_lines(pieces: &[LogPiece], wanted: &mut Wanted<'_>) -> io::Result<(u64, usize)> {
    let end = end(pieces)?;
    let (mut place, mut found) = (end, 0);
    if wanted.lines == 0 {
        return Ok((place, found));
    }
    // The beginning of the line at hand whose beginning was not seen yet, as far as it is looked at.
    let mut rest = Vec::new();
    let mut last_start = end;
    for piece in pieces.iter().rev() {
        let Some(mut file) = open(piece)? else { break };
        if piece.start + file.metadata()?.len() < last_start {
            // A gap: lines do not go on across it.
            break;
        }
        let mut upper = last_start - piece.start;
        while upper > 0 {
            let size = BLOCK.min(upper).min(*wanted.budget);
            if size == 0 {
                // Nothing but one endless line: better its end than nothing.
                return Ok(if found == 0 {
                    (piece.start + upper, 1)
                } else {
                    (place, found)
                });
            }
            *wanted.budget -= size;
            upper -= size;
            let mut block = vec![0; usize::try_from(size).unwrap_or(0)];
            file.seek(SeekFrom::Start(upper))?;
            file.read_exact(&mut block)?;
            let start = piece.start + upper;
            let mut high = block.len();
            while let Some(at) = block[..high].iter().rposition(|byte| *byte == b'\n') {
                let begin = start + at as u64 + 1;
                let line = [&block[at + 1..high], &rest].concat();
                if begin < end && wanted.filter.takes(&line) {
                    (place, found) = (begin, found + 1);
                    if found == wanted.lines {
                        return Ok((place, found));
                    }
                }
                rest.clear();
                high = at;
            }
            block.truncate(high);
            block.append(&mut rest);
            block.truncate(usize::try_from(BLOCK).unwrap_or(usize::MAX));
            rest = block;
        }
        last_start = piece.start;
    }
    if last_start < end && wanted.filter.takes(&rest) {
        (place, found) = (last_start, found + 1);
    }
    Ok((place, found))
}

fn open(piece: &LogPiece) -> io::Result<Option<File>> {
    match File::open(&piece.path) {
        Ok(file) => Ok(Some(file)),
        // Removed between the listing and now.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn length(piece: &LogPiece) -> io::Result<Option<u64>> {
    Ok(match open(piece)? {
        Some(file) => Some(file.metadata()?.len()),
        None => None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct Log {
        _folder: tempfile::TempDir,
        pieces: Vec<LogPiece>,
        text: String,
    }

    /// A log whose files hold these texts, the first one after `start` bytes that are gone.
    fn log(start: u64, contents: &[&str]) -> Log {
        let folder = tempfile::TempDir::new().unwrap();
        let mut place = start;
        let mut pieces = Vec::new();
        for content in contents {
            let path = folder.path().join(format!("log.{place}"));
            std::fs::write(&path, content).unwrap();
            pieces.push(LogPiece { path, start: place });
            place += content.len() as u64;
        }
        Log {
            _folder: folder,
            pieces,
            text: contents.concat(),
        }
    }

    fn last(log: &Log, lines: usize, text: &str) -> String {
        let filter = Filter::containing(Some(text));
        let mut budget = 4 << 20;
        let mut wanted = Wanted {
            lines,
            filter: &filter,
            budget: &mut budget,
        };
        let (place, _) = last_lines(&log.pieces, &mut wanted).unwrap();
        let start = log.pieces.first().map_or(0, |piece| piece.start);
        log.text[usize::try_from(place - start).unwrap()..].to_owned()
    }

    #[test]
    fn the_last_lines_are_found_across_files_also_in_the_middle_of_a_line() {
        let log = log(1000, &["a\nb\nc", "c\nd", "\ne\nf"]);
        for (lines, text) in [
            (0, ""),
            (1, "f"),
            (2, "e\nf"),
            (3, "d\ne\nf"),
            (4, "cc\nd\ne\nf"),
            (5, "b\ncc\nd\ne\nf"),
            (99, "a\nb\ncc\nd\ne\nf"),
        ] {
            assert_eq!(last(&log, lines, ""), text, "{lines}");
        }
    }

    #[test]
    fn only_lines_that_contain_the_text_count() {
        let log = log(0, &["An Error\nfine\nerr", "or too\nfine\nfine\n"]);
        assert_eq!(last(&log, 1, "ERROR"), "error too\nfine\nfine\n");
        assert_eq!(last(&log, 2, "error"), log.text);
        assert_eq!(last(&log, 2, "nowhere"), "");
    }

    #[test]
    fn a_long_log_is_read_from_its_end_as_far_as_the_budget_goes() {
        let line = "x".repeat(99) + "\n";
        let long = log(0, &[&line.repeat(60_000)]);
        assert_eq!(last(&long, 2000, "").len(), 200_000);
        let most = last(&long, usize::MAX, "").len();
        assert!(most <= 4 << 20 && most > (4 << 20) - 100 && most.is_multiple_of(100));
        let endless = log(0, &[&"x".repeat(5 << 20)]);
        assert_eq!(last(&endless, 3, "").len(), 4 << 20);
    }

    #[test]
    fn what_is_gone_is_passed_over() {
        let mut log = log(100, &["one\n", "two\n", "three\n"]);
        let read = |pieces: &[LogPiece], offset| {
            let (place, block) = read_at(pieces, offset).unwrap();
            (place, String::from_utf8(block).unwrap())
        };
        assert_eq!(read(&log.pieces, 0), (100, "one\ntwo\nthree\n".to_owned()));
        assert_eq!(read(&log.pieces, 102), (102, "e\ntwo\nthree\n".to_owned()));
        assert_eq!(read(&log.pieces, 114), (114, String::new()));
        std::fs::remove_file(&log.pieces[1].path).unwrap();
        assert_eq!(read(&log.pieces, 102), (102, "e\n".to_owned()));
        assert_eq!(read(&log.pieces, 104), (108, "three\n".to_owned()));
        log.pieces.remove(1);
        assert_eq!(read(&log.pieces, 104), (108, "three\n".to_owned()));
        assert_eq!(read(&[], 7), (7, String::new()));
    }

    proptest! {
        #[test]
        fn reading_on_from_any_place_gives_the_rest(text in "[a\n]{0,40}", cut in 0_usize..40, at in 0_usize..40) {
            let (cut, at) = (cut.min(text.len()), at.min(text.len()));
            let log = log(0, &[&text[..cut], &text[cut..]]);
            let (place, block) = read_at(&log.pieces, at as u64).unwrap();
            prop_assert_eq!(place, at as u64);
            prop_assert_eq!(block, &text.as_bytes()[at..]);
        }
    }
}
