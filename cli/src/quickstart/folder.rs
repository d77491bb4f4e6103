//! The folder of a quickstart's state: ours by a mark, one quickstart at a time, empty at start.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::CommandError;

/// Says that a folder may be emptied.
const MARK: &str = ".sluicegate-quickstart";

/// A folder that this quickstart has for itself while the value lives.
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes `path` ready: makes it if it is not there, empties it if it is ours.
    ///
    /// # Errors
    /// When it holds something that no quickstart put there, or another quickstart is using it.
    pub(super) fn claim(path: &Path) -> Result<Self, CommandError> {
        let cannot = |error: io::Error| {
            CommandError::failed(format!("cannot use the folder {}: {error}", path.display()))
                .next("name another one with --data-dir")
        };
        fs::create_dir_all(path).map_err(cannot)?;
        let path = path.canonicalize().map_err(cannot)?;
        let mark = path.join(MARK);
        let is_empty = fs::read_dir(&path).map_err(cannot)?.next().is_none();
        if !is_empty && !mark.exists() {
            return Err(CommandError::failed(format!(
                "{} is not empty, and not the folder of an earlier quickstart",
                path.display()
            ))
            .next("name an empty or a new folder with --data-dir"));
        }
        let lock = File::create(&mark).map_err(cannot)?;
        if lock.try_lock().is_err() {
            return Err(CommandError::failed(format!(
                "another quickstart is using {}",
                path.display()
            ))
            .next("stop that one, or name another folder with --data-dir"));
        }
        empty(&path).map_err(cannot)?;
        // The gateway makes its own folder, for nobody else to look into.
        for part in ["logs", "registry"] {
            fs::create_dir_all(path.join(part)).map_err(cannot)?;
        }
        Ok(Self { path, _lock: lock })
    }

    /// What the programs print.
    pub(super) fn logs(&self) -> PathBuf {
        self.path.join("logs")
    }

    /// The MLflow server's database and artifacts.
    pub(super) fn registry(&self) -> PathBuf {
        self.path.join("registry")
    }

    /// The gateway's data.
    pub(super) fn gateway(&self) -> PathBuf {
        self.path.join("gateway")
    }
}

fn empty(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name() == MARK {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_an_earlier_quickstart_is_emptied() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("run");
        let first = Folder::claim(&path).unwrap();
        fs::create_dir(first.gateway()).unwrap();
        fs::write(first.gateway().join("state.db"), "old").unwrap();
        fs::write(first.path.join("file"), "old").unwrap();
        drop(first);
        let second = Folder::claim(&path).unwrap();
        assert!(!second.gateway().exists());
        assert!(!second.path.join("file").exists());
    }

    #[test]
    fn a_folder_with_other_things_in_it_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let thesis = folder.path().join("thesis.tex");
        fs::write(&thesis, "years of work").unwrap();
        assert!(Folder::claim(folder.path()).is_err());
        assert!(thesis.exists());
    }

    #[test]
    fn one_quickstart_at_a_time_uses_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let first = Folder::claim(folder.path()).unwrap();
        assert!(Folder::claim(folder.path()).is_err());
        drop(first);
        assert!(Folder::claim(folder.path()).is_ok());
    }
}
