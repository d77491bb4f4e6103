//! A folder that appears whole or not at all: filled under another name, then renamed.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use tokio::fs;

use super::MLMODEL;
use crate::error::FetchError;

/// Between the folder's own name and the random part.
const MARK: &str = ".partial-";

/// A folder that is being filled. Dropping it removes it.
#[derive(Debug)]
pub(super) struct Staging {
    path: PathBuf,
    committed: bool,
}

impl Staging {
    /// An empty folder beside `target`, on the same file system, with a name that [`sweep_partial`] knows.
    pub(super) async fn create(target: &Path) -> Result<Self, FetchError> {
        let (Some(parent), Some(name)) = (target.parent(), target.file_name()) else {
            let target = target.display();
            return Err(FetchError::permanent(format!("{target} names no folder")));
        };
        fs::create_dir_all(parent)
            .await
            .map_err(|error| FetchError::from_io(&error, "creating", parent))?;
        let name = name.to_string_lossy();
        let path = parent.join(format!(".{name}{MARK}{:016x}", rand::random::<u64>()));
        // From here on the folder has an owner, even if this future is dropped while it is being made.
        let staging = Self {
            path,
            committed: false,
        };
        fs::create_dir(&staging.path)
            .await
            .map_err(|error| FetchError::from_io(&error, "creating", &staging.path))?;
        Ok(staging)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the folder its name, if it is a model.
    pub(super) async fn commit(mut self, target: &Path) -> Result<(), FetchError> {
        let declaration = self.path.join(MLMODEL);
        let is_model = fs::metadata(&declaration)
            .await
            .is_ok_and(|metadata| metadata.is_file() && metadata.len() > 0);
        if !is_model {
            return Err(FetchError::permanent(format!(
                "the artifacts hold no {MLMODEL} file: this is not an MLflow model"
            )));
        }
        fs::rename(&self.path, target)
            .await
            .map_err(|error| FetchError::from_io(&error, "naming", target))?;
        self.committed = true;
        Ok(())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if self.committed {
            return;
        }
        // A write that was under way when the future was dropped may add a file while the folder is emptied.
        for _ in 0..3 {
            match std::fs::remove_dir_all(&self.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {}
                _ => return,
            }
        }
        let path = self.path.display();
        tracing::warn!("{path} could not be removed; the next start will try again");
    }
}

/// Removes the folders in `directory` that were being filled when a process was killed, and says how many.
/// Only for a `directory` into which nothing is being fetched. One that does not exist holds none.
pub async fn sweep_partial(directory: &Path) -> io::Result<usize> {
    let mut entries = match fs::read_dir(directory).await {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut removed = 0;
    while let Some(entry) = entries.next_entry().await? {
        if is_partial(&entry.file_name()) && entry.file_type().await?.is_dir() {
            fs::remove_dir_all(entry.path()).await?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Whether a folder's name was given by [`Staging::create`].
fn is_partial(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| {
        name.starts_with('.')
            && name.rsplit_once(MARK).is_some_and(|(_, random)| {
                random.len() == 16 && random.bytes().all(|byte| byte.is_ascii_hexdigit())
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_appears_when_it_is_committed_and_leaves_nothing_beside_it() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("deep/1");
        let staging = Staging::create(&target).await.unwrap();
        std::fs::write(staging.path().join(MLMODEL), "x").unwrap();
        assert!(!target.exists());
        staging.commit(&target).await.unwrap();
        assert!(target.join(MLMODEL).exists());
        assert_eq!(
            std::fs::read_dir(root.path().join("deep")).unwrap().count(),
            1
        );
    }

    #[tokio::test]
    async fn without_an_mlmodel_nothing_appears() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("1");
        let staging = Staging::create(&target).await.unwrap();
        std::fs::write(staging.path().join("model.pkl"), "x").unwrap();
        let error = staging.commit(&target).await.unwrap_err();
        assert!(!error.retry);
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn sweeping_removes_what_was_being_filled_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let staging = Staging::create(&root.path().join("1")).await.unwrap();
        let keep = [".git", "1", ".1.partial-mine", "x.partial-0123456789abcdef"];
        for name in keep {
            std::fs::create_dir(root.path().join(name)).unwrap();
        }
        assert_eq!(sweep_partial(root.path()).await.unwrap(), 1);
        assert!(!staging.path().exists());
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), keep.len());
        assert_eq!(sweep_partial(&root.path().join("absent")).await.unwrap(), 0);
    }
}
