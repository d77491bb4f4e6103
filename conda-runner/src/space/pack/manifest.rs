//! What a packed environment says about itself: the first entry of the archive.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::links;
use crate::env::{Lock, Marker};

/// The name of the entry.
pub(super) const NAME: &str = "manifest.json";
/// Its most bytes.
pub(super) const LIMIT: u64 = 64 << 20;
/// How many environments are packed together at most: one, and the one whose interpreter it uses.
pub(super) const MOST: usize = 2;

/// Raised when older versions cannot understand what is written.
const FORMAT: u32 = 1;

/// The content of the entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Manifest {
    format: u32,
    platform: String,
    /// Bytes of all files.
    pub(super) size: u64,
    /// The one that is packed, after the one that it is made from.
    pub(super) environments: Vec<Packed>,
}

/// What is understood of any version's manifest.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// One environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Packed {
    /// Its key stays what it is.
    pub(super) key: String,
    /// The names of its folder that its files may contain.
    pub(super) places: Vec<PathBuf>,
    /// Its marker.
    pub(super) marker: String,
    /// What was chosen for it.
    pub(super) lock: Option<Lock>,
    /// Interpreters outside that it has links to: they have to be where it is used.
    pub(super) interpreters: BTreeSet<PathBuf>,
}

impl Manifest {
    /// Of what is about to be written.
    pub(super) fn new(environments: Vec<Packed>, size: u64) -> Self {
        Self {
            format: FORMAT,
            platform: platform(),
            size,
            environments,
        }
    }

    /// Understands the content of the entry, and says why it is nothing for this machine.
    pub(super) fn read(text: &[u8]) -> Result<Self, String> {
        let unknown = |error: serde_json::Error| {
            format!("it does not describe a packed environment ({error})")
        };
        let Format { format } = serde_json::from_slice(text).map_err(unknown)?;
        if format != FORMAT {
            return Err(format!(
                "it was packed in format {format} by another version of this program, which reads format {FORMAT}"
            ));
        }
        let manifest: Self = serde_json::from_slice(text).map_err(unknown)?;
        if manifest.platform != platform() {
            return Err(format!(
                "it was packed on {}, and this machine is {}",
                manifest.platform,
                platform()
            ));
        }
        if manifest.environments.is_empty() || manifest.environments.len() > MOST {
            return Err("it does not describe one environment".to_owned());
        }
        let mut base = None;
        for packed in &manifest.environments {
            packed.check(base)?;
            base = Some(packed.key.as_str());
        }
        Ok(manifest)
    }
}

impl Packed {
    /// The environment of this key at `place`.
    pub(super) fn new(key: &str, place: &Path, marker: &str, lock: Option<Lock>) -> Self {
        let mut places = vec![place.to_owned()];
        // Some programs write down where links lead to.
        places.extend(place.canonicalize().ok().filter(|real| real != place));
        Self {
            key: key.to_owned(),
            places,
            marker: marker.to_owned(),
            lock,
            interpreters: BTreeSet::new(),
        }
    }

    /// The key of the environment that it is made from.
    pub(super) fn base(&self) -> Result<Option<String>, String> {
        Ok(self.read_marker()?.base)
    }

    /// Its marker, understood.
    pub(super) fn read_marker(&self) -> Result<Marker, String> {
        Marker::read(&self.marker).ok_or_else(|| "its marker cannot be understood".to_owned())
    }

    /// That nothing in it could be meant badly, and that it is made from nothing but `base`.
    fn check(&self, base: Option<&str>) -> Result<(), String> {
        let is_key = self.key.len() == 32 && self.key.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_key {
            return Err(format!("{:?} is no key of an environment", self.key));
        }
        let marker = self.read_marker()?;
        if marker.base.as_deref() != base {
            return Err(format!(
                "it has not the environments that {} is made from",
                self.key
            ));
        }
        // Replaced in every file: nothing shorter than a folder of environments may be meant.
        let is_place = |place: &PathBuf| {
            place.is_absolute()
                && links::is_plain(place)
                && place.file_name() == Some(OsStr::new(&self.key))
        };
        if self.places.is_empty() || !self.places.iter().all(is_place) {
            return Err(format!("it does not say where {} was", self.key));
        }
        Ok(())
    }
}

fn platform() -> String {
    format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH)
}
