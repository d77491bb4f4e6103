//! Downloads what is not cached, verifies it, and links it into an environment.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rattler::install::{ExternalSymlinkPolicy, Installer};
use rattler_cache::package_cache::{
    CacheGlobalLock, CacheMetadata, PackageCache, PackageCacheError,
};
use rattler_conda_types::RepoDataRecord;
use rattler_networking::LazyClient;
use rattler_networking::retry_policies::ExponentialBackoff;
use serving_core::LoadError;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::archive::{self, Fault};
use super::client::client;
use super::failures;
use super::lock::{Solved, channel_of};
use super::progress::Downloads;
use super::room;
use super::settings::Settings;
use super::solve;
use crate::env::build::{Report, Site};
use crate::env::trouble::Trouble;
use crate::error::disk;

/// Packages that are downloaded and unpacked at the same time.
const DOWNLOADS: usize = 6;
/// How often a broken download is tried again, with pauses between these bounds.
const RETRIES: u32 = 3;
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// How long a build waits for others that fetch packages.
const LONGEST_WAIT: Duration = Duration::from_secs(30 * 60);

/// Installs into the site's prefix, for its place, on threads of low priority.
pub(super) async fn install(
    settings: &Settings,
    solved: &Solved,
    site: &Site,
) -> Result<(), LoadError> {
    let folder = &settings.packages;
    tokio::fs::create_dir_all(folder)
        .await
        .map_err(disk("make", folder))?;
    let cache = PackageCache::new(folder.clone());
    let records = &solved.records;
    let index = cache.index().await.map_err(disk("read", folder))?;
    let missing: Vec<&RepoDataRecord> = records
        .iter()
        .filter(|record| !index.contains_record(record))
        .collect();
    let remote = |record: &&&RepoDataRecord| record.url.scheme() != "file";
    if settings.offline && missing.iter().any(|record| remote(&record)) {
        let missing = missing.iter().filter(remote).copied();
        return Err(solve::not_cached(missing));
    }
    let bytes = |record: &RepoDataRecord| record.package_record.size.unwrap_or(0);
    let sum = |sizes: &mut dyn Iterator<Item = u64>| sizes.fold(0_u64, u64::saturating_add);
    let download = sum(&mut missing.iter().map(|record| bytes(record)));
    let all = sum(&mut records.iter().map(bytes));
    check_room(folder, download, &site.prefix, all).await?;
    let populate = Populate {
        cache: cache.clone(),
        client: client(settings, &solved.credentials)?,
        slots: Arc::new(Semaphore::new(DOWNLOADS)),
        downloads: Downloads::new(site.report.clone(), missing.len(), download),
    };
    populate.all(records, folder, &site.report).await?;
    link(cache, populate.client, solved, site).await
}

async fn check_room(cache: &Path, download: u64, prefix: &Path, all: u64) -> Result<(), LoadError> {
    let (cache, prefix) = (cache.to_owned(), prefix.to_owned());
    let check = move || room::check(&cache, download, &prefix, all);
    // A panic there would be a wrong calculation, which need not stop anybody.
    tokio::task::spawn_blocking(check).await.unwrap_or(Ok(()))
}

/// Gets packages into the cache.
#[derive(Clone)]
struct Populate {
    cache: PackageCache,
    client: LazyClient,
    slots: Arc<Semaphore>,
    downloads: Downloads,
}

impl Populate {
    async fn all(
        &self,
        records: &[RepoDataRecord],
        folder: &Path,
        report: &Report,
    ) -> Result<(), LoadError> {
        report.progress("waiting for the cache of conda packages");
        // Other builds, of this process or another, wait for it: they most likely want the same packages.
        let _lock = lock(&self.cache, folder, LONGEST_WAIT).await?;
        sweep(folder).await;
        let mut tasks = JoinSet::new();
        for record in records {
            let (populate, record) = (self.clone(), record.clone());
            tasks.spawn(async move { populate.one(record).await });
        }
        while let Some(done) = tasks.join_next().await {
            let scripts = done.unwrap_or_else(|_| {
                Err(LoadError::transient(
                    "a download broke off: the gateway's own log says why",
                ))
            })?;
            for script in scripts {
                report.line(&script).await;
            }
        }
        Ok(())
    }

    /// One package; gives what there is to say about it.
    async fn one(&self, record: RepoDataRecord) -> Result<Vec<String>, LoadError> {
        let mut is_new = false;
        loop {
            let package = self.get(&record).await;
            let package = package.map_err(|error| failures::of_package(&error, &record))?;
            let folder = package.path().to_owned();
            let inspected = tokio::task::spawn_blocking(move || archive::inspect(&folder)).await;
            let fault = match inspected {
                Ok(Ok(scripts)) => {
                    let said = |script| {
                        format!(
                            "{} has a link script, which is not run: {script}",
                            record.identifier
                        )
                    };
                    return Ok(scripts.into_iter().map(said).collect());
                }
                Ok(Err(fault)) => fault,
                Err(_) => Fault::Damaged("it cannot be looked into".to_owned()),
            };
            // So that nobody takes it for whole, and it is unpacked anew.
            tokio::fs::remove_dir_all(package.path())
                .await
                .map_err(disk("remove", package.path()))?;
            match fault {
                Fault::Damaged(_) if !is_new => is_new = true,
                Fault::Damaged(why) | Fault::Unsafe(why) => {
                    let (name, channel) = (record.identifier.to_string(), channel_of(&record));
                    return Err(failures::broken(&name, &channel, &why));
                }
            }
        }
    }

    /// From the cache, or from where it is: then its digest is compared with what was announced.
    async fn get(&self, record: &RepoDataRecord) -> Result<CacheMetadata, PackageCacheError> {
        let reporter = Some(self.downloads.package());
        if record.url.scheme() == "file"
            && let Ok(path) = record.url.to_file_path()
        {
            // Dropped only at the end of all, so this cannot fail.
            let _slot = self.slots.acquire().await;
            let record = Some(&record.package_record);
            return self
                .cache
                .get_or_fetch_from_path(&path, record, reporter)
                .await;
        }
        let retry = ExponentialBackoff::builder()
            .retry_bounds(PAUSES.0, PAUSES.1)
            .build_with_max_retries(RETRIES);
        self.cache
            .get_or_fetch_from_url_with_retry(
                &record.package_record,
                record.url.clone(),
                self.client.clone(),
                retry,
                reporter,
                Some(Arc::clone(&self.slots)),
            )
            .await
    }
}

/// The lock of the whole cache. The one who has it cannot be named: it may be another process.
async fn lock(
    cache: &PackageCache,
    folder: &Path,
    longest: Duration,
) -> Result<CacheGlobalLock, LoadError> {
    let Ok(lock) = tokio::time::timeout(longest, cache.acquire_global_lock()).await else {
        return Err(Trouble::InstallFailed.passing(format!(
            "another build has been fetching packages into {} for {} minutes, and this one had to wait for it: the              channel of that build may be slow, which its log tells",
            folder.display(),
            longest.as_secs() / 60
        )));
    };
    lock.map_err(|error| {
        Trouble::InstallFailed.passing(format!(
            "cannot lock the cache of conda packages in {}: {error}",
            folder.display()
        ))
    })
}

/// Removes what builds that were killed left half unpacked. Nobody else unpacks while the cache is locked.
async fn sweep(folder: &Path) {
    let Ok(mut entries) = tokio::fs::read_dir(folder).await else {
        return;
    };
    while let Ok(Some(entry)) = entries.next_entry().await {
        let is_unfinished = entry.file_name().as_encoded_bytes().starts_with(b".");
        let is_folder = entry.file_type().await.is_ok_and(|kind| kind.is_dir());
        if is_unfinished
            && is_folder
            && let Err(error) = tokio::fs::remove_dir_all(entry.path()).await
        {
            tracing::debug!(%error, "cannot remove a half unpacked package");
        }
    }
}

/// Links packages that are in the cache: as hard links, or copies that share their blocks, or copies.
async fn link(
    cache: PackageCache,
    client: LazyClient,
    solved: &Solved,
    site: &Site,
) -> Result<(), LoadError> {
    site.report.progress("linking conda packages");
    let linking = Installer::new()
        .with_package_cache(cache)
        .with_download_client(client)
        .with_target_platform(solve::platform()?)
        .with_alternative_target_prefix(&site.place)
        .with_execute_link_scripts(false)
        .with_external_symlink_policy(ExternalSymlinkPolicy::Deny)
        .install(&site.prefix, solved.records.iter().cloned());
    // It waits for the same lock once more.
    let Ok(done) = tokio::time::timeout(LONGEST_WAIT * 2, linking).await else {
        return Err(Trouble::InstallFailed.passing(format!(
            "the packages were not linked within {} minutes: the disk may be slow, or another build fetches packages \
             from a slow channel meanwhile",
            LONGEST_WAIT.as_secs() / 30
        )));
    };
    let done = done.map_err(|error| failures::of_linking(&error, &solved.records))?;
    let mut contested: Vec<String> = done
        .clobbered_paths
        .keys()
        .map(|path| path.display().to_string())
        .collect();
    contested.sort();
    for path in contested {
        let line = format!("several packages have the file {path}: one of them won");
        site.report.line(&line).await;
    }
    if solved.records.is_empty() {
        // rattler makes the folder for the first package only.
        tokio::fs::create_dir_all(site.prefix.join("conda-meta"))
            .await
            .map_err(|error| Trouble::InstallFailed.passing(error.to_string()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_waits_for_a_locked_cache_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let cache = PackageCache::new(folder.path());
        let held = lock(&cache, folder.path(), LONGEST_WAIT).await.unwrap();
        let error = lock(&cache, folder.path(), Duration::ZERO)
            .await
            .unwrap_err();
        assert_eq!(error.retry, serving_core::Retry::Later);
        assert!(error.message.contains("another build"), "{error}");
        drop(held);
        lock(&cache, folder.path(), LONGEST_WAIT).await.unwrap();
    }
}
