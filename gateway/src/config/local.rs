//! What holds on this host whether a gateway runs or not: where data is, and how environments are built.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::address::Address;
use super::inherited;
use super::launcher::Launcher;
use super::reader::{Reader, parse, place};
use super::rights::{self, RightsSource};
use crate::api::EnvManager;

/// The part of the configuration that needs no registry.
#[derive(Clone)]
pub struct LocalConfig {
    /// Where rights come from; those that are given here count only if it is here.
    pub rights: RightsSource,
    /// Where the database, environments, models, logs and sockets are.
    pub data_dir: PathBuf,
    /// What builds environments where a model does not say.
    pub env_manager: EnvManager,
    /// How workers are started.
    pub launcher: Launcher,
    /// How long a template lives that has no worker.
    pub template_idle: Duration,
    /// The interpreter for `env_manager = "local"`; `None` looks for one in `PATH`.
    pub python: Option<PathBuf>,
    /// The uv program; `None` looks for it in `PATH`, and installs one where there is none.
    pub uv: Option<PathBuf>,
    /// A pip constraints file that holds for every environment.
    pub constraints: Option<PathBuf>,
    /// Whether builds have to do with what is cached.
    pub offline: bool,
    /// Where conda packages come from.
    pub conda: CondaConfig,
    /// Where Python packages come from.
    pub pip: PipConfig,
    /// How much of the disk is used.
    pub space: SpaceConfig,
    /// What workers see of the gateway's environment.
    pub worker_environment: Vec<(String, String)>,
    /// Whether workers print a line for each request, with its id.
    pub worker_access_log: bool,
    /// What builds see of it besides: where packages come from.
    pub build_environment: Vec<(String, String)>,
}

/// Where conda packages come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CondaConfig {
    /// Below it live the channels that are only named.
    pub channel_alias: Address,
    /// What a channel of a `conda.yaml` means instead, in the order of priority.
    pub channels: BTreeMap<Address, Vec<Address>>,
    /// Where the content of an address is as well: by the beginning of the address, in the order of asking.
    pub mirrors: BTreeMap<Address, Vec<Address>>,
    /// Lists of packages younger than this are not asked for again.
    pub refresh: Duration,
    /// Credentials for channels, as `rattler auth login` writes them; `None` takes that program's own place.
    pub credentials: Option<PathBuf>,
}

/// Where Python packages come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PipConfig {
    /// In the place of PyPI; `None` leaves it to `PIP_*` and `UV_*`.
    pub index_url: Option<Address>,
    /// Further ones.
    pub extra_index_urls: Vec<Address>,
}

/// Bytes that may be taken by what nobody uses at the moment; `None` sets no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpaceConfig {
    /// By environments and the cache of packages.
    pub environments: Option<u64>,
    /// By fetched models.
    pub models: Option<u64>,
    /// By logs.
    pub logs: Option<u64>,
}

const TEMPLATE_IDLE: Duration = Duration::from_secs(600);
const CHANNEL_ALIAS: &str = "https://conda.anaconda.org";
/// Anaconda's own channels are not free for everybody.
const DEFAULTS: (&str, &str) = ("defaults", "conda-forge");
const REFRESH: Duration = Duration::from_secs(3600);
const LONGEST_REFRESH: Duration = Duration::from_secs(30 * 86_400);

/// Takes the keys of this part; `None` if there is nowhere to keep data, which is noted.
pub(super) fn read(
    reader: &mut Reader,
    environment: &BTreeMap<String, String>,
) -> Option<LocalConfig> {
    let data_dir = reader
        .path("data_dir")
        .or_else(|| default_data_dir(environment));
    if data_dir.is_none() {
        reader.problem(
            "data_dir",
            "no home folder is known here; say where to keep data",
        );
    }
    let more_variables = reader.list("worker_environment");
    let local = LocalConfig {
        rights: rights::source(reader),
        data_dir: data_dir.unwrap_or_default(),
        env_manager: reader.parsed("env_manager", EnvManager::Conda, parse::<EnvManager>),
        launcher: reader.parsed("launcher", Launcher::default(), parse::<Launcher>),
        template_idle: reader.duration_within(
            "template_idle",
            TEMPLATE_IDLE,
            Duration::ZERO,
            LONGEST_REFRESH,
        ),
        python: reader.file("python"),
        uv: reader.file("uv"),
        constraints: reader.file("constraints"),
        offline: reader.flag("offline", false),
        conda: conda(reader),
        pip: pip(reader),
        space: SpaceConfig {
            environments: reader.size("space.environments"),
            models: reader.size("space.models"),
            logs: reader.size("space.logs"),
        },
        worker_environment: inherited::for_workers(environment, &more_variables),
        worker_access_log: reader.flag("worker_access_log", true),
        build_environment: inherited::for_builds(environment),
    };
    (!local.data_dir.as_os_str().is_empty()).then_some(local)
}

/// `$XDG_DATA_HOME/sluicegate`, else `$HOME/.local/share/sluicegate`; a relative one does not count (XDG base directories).
pub(super) fn default_data_dir(environment: &BTreeMap<String, String>) -> Option<PathBuf> {
    let absolute = |name: &str| {
        let path = PathBuf::from(environment.get(name)?);
        path.is_absolute().then_some(path)
    };
    let data =
        absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")))?;
    Some(data.join("sluicegate"))
}

fn conda(reader: &mut Reader) -> CondaConfig {
    let channel_alias = reader.address("conda.channel_alias", Address::channel_alias);
    let default_alias = || Address::channel_alias(CHANNEL_ALIAS).ok();
    let default = |text| Address::channel(text).unwrap_or_default();
    let (name, meant) = DEFAULTS;
    let mut channels = BTreeMap::from([(default(name), vec![default(meant)])]);
    channels.extend(reader.addresses("conda.channels", |name, meant| {
        Ok((
            Address::named_channel(name)?,
            each(meant, Address::channel)?,
        ))
    }));
    let mirrors = reader.addresses("conda.mirrors", |prefix, places| {
        Ok((Address::mirror(prefix)?, each(places, Address::mirror)?))
    });
    CondaConfig {
        channel_alias: channel_alias.or_else(default_alias).unwrap_or_default(),
        channels,
        mirrors: mirrors.into_iter().collect(),
        refresh: reader.duration_within("conda.refresh", REFRESH, Duration::ZERO, LONGEST_REFRESH),
        credentials: reader.file("conda.credentials"),
    }
}

fn pip(reader: &mut Reader) -> PipConfig {
    PipConfig {
        index_url: reader.address("pip.index_url", Address::index),
        extra_index_urls: reader.items("pip.extra_index_urls", Address::index),
    }
}

fn each(
    texts: &[String],
    read: impl Fn(&str) -> Result<Address, String>,
) -> Result<Vec<Address>, String> {
    if texts.is_empty() {
        return Err("at least one address is needed".to_owned());
    }
    texts.iter().map(|text| read(text)).collect()
}

/// Names the variables, never their values: an index address may hold a password.
impl fmt::Debug for LocalConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |variables: &[(String, String)]| -> Vec<String> {
            variables.iter().map(|(name, _)| name.clone()).collect()
        };
        formatter
            .debug_struct("LocalConfig")
            .field("rights", &self.rights)
            .field("data_dir", &self.data_dir)
            .field("env_manager", &self.env_manager)
            .field("launcher", &self.launcher)
            .field("template_idle", &self.template_idle)
            .field("python", &self.python)
            .field("uv", &self.uv)
            .field("constraints", &self.constraints)
            .field("offline", &self.offline)
            .field("conda", &self.conda)
            .field("pip", &self.pip)
            .field("space", &self.space)
            .field("worker_environment", &names(&self.worker_environment))
            .field("worker_access_log", &self.worker_access_log)
            .field("build_environment", &names(&self.build_environment))
            .finish()
    }
}

impl Reader {
    fn address(
        &mut self,
        key: &'static str,
        read: impl Fn(&str) -> Result<Address, String>,
    ) -> Option<Address> {
        let (text, origin) = self.text(key)?;
        self.accept(key, &origin, read(&text))
    }

    /// Reads each entry of a map; what is wrong is told without the addresses.
    fn addresses<K>(
        &mut self,
        key: &'static str,
        read: impl Fn(&str, &[String]) -> Result<(K, Vec<Address>), String>,
    ) -> Vec<(K, Vec<Address>)> {
        let Some((entries, origin)) = self.map(key) else {
            return Vec::new();
        };
        let mut known = Vec::new();
        for (name, meant) in entries {
            match read(&name, &meant) {
                Ok(entry) => known.push(entry),
                Err(message) => {
                    let shown = Address::shown(&name);
                    self.problem(place(key, &origin), format!("{shown:?}: {message}"));
                }
            }
        }
        known
    }
}
