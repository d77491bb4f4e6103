//! What a gateway on this host would stand on: a folder to write, room on the disk, Python and uv.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::Finding;
use crate::args::environment::Environment;
use crate::commands::tokens::local;

/// Environments of models take some 700 MB each.
const TIGHT: u64 = 5 << 30;

/// Too little for a single environment.
const FULL: u64 = 1 << 30;

pub(super) fn run(data_dir: Option<PathBuf>, environment: &Environment) -> Vec<Finding> {
    let mut findings = vec![
        program(
            environment,
            "uv",
            "the environment manager uv cannot build; install it from https://docs.astral.sh/uv",
        ),
        program(
            environment,
            "python3",
            "the environment manager local needs one (or `--python PATH`), and so does the quickstart",
        ),
    ];
    match local::data_dir(data_dir) {
        Ok(folder) => findings.extend([writable(&folder), space(&folder)]),
        Err(error) => findings.push(Finding::fail("data", error.message(), error.next_step())),
    }
    findings.extend(environment.config_file().and_then(|file| secrecy(&file)));
    findings
}

fn program(environment: &Environment, name: &'static str, without: &str) -> Finding {
    match environment.find_program(name) {
        Some(path) => Finding::ok(name, path.display().to_string()),
        None => Finding::warn(
            name,
            format!("there is no {name} on the PATH of this host"),
            without,
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
    fn a_missing_program_is_told_with_what_it_is_for() {
        let finding = program(&Environment::default(), "uv", "install it");
        assert_eq!(finding.level, Level::Warn);
    }
}
