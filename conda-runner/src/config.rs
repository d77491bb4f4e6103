//! What a runner is given once, at its start.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serving_core::LoadError;

use crate::launcher::Launcher;

/// Where a runner works, and with what.
#[derive(Clone)]
pub struct RunnerConfig {
    /// Models, environments, logs and sockets live below it.
    pub data_dir: PathBuf,
    /// For models whose settings do not name one.
    pub env_manager: EnvManager,
    /// How workers are started, for models whose settings do not say.
    pub launcher: Launcher,
    /// How long a template lives without a worker; see [`Launcher::Template`].
    pub template_idle: Duration,
    /// Where conda packages come from.
    pub conda: CondaConfig,
    /// Where Python packages come from.
    pub pip: PipConfig,
    /// Whether nothing may be fetched that is needed for an environment: what is cached has to do.
    pub offline: bool,
    /// How much of the disk is used.
    pub space: SpaceConfig,
    /// The interpreter of [`EnvManager::Local`]: an absolute path.
    pub python: Option<PathBuf>,
    /// The `uv` program; `None` looks for it in the `PATH` of `inherited_environment`, and installs one from the package
    /// index below `data_dir` where there is none.
    pub uv: Option<PathBuf>,
    /// All that a worker sees of the gateway's own environment, for example `PATH`, `HOME` and `LANG`.
    pub inherited_environment: Vec<(String, String)>,
    /// What a build sees besides, for example the addresses of package indexes, which may hold a password.
    pub build_environment: Vec<(String, String)>,
    /// After this a worker gives up a request by itself. At least the longest timeout that a model may ever be given:
    /// a worker learns it when it starts, and whoever asks has deadlines of his own.
    pub longest_timeout: Duration,
    /// From the start of a worker until it must answer. Warming it up and clearing up after it add at most 40 seconds,
    /// which the engine's deadline for a start has to leave room for.
    pub start_timeout: Duration,
    /// How long the scoring of the input example may take before a worker is offered without it.
    pub warm_up_timeout: Duration,
    /// Between asking a worker to stop and killing it.
    pub stop_grace: Duration,
    /// Bytes of one log file; the two before it are kept.
    pub log_size: u64,
    /// Whether a worker prints a line for each request, with its id.
    pub worker_access_log: bool,
}

impl RunnerConfig {
    /// The defaults, below `data_dir`.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            env_manager: EnvManager::Conda,
            launcher: Launcher::default(),
            template_idle: Duration::from_secs(600),
            conda: CondaConfig::default(),
            pip: PipConfig::default(),
            offline: false,
            space: SpaceConfig::default(),
            python: None,
            uv: None,
            inherited_environment: Vec::new(),
            build_environment: Vec::new(),
            longest_timeout: Duration::from_secs(86_400),
            start_timeout: Duration::from_secs(300),
            warm_up_timeout: Duration::from_secs(60),
            stop_grace: Duration::from_secs(10),
            log_size: 10 << 20,
            worker_access_log: true,
        }
    }
}

/// Where conda packages come from. Addresses may hold credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct CondaConfig {
    /// The address below which a channel lives that is only named, without a slash at its end.
    pub channel_alias: String,
    /// What a channel's name (or address) in a `conda.yaml` means instead: a name, an address, or several in the order
    /// of their priority. By default `defaults` means `conda-forge`: Anaconda's own channels are not free for everybody.
    pub channels: BTreeMap<String, Vec<String>>,
    /// Who is asked in the stead of an address: by the beginning of the address, in the order in which they are asked.
    /// They change nothing about what an environment is.
    pub mirrors: BTreeMap<String, Vec<String>>,
    /// Lists of packages younger than this are used without asking the channel.
    pub refresh: Duration,
    /// The file with credentials for channels, as `rattler auth login` writes it; `None` is that program's own place
    /// below `HOME` of `inherited_environment`. `.netrc` there is read as well.
    pub credentials: Option<PathBuf>,
}

impl Default for CondaConfig {
    fn default() -> Self {
        Self {
            channel_alias: "https://conda.anaconda.org".to_owned(),
            channels: BTreeMap::from([("defaults".to_owned(), vec!["conda-forge".to_owned()])]),
            mirrors: BTreeMap::new(),
            refresh: Duration::from_secs(3600),
            credentials: None,
        }
    }
}

/// Shows no address: it may hold a password.
impl fmt::Debug for CondaConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("CondaConfig")
            .field("channels", &self.channels.len())
            .field("refresh", &self.refresh)
            .finish_non_exhaustive()
    }
}

/// Where Python packages come from. Addresses may hold credentials.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PipConfig {
    /// The index in the place of PyPI; `None` leaves it to `PIP_*` and `UV_*` of the build's environment.
    pub index_url: Option<String>,
    /// Further indexes.
    pub extra_index_urls: Vec<String>,
    /// A constraints file (pip's format) that every built environment obeys: a remedy for requirements that no
    /// longer work as they did when the model was logged.
    pub constraints: Option<PathBuf>,
}

/// Shows no address: it may hold a password.
impl fmt::Debug for PipConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PipConfig")
            .field("constraints", &self.constraints)
            .finish_non_exhaustive()
    }
}

/// How much of the disk is used for what nobody uses at the moment. `None` sets no limit. What is in use is never
/// removed, however much it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpaceConfig {
    /// Bytes of all environments and of the package caches: conda's, uv's and pip's.
    pub environments: Option<u64>,
    /// Bytes of all model folders.
    pub models: Option<u64>,
    /// Bytes of all logs.
    pub logs: Option<u64>,
}

/// Names the inherited variables, never their values: an index address may hold a password.
impl fmt::Debug for RunnerConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |variables: &[(String, String)]| -> Vec<String> {
            variables.iter().map(|(name, _)| name.clone()).collect()
        };
        formatter
            .debug_struct("RunnerConfig")
            .field("data_dir", &self.data_dir)
            .field("env_manager", &self.env_manager)
            .field("launcher", &self.launcher)
            .field("template_idle", &self.template_idle)
            .field("python", &self.python)
            .field("uv", &self.uv)
            .field("conda", &self.conda)
            .field("pip", &self.pip)
            .field("offline", &self.offline)
            .field("space", &self.space)
            .field("inherited_environment", &names(&self.inherited_environment))
            .field("build_environment", &names(&self.build_environment))
            .field("longest_timeout", &self.longest_timeout)
            .field("start_timeout", &self.start_timeout)
            .field("warm_up_timeout", &self.warm_up_timeout)
            .field("stop_grace", &self.stop_grace)
            .field("log_size", &self.log_size)
            .field("worker_access_log", &self.worker_access_log)
            .finish()
    }
}

/// Who provides the environment that a model's worker runs in; the words of `mlflow models serve --env-manager`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EnvManager {
    /// An interpreter that exists already.
    Local,
    /// Built from `python_env.yaml` and `requirements.txt` with uv.
    Uv,
    /// Built from `conda.yaml`, without an installation of conda.
    Conda,
    /// Built from `python_env.yaml` and `requirements.txt` with the interpreter's own `venv` and pip.
    Virtualenv,
}

impl EnvManager {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Uv => "uv",
            Self::Conda => "conda",
            Self::Virtualenv => "virtualenv",
        }
    }
}

impl fmt::Display for EnvManager {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Not one of `local`, `uv`, `conda`, `virtualenv`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no environment manager: use local, uv, conda or virtualenv")]
pub struct UnknownEnvManager(String);

impl FromStr for EnvManager {
    type Err = UnknownEnvManager;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        [Self::Local, Self::Uv, Self::Conda, Self::Virtualenv]
            .into_iter()
            .find(|manager| manager.as_str() == word)
            .ok_or_else(|| UnknownEnvManager(word.to_owned()))
    }
}

impl From<UnknownEnvManager> for LoadError {
    fn from(error: UnknownEnvManager) -> Self {
        Self::permanent(error.to_string())
    }
}
