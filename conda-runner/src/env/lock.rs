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
    /// The Python packages as `name==version`, each installation's own: what builds packages may be replaced by what
    /// the model wants of the same name.
    #[serde(flatten)]
    pub(crate) pip: Chosen,
}

/// The Python packages that are there after each installation of the pip part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Chosen {
    /// After that of what builds packages.
    #[serde(default, rename = "pip_first", skip_serializing_if = "Vec::is_empty")]
    pub(crate) first: Vec<String>,
    /// After that of what the model wants, the last one.
    #[serde(default, rename = "pip", skip_serializing_if = "Vec::is_empty")]
    pub(crate) then: Vec<String>,
}

impl Chosen {
    /// Without what no installer takes as a constraint: old packages have versions of any form (`1.0-final-2`,
    /// `unknown`), and one such line makes all others useless.
    pub(crate) fn of_releases(mut self) -> Self {
        for lines in [&mut self.first, &mut self.then] {
            lines.retain(|line| {
                let version = line.split_once("==").map(|(_, version)| version);
                version.is_some_and(is_version)
            });
        }
        self
    }
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

/// Whether it is a version of PEP 440, in any of the spellings that count: `1!2.0rc1.post2.dev3+local.4`.
fn is_version(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let (public, local) = match text.split_once('+') {
        Some((public, local)) => (public, Some(local)),
        None => (text.as_str(), None),
    };
    let is_word =
        |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if local.is_some_and(|local| !local.split(['.', '-', '_']).all(is_word)) {
        return false;
    }
    let public = public.strip_prefix('v').unwrap_or(public);
    let (epoch, public) = public.split_once('!').unwrap_or(("0", public));
    let end = public
        .find(|character: char| character != '.' && !character.is_ascii_digit())
        .unwrap_or(public.len());
    let (release, rest) = public.split_at(end);
    let (release, rest) = match release.strip_suffix('.') {
        Some(release) => (release, &public[end - 1..]),
        None => (release, rest),
    };
    is_number(epoch) && release.split('.').all(is_number) && is_suffix(rest)
}

/// Whether it is what may follow the release: which one before it, after it, and of its development.
fn is_suffix(rest: &str) -> bool {
    let rest = after(
        rest,
        &["alpha", "a", "beta", "b", "preview", "pre", "c", "rc"],
    );
    let implicit = rest.strip_prefix('-').map(|number| {
        let end = number.find(|character: char| !character.is_ascii_digit());
        number.split_at(end.unwrap_or(number.len()))
    });
    let rest = match implicit {
        Some((number, rest)) if is_number(number) => rest,
        _ => after(rest, &["post", "rev", "r"]),
    };
    after(rest, &["dev"]).is_empty()
}

/// What comes after one of the words and its number, both optional.
fn after<'a>(rest: &'a str, words: &[&str]) -> &'a str {
    let separators = ['.', '-', '_'];
    let start = rest.strip_prefix(separators).unwrap_or(rest);
    // `r` begins `rc` as well: what follows a word is no letter.
    let found = words.iter().find_map(|word| {
        let rest = start.strip_prefix(word)?;
        (!rest.starts_with(|character: char| character.is_ascii_alphabetic())).then_some(rest)
    });
    let Some(found) = found else {
        return rest;
    };
    let number = found.strip_prefix(separators).unwrap_or(found);
    if !number.starts_with(|character: char| character.is_ascii_digit()) {
        return found;
    }
    number.trim_start_matches(|character: char| character.is_ascii_digit())
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_pep_440_are_kept_and_others_are_no_part_of_a_lock() {
        for version in [
            "1",
            "1.0",
            "2.1.0+cpu",
            "1!2.0",
            "v1.0",
            "1.0rc1",
            "1.0-c.1",
            "1.0a",
            "1.0.alpha.2",
            "1.0.post1",
            "1.0-3",
            "1.0.r4",
            "1.0.dev0",
            "1.0rc1.post2.dev3+Local.4",
            "2024.1.1",
        ] {
            assert!(is_version(version), "{version}");
        }
        for version in [
            "",
            "unknown",
            "1.0-final-2",
            "1.0.",
            "1..0",
            "1.0+",
            "1.0+a..b",
            "1.0 beta",
            "1.0-SNAPSHOT",
            "svn-1234",
            "1.x",
        ] {
            assert!(!is_version(version), "{version}");
        }
        let lines =
            |versions: [&str; 2]| versions.map(|version| format!("own=={version}")).to_vec();
        let chosen = Chosen {
            first: lines(["1.0", "unknown"]),
            then: lines(["1.0-final-2", "2.0"]),
        };
        let kept = Chosen {
            first: vec!["own==1.0".to_owned()],
            then: vec!["own==2.0".to_owned()],
        };
        assert_eq!(chosen.of_releases(), kept);
    }

    fn lock(version: &str) -> Lock {
        Lock {
            conda: Some(serde_json::json!([{"name": "python", "version": version}])),
            pip: Chosen {
                first: vec!["setuptools==65.5.0".to_owned()],
                then: vec![format!("numpy=={version}")],
            },
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
