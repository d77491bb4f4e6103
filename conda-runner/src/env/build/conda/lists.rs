//! The lists of packages of channels: fetched, kept, and used again while they are young or nothing better is to be
//! had.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use rattler_cache::package_cache::PackageCache;
use rattler_conda_types::{Channel, MatchSpec, PackageName, RepoDataRecord, Subdir};
use rattler_networking::LazyClient;
use rattler_repodata_gateway::fetch::{CacheAction, FetchRepoDataError};
use rattler_repodata_gateway::{
    ChannelConfig, ChannelRelationsMode, Gateway, GatewayError, RepoData, SourceConfig,
};
use serving_core::LoadError;

use super::channels::Source;
use super::failures;
use super::settings::Settings;
use super::specs::Specs;
use crate::env::build::Report;
use crate::env::trouble::Trouble;
use crate::error::disk;
use crate::names;

/// Requests at the same time.
const REQUESTS: usize = 16;
/// Files that are read at the same time.
const FILES: usize = 32;

/// The packages that fit what is wanted, and all that these could need.
pub(super) struct Lists {
    records: Vec<RepoData>,
    /// How far they can be trusted.
    pub(super) age: Age,
    gateway: Gateway,
    channels: Vec<Channel>,
    platforms: Vec<Subdir>,
}

/// How old lists are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Age {
    /// All channels were asked just now.
    Asked,
    /// Some were not: they were asked not long ago.
    Young,
    /// The channels could not be reached; why, in a sentence.
    Stale(String),
    /// They were not asked: offline by configuration.
    Offline,
}

/// Fetches lists.
pub(super) struct Fetch<'a> {
    pub(super) settings: &'a Settings,
    pub(super) client: LazyClient,
    pub(super) specs: &'a Specs,
    pub(super) platform: Subdir,
    pub(super) report: &'a Report,
}

impl Fetch<'_> {
    /// The lists. With `ask`, every channel is asked however young its list is.
    pub(super) async fn lists(&self, ask: bool) -> Result<Lists, LoadError> {
        let folder = &self.settings.lists;
        tokio::fs::create_dir_all(folder)
            .await
            .map_err(disk("make", folder))?;
        if self.settings.offline {
            return match self.query(Asking::Nobody).await {
                Ok(lists) => Ok(lists.of(Age::Offline)),
                Err(error) if is_not_cached(&error) => Err(self.not_cached().await),
                Err(error) => Err(failures::of_lists(&error, self.specs)),
            };
        }
        let young = if ask { Vec::new() } else { self.young().await };
        let mut result = self.query(Asking::AllBut(&young)).await;
        let mut age = if young.is_empty() {
            Age::Asked
        } else {
            Age::Young
        };
        if !young.is_empty() && result.as_ref().is_err_and(is_not_cached) {
            (result, age) = (self.query(Asking::AllBut(&[])).await, Age::Asked);
        }
        let error = match result {
            Ok(lists) => {
                let all = self.specs.channels.sources.iter();
                for source in all.filter(|source| age == Age::Asked || !young.contains(source)) {
                    self.remember_asking(source).await;
                }
                return Ok(lists.of(age));
            }
            Err(error) => error,
        };
        let failure = failures::of_lists(&error, self.specs);
        if failure.code.as_deref() != Some(Trouble::Network.code()) {
            return Err(failure);
        }
        let Ok(lists) = self.query(Asking::Nobody).await else {
            return Err(failure);
        };
        self.report
            .line(&format!(
                "{}; using the lists of packages that were fetched before",
                failure.message
            ))
            .await;
        Ok(lists.of(Age::Stale(failure.message.to_string())))
    }

    async fn query(&self, asking: Asking<'_>) -> Result<Lists, GatewayError> {
        let sources = &self.specs.channels.sources;
        let channels: Vec<Channel> = sources.iter().map(Source::channel).collect();
        let mut platforms = vec![self.platform, Subdir::NoArch];
        let gateway = self.gateway(asking);
        let query = |platforms: &[Subdir]| {
            gateway
                .query(
                    channels.clone(),
                    platforms.to_vec(),
                    self.specs.wanted.clone(),
                )
                .recursive(true)
                // A channel does not get to say which others are asked: the operator does.
                .channel_relations(ChannelRelationsMode::Disabled)
                .execute()
        };
        let mut result = query(&platforms).await;
        if matches!(asking, Asking::Nobody) && result.as_ref().is_err_and(is_not_cached) {
            // That a channel has nothing for this platform is not kept: perhaps none has.
            platforms.remove(0);
            result = query(&platforms).await;
        }
        Ok(Lists {
            records: result?.repodata,
            age: Age::Asked,
            gateway,
            channels,
            platforms,
        })
    }

    /// Made anew for each query: it keeps all that it ever read in memory, which is much for a large channel.
    fn gateway(&self, asking: Asking<'_>) -> Gateway {
        let per_channel = self.specs.channels.sources.iter().map(|source| {
            let cache_action = match asking {
                Asking::AllBut(young) if !young.contains(source) => CacheAction::CacheOrFetch,
                _ => CacheAction::ForceCacheOnly,
            };
            let config = SourceConfig {
                cache_action,
                // A package that no earlier query came across may not be needed in the end.
                missing_shards_are_empty: matches!(asking, Asking::Nobody),
                ..SourceConfig::default()
            };
            (source.url.clone(), config)
        });
        Gateway::builder()
            .with_client(self.client.clone())
            .with_cache_dir(self.settings.lists.clone())
            .with_package_cache(PackageCache::new(self.settings.packages.clone()))
            .with_channel_config(ChannelConfig {
                default: SourceConfig::default(),
                per_channel: per_channel.collect(),
            })
            .with_max_concurrent_requests(REQUESTS)
            .with_max_concurrent_io(FILES)
            .finish()
    }

    /// The channels that were asked not long ago.
    async fn young(&self) -> Vec<Source> {
        let mut young = Vec::new();
        for source in &self.specs.channels.sources {
            let asked = tokio::fs::metadata(self.stamp(source)).await;
            let age = asked
                .and_then(|asked| asked.modified())
                .map(|asked| SystemTime::now().duration_since(asked));
            // A time in the future is a clock that was set: better ask.
            let is_young = |age: Duration| age < self.settings.refresh;
            if matches!(age, Ok(Ok(age)) if is_young(age)) {
                young.push(source.clone());
            }
        }
        young
    }

    /// Its modification time says when the channel was asked. Best effort: without it, it is asked again.
    async fn remember_asking(&self, source: &Source) {
        if source.is_local() {
            return;
        }
        let path = self.stamp(source);
        let touch = move || -> io::Result<()> {
            let file = File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(path)?;
            file.set_modified(SystemTime::now())
        };
        if let Ok(Err(error)) = tokio::task::spawn_blocking(touch).await {
            tracing::debug!(%error, "cannot remember that a channel was asked");
        }
    }

    fn stamp(&self, source: &Source) -> PathBuf {
        let digest = names::digest(&[source.url.as_str(), self.platform.as_str()]);
        self.settings.lists.join(format!("{digest}.asked"))
    }

    async fn not_cached(&self) -> LoadError {
        let remote = self.specs.channels.sources.iter();
        let mut missing = Vec::new();
        for source in remote.filter(|source| !source.is_local()) {
            if tokio::fs::metadata(self.stamp(source)).await.is_err() {
                missing.push(source.shown());
            }
        }
        let of = if missing.is_empty() {
            String::new()
        } else {
            format!(" of {}", failures::listed(&missing, "and"))
        };
        Trouble::Offline.error(format!(
            "the lists of packages{of} are not cached, and the gateway is offline by its configuration: build an \
             environment from the same channels where they can be reached, and take its data folder along; or export \
             the environment there and import it here; or name a local copy of the channel in conda.channels"
        ))
    }
}

/// Who is asked, unless it is a local folder.
#[derive(Clone, Copy)]
enum Asking<'a> {
    /// All but these, whose lists are young.
    AllBut(&'a [Source]),
    /// Nobody: what is cached has to do, however old it is.
    Nobody,
}

fn is_not_cached(error: &GatewayError) -> bool {
    matches!(
        error,
        GatewayError::FetchRepoDataError(FetchRepoDataError::NoCacheAvailable(_))
            | GatewayError::ShardedIndexNotCached(_)
            | GatewayError::ShardNotCached(_)
    )
}

impl Lists {
    fn of(self, age: Age) -> Self {
        Self { age, ..self }
    }

    /// The packages of each channel and platform, in the order of their priority.
    pub(super) fn groups(&self) -> &[RepoData] {
        &self.records
    }

    /// Those of this name.
    pub(super) fn named<'a>(
        &'a self,
        name: &'a PackageName,
    ) -> impl Iterator<Item = &'a RepoDataRecord> {
        self.records
            .iter()
            .flat_map(RepoData::iter)
            .filter(move |record| &record.package_record.name == name)
    }

    /// All packages of this name, also those that do not fit what is wanted. Best effort.
    pub(super) async fn everything_named(&self, name: &PackageName) -> Vec<RepoData> {
        let name = MatchSpec::from(name.clone());
        self.query(vec![name], false).await.unwrap_or_default()
    }

    /// The same with all packages that have the names of wanted ones, and what these could need: with them a solver
    /// explains better why none fits. `None` if they cannot be had.
    pub(super) async fn wider(&self, specs: &Specs) -> Option<Self> {
        let names = specs.wanted.iter().filter_map(|spec| spec.name.as_exact());
        let names = names.cloned().map(MatchSpec::from).collect();
        Some(Self {
            records: self.query(names, true).await?,
            age: self.age.clone(),
            gateway: self.gateway.clone(),
            channels: self.channels.clone(),
            platforms: self.platforms.clone(),
        })
    }

    async fn query(&self, specs: Vec<MatchSpec>, recursive: bool) -> Option<Vec<RepoData>> {
        let query = self
            .gateway
            .query(self.channels.clone(), self.platforms.clone(), specs);
        let query = query
            .recursive(recursive)
            .channel_relations(ChannelRelationsMode::Disabled);
        match query.execute().await {
            Ok(output) => Some(output.repodata),
            Err(error) => {
                tracing::debug!(%error, "cannot read more of the lists of packages");
                None
            }
        }
    }

    /// All names, for those who search for one. Best effort.
    pub(super) async fn names(&self) -> Vec<PackageName> {
        let query = self
            .gateway
            .names(self.channels.clone(), self.platforms.clone())
            .channel_relations(ChannelRelationsMode::Disabled);
        query.execute().await.map_or_else(
            |error| {
                tracing::debug!(%error, "cannot read the names of all packages");
                Vec::new()
            },
            |output| output.names,
        )
    }
}
