//! What is in the files that requirements refer to: texts that are read, files and folders that count with a digest.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use serving_core::LoadError;
use sha2::{Digest, Sha256};

use crate::error::disk;
use crate::names;

/// Bytes of a requirements file. They are written by people, or list some hundred packages.
const LARGEST: u64 = 16 << 20;

/// The text of a requirements file.
pub(super) fn text(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    regular(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::other("it is larger than 16 MB"));
    }
    let text = String::from_utf8(bytes).map_err(|_| io::Error::other("it is not UTF-8 text"))?;
    // Editors of Windows begin a file with a mark.
    Ok(text.trim_start_matches('\u{feff}').to_owned())
}

/// The digest of a file, or of all in a folder. MLflow logs packages with a model under names that may repeat
/// (`add_libraries_to_model`, `code_paths`).
pub(super) fn digest(path: &Path) -> Result<String, LoadError> {
    let mut hash = Sha256::new();
    hash_tree(path, &mut hash).map_err(disk("read", path))?;
    Ok(names::hexadecimal(&hash.finalize()))
}

fn hash_tree(path: &Path, hash: &mut Sha256) -> io::Result<()> {
    if path.is_dir() {
        let mut entries: Vec<_> = std::fs::read_dir(path)?.collect::<Result<_, _>>()?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name();
            hash.update((name.len() as u64).to_be_bytes());
            hash.update(name.as_encoded_bytes());
            if !entry.file_type()?.is_symlink() {
                hash_tree(&entry.path(), hash)?;
            }
        }
        return Ok(());
    }
    let mut file = regular(path)?;
    let size = file.metadata()?.len();
    hash.update(size.to_be_bytes());
    // Wheels of large frameworks are gigabytes.
    io::copy(&mut file, hash)?;
    Ok(())
}

/// Opens a file. Of what is none, such as a pipe, reading might never end.
fn regular(path: &Path) -> io::Result<File> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    File::open(path)
}

/// The path of what `name` means in `folder`, both below the same root; `None` if it leads out of that.
pub(super) fn inside(folder: &Path, name: &str) -> Option<PathBuf> {
    let mut path = folder.to_owned();
    for component in Path::new(name).components() {
        match component {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::ParentDir => {
                if !path.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    (!name.is_empty()).then_some(path)
}
