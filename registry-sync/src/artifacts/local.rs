//! Copies a model from a folder of this machine.

use std::io;
use std::path::{Path, PathBuf};

use tokio::fs;

use super::MLMODEL;
use crate::error::FetchError;
use crate::select::VersionSource;

/// Deeper folders are a loop of links.
const MAX_DEPTH: usize = 32;

/// Copies everything in `folder` to `into`. Links are replaced by what they point at, which must be in `folder`.
pub(super) async fn copy(
    folder: &Path,
    into: &Path,
    source: &VersionSource,
) -> Result<(), FetchError> {
    let root = match fs::canonicalize(folder).await {
        Ok(root) => root,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = folder.display();
            return Err(FetchError::permanent(format!(
                "the artifacts of {source} are gone, or on another machine: {folder} does not exist here. If it \
                 is a folder of the MLflow server's machine, start that server with --serve-artifacts"
            )));
        }
        Err(error) => return Err(FetchError::from_io(&error, "reading", folder)),
    };
    // Looked for first, so that no folder is copied that is something else.
    if !fs::try_exists(root.join(MLMODEL)).await.unwrap_or(false) {
        let folder = folder.display();
        return Err(FetchError::permanent(format!(
            "{folder}, where {source} should be, holds no {MLMODEL} file"
        )));
    }
    let mut folders = vec![(root.clone(), into.to_owned(), 0)];
    while let Some((from, to, depth)) = folders.pop() {
        if depth > MAX_DEPTH {
            let from = from.display();
            return Err(FetchError::permanent(format!(
                "{from} is nested too deeply"
            )));
        }
        let reading = |error: io::Error| FetchError::from_io(&error, "reading", &from);
        let mut entries = fs::read_dir(&from).await.map_err(reading)?;
        while let Some(entry) = entries.next_entry().await.map_err(reading)? {
            let target = to.join(entry.file_name());
            let path = inside(&root, entry.path()).await?;
            let metadata = fs::metadata(&path).await.map_err(reading)?;
            if metadata.is_dir() {
                fs::create_dir(&target)
                    .await
                    .map_err(|error| FetchError::from_io(&error, "creating", &target))?;
                folders.push((path, target, depth + 1));
            } else if metadata.is_file() {
                copy_file(&path, &target, metadata.len()).await?;
            } else {
                let path = path.display();
                return Err(FetchError::permanent(format!(
                    "{path} is neither a file nor a folder"
                )));
            }
        }
    }
    Ok(())
}

/// `path` with all links resolved, if that is still below `root`.
async fn inside(root: &Path, path: PathBuf) -> Result<PathBuf, FetchError> {
    let real = fs::canonicalize(&path)
        .await
        .map_err(|error| FetchError::from_io(&error, "reading", &path))?;
    if real.starts_with(root) {
        Ok(real)
    } else {
        Err(FetchError::permanent(format!(
            "{} is a link that leads out of the model's folder",
            path.display()
        )))
    }
}

async fn copy_file(from: &Path, to: &Path, size: u64) -> Result<(), FetchError> {
    let copied = fs::copy(from, to)
        .await
        .map_err(|error| FetchError::from_io(&error, "copying", from))?;
    if copied == size {
        Ok(())
    } else {
        Err(FetchError::transient(format!(
            "{} changed while it was copied",
            from.display()
        )))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    struct Folders {
        root: tempfile::TempDir,
    }

    impl Folders {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            fs::create_dir_all(root.path().join("model/data/deep")).unwrap();
            fs::create_dir(root.path().join("into")).unwrap();
            fs::write(root.path().join("model/MLmodel"), "flavors: {}").unwrap();
            fs::write(root.path().join("model/data/deep/model.pkl"), "pickle").unwrap();
            fs::write(root.path().join("secret"), "secret").unwrap();
            Self { root }
        }

        fn path(&self, path: &str) -> PathBuf {
            self.root.path().join(path)
        }

        async fn copy(&self) -> Result<(), FetchError> {
            let source = VersionSource {
                name: "iris".into(),
                version: "3".into(),
                created: 0,
            };
            copy(&self.path("model"), &self.path("into"), &source).await
        }
    }

    #[tokio::test]
    async fn a_model_is_copied_with_its_folders() {
        let folders = Folders::new();
        symlink("data/deep/model.pkl", folders.path("model/link")).unwrap();
        folders.copy().await.unwrap();
        for path in ["into/data/deep/model.pkl", "into/link"] {
            assert_eq!(fs::read_to_string(folders.path(path)).unwrap(), "pickle");
        }
        assert!(!folders.path("into/link").is_symlink());
    }

    #[tokio::test]
    async fn a_link_that_leads_outside_is_refused() {
        for target in ["../secret", "/etc"] {
            let folders = Folders::new();
            symlink(target, folders.path("model/link")).unwrap();
            let error = folders.copy().await.unwrap_err();
            assert!(
                !error.retry && error.message.contains("leads out"),
                "{error}"
            );
            assert!(!folders.path("into/link").exists());
        }
    }

    #[tokio::test]
    async fn a_loop_of_links_ends() {
        let folders = Folders::new();
        symlink(".", folders.path("model/data/loop")).unwrap();
        let error = folders.copy().await.unwrap_err();
        assert!(
            !error.retry && error.message.contains("too deeply"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_folder_that_is_no_model_is_not_copied() {
        let folders = Folders::new();
        fs::remove_file(folders.path("model/MLmodel")).unwrap();
        assert!(!folders.copy().await.unwrap_err().retry);
        assert_eq!(fs::read_dir(folders.path("into")).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_folder_that_is_not_here_is_told_with_advice() {
        let folders = Folders::new();
        fs::remove_dir_all(folders.path("model")).unwrap();
        let error = folders.copy().await.unwrap_err();
        assert!(
            !error.retry && error.message.contains("--serve-artifacts"),
            "{error}"
        );
    }
}
