//! The digest of what is packed: the last entry of the archive.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::names::hexadecimal;

/// The name of the entry.
pub(super) const NAME: &str = "digest.json";

/// The content of the entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Trailer {
    /// How many entries are before it.
    pub(super) entries: u64,
    /// SHA-256 over their names, kinds, modes and contents, as hexadecimal digits.
    pub(super) sha256: String,
}

/// Computes a [`Trailer`].
#[derive(Clone, Debug, Default)]
pub(super) struct Fingerprint {
    entries: u64,
    hash: Sha256,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
    Link,
}

impl Fingerprint {
    /// One more entry. `bytes` of content (of a link: its target) follow.
    pub(super) fn begin(&mut self, name: &[u8], kind: Kind, mode: u32, bytes: u64) {
        let kind = match kind {
            Kind::File => b'f',
            Kind::Folder => b'd',
            Kind::Link => b'l',
        };
        self.entries += 1;
        self.hash.update((name.len() as u64).to_be_bytes());
        self.hash.update(name);
        self.hash.update([kind]);
        self.hash.update(mode.to_be_bytes());
        self.hash.update(bytes.to_be_bytes());
    }

    /// A piece of its content.
    pub(super) fn update(&mut self, content: &[u8]) {
        self.hash.update(content);
    }

    /// Of all that.
    pub(super) fn trailer(self) -> Trailer {
        Trailer {
            entries: self.entries,
            sha256: hexadecimal(&self.hash.finalize()),
        }
    }
}
