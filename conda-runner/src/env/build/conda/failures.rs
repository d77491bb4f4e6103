//! What went wrong with the network, the disk or an archive, in the words of rattler's errors: told to people.

use std::error::Error;
use std::io;

use rattler::install::InstallerError;
use rattler_cache::package_cache::{PackageCacheError, PackageCacheLayerError};
use rattler_conda_types::RepoDataRecord;
use rattler_package_streaming::ExtractError;
use rattler_repodata_gateway::GatewayError;
use rattler_repodata_gateway::fetch::{FetchRepoDataError, RepoDataNotFoundError};
use reqwest::StatusCode;
use serving_core::LoadError;
use url::Url;

use super::channels::{Source, short_name};
use super::lock::channel_of;
use super::machine::{is_disk_full, is_passing};
use super::specs::Specs;
use crate::env::secrets::redacted;
use crate::env::trouble::Trouble;

/// `a`, `a and b`, `a, b and c`.
pub(super) fn listed(words: &[String], conjunction: &str) -> String {
    match words {
        [] => String::new(),
        [word] => word.clone(),
        [first @ .., last] => format!("{} {conjunction} {last}", first.join(", ")),
    }
}

/// Why there are no lists of packages.
pub(super) fn of_lists(error: &GatewayError, specs: &Specs) -> LoadError {
    let sources = specs.channels.sources.iter();
    let names: Vec<String> = sources.map(Source::shown).collect();
    let channels = listed(&names, "and");
    if is_disk_full(error) {
        return disk_full("the lists of packages");
    }
    match error {
        GatewayError::SubdirNotFoundError(missing) => {
            let url: &Url = missing.channel.base_url.as_ref();
            let place = match url.host_str() {
                Some(host) => format!("at {host}"),
                None => format!("in {}", url.path()),
            };
            Trouble::PackageNotFound.error(format!(
                "there is no conda channel {} {place}, as it has no list of packages ({}/repodata.json): check its \
                 name in conda.yaml, and conda.channels and conda.channel_alias of the configuration; servers also \
                 hide private channels from those who show no credential",
                short_name(url),
                missing.subdir
            ))
        }
        GatewayError::FetchRepoDataError(FetchRepoDataError::FailedToDownload(url, source)) => {
            unreachable(url.host_str(), &channels, &cause(source))
        }
        _ => match http(error) {
            Some(Http::Answer(error)) => of_http(error, &channels),
            Some(Http::Other(text)) => unreachable(None, &channels, &text),
            None => LoadError::transient(format!(
                "cannot read the lists of packages of {channels}: {}",
                cause(error)
            ))
            .with_code(Trouble::Network.code()),
        },
    }
}

/// Why a package is not in the cache.
pub(super) fn of_package(error: &PackageCacheError, record: &RepoDataRecord) -> LoadError {
    let package = record.identifier.to_string();
    let channel = channel_of(record);
    if is_disk_full(error) {
        return disk_full(&format!("the package {package}"));
    }
    let uncached = || {
        Trouble::InstallFailed.passing(format!(
            "cannot put the package {package} into the cache: {}",
            cause(error)
        ))
    };
    match extraction(error) {
        Some(ExtractError::HashMismatch { expected, actual, .. }) => Trouble::HashMismatch.error(format!(
            "the package {package} of the channel {channel} is not what was announced: its digest is {actual}, and has \
             to be {expected}. Somebody changed it, or a mirror or proxy in between answers with something else",
        )),
        Some(ExtractError::ReqwestError(reqwest_middleware::Error::Reqwest(error))) => {
            if error.status() == Some(StatusCode::NOT_FOUND) {
                return Trouble::PackageNotFound.passing(format!(
                    "the channel {channel} names the package {package} but does not have it: its list may be ahead of \
                     its files, or it was taken back since the environment was locked (build it fresh then)"
                ));
            }
            of_http(error, &channel)
        }
        Some(ExtractError::ReqwestError(reqwest_middleware::Error::Middleware(error))) => {
            unreachable(record.url.host_str(), &channel, &redacted(&error.to_string()))
        }
        Some(ExtractError::IoError(error)) if is_network(error) => {
            unreachable(record.url.host_str(), &channel, &cause(error))
        }
        Some(ExtractError::IoError(error))
            if record.url.scheme() == "file" && error.kind() == io::ErrorKind::NotFound =>
        {
            Trouble::PackageNotFound.error(format!(
                "the channel {channel} names the package {package} but does not have it: there is no file {}",
                record.url.path()
            ))
        }
        Some(ExtractError::CouldNotCreateDestination(_)) | None => uncached(),
        Some(_) if is_passing(error) => uncached(),
        Some(error) => broken(&package, &channel, &cause(error)),
    }
}

/// An archive that cannot be used, or must not be.
pub(super) fn broken(package: &str, channel: &str, why: &str) -> LoadError {
    Trouble::HashMismatch.error(format!(
        "the package {package} of the channel {channel} is refused: {why}"
    ))
}

/// Why these packages cannot be linked. One that was removed from the cache just now is fetched again: that may fail in
/// all the ways of fetching.
pub(super) fn of_linking(error: &InstallerError, records: &[RepoDataRecord]) -> LoadError {
    if is_disk_full(error) {
        return disk_full("the environment");
    }
    if let InstallerError::FailedToFetch(package, error) = error {
        let is_it = |record: &&RepoDataRecord| record.identifier.to_string() == *package;
        if let Some(record) = records.iter().find(is_it) {
            return of_package(error, record);
        }
    }
    let told = format!("cannot link the packages: {}", cause(error));
    let is_passing = is_passing(error)
        || matches!(
            error,
            InstallerError::FailedToFetch(..)
                | InstallerError::FailedToAcquireCacheLock(_)
                | InstallerError::Cancelled
        );
    if is_passing {
        Trouble::InstallFailed.passing(told)
    } else {
        Trouble::InstallFailed.error(told)
    }
}

/// There is no room any more, against all calculation.
fn disk_full(what: &str) -> LoadError {
    Trouble::DiskFull.error(format!(
        "there is no room left on the disk for {what}: make room, or set a quota, so that environments that nobody \
         uses are removed by themselves"
    ))
}

/// An error and what caused it, in one line without secrets.
fn cause(error: &dyn Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = redacted(&error.to_string());
        // Many errors repeat what caused them.
        if !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
        next = error.source();
    }
    parts
        .join(": ")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

enum Http<'a> {
    Answer(&'a reqwest::Error),
    Other(String),
}

/// The error of a request in an error about lists: transparent ones hide it from [`Error::source`].
fn http(error: &GatewayError) -> Option<Http<'_>> {
    let answer = match error {
        GatewayError::ReqwestError(error)
        | GatewayError::FetchRepoDataError(
            FetchRepoDataError::HttpError(reqwest_middleware::Error::Reqwest(error))
            | FetchRepoDataError::NotFound(RepoDataNotFoundError::HttpError(error)),
        ) => error,
        GatewayError::ReqwestMiddlewareError(error)
        | GatewayError::FetchRepoDataError(FetchRepoDataError::HttpError(
            reqwest_middleware::Error::Middleware(error),
        )) => return Some(Http::Other(redacted(&error.to_string()))),
        _ => return None,
    };
    Some(Http::Answer(answer))
}

fn of_http(error: &reqwest::Error, channels: &str) -> LoadError {
    let host = error.url().and_then(Url::host_str);
    match error.status() {
        Some(status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)) => {
            Trouble::AccessDenied.error(format!(
                "{} refuses access to {channels} (it answers {}): put a credential for that host into the file that \
                 conda.credentials names (`rattler auth login` writes one), or renew the one that is in it",
                host.unwrap_or("the server"),
                status.as_u16()
            ))
        }
        Some(status) => {
            let told = format!("it answers {status}");
            unreachable(host, channels, &told)
        }
        None => {
            let told = if error.is_timeout() {
                "it does not answer in time".to_owned()
            } else {
                // The outer texts only repeat the address.
                error.source().map_or_else(|| cause(error), innermost)
            };
            unreachable(host, channels, &told)
        }
    }
}

fn unreachable(host: Option<&str>, channels: &str, why: &str) -> LoadError {
    let host = host.unwrap_or("the server");
    // Most channels are shown with their host, which need not be read twice.
    let channels = channels.replace(&format!(" ({host})"), "");
    Trouble::Network.error(format!(
        "cannot fetch from {host}, for {channels}: {why}. Is the address right, is a proxy needed (HTTPS_PROXY), or is \
         there a mirror (conda.mirrors)?"
    ))
}

fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(next) = last.source() {
        last = next;
    }
    redacted(&last.to_string())
}

/// The error of unpacking in one about the cache.
fn extraction(error: &PackageCacheError) -> Option<&ExtractError> {
    let PackageCacheError::LayerError(error) = error else {
        return None;
    };
    match error.downcast_ref::<PackageCacheLayerError>()? {
        PackageCacheLayerError::FetchError(error) => error.downcast_ref(),
        _ => None,
    }
}

/// What reading from a connection fails with; what is wrong in an archive has other kinds.
fn is_network(error: &io::Error) -> bool {
    use io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, TimedOut, UnexpectedEof,
    };
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<reqwest::Error>());
    let is_http = inner.is_some();
    is_http
        || matches!(
            error.kind(),
            BrokenPipe
                | ConnectionAborted
                | ConnectionReset
                | NotConnected
                | TimedOut
                | UnexpectedEof
        )
}

#[cfg(test)]
mod tests {
    use rattler::install::{InstallError, LinkFileError};
    use rustix::io::Errno;
    use serving_core::Retry;

    use super::*;

    fn record() -> RepoDataRecord {
        serde_json::from_value(serde_json::json!({
            "name": "tiny", "version": "1.0", "build": "0", "build_number": 0, "subdir": "noarch", "depends": [],
            "fn": "tiny-1.0-0.conda", "url": "https://host/own/noarch/tiny-1.0-0.conda", "channel": "https://host/own/",
        }))
        .unwrap()
    }

    fn unpacking(error: io::Error) -> PackageCacheError {
        let error: std::sync::Arc<dyn Error + Send + Sync> =
            std::sync::Arc::new(ExtractError::IoError(error));
        PackageCacheLayerError::FetchError(error).into()
    }

    fn linking(error: io::Error) -> InstallerError {
        let error = LinkFileError::FailedToOpenSourceFile(error);
        let error = InstallError::FailedToLink("bin/tiny".into(), error);
        InstallerError::LinkError("tiny".to_owned(), error)
    }

    fn judged(error: LoadError) -> (String, Retry) {
        (error.code.unwrap_or_default().to_string(), error.retry)
    }

    #[test]
    fn what_the_machine_lacks_for_now_is_worth_another_try_and_a_broken_package_is_not() {
        let of = |errno: Errno| io::Error::from_raw_os_error(errno.raw_os_error());
        let broken = || io::Error::new(io::ErrorKind::InvalidData, "no archive");
        let all = |error: &dyn Fn() -> io::Error| {
            let fetch = || unpacking(error());
            let again = InstallerError::FailedToFetch("tiny-1.0-0.conda".to_owned(), fetch());
            [
                judged(of_package(&fetch(), &record())),
                judged(of_linking(&again, &[record()])),
                judged(of_linking(&linking(error()), &[record()])),
            ]
        };
        let told = |codes: [&str; 3], retry: Retry| codes.map(|code| (code.to_owned(), retry));
        for errno in [Errno::MFILE, Errno::IO, Errno::NOMEM] {
            let expected = told(["INSTALL_FAILED"; 3], Retry::Later);
            assert_eq!(all(&|| of(errno)), expected, "{errno}");
        }
        let expected = told(["DISK_FULL"; 3], Retry::Later);
        assert_eq!(all(&|| of(Errno::NOSPC)), expected);
        let expected = told(
            ["HASH_MISMATCH", "HASH_MISMATCH", "INSTALL_FAILED"],
            Retry::Never,
        );
        assert_eq!(all(&broken), expected);
        let reset = || of(Errno::CONNRESET);
        let [fetched, again, _] = all(&reset);
        assert_eq!(fetched, ("NETWORK".to_owned(), Retry::Later));
        assert_eq!(again, fetched);
    }
}
