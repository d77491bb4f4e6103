//! Packed environments: one file that another machine of the same platform takes in, at whatever place.
//!
//! The file is a tar archive, compressed with zstd. First in it is the [`manifest`], then come the files below the key
//! of their environment, and last the [`digest`] of all that: a file that was cut short has none.

mod digest;
mod links;
mod manifest;
mod moves;
mod read;
mod relocate;
mod write;

use std::path::{Path, PathBuf};

use serving_core::LoadError;

use self::manifest::{Manifest, Packed};
use super::error::SpaceError;
use super::room;
use crate::bytes::human;
use crate::data_folder::DataFolder;
use crate::shelf::{Hold, Staging};

/// Packs the environment of this key into the new file `into`.
pub(super) async fn export(folder: &DataFolder, key: &str, into: &Path) -> Result<(), SpaceError> {
    let trouble = |reason: String| SpaceError::Export {
        key: key.to_owned(),
        path: into.to_owned(),
        reason,
    };
    let (packed, hold) = packed(folder, key).await.map_err(trouble)?;
    let target = into.to_owned();
    let write = move || {
        let _hold = hold;
        write::write(packed, &target)
    };
    let done = folder.tasks.spawn_blocking(write).await;
    done.unwrap_or_else(|error| Err(error.to_string()))
        .map_err(trouble)
}

/// Takes in what is packed in the file `from`. Returns the key of the environment.
pub(super) async fn import(folder: &DataFolder, from: &Path) -> Result<String, SpaceError> {
    let trouble = |reason: String| SpaceError::Import {
        path: from.to_owned(),
        reason,
    };
    let path = from.to_owned();
    let look = tokio::task::spawn_blocking(move || read::manifest(&path)).await;
    let manifest = look
        .unwrap_or_else(|error| Err(error.to_string()))
        .map_err(trouble)?;
    let root = folder.shelf.root().to_owned();
    has_room(&manifest, &root).map_err(trouble)?;
    // Each stays until the one that is made from it is there.
    let mut holds = Vec::new();
    let mut last = String::new();
    for place in 0..manifest.environments.len() {
        let hold = take_in(folder, from, &manifest, place)
            .await
            .map_err(|error| trouble(error.message.to_string()))?;
        holds.push(hold);
        last.clone_from(&manifest.environments[place].key);
    }
    Ok(last)
}

/// What is to be packed, the environment that others are made from first; and what keeps all that where it is.
async fn packed(folder: &DataFolder, key: &str) -> Result<(Vec<(Packed, PathBuf)>, Hold), String> {
    let locks = folder.environments.locks();
    let (mut packed, mut hold) = (Vec::new(), Hold::default());
    let mut next = Some(key.to_owned());
    while let Some(key) = next.take() {
        let Some(found) = folder.shelf.find(&key).await else {
            return Err(format!(
                "{} is no whole environment any more: build it again",
                folder.shelf.place(&key).display()
            ));
        };
        // One that is broken is as good as none: the environment says what is in it.
        let lock = locks.find(&key).await.unwrap_or_default();
        let one = Packed::new(&key, &found.path, &found.marker, lock);
        hold = hold.join(found.hold);
        next = one.base()?;
        packed.insert(0, (one, found.path));
        if packed.len() > manifest::MOST {
            return Err("its environments are made from one another without an end".to_owned());
        }
    }
    Ok((packed, hold))
}

async fn take_in(
    folder: &DataFolder,
    from: &Path,
    manifest: &Manifest,
    place: usize,
) -> Result<Hold, LoadError> {
    let packed = manifest.environments[place].clone();
    let (key, locks) = (packed.key.clone(), folder.environments.locks().clone());
    let (from, manifest) = (from.to_owned(), manifest.clone());
    let root = folder.shelf.root().to_owned();
    let make = async move |staging: Staging| {
        let lock = packed.lock.clone();
        let unpack = move || {
            // Also when nobody waits any more: it is removed only after this.
            let whole = staging.whole();
            read::unpack(&from, &manifest, place, &root, &whole).map_err(LoadError::permanent)
        };
        let unpacked = tokio::task::spawn_blocking(unpack).await;
        let marker =
            unpacked.unwrap_or_else(|error| Err(LoadError::transient(error.to_string())))?;
        if let Some(lock) = &lock {
            locks.keep(&packed.key, lock).await?;
        }
        Ok(marker)
    };
    let finished = folder.shelf.find_or_make(&key, make).await?;
    Ok(finished.hold)
}

fn has_room(manifest: &Manifest, root: &Path) -> Result<(), String> {
    let free = room::free(root).map_err(|error| format!("{}: {error}", root.display()))?;
    if manifest.size > free {
        return Err(format!(
            "it needs {}, and only {} are free on the disk of {}",
            human(manifest.size),
            human(free),
            root.display()
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
