//! Writes that a loss of power does not undo.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use serving_core::LoadError;

use crate::error::disk;

/// Returns when everything in the folder is on the disk. One call for its whole file system: an environment has tens
/// of thousands of files, and one call for each would take minutes.
pub(crate) async fn everything_below(folder: &Path) -> Result<(), LoadError> {
    blocking("bring to the disk what is in", folder, sync_everything).await
}

/// Returns when the names in the folder are on the disk.
pub(crate) async fn entries_of(folder: &Path) -> Result<(), LoadError> {
    blocking("bring to the disk", folder, |folder| {
        File::open(folder)?.sync_all()
    })
    .await
}

/// Writes a new file that is on the disk afterwards.
pub(crate) async fn write(path: &Path, content: &str) -> Result<(), LoadError> {
    let content = content.to_owned();
    blocking("write", path, move |path| {
        let mut file = File::create(path)?;
        file.write_all(content.as_bytes())?;
        file.sync_all()
    })
    .await
}

#[cfg(target_os = "linux")]
fn sync_everything(folder: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(File::open(folder)?)?)
}

/// Other systems know it only for all file systems at once.
#[cfg(not(target_os = "linux"))]
fn sync_everything(_: &Path) -> io::Result<()> {
    rustix::fs::sync();
    Ok(())
}

async fn blocking(
    doing: &str,
    path: &Path,
    act: impl FnOnce(&Path) -> io::Result<()> + Send + 'static,
) -> Result<(), LoadError> {
    let owned = path.to_owned();
    let done = tokio::task::spawn_blocking(move || act(&owned)).await;
    done.unwrap_or_else(|error| Err(io::Error::other(error)))
        .map_err(disk(doing, path))
}
