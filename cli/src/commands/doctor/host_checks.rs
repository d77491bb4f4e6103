//! What a gateway on this host would stand on: a folder to write, room on the disk, Python and uv.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use gateway::api::EnvManager;
use gateway::config::LocalConfig;

use super::Finding;
use crate::args::environment::Environment;

/// Environments of models take some 700 MB each.
const TIGHT: u64 = 5 << 30;

/// Too little for a single environment.
const FULL: u64 = 1 << 30;

pub(super) fn run(config: &LocalConfig, environment: &Environment) -> Vec<Finding> {
    let folder = &config.data_dir;
    let mut findings = vec![
        uv(config, environment),
        python(config, environment),
        writable(folder),
        space(folder),
    ];
    findings.extend(environment.config_file().and_then(|file| secrecy(&file)));
    findings
}

fn uv(config: &LocalConfig, environment: &Environment) -> Finding {
    let named = config.uv.clone();
    match named.or_else(|| environment.find_program("uv")) {
        Some(path) => Finding::ok("uv", path.display().to_string()),
        None if config.offline => Finding::warn(
            "uv",
            "there is no uv on the PATH, and none can be fetched offline",
            "without one, Python packages are installed by pip, which takes longer; name one with `uv`",
        ),
        None => Finding::ok(
            "uv",
            "there is none on the PATH; one is fetched for the first build that wants it",
        ),
    }
}

/// Only the manager that builds nothing needs one.
fn python(config: &LocalConfig, environment: &Environment) -> Finding {
    let named = config.python.clone();
    match named.or_else(|| environment.find_program("python3")) {
        Some(path) => Finding::ok("python3", path.display().to_string()),
        None if config.env_manager == EnvManager::Local => Finding::fail(
            "python3",
            "there is no python3 on the PATH of this host",
            "the environment manager local needs one with MLflow: `--python PATH`, or another `env_manager`",
        ),
        None => Finding::ok(
            "python3",
            "there is none on the PATH; environments bring their own",
        ),
    }
}

/// Whether the folder, or the nearest one above it that exists, can be written.
fn writable(folder: &Path) -> Finding {
    use rustix::fs::{Access, access};

    let existing = existing(folder);
    match access(
        existing,
        Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK,
    ) {
        Ok(()) if existing == folder => Finding::ok("data", folder.display().to_string()),
        Ok(()) => Finding::ok("data", format!("{} can be made", folder.display())),
        Err(error) => Finding::fail(
            "data",
            format!("{} cannot be written: {error}", existing.display()),
            "run as the gateway's user, or name another folder with --data-dir",
        ),
    }
}

fn space(folder: &Path) -> Finding {
    let next = "make room, or name a folder on another disk with --data-dir";
    match rustix::fs::statvfs(existing(folder)) {
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let message = format!("{} GB are free for {}", free >> 30, folder.display());
            match free {
                free if free < FULL => Finding::fail("disk", message, next),
                free if free < TIGHT => Finding::warn("disk", message, next),
                _ => Finding::ok("disk", message),
            }
        }
        Err(error) => Finding::warn("disk", format!("cannot be measured: {error}"), next),
    }
}

fn existing(folder: &Path) -> &Path {
    folder
        .ancestors()
        .find(|path| path.is_dir())
        .unwrap_or(Path::new("/"))
}

/// The client's configuration file may hold a token.
fn secrecy(file: &Path) -> Option<Finding> {
    let mode = fs::metadata(file).ok()?.permissions().mode();
    let shown = file.display();
    let of_others = mode & 0o077;
    if of_others == 0 {
        return Some(Finding::ok("client", format!("{shown} is yours alone")));
    }
    Some(Finding::warn(
        "client",
        format!("others can read {shown}, which may hold a token"),
        format!("chmod 600 {shown}"),
    ))
}

#[cfg(test)]
mod tests {
    use gateway::config::{Config, Overrides};

    use super::super::Level;
    use super::*;

    #[test]
    fn a_folder_that_does_not_exist_yet_is_judged_by_the_one_that_would_hold_it() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("a").join("b");
        let finding = writable(&folder);
        assert_eq!(finding.level, Level::Ok);
        assert!(finding.message.ends_with("can be made"), "{finding:?}");
        assert!(space(&folder).message.contains("GB are free"));
    }

    #[test]
    fn a_client_file_that_others_can_read_is_a_warning() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cli.toml");
        assert_eq!(secrecy(&file), None);
        fs::write(&file, "").unwrap();
        for (mode, level) in [(0o600, Level::Ok), (0o644, Level::Warn)] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(secrecy(&file).map(|finding| finding.level), Some(level));
        }
    }

    #[test]
    fn a_python_is_needed_only_where_nothing_is_built() {
        let config = |manager: &str| {
            let variables = [("HOME", "/"), ("SLUICEGATE_ENV_MANAGER", manager)];
            let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
            Config::load_local(Overrides::default(), variables).unwrap()
        };
        let nowhere = Environment::default();
        assert_eq!(python(&config("conda"), &nowhere).level, Level::Ok);
        assert_eq!(python(&config("local"), &nowhere).level, Level::Fail);
        let mut conda = config("conda");
        assert_eq!(uv(&conda, &nowhere).level, Level::Ok);
        conda.offline = true;
        assert_eq!(uv(&conda, &nowhere).level, Level::Warn);
    }
}
