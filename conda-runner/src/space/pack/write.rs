//! Writes packed environments.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tar::{Builder, EntryType, Header};

use super::digest::{self, Fingerprint, Kind};
use super::links::{self, Target};
use super::manifest::{self, Manifest, Packed};
use crate::shelf::MARKER;

/// zstd's own default: twice as fast as a disk, and half of the size.
const LEVEL: i32 = 3;

/// Everything in one environment, by its name below it.
type Content = BTreeMap<PathBuf, Metadata>;

/// Writes the environments that are in these folders to the new file `target`. Blocks on the disk.
pub(super) fn write(environments: Vec<(Packed, PathBuf)>, target: &Path) -> Result<(), String> {
    let mut packed = Vec::new();
    let mut contents = Vec::new();
    let places: Vec<PathBuf> = environments
        .iter()
        .flat_map(|(packed, _)| packed.places.clone())
        .collect();
    for (mut one, folder) in environments {
        let content = look(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        one.interpreters = check_links(&folder, &content, &places)?;
        contents.push((one.key.clone(), folder, content));
        packed.push(one);
    }
    let files = contents.iter().flat_map(|(_, _, content)| content.values());
    let size = files.filter(|file| file.is_file()).map(Metadata::len).sum();
    let manifest = Manifest::new(packed, size);
    let file = File::create_new(target).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            "there is a file of this name already: give another name".to_owned()
        }
        _ => error.to_string(),
    })?;
    written(file, &manifest, &contents).map_err(|error| {
        // Half of it is of no use to anybody.
        let _ = std::fs::remove_file(target);
        error.to_string()
    })
}

/// Everything below `folder`, except what the shelf put there and what is about to vanish.
fn look(folder: &Path) -> io::Result<Content> {
    let mut content = Content::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(below) = folders.pop() {
        for entry in std::fs::read_dir(folder.join(&below))? {
            let entry = entry?;
            let name = below.join(entry.file_name());
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            if name == Path::new(MARKER) || is_being_compiled(&name) {
                continue;
            }
            if metadata.is_dir() {
                folders.push(name.clone());
            }
            content.insert(name, metadata);
        }
    }
    Ok(content)
}

/// Python writes `x.pyc.12345` and renames it.
fn is_being_compiled(name: &Path) -> bool {
    let stem = name.file_stem().map(Path::new).and_then(Path::extension);
    let number = name.extension().map(OsStr::as_encoded_bytes);
    stem.is_some_and(|stem| stem == "pyc")
        && number.is_some_and(|number| number.iter().all(u8::is_ascii_digit))
}

/// The interpreters of the machine that links lead to. An environment with other links to the outside cannot be packed.
fn check_links(
    folder: &Path,
    content: &Content,
    places: &[PathBuf],
) -> Result<BTreeSet<PathBuf>, String> {
    let places: Vec<&Path> = places.iter().map(PathBuf::as_path).collect();
    let links = content.iter().filter(|(_, metadata)| metadata.is_symlink());
    let targets = links.map(|(name, _)| {
        let target = std::fs::read_link(folder.join(name)).map_err(|error| error.to_string())?;
        links::target(name, &target, &places)
    });
    let targets: Vec<Target> = targets.collect::<Result<_, String>>()?;
    let interpreters = targets.into_iter().filter_map(|target| match target {
        Target::Interpreter(path) => Some(path),
        Target::Inside | Target::Place(_) => None,
    });
    Ok(interpreters.collect())
}

fn written(
    file: File,
    manifest: &Manifest,
    contents: &[(String, PathBuf, Content)],
) -> io::Result<()> {
    let mut encoder = zstd::Encoder::new(BufWriter::new(file), LEVEL)?;
    encoder.include_checksum(true)?;
    let mut archive = Archive {
        tar: Builder::new(encoder),
        fingerprint: Fingerprint::default(),
    };
    archive.text(Path::new(manifest::NAME), &serde_json::to_vec(manifest)?)?;
    for (key, folder, content) in contents {
        for (name, metadata) in content {
            archive.entry(&Path::new(key).join(name), &folder.join(name), metadata)?;
        }
    }
    let trailer = serde_json::to_vec(&std::mem::take(&mut archive.fingerprint).trailer())?;
    archive.text(Path::new(digest::NAME), &trailer)?;
    let file = archive.tar.into_inner()?.finish()?;
    let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()
}

struct Archive<W: Write> {
    tar: Builder<W>,
    fingerprint: Fingerprint,
}

impl<W: Write> Archive<W> {
    fn text(&mut self, name: &Path, content: &[u8]) -> io::Result<()> {
        let mut header = header(EntryType::Regular, 0o644, 0);
        header.set_size(content.len() as u64);
        let bytes = name.as_os_str().as_bytes();
        self.fingerprint
            .begin(bytes, Kind::File, 0o644, content.len() as u64);
        self.fingerprint.update(content);
        self.tar.append_data(&mut header, name, content)
    }

    fn entry(&mut self, name: &Path, path: &Path, metadata: &Metadata) -> io::Result<()> {
        let (bytes, mode) = (
            name.as_os_str().as_bytes(),
            metadata.permissions().mode() & 0o777,
        );
        let time = u64::try_from(metadata.mtime()).unwrap_or_default();
        if metadata.is_dir() {
            self.fingerprint.begin(bytes, Kind::Folder, mode, 0);
            let mut header = header(EntryType::Directory, mode, time);
            self.tar.append_data(&mut header, name, io::empty())
        } else if metadata.is_symlink() {
            let target = std::fs::read_link(path)?;
            let target_bytes = target.as_os_str().as_bytes();
            self.fingerprint
                .begin(bytes, Kind::Link, 0o777, target_bytes.len() as u64);
            self.fingerprint.update(target_bytes);
            let mut header = header(EntryType::Symlink, 0o777, time);
            self.tar.append_link(&mut header, name, &target)
        } else if metadata.is_file() {
            self.file(name, path, mode, time)
        } else {
            let what = format!(
                "{} is neither a file nor a folder nor a link",
                path.display()
            );
            Err(io::Error::other(what))
        }
    }

    fn file(&mut self, name: &Path, path: &Path, mode: u32, time: u64) -> io::Result<()> {
        let file = match File::open(path) {
            Ok(file) => file,
            // Compiling replaces files in the background.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let bytes = file.metadata()?.len();
        let mut header = header(EntryType::Regular, mode, time);
        header.set_size(bytes);
        self.fingerprint
            .begin(name.as_os_str().as_bytes(), Kind::File, mode, bytes);
        let content = Exactly {
            file,
            left: bytes,
            fingerprint: &mut self.fingerprint,
        };
        self.tar.append_data(&mut header, name, content)
    }
}

/// Reads as many bytes as were announced, or fails.
struct Exactly<'a> {
    file: File,
    left: u64,
    fingerprint: &'a mut Fingerprint,
}

impl Read for Exactly<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = (&mut self.file).take(self.left).read(into)?;
        if read == 0 && self.left > 0 && !into.is_empty() {
            return Err(io::Error::other(
                "a file became shorter while it was packed",
            ));
        }
        self.left -= read as u64;
        self.fingerprint.update(&into[..read]);
        Ok(read)
    }
}

fn header(kind: EntryType, mode: u32, time: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_mtime(time);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(0);
    header
}
