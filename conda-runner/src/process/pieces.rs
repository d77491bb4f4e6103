//! The files of one log. Each is named by how many bytes were written before it, so that a place in a log stays what it
//! is however often the log goes on in a new file.

use std::io;
use std::path::{Path, PathBuf};

/// One file of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPiece {
    /// Where it is.
    pub path: PathBuf,
    /// Bytes of the log before its first one, those that are gone by now included.
    pub start: u64,
}

/// The file of the log at `path` that begins after `start` bytes.
pub(crate) fn piece(path: &Path, start: u64) -> LogPiece {
    let mut name = path.as_os_str().to_owned();
    if start > 0 {
        name.push(format!(".{start}"));
    }
    LogPiece {
        path: name.into(),
        start,
    }
}

/// The files of the log at `path` that are there, oldest first. Blocks on the disk.
pub(crate) fn pieces(path: &Path) -> io::Result<Vec<LogPiece>> {
    let (Some(folder), Some(log)) = (path.parent(), path.file_name()) else {
        return Ok(Vec::new());
    };
    let mut pieces = Vec::new();
    for name in names(folder)? {
        if let Some((base, start)) = split(&name)
            && log == base
        {
            pieces.push(piece(path, start));
        }
    }
    pieces.sort_by_key(|piece| piece.start);
    Ok(pieces)
}

/// What is in `folder`; nothing if there is no folder.
pub(crate) fn names(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let names = entries.map(|entry| Ok(entry?.file_name().into_string().ok()));
    let names: io::Result<Vec<Option<String>>> = names.collect();
    Ok(names?.into_iter().flatten().collect())
}

/// The log that a file of this name belongs to, and where in it the file begins.
pub(crate) fn split(name: &str) -> Option<(&str, u64)> {
    if is_log(name) {
        return Some((name, 0));
    }
    let (base, start) = name.rsplit_once('.')?;
    let is_number = start.bytes().all(|byte| byte.is_ascii_digit());
    (is_log(base) && is_number).then_some((base, start.parse().ok()?))
}

fn is_log(name: &str) -> bool {
    name.strip_suffix(".log").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_a_log_are_found_in_their_order_and_those_of_others_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("worker-1.log");
        assert_eq!(pieces(&folder.path().join("no/such.log")).unwrap(), []);
        let own = [0, 900, 1000].map(|start| piece(&path, start));
        for piece in &own {
            std::fs::write(&piece.path, "").unwrap();
        }
        for name in ["worker-11.log", "worker-1.log.x", "worker-1.attempt", "a.1"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(pieces(&path).unwrap(), own);
    }
}
