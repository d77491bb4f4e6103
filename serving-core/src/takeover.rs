//! How new workers take over from old ones: side by side, or one after the other.

use serde::{Deserialize, Serialize};

/// TensorFlow Serving's two policies, under its names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Takeover {
    /// The new one answers before the old one goes: callers notice nothing, and for a while both need memory.
    #[default]
    AvailabilityPreserving,
    /// The old one is gone before the new one starts: memory is never needed twice, and for a while nobody
    /// answers. What only a label keeps yields too.
    ResourcePreserving,
}

impl Takeover {
    /// Whether what goes is gone before what comes starts.
    pub(crate) fn stops_first(self) -> bool {
        self == Self::ResourcePreserving
    }
}
