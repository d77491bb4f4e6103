//! Whether there is room for what is about to be downloaded, unpacked and linked: said before it happens.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serving_core::LoadError;

use crate::bytes::human;
use crate::env::trouble::Trouble;

/// Bytes of an unpacked package by one byte of its archive, together with the archive, which lives while it is
/// unpacked: packages of conda-forge have 3 to 4.
const UNPACKED: u64 = 4;
/// Bytes that are left for everybody else.
const MARGIN: u64 = 64 << 20;

/// Refuses to begin what cannot end: `download` bytes of archives are put into the folder `cache`, and packages of
/// `all` bytes of archives are linked to below `prefix`, which costs nothing but on another disk. Both exist, or the
/// folder above them does. Blocks on the disk.
pub(super) fn check(cache: &Path, download: u64, prefix: &Path, all: u64) -> Result<(), LoadError> {
    let prefix = prefix.parent().unwrap_or(prefix);
    if download > 0 {
        check_one(cache, download)?;
    }
    let device = |path: &Path| std::fs::metadata(path).map(|metadata| metadata.dev()).ok();
    if device(cache) != device(prefix) {
        check_one(prefix, all)?;
    }
    Ok(())
}

fn check_one(folder: &Path, archives: u64) -> Result<(), LoadError> {
    let needed = archives.saturating_mul(UNPACKED).saturating_add(MARGIN);
    // A disk that does not tell how much room it has may have enough.
    let Ok(disk) = rustix::fs::statvfs(folder) else {
        return Ok(());
    };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free >= needed {
        return Ok(());
    }
    Err(Trouble::DiskFull.error(format!(
        "there is no room for the environment: its packages need about {}, and the disk of {} has {} left. Make room, \
         or set a quota, so that environments that nobody uses are removed by themselves",
        human(needed),
        folder.display(),
        human(free)
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_surely_fits_is_begun_and_what_does_not_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let prefix = folder.path().join("prefix");
        assert!(check(folder.path(), 1, &prefix, 1).is_ok());
        assert!(check(folder.path(), 0, &prefix, u64::MAX).is_ok());
        let error = check(folder.path(), u64::MAX, &prefix, 0).unwrap_err();
        assert_eq!(error.code.as_deref(), Some("DISK_FULL"));
    }
}
