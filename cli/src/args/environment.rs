//! The one place of this crate where environment variables are read.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What the client commands and the quickstart take from the environment. (`serve` reads its own through the
/// gateway's configuration.)
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment {
    /// `SLUICEGATE_URL`.
    pub(crate) url: Option<String>,
    /// `SLUICEGATE_TOKEN`.
    pub(crate) token: Option<String>,
    /// `HOME`.
    pub(crate) home: Option<PathBuf>,
    /// `XDG_CONFIG_HOME`.
    pub(crate) config_home: Option<PathBuf>,
    /// `XDG_CACHE_HOME`.
    pub(crate) cache_home: Option<PathBuf>,
    /// `PATH`.
    pub(crate) search_path: OsString,
    /// `no_proxy` or `NO_PROXY`.
    pub(crate) no_proxy: Option<String>,
    /// Variables that would bend a program which the quickstart starts: MLflow's, Python's, and Sluicegate's but for
    /// those that say where packages come from.
    pub(crate) bending: Vec<OsString>,
}

impl Environment {
    /// Reads it.
    #[expect(
        clippy::disallowed_methods,
        reason = "the place of this crate where it is allowed"
    )]
    pub(crate) fn read() -> Self {
        let text = |name| {
            std::env::var(name)
                .ok()
                .filter(|value| !value.trim().is_empty())
        };
        let folder = |name| {
            std::env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        Self {
            url: text("SLUICEGATE_URL"),
            token: text("SLUICEGATE_TOKEN").map(|token| token.trim().to_owned()),
            home: folder("HOME"),
            config_home: folder("XDG_CONFIG_HOME"),
            cache_home: folder("XDG_CACHE_HOME"),
            search_path: std::env::var_os("PATH").unwrap_or_default(),
            no_proxy: text("no_proxy").or_else(|| text("NO_PROXY")),
            bending: std::env::vars_os()
                .map(|(name, _)| name)
                .filter(|name| name.to_str().is_some_and(is_bending))
                .collect(),
        }
    }

    /// The client's configuration file, whether it exists or not; `None` without a home.
    pub(crate) fn config_file(&self) -> Option<PathBuf> {
        let home = || self.home.as_ref().map(|home| home.join(".config"));
        let folder = self.config_home.clone().or_else(home)?;
        Some(folder.join("sluicegate").join("cli.toml"))
    }

    /// Our folder for what can be made again; `None` without a home.
    pub(crate) fn cache_folder(&self) -> Option<PathBuf> {
        let home = || self.home.as_ref().map(|home| home.join(".cache"));
        let folder = self.cache_home.clone().or_else(home)?;
        Some(folder.join("sluicegate"))
    }

    /// The first program of that name on the search path.
    pub(crate) fn find_program(&self, name: &str) -> Option<PathBuf> {
        std::env::split_paths(&self.search_path)
            .map(|folder| folder.join(name))
            .find(|path| is_program(path))
    }
}

fn is_bending(name: &str) -> bool {
    /// Say where packages come from: the quickstart's gateway is to know that, too.
    const OF_BUILDS: [&str; 3] = [
        "SLUICEGATE_OFFLINE",
        "SLUICEGATE_CONSTRAINTS",
        "SLUICEGATE_UV",
    ];
    const PREFIXES_OF_BUILDS: [&str; 2] = ["SLUICEGATE_CONDA_", "SLUICEGATE_PIP_"];
    const PREFIXES: [&str; 2] = ["MLFLOW_", "SLUICEGATE_"];
    const NAMES: [&str; 5] = [
        "PYTHONPATH",
        "PYTHONHOME",
        "PYTHONSTARTUP",
        // Without its byte code, MLflow takes seconds longer at every start.
        "PYTHONDONTWRITEBYTECODE",
        "VIRTUAL_ENV",
    ];
    let begins_with = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    let of_builds = OF_BUILDS.contains(&name) || begins_with(&PREFIXES_OF_BUILDS);
    !of_builds && (begins_with(&PREFIXES) || NAMES.contains(&name))
}

fn is_program(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_xdg_folders_go_over_the_home() {
        let mut environment = Environment {
            home: Some("/home/ada".into()),
            ..Environment::default()
        };
        assert_eq!(
            environment.config_file(),
            Some("/home/ada/.config/sluicegate/cli.toml".into())
        );
        assert_eq!(
            environment.cache_folder(),
            Some("/home/ada/.cache/sluicegate".into())
        );
        environment.config_home = Some("/etc/ada".into());
        environment.cache_home = Some("/var/ada".into());
        assert_eq!(
            environment.config_file(),
            Some("/etc/ada/sluicegate/cli.toml".into())
        );
        assert_eq!(
            environment.cache_folder(),
            Some("/var/ada/sluicegate".into())
        );
    }

    #[test]
    fn settings_of_other_programs_of_the_field_do_not_reach_the_quickstart() {
        for name in ["MLFLOW_TRACKING_URI", "SLUICEGATE_TOKEN", "PYTHONPATH"] {
            assert!(is_bending(name), "{name}");
        }
        for name in [
            "PATH",
            "HOME",
            "PIP_INDEX_URL",
            "HTTPS_PROXY",
            "SLUICEGATE_CONDA_CHANNEL_ALIAS",
            "SLUICEGATE_PIP_INDEX_URL",
            "SLUICEGATE_OFFLINE",
        ] {
            assert!(!is_bending(name), "{name}");
        }
    }
}
