//! What the operator says about conda, understood once.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::address::{Address, Credential};
use super::channels::Channels;
use crate::config::CondaConfig;
use crate::error::RunnerError;

/// All that builds need to know. Holds secrets, so it shows nothing.
pub(super) struct Settings {
    pub(super) channels: Channels,
    /// By the beginning of an address, the longest first.
    pub(super) mirrors: Vec<Mirrored>,
    /// Lists of packages younger than this are used without asking.
    pub(super) refresh: Duration,
    pub(super) credentials: Credentials,
    /// The folder of the lists of packages.
    pub(super) lists: PathBuf,
    /// The folder of extracted packages.
    pub(super) packages: PathBuf,
    pub(super) offline: bool,
}

/// The places in whose stead others are asked.
pub(super) struct Mirrored {
    /// Ends with a slash.
    pub(super) prefix: String,
    pub(super) mirrors: Vec<url::Url>,
}

/// Where credentials are.
pub(super) struct Credentials {
    /// As `rattler auth login` writes it.
    pub(super) file: Option<PathBuf>,
    /// Whether there has to be that file.
    pub(super) is_file_configured: bool,
    pub(super) netrc: Option<PathBuf>,
    /// Those that are in the configured addresses of mirrors.
    pub(super) given: Vec<Credential>,
}

impl Settings {
    /// `home` is whose credentials are used.
    pub(super) fn new(
        config: &CondaConfig,
        cache: &Path,
        offline: bool,
        home: Option<&Path>,
    ) -> Result<Arc<Self>, RunnerError> {
        let channels = Channels::new(&config.channel_alias, &config.channels).ok_or_else(|| {
            invalid(
                "channel_alias has to be an address that begins with https://, http:// or file://",
            )
        })?;
        let mut given = Vec::new();
        let mut address = |text: &str| {
            let address = Address::parse(text).filter(|address| address.url.scheme() != "file");
            let address = address.ok_or_else(|| {
                invalid(
                    "mirrors are addresses that begin with https:// or http://; \
                     a folder can take the place of a channel in conda.channels",
                )
            })?;
            given.extend(address.credential);
            Ok::<_, RunnerError>(address.url)
        };
        let mut mirrors = Vec::new();
        for (prefix, places) in &config.mirrors {
            let prefix = address(prefix)?;
            let places = places.iter().map(|place| address(place));
            mirrors.push(Mirrored {
                prefix: format!("{}/", prefix.as_str().trim_end_matches('/')),
                mirrors: places.collect::<Result<_, _>>()?,
            });
        }
        mirrors.sort_by_key(|mirrored| std::cmp::Reverse(mirrored.prefix.len()));
        let default = || home.map(|home| home.join(".rattler/credentials.json"));
        Ok(Arc::new(Self {
            channels,
            mirrors,
            refresh: config.refresh,
            credentials: Credentials {
                file: config.credentials.clone().or_else(default),
                is_file_configured: config.credentials.is_some(),
                netrc: home.map(|home| home.join(".netrc")),
                given,
            },
            lists: cache.join("lists"),
            packages: cache.join("packages"),
            offline,
        }))
    }
}

fn invalid(problem: &'static str) -> RunnerError {
    RunnerError::Setting {
        section: "conda",
        problem,
    }
}
