//! Reads packed environments, and trusts them in nothing: nothing is written outside of the folder that is given, and
//! nothing counts before all was read and its digest is right.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use tar::{Entry, EntryType};

use super::digest::{self, Fingerprint, Kind, Trailer};
use super::links::{self, Target};
use super::manifest::{self, Manifest, Packed};
use super::moves::Moves;
use super::relocate::relocate;
use crate::env::INTERPRETER;
use crate::shelf::MARKER;

/// The most bytes of a name, or of a link's target.
const NAME_LIMIT: u64 = 8192;
/// The most bytes of the last entry.
const TRAILER_LIMIT: u64 = 4096;

type Decoder = zstd::Decoder<'static, BufReader<File>>;

/// What the file at `path` says about itself. Blocks on the disk.
pub(super) fn manifest(path: &Path) -> Result<Manifest, String> {
    let mut archive = open(path)?;
    let mut entries = archive
        .entries()
        .map_err(|error| damaged(&error))?
        .raw(true);
    let first = entries.next().ok_or("it is empty")?;
    let mut first = first
        .map_err(|error| format!("it is no packed environment, or it is damaged ({error})"))?;
    if *first.path_bytes() != *manifest::NAME.as_bytes() {
        return Err("it is no packed environment: it was not written by an export".to_owned());
    }
    Manifest::read(&content(&mut first, manifest::LIMIT)?)
}

/// Unpacks one of the environments that are packed in the file at `path` to `whole`, which does not exist before, for
/// the shelf at `root`. Returns its marker. Blocks on the disk.
pub(super) fn unpack(
    path: &Path,
    manifest: &Manifest,
    place: usize,
    root: &Path,
    whole: &Path,
) -> Result<String, String> {
    let packed = &manifest.environments[place];
    for interpreter in &packed.interpreters {
        if !interpreter.is_file() {
            return Err(format!(
                "it uses the Python {} of the machine, which is not there on this one: install it at that place, or \
                 export an environment that was built with env_manager conda",
                interpreter.display()
            ));
        }
    }
    let moves = Moves::new(manifest, root);
    let mut target = Unpacking {
        packed,
        whole,
        links: Vec::new(),
        folders: Vec::new(),
        left: manifest.size,
    };
    make_folder(whole)?;
    target.everything(&mut open(path)?, manifest)?;
    // Only now: no file was written through a link.
    target.make_links(manifest, &moves)?;
    relocate(whole, &moves)?;
    for (folder, mode) in &target.folders {
        set_mode(folder, mode | 0o700)?;
    }
    if std::fs::symlink_metadata(whole.join(INTERPRETER)).is_err() {
        return Err(format!("it has no {INTERPRETER}"));
    }
    marker(packed, &moves)
}

/// What has been read of one environment.
struct Unpacking<'a> {
    packed: &'a Packed,
    whole: &'a Path,
    links: Vec<(PathBuf, PathBuf)>,
    folders: Vec<(PathBuf, u32)>,
    /// Bytes that may still come.
    left: u64,
}

impl Unpacking<'_> {
    fn everything(
        &mut self,
        archive: &mut tar::Archive<Decoder>,
        manifest: &Manifest,
    ) -> Result<(), String> {
        let mut fingerprint = Fingerprint::default();
        let (mut long_name, mut long_target) = (None, None);
        let mut is_first = true;
        // Names that are too long for a header have entries of their own: raw, so that their length can be limited.
        for entry in archive
            .entries()
            .map_err(|error| damaged(&error))?
            .raw(true)
        {
            let mut entry = entry.map_err(|error| damaged(&error))?;
            let kind = entry.header().entry_type();
            if kind == EntryType::GNULongName {
                long_name = Some(long(&mut entry)?);
                continue;
            } else if kind == EntryType::GNULongLink {
                long_target = Some(long(&mut entry)?);
                continue;
            }
            let name = long_name
                .take()
                .unwrap_or_else(|| entry.header().path_bytes().into_owned());
            if name == digest::NAME.as_bytes() {
                let told = content(&mut entry, TRAILER_LIMIT)?;
                return is_right(&told, fingerprint);
            }
            if std::mem::take(&mut is_first) {
                let again = content(&mut entry, manifest::LIMIT)?;
                if name != manifest::NAME.as_bytes() || Manifest::read(&again)? != *manifest {
                    return Err("it was changed while it was read".to_owned());
                }
                fingerprint.begin(&name, Kind::File, 0o644, again.len() as u64);
                fingerprint.update(&again);
                continue;
            }
            let link = long_target
                .take()
                .or_else(|| entry.header().link_name_bytes().map(Cow::into_owned));
            self.entry(&name, link, &mut entry, manifest, &mut fingerprint)?;
        }
        Err("it is not complete: its end is missing".to_owned())
    }

    fn entry(
        &mut self,
        name: &[u8],
        link: Option<Vec<u8>>,
        entry: &mut Entry<'_, Decoder>,
        manifest: &Manifest,
        fingerprint: &mut Fingerprint,
    ) -> Result<(), String> {
        let shown = || String::from_utf8_lossy(name).into_owned();
        let (key, below) = parts(name)
            .filter(|(key, below)| {
                manifest.environments.iter().any(|one| one.key == *key)
                    && *below != Path::new(MARKER)
            })
            .ok_or_else(|| format!("{:?} is no name of a file in an environment", shown()))?;
        let is_wanted = key == self.packed.key;
        let path = self.whole.join(&below);
        let header = entry.header();
        let mode = header.mode().map_err(|error| damaged(&error))? & 0o777;
        let time = header.mtime().map_err(|error| damaged(&error))?;
        match header.entry_type() {
            EntryType::Directory => {
                fingerprint.begin(name, Kind::Folder, mode, 0);
                if is_wanted {
                    make_folder(&path)?;
                    self.folders.push((path, mode));
                }
            }
            EntryType::Symlink => {
                let target = link.unwrap_or_default();
                fingerprint.begin(name, Kind::Link, mode, target.len() as u64);
                fingerprint.update(&target);
                if is_wanted {
                    self.links.push((below, OsStr::from_bytes(&target).into()));
                }
            }
            EntryType::Regular => {
                let size = entry.size();
                self.left = self.left.checked_sub(size).ok_or_else(|| {
                    "there is more in it than it says at its beginning".to_owned()
                })?;
                fingerprint.begin(name, Kind::File, mode, size);
                let file = is_wanted.then(|| new_file(&path)).transpose()?;
                copy(entry, file.as_ref(), fingerprint)
                    .map_err(|error| format!("{}: {error}", shown()))?;
                if let Some(file) = file {
                    // Some file systems know no such time.
                    let _ = file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(time));
                    file.set_permissions(Permissions::from_mode(mode | 0o400))
                        .map_err(|error| format!("{}: {error}", shown()))?;
                }
            }
            other => {
                return Err(format!(
                    "{:?} is neither a file nor a folder nor a link to a name, but of the kind {other:?}",
                    shown()
                ));
            }
        }
        Ok(())
    }

    fn make_links(&self, manifest: &Manifest, moves: &Moves) -> Result<(), String> {
        let environments = manifest.environments.iter();
        let places: Vec<&Path> = environments
            .flat_map(|one| one.places.iter().map(PathBuf::as_path))
            .collect();
        for (name, target) in &self.links {
            let target = match links::target(name, target, &places)? {
                Target::Inside => target.clone(),
                Target::Place(_) => moves.path(target),
                Target::Interpreter(path) if self.packed.interpreters.contains(&path) => path,
                Target::Interpreter(path) => {
                    return Err(format!(
                        "the link {} leads to {}, which it does not name as its interpreter",
                        name.display(),
                        path.display()
                    ));
                }
            };
            let path = self.whole.join(name);
            if let Some(folder) = path.parent() {
                make_folder(folder)?;
            }
            std::os::unix::fs::symlink(&target, &path)
                .map_err(|error| format!("{}: {error}", name.display()))?;
        }
        Ok(())
    }
}

fn open(path: &Path) -> Result<tar::Archive<Decoder>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let decoder = zstd::Decoder::new(file).map_err(|error| damaged(&error))?;
    Ok(tar::Archive::new(decoder))
}

fn damaged(error: &io::Error) -> String {
    format!("it is damaged or not complete ({error})")
}

fn is_right(told: &[u8], fingerprint: Fingerprint) -> Result<(), String> {
    let told: Option<Trailer> = serde_json::from_slice(told).ok();
    if told == Some(fingerprint.trailer()) {
        Ok(())
    } else {
        Err("its content is not what was packed: its digest is another one".to_owned())
    }
}

/// All of a small entry.
fn content(entry: &mut Entry<'_, Decoder>, limit: u64) -> Result<Vec<u8>, String> {
    if entry.size() > limit {
        return Err("it describes itself with more than anybody could mean".to_owned());
    }
    let mut content = Vec::new();
    entry
        .read_to_end(&mut content)
        .map_err(|error| damaged(&error))?;
    Ok(content)
}

fn long(entry: &mut Entry<'_, Decoder>) -> Result<Vec<u8>, String> {
    let mut name = content(entry, NAME_LIMIT)?;
    if name.last() == Some(&0) {
        name.pop();
    }
    Ok(name)
}

/// The key and the name below it, if nothing but that is meant.
fn parts(name: &[u8]) -> Option<(&str, PathBuf)> {
    let path = Path::new(OsStr::from_bytes(name));
    let mut parts = path.components().map(|part| match part {
        Component::Normal(part) => Some(part),
        _ => None,
    });
    let key = parts.next()??.to_str()?;
    let below: PathBuf = parts.collect::<Option<_>>()?;
    let is_whole = !below.as_os_str().is_empty() && !name.contains(&0);
    is_whole.then_some((key, below))
}

/// No link is there yet, so all of them are real folders.
fn make_folder(path: &Path) -> Result<(), String> {
    let mut folder = std::fs::DirBuilder::new();
    let made = folder.recursive(true).mode(0o755).create(path);
    made.map_err(|error| format!("{}: {error}", path.display()))
}

fn new_file(path: &Path) -> Result<File, String> {
    if let Some(folder) = path.parent() {
        make_folder(folder)?;
    }
    let mut options = File::options();
    options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| format!("{}: {error}", path.display()))
}

fn copy(
    entry: &mut Entry<'_, Decoder>,
    mut file: Option<&File>,
    fingerprint: &mut Fingerprint,
) -> io::Result<()> {
    let announced = entry.size();
    let mut piece = vec![0; 1 << 16];
    let mut copied = 0;
    loop {
        let read = entry.read(&mut piece)?;
        if read == 0 {
            break;
        }
        copied += read as u64;
        fingerprint.update(&piece[..read]);
        if let Some(file) = &mut file {
            file.write_all(&piece[..read])?;
        }
    }
    if copied == announced {
        Ok(())
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

fn set_mode(path: &Path, mode: u32) -> Result<(), String> {
    std::fs::set_permissions(path, Permissions::from_mode(mode))
        .map_err(|error| format!("{}: {error}", path.display()))
}

/// What its activation sets may name its place.
fn marker(packed: &Packed, moves: &Moves) -> Result<String, String> {
    let mut marker = packed.read_marker()?;
    for value in marker.variables.values_mut() {
        *value = moves.text(value);
    }
    marker.written().map_err(|error| error.to_string())
}
