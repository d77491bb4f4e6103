//! What two requests must have in common for their rows to share one call.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// Form, columns, types and parameters of a request. Equal keys are equal byte for byte: the digest only makes a map fast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergeKey {
    digest: u64,
    text: Arc<[u8]>,
}

impl MergeKey {
    pub(super) fn new(text: &[u8]) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write(text);
        Self {
            digest: hasher.finish(),
            text: text.into(),
        }
    }

    /// A key whose digest says nothing.
    #[cfg(test)]
    pub(super) fn with_digest(digest: u64, text: &[u8]) -> Self {
        Self {
            digest,
            text: text.into(),
        }
    }
}

impl Hash for MergeKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.digest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_digests_do_not_make_equal_keys() {
        let one = MergeKey::with_digest(7, b"one");
        let two = MergeKey::with_digest(7, b"two");
        assert_ne!(one, two);
        let both = std::collections::HashSet::from([one.clone(), two, one]);
        assert_eq!(both.len(), 2);
    }

    #[test]
    fn equal_texts_make_equal_keys() {
        assert_eq!(MergeKey::new(b"one"), MergeKey::new(b"one"));
        assert_ne!(MergeKey::new(b"one"), MergeKey::new(b"two"));
    }
}
