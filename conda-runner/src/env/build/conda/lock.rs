//! The packages that were chosen for one environment, and how they are written into its lock.

use std::sync::Arc;

use rattler_conda_types::{RepoDataRecord, Subdir};
use serde::{Deserialize, Serialize};
use serving_core::LoadError;
use url::Url;

use super::address::{Credential, without_secrets};
use super::channels::short_name;
use crate::env::build::Package;
use crate::env::trouble::Trouble;

/// The choice. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Solved {
    pub(super) records: Arc<[RepoDataRecord]>,
    /// Those in the channels' addresses. Not kept in a lock.
    pub(super) credentials: Arc<[Credential]>,
}

/// What is written into a lock.
#[derive(Serialize, Deserialize)]
struct Written {
    platform: String,
    packages: Vec<RepoDataRecord>,
}

impl Solved {
    /// From what [`Solved::lock`] gave, without credentials.
    pub(super) fn from_lock(lock: &serde_json::Value) -> Result<Self, LoadError> {
        let unusable = |why: &str| {
            Trouble::InvalidDeclaration.error(format!(
                "the lock of the environment is of no use here: {why}. Build it fresh, and a new one takes its place"
            ))
        };
        let written = Written::deserialize(lock)
            .map_err(|_| unusable("its list of conda packages cannot be understood"))?;
        if Subdir::current().is_none_or(|platform| platform.as_str() != written.platform) {
            return Err(unusable(&format!(
                "its conda packages are for {}",
                written.platform
            )));
        }
        Ok(Self {
            records: written.packages.into(),
            credentials: Arc::default(),
        })
    }

    /// For a lock file: the exact packages with their addresses and digests, without credentials.
    pub(crate) fn lock(&self) -> serde_json::Value {
        let written = Written {
            platform: Subdir::current().map_or_else(String::new, |platform| platform.to_string()),
            packages: self.records.iter().map(clean).collect(),
        };
        // Only maps with keys that are no texts cannot be written, and there are none.
        serde_json::to_value(written).unwrap_or_default()
    }

    /// For people.
    pub(crate) fn packages(&self) -> Vec<Package> {
        let package = |record: &RepoDataRecord| Package {
            name: record.package_record.name.as_normalized().to_owned(),
            version: record.package_record.version.to_string(),
            source: channel_of(record),
        };
        self.records.iter().map(package).collect()
    }
}

/// Shows names only.
impl std::fmt::Debug for Solved {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self
            .records
            .iter()
            .map(|record| record.identifier.to_string());
        formatter.debug_list().entries(names).finish()
    }
}

/// The short name of the channel that a package came from.
pub(super) fn channel_of(record: &RepoDataRecord) -> String {
    let channel = record.channel.as_deref().map(Url::parse);
    match channel {
        Some(Ok(url)) => short_name(&url),
        _ => short_name(&record.url.join("..").unwrap_or_else(|_| record.url.clone())),
    }
}

fn clean(record: &RepoDataRecord) -> RepoDataRecord {
    let mut record = record.clone();
    record.url = without_secrets(&record.url);
    record.channel = record.channel.map(|channel| match Url::parse(&channel) {
        Ok(url) => without_secrets(&url).into(),
        Err(_) => channel,
    });
    record
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lock() -> serde_json::Value {
        json!({
            "platform": Subdir::current().unwrap().as_str(),
            "packages": [{
                "name": "tiny", "version": "1.0", "build": "0", "build_number": 0, "subdir": "noarch",
                "depends": ["python >=3.10"], "size": 1234,
                "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                "fn": "tiny-1.0-0.conda",
                "url": "https://me:word@host/t/token/own/noarch/tiny-1.0-0.conda",
                "channel": "https://me:word@host/t/token/own/",
            }],
        })
    }

    #[test]
    fn a_lock_keeps_digests_and_no_credentials() {
        let solved = Solved::from_lock(&lock()).unwrap();
        let written = solved.lock();
        let text = written.to_string();
        assert!(!text.contains("word") && !text.contains("token"), "{text}");
        assert_eq!(
            written["packages"][0]["sha256"],
            lock()["packages"][0]["sha256"]
        );
        assert_eq!(
            written["packages"][0]["url"],
            "https://host/own/noarch/tiny-1.0-0.conda"
        );
        let again = Solved::from_lock(&written).unwrap();
        assert_eq!(again.lock(), written);
        assert_eq!(
            again.packages(),
            [Package {
                name: "tiny".to_owned(),
                version: "1.0".to_owned(),
                source: "own".to_owned(),
            }]
        );
    }

    #[test]
    fn a_lock_of_another_machine_or_time_is_refused_with_a_remedy() {
        let mut other = lock();
        other["platform"] = json!("plan9-68k");
        for lock in [other, json!(null), json!({"packages": [1]})] {
            let error = Solved::from_lock(&lock).unwrap_err();
            assert!(error.message.contains("Build it fresh"), "{error}");
        }
    }
}
