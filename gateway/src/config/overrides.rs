//! What flags say: laid over the variables and the file.

use std::path::PathBuf;

use toml::Value;

/// The flags of `serve` and of the commands that read its configuration; `None` and empty say nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--registry`.
    pub registry: Option<String>,
    /// `--listen`.
    pub listen: Option<String>,
    /// `--data-dir`.
    pub data_dir: Option<PathBuf>,
    /// `--poll-interval`.
    pub poll_interval: Option<String>,
    /// `--env-manager`.
    pub env_manager: Option<String>,
    /// `--python`.
    pub python: Option<PathBuf>,
    /// `--offline`.
    pub offline: bool,
    /// `--enable`, as often as given.
    pub enable: Vec<String>,
    /// `--enable-all`.
    pub enable_all: bool,
    /// `--rights`.
    pub rights: Option<String>,
}

impl Overrides {
    /// The values that were given: key, flag, value.
    pub(super) fn values(self) -> Vec<(&'static str, &'static str, Value)> {
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        let texts = [
            ("registry", "--registry", self.registry),
            ("listen", "--listen", self.listen),
            ("data_dir", "--data-dir", self.data_dir.map(text)),
            ("poll_interval", "--poll-interval", self.poll_interval),
            ("env_manager", "--env-manager", self.env_manager),
            ("python", "--python", self.python.map(text)),
            ("auth.rights", "--rights", self.rights),
        ];
        let mut values: Vec<_> = texts
            .into_iter()
            .filter_map(|(key, flag, value)| Some((key, flag, Value::String(value?))))
            .collect();
        if !self.enable.is_empty() {
            let names = self.enable.into_iter().map(Value::String).collect();
            values.push(("enable", "--enable", Value::Array(names)));
        }
        if self.offline {
            values.push(("offline", "--offline", Value::Boolean(true)));
        }
        if self.enable_all {
            values.push(("enable_all", "--enable-all", Value::Boolean(true)));
        }
        values
    }
}
