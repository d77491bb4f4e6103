//! Nothing of a benchmark outlives it, however it ends: a process of its own waits for its end, and kills what is left.
//!
//! A signal runs no destructor, and what is measured is in groups of its own, which no interrupt of a terminal reaches. But
//! all of it works below the folder of the run, so that its path is in the command line or the environment of each process,
//! or is its working folder.

use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use crate::program::command;

/// The first argument of a program that is to be one; the second is the folder, the third may be `keep`.
pub const WORD: &str = "reap";
/// The folder stays.
const KEEP: &str = "keep";
/// Looks for processes: one that is about to start another may escape one of them.
const LOOKS: usize = 5;
/// Between two attempts to remove the folder.
const PAUSE: Duration = Duration::from_millis(200);

/// Watches over a run from outside. Dropping it ends what is left of the run.
#[derive(Debug)]
pub struct Reaper(Child);

impl Reaper {
    /// Watches over the run in `folder`, which goes with it if `and_folder`; this program has to call [`obey`] first of all.
    pub fn watch(folder: &Path, and_folder: bool) -> Result<Self> {
        let own = std::env::current_exe().context("find this program")?;
        let mut reaper = command(own);
        reaper.arg(WORD).arg(folder);
        if !and_folder {
            reaper.arg(KEEP);
        }
        // Its end of file is the signal.
        reaper.stdin(Stdio::piped()).stdout(Stdio::null());
        reaper.process_group(0);
        Ok(Self(reaper.spawn().context("start the reaper")?))
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// Does what a reaper does, if this program was started as one: then the caller has nothing else to do.
pub fn obey() -> bool {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_none_or(|word| word != WORD) {
        return false;
    }
    let Some(folder) = arguments.next() else {
        return false;
    };
    let and_folder = arguments.next().is_none_or(|word| word != KEEP);
    let _deaf = deaf();
    reap(Path::new(&folder), and_folder, io::stdin());
    true
}

/// Takes what asks all programs of this name to end, and does nothing about it: the end of the run is the signal here.
fn deaf() -> io::Result<Runtime> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let context = runtime.enter();
    for kind in [
        SignalKind::hangup(),
        SignalKind::interrupt(),
        SignalKind::terminate(),
    ] {
        // Taken for good: nobody has to listen.
        drop(signal(kind)?);
    }
    drop(context);
    Ok(runtime)
}

/// Waits for the end of `lifeline`, kills every other process that names the folder, and removes the folder.
fn reap(folder: &Path, and_folder: bool, mut lifeline: impl Read) {
    // An error is an end as well.
    let _ = io::copy(&mut lifeline, &mut io::sink());
    for _ in 0..LOOKS {
        for id in processes_of(folder) {
            if let Some(id) = i32::try_from(id).ok().and_then(Pid::from_raw) {
                // It may have ended.
                let _ = kill_process(id, Signal::KILL);
            }
        }
    }
    // It may have gone with a run that ended well; who is being killed may just write there.
    for _ in 0..LOOKS {
        if !and_folder || !folder.exists() || fs::remove_dir_all(folder).is_ok() {
            return;
        }
        std::thread::sleep(PAUSE);
    }
}

/// All processes but this one that name the folder.
fn processes_of(folder: &Path) -> Vec<u32> {
    let name = folder.as_os_str().as_bytes();
    let names = |text: &[u8]| text.windows(name.len()).any(|part| part == name);
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let ids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.filter(|id| *id != std::process::id())
        .filter(|id| {
            let read = |what: &str| fs::read(format!("/proc/{id}/{what}")).unwrap_or_default();
            let place = fs::read_link(format!("/proc/{id}/cwd")).unwrap_or_default();
            place.starts_with(folder) || names(&read("cmdline")) || names(&read("environ"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_works_in_the_folder_ends_with_the_run_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        let sleep = |place: &Path| {
            let mut sleep = command("sleep");
            sleep.arg("600").current_dir(place).process_group(0);
            sleep.spawn().unwrap()
        };
        fs::create_dir(folder.path().join("nginx")).unwrap();
        let mut below = sleep(&folder.path().join("nginx"));
        let mut beside = sleep(other.path());
        let mut naming = command("sleep");
        naming.arg("600").env("DATA", folder.path().join("data"));
        let mut naming = naming.spawn().unwrap();

        reap(folder.path(), true, io::empty());
        for ended in [&mut below, &mut naming] {
            assert!(!ended.wait().unwrap().success());
        }
        assert!(!folder.path().exists());
        assert_eq!(beside.try_wait().unwrap(), None);
        assert!(other.path().exists());
        beside.kill().unwrap();
        beside.wait().unwrap();
    }
}
