//! Where workers' sockets are: one folder each that only this user can enter, gone when the worker is.

use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::error::RunnerError;
use crate::names;

/// Bytes of a socket's path that every system takes (`sun_path`: 104 on macOS, 108 on Linux, a NUL included).
const LONGEST: usize = 103;
/// Bytes that a socket's path has below the folder of all: a gateway's name, a number, `s`, slashes.
const BELOW: usize = 1 + 16 + 1 + 12 + 2;
/// Beside a gateway's folder; locked while that gateway lives.
const LOCK: &str = ".lock";

/// The folder of this gateway's workers.
#[derive(Debug)]
pub(crate) struct Sockets {
    root: PathBuf,
    folder: PathBuf,
    /// Says to others that the folder is in use.
    lock: Mutex<File>,
    next: AtomicU64,
}

/// One worker's own folder: its working directory, and its socket. Removed with all that is in it when dropped.
#[derive(Debug)]
pub(crate) struct WorkerFolder(PathBuf);

impl Sockets {
    /// Makes the folder below `data_dir`, or below the system's folder for temporary files when paths in the first
    /// would be too long, or unfit for the shell that MLflow's launcher hands a socket's path to. Sweeps what killed
    /// gateways left. Blocks on the disk.
    pub(crate) fn open(data_dir: &Path) -> Result<Self, RunnerError> {
        let root = root_for(data_dir);
        make_private(&root)?;
        sweep(&root).map_err(RunnerError::folder(&root))?;
        let folder = root.join(names::fresh());
        let lock = Mutex::new(locked(&folder)?);
        make_private(&folder)?;
        Ok(Self {
            root,
            folder,
            lock,
            next: AtomicU64::new(0),
        })
    }

    /// A folder for the next worker. What was removed under a running gateway, such as by somebody who cleared up
    /// temporary files, is made again.
    pub(crate) fn next(&self) -> Result<WorkerFolder, RunnerError> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let folder = self.folder.join(number.to_string());
        let make = || DirBuilder::new().mode(0o700).create(&folder);
        match make() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.restore()?;
                make()
            }
            made => made,
        }
        .map_err(RunnerError::folder(&folder))?;
        Ok(WorkerFolder(folder))
    }

    fn restore(&self) -> Result<(), RunnerError> {
        std::fs::create_dir_all(self.root.parent().unwrap_or(&self.root))
            .map_err(RunnerError::folder(&self.root))?;
        make_private(&self.root)?;
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if !lock_path(&self.folder).exists() {
            *lock = locked(&self.folder)?;
        }
        make_private(&self.folder)
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        // Workers that are being stopped may still have folders; the next start sweeps those.
        if std::fs::remove_dir(&self.folder).is_ok() {
            let _ = std::fs::remove_file(lock_path(&self.folder));
        }
        let lock = self.lock.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = lock.unlock();
    }
}

impl WorkerFolder {
    /// The folder itself.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Where the worker listens.
    pub(crate) fn socket(&self) -> PathBuf {
        self.0.join("s")
    }
}

impl Drop for WorkerFolder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::debug!(folder = %self.0.display(), %error, "cannot remove a worker's folder");
        }
    }
}

fn root_for(data_dir: &Path) -> PathBuf {
    let own = data_dir.join("sockets");
    if is_fit(&own) {
        return own;
    }
    let whose = rustix::process::geteuid().as_raw();
    let which = names::digest(&[&data_dir.to_string_lossy()]);
    let name = format!("sluicegate-{whose}-{}", &which[..8]);
    let temporary = std::env::temp_dir().join(&name);
    if is_fit(&temporary) {
        temporary
    } else {
        Path::new("/tmp").join(name)
    }
}

fn lock_path(folder: &Path) -> PathBuf {
    folder.with_extension(&LOCK[1..])
}

/// Held until dropped, and by the system's doing no longer than this process lives.
fn locked(folder: &Path) -> Result<File, RunnerError> {
    let path = lock_path(folder);
    let lock = File::create(&path).map_err(RunnerError::folder(&path))?;
    lock.lock().map_err(RunnerError::folder(&path))?;
    Ok(lock)
}

/// MLflow 1.x pastes the address unquoted into a shell command.
fn is_fit(root: &Path) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+".contains(byte);
    let bytes = root.as_os_str().as_encoded_bytes();
    bytes.len() + BELOW <= LONGEST && bytes.iter().all(plain)
}

/// Makes the folder if need be, and makes sure that it is one, ours, and closed to others: below a folder that all
/// may write to, somebody else could have been first.
fn make_private(path: &Path) -> Result<(), RunnerError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(RunnerError::folder(path)(error));
        }
        _ => {}
    }
    let found = std::fs::symlink_metadata(path).map_err(RunnerError::folder(path))?;
    let ours = found.uid() == rustix::process::geteuid().as_raw();
    if found.is_dir() && ours && found.mode() & 0o777 == 0o700 {
        Ok(())
    } else {
        Err(RunnerError::OpenToOthers {
            path: path.to_owned(),
        })
    }
}

/// Removes the folders of gateways that live no more.
fn sweep(root: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(root)? {
        let lock_path = entry?.path();
        let is_lock = lock_path
            .as_os_str()
            .as_encoded_bytes()
            .ends_with(LOCK.as_bytes());
        if !is_lock {
            continue;
        }
        match File::open(&lock_path)?.try_lock() {
            Ok(()) => {
                // A folder that cannot be removed is in nobody's way.
                let _ = std::fs::remove_dir_all(lock_path.with_extension(""));
                let _ = std::fs::remove_file(&lock_path);
            }
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn sockets_are_where_only_this_user_can_enter_and_go_with_their_worker() {
        let data = tempfile::tempdir().unwrap();
        let sockets = Sockets::open(data.path()).unwrap();
        let worker = sockets.next().unwrap();
        for folder in [&data.path().join("sockets"), &sockets.folder, worker.path()] {
            let mode = std::fs::metadata(folder).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700, "{}", folder.display());
        }
        std::fs::write(worker.socket(), "").unwrap();
        let path = worker.path().to_owned();
        drop(worker);
        assert!(!path.exists());
    }

    #[test]
    fn a_long_or_odd_data_folder_gets_sockets_elsewhere() {
        for name in [
            "long".repeat(30),
            "with space".to_owned(),
            "näme".to_owned(),
        ] {
            let data = Path::new("/data").join(&name);
            let root = root_for(&data);
            assert!(!root.starts_with(&data), "{name}");
            assert!(is_fit(&root));
            assert_ne!(root, root_for(&data.join("other")));
        }
    }

    #[test]
    fn a_folder_that_others_can_enter_or_that_is_a_link_is_refused() {
        let data = tempfile::tempdir().unwrap();
        let folder = data.path().join("sockets");
        std::fs::create_dir(&folder).unwrap();
        std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o750)).unwrap();
        assert!(matches!(
            Sockets::open(data.path()),
            Err(RunnerError::OpenToOthers { .. })
        ));
        std::fs::remove_dir(&folder).unwrap();
        std::os::unix::fs::symlink(data.path(), &folder).unwrap();
        assert!(matches!(
            Sockets::open(data.path()),
            Err(RunnerError::OpenToOthers { .. })
        ));
    }

    #[test]
    fn a_folder_that_was_removed_is_made_again_closed_and_locked() {
        let data = tempfile::tempdir().unwrap();
        let root = data.path().join("sockets");
        let sockets = Sockets::open(data.path()).unwrap();
        for removed in [&sockets.folder, &root] {
            std::fs::remove_dir_all(removed).unwrap();
            let worker = sockets.next().unwrap();
            let mode = std::fs::metadata(&sockets.folder)
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o700);
            let _other = Sockets::open(data.path()).unwrap();
            assert!(worker.path().exists(), "it was swept");
            let lock = File::open(lock_path(&sockets.folder)).unwrap();
            assert!(matches!(lock.try_lock(), Err(TryLockError::WouldBlock)));
        }
    }

    #[test]
    fn what_a_killed_gateway_left_is_swept_and_a_living_ones_is_not() {
        let data = tempfile::tempdir().unwrap();
        let root = data.path().join("sockets");
        let living = Sockets::open(data.path()).unwrap();
        let worker = living.next().unwrap();
        std::fs::create_dir_all(root.join("0123456789abcdef/0")).unwrap();
        std::fs::write(root.join("0123456789abcdef.lock"), "").unwrap();
        let _new = Sockets::open(data.path()).unwrap();
        assert!(!root.join("0123456789abcdef").exists());
        assert!(!root.join("0123456789abcdef.lock").exists());
        assert!(worker.path().exists());
    }
}
