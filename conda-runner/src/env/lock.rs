//! What was chosen when an environment was first built, so that the same declaration gives the same packages next
//! month. A lock outlives its environment: pruning takes the files, not the choice.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serving_core::LoadError;

use crate::durable;
use crate::error::disk;
use crate::names;

/// The choice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lock {
    /// The conda packages, in the words of `build::conda`; absent if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) conda: Option<serde_json::Value>,
    /// Every Python package of the pip part as `name==version`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) pip: Vec<String>,
}

/// All locks, by the key of their environment. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Locks {
    root: Arc<Path>,
}

impl Locks {
    /// Locks in `root`, which is made with the first one.
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root: root.into() }
    }

    /// The lock of this key, if there is one. One that cannot be understood is a permanent error; a new one may
    /// replace it.
    pub(crate) async fn find(&self, key: &str) -> Result<Option<Lock>, LoadError> {
        let path = self.path(key);
        let text = match tokio::fs::read(&path).await {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(disk("read", &path)(error)),
        };
        serde_json::from_slice(&text).map(Some).map_err(|error| {
            LoadError::permanent(format!("the lock {} is broken: {error}", path.display()))
        })
    }

    /// Keeps it; replaces an older one as a whole.
    pub(crate) async fn keep(&self, key: &str, lock: &Lock) -> Result<(), LoadError> {
        tokio::fs::create_dir_all(&self.root)
            .await
            .map_err(disk("make", &self.root))?;
        let path = self.path(key);
        let new = self.root.join(format!(".{key}.{}", names::fresh()));
        let text = serde_json::to_string_pretty(lock).map_err(|error| {
            LoadError::permanent(format!("the lock cannot be written: {error}"))
        })?;
        let kept = async {
            durable::write(&new, &text).await?;
            tokio::fs::rename(&new, &path)
                .await
                .map_err(disk("put into place", &path))?;
            durable::entries_of(&self.root).await
        };
        let kept = kept.await;
        if kept.is_err() {
            // Perhaps the disk is full: leave nothing on it.
            let _ = tokio::fs::remove_file(&new).await;
        }
        kept
    }

    fn path(&self, key: &str) -> PathBuf {
        self.root.join(format!("{key}.json"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(version: &str) -> Lock {
        Lock {
            conda: Some(serde_json::json!([{"name": "python", "version": version}])),
            pip: vec![format!("numpy=={version}")],
        }
    }

    fn files(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn a_lock_is_found_as_it_was_kept_and_replaced_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let locks = Locks::new(folder.path().join("locks"));
        assert_eq!(locks.find("key").await, Ok(None));
        for version in ["1", "2"] {
            locks.keep("key", &lock(version)).await.unwrap();
            assert_eq!(locks.find("key").await, Ok(Some(lock(version))));
        }
        assert_eq!(locks.find("other").await, Ok(None));
        assert_eq!(files(&folder.path().join("locks")), ["key.json"]);
    }

    #[tokio::test]
    async fn a_broken_lock_is_told_and_can_be_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let locks = Locks::new(folder.path().to_owned());
        for broken in ["", "{", "{\"pip\": 3}", "\0"] {
            std::fs::write(folder.path().join("key.json"), broken).unwrap();
            let error = locks.find("key").await.unwrap_err();
            assert!(error.message.contains("is broken"), "{error}");
        }
        locks.keep("key", &lock("1")).await.unwrap();
        assert_eq!(locks.find("key").await, Ok(Some(lock("1"))));
    }

    #[tokio::test]
    async fn what_could_not_be_kept_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let locks = Locks::new(folder.path().to_owned());
        std::fs::create_dir(folder.path().join("key.json")).unwrap();
        assert!(locks.keep("key", &lock("1")).await.is_err());
        assert_eq!(files(folder.path()), ["key.json"]);
    }
}
