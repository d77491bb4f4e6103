//! What sessions are sealed with.

use std::fmt::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::secret::Secret;

/// Bytes of the digest in a cookie's name.
const MARK: usize = 4;

/// A key of 256 bits.
#[derive(Clone)]
pub struct SessionKey([u8; 32]);

impl SessionKey {
    /// A new one, at random.
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// One that was kept as text: 32 bytes in base64 for URLs, without padding; `None` if it is anything else.
    pub fn from_text(text: &Secret) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text.expose()).ok()?;
        bytes.try_into().ok().map(Self)
    }

    pub(super) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Tells keys apart and nothing about them: gateways on one host, whose cookies browsers do not tell apart by port,
    /// leave each other's alone.
    pub(super) fn mark(&self) -> String {
        let digest = Sha256::new()
            .chain_update(b"the name of the cookie")
            .chain_update(self.0)
            .finalize();
        let mut mark = String::with_capacity(2 * MARK);
        for byte in &digest[..MARK] {
            // Writing into memory does not fail.
            let _ = write!(mark, "{byte:02x}");
        }
        mark
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SessionKey(***)")
    }
}
