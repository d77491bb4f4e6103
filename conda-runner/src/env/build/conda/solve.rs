//! Chooses packages that fit what is wanted, one another, and this machine.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rattler_cache::package_cache::{CacheIndex, PackageCache};
use rattler_conda_types::{GenericVirtualPackage, RepoDataRecord, Subdir};
use rattler_networking::LazyClient;
use rattler_repodata_gateway::RepoData;
use rattler_solve::{
    CancellationToken, ChannelPriority, SolveError, SolverImpl, SolverTask, resolvo,
};
use rattler_virtual_packages::{VirtualPackageOverrides, VirtualPackages};
use serving_core::LoadError;
use url::Url;

use super::client::client;
use super::explain;
use super::failures::listed;
use super::lists::{Age, Fetch, Lists};
use super::settings::Settings;
use super::specs::Specs;
use crate::env::build::Report;
use crate::env::trouble::Trouble;

/// How long a solver may search. Most problems take milliseconds, hopeless ones seconds.
const LONGEST: Duration = Duration::from_secs(300);
/// Packages that are named in a message.
const NAMED: usize = 5;

/// The platform whose packages run here.
pub(super) fn platform() -> Result<Subdir, LoadError> {
    Subdir::current().ok_or_else(|| {
        Trouble::Unsatisfiable.error(
            "there are no conda packages for this kind of machine: serve with --env-manager uv, virtualenv or local",
        )
    })
}

/// Solves on a thread of low priority.
pub(super) async fn solve(
    settings: &Settings,
    specs: Specs,
    report: &Report,
) -> Result<Vec<RepoDataRecord>, LoadError> {
    let platform = platform()?;
    let client = client(settings, &specs.channels.credentials)?;
    match attempt(settings, &specs, client.clone(), platform, false, report).await {
        // A package may have come since the channels were asked.
        Err((_, Some(Age::Young))) => {
            let again = attempt(settings, &specs, client, platform, true, report).await;
            again.map_err(|(error, _)| error)
        }
        result => result.map_err(|(error, _)| error),
    }
}

/// A failure comes with the age of the lists that it comes of, if there were any.
async fn attempt(
    settings: &Settings,
    specs: &Specs,
    client: LazyClient,
    platform: Subdir,
    ask: bool,
    report: &Report,
) -> Result<Vec<RepoDataRecord>, (LoadError, Option<Age>)> {
    let fetch = Fetch {
        settings,
        client,
        specs,
        platform,
        report,
    };
    report.progress("reading the lists of conda packages");
    let lists = fetch.lists(ask).await.map_err(|error| (error, None))?;
    report.progress("choosing conda packages");
    let age = lists.age.clone();
    choose(settings, specs, lists, platform)
        .await
        .map_err(|error| (error, Some(age)))
}

async fn choose(
    settings: &Settings,
    specs: &Specs,
    lists: Lists,
    platform: Subdir,
) -> Result<Vec<RepoDataRecord>, LoadError> {
    explain::foresee(specs, &lists, platform).await?;
    let age = lists.age.clone();
    let cached = if age == Age::Offline {
        // Best effort: without it, what is missing is said when it is installed.
        PackageCache::new(settings.packages.clone())
            .index()
            .await
            .ok()
    } else {
        None
    };
    let (specs, lists, cached) = (Arc::new(specs.clone()), Arc::new(lists), Arc::new(cached));
    let mut result = search(&specs, &lists, &cached).await;
    if matches!(&result, Err(Failure::Solver(SolveError::Unsolvable(_))))
        && let Some(wider) = lists.wider(&specs).await
    {
        result = search(&specs, &Arc::new(wider), &cached).await;
    }
    let mut records = result.map_err(|failure| match failure {
        Failure::Solver(error) => told(&error, &age),
        Failure::Told(error) => error,
    })?;
    records.sort_by(|one, other| one.package_record.name.cmp(&other.package_record.name));
    Ok(records)
}

enum Failure {
    Solver(SolveError),
    Told(LoadError),
}

/// On a thread of its own, which stops soon when nobody waits any more.
async fn search(
    specs: &Arc<Specs>,
    lists: &Arc<Lists>,
    cached: &Arc<Option<CacheIndex>>,
) -> Result<Vec<RepoDataRecord>, Failure> {
    let token = CancellationToken::new();
    let _cancel = CancelOnDrop(token.clone());
    let (specs, lists, cached) = (Arc::clone(specs), Arc::clone(lists), Arc::clone(cached));
    let solving = tokio::task::spawn_blocking(move || {
        let task = Task {
            specs: &specs,
            lists: &lists,
            machine: &virtual_packages().map_err(Failure::Told)?,
            token: &token,
        };
        match cached.as_ref() {
            Some(cached) => task.with_what_is_cached(cached),
            None => task.run(HashMap::new()).map_err(Failure::Solver),
        }
    });
    solving.await.unwrap_or_else(|_| {
        Err(Failure::Told(LoadError::transient(
            "the choosing of conda packages broke off: the gateway's own log says why",
        )))
    })
}

/// A solver asks now and then whether it should go on.
struct CancelOnDrop(CancellationToken);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// What is solved, on one thread.
struct Task<'a> {
    specs: &'a Specs,
    lists: &'a Lists,
    machine: &'a [GenericVirtualPackage],
    token: &'a CancellationToken,
}

impl Task<'_> {
    /// None of `excluded` is chosen.
    fn run(&self, excluded: HashMap<Url, Arc<str>>) -> Result<Vec<RepoDataRecord>, SolveError> {
        let groups = self.lists.groups().iter().map(RepoData::iter);
        let groups = groups.map(|group| group.filter(|record| self.specs.is_allowed(record)));
        let task = SolverTask {
            virtual_packages: self.machine.to_vec(),
            specs: self.specs.wanted.clone(),
            channel_priority: ChannelPriority::Strict,
            excluded_candidates: excluded,
            timeout: Some(LONGEST),
            cancellation_token: Some(self.token.clone()),
            ..groups.collect()
        };
        Ok(resolvo::Solver.solve(task)?.records)
    }

    /// Prefers packages that need not be fetched, for they cannot be.
    fn with_what_is_cached(&self, cached: &CacheIndex) -> Result<Vec<RepoDataRecord>, Failure> {
        let reason: Arc<str> = "not in the package cache".into();
        let is_there = |record: &RepoDataRecord| {
            record.url.scheme() == "file" || cached.contains_record(record)
        };
        let records = self.lists.groups().iter().flat_map(RepoData::iter);
        let excluded = records
            .filter(|record| !is_there(record))
            .map(|record| (record.url.clone(), Arc::clone(&reason)))
            .collect();
        if let Ok(records) = self.run(excluded) {
            return Ok(records);
        }
        let wanted = self.run(HashMap::new()).map_err(Failure::Solver)?;
        let missing = wanted.iter().filter(|record| !is_there(record));
        Err(Failure::Told(not_cached(missing)))
    }
}

/// What is needed, and neither cached nor to be had offline.
pub(super) fn not_cached<'a>(missing: impl Iterator<Item = &'a RepoDataRecord>) -> LoadError {
    let missing: Vec<String> = missing
        .map(|record| record.identifier.to_string())
        .collect();
    let mut named = missing.clone();
    named.truncate(NAMED);
    if missing.len() > NAMED {
        named.push(format!("{} more", missing.len() - NAMED));
    }
    Trouble::Offline.error(format!(
        "packages that the environment needs are not cached, and the gateway is offline by its configuration: {}. \
         Build the environment where the channels can be reached, and export it there and import it here",
        listed(&named, "and")
    ))
}

fn told(error: &SolveError, age: &Age) -> LoadError {
    match error {
        SolveError::Unsolvable(explanation) => explain::unsatisfiable(explanation, age),
        SolveError::Cancelled => Trouble::Unsatisfiable.passing(format!(
            "no set of conda packages was found in {} seconds: name more exact versions in conda.yaml",
            LONGEST.as_secs()
        )),
        SolveError::DuplicateRecords(package) => Trouble::Unsatisfiable.error(format!(
            "a channel lists the package {package} twice with different content: its index has to be made anew"
        )),
        error => Trouble::Unsatisfiable.error(format!(
            "a channel lists packages that cannot be understood: {}",
            crate::env::secrets::redacted(&error.to_string())
        )),
    }
}

/// What this machine offers that packages ask for: the version of the C library, CUDA…
fn virtual_packages() -> Result<Vec<GenericVirtualPackage>, LoadError> {
    let detected = VirtualPackages::detect(&VirtualPackageOverrides::default(), None);
    let detected = detected.map_err(|error| {
        LoadError::transient(format!("cannot find out what this machine offers: {error}"))
    })?;
    Ok(detected.into_generic_virtual_packages().collect())
}
