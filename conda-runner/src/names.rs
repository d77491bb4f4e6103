//! Names for folders: short, safe on any file system, and different for different things.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

use serving_core::{ModelName, VersionSpec};
use sha2::{Digest, Sha256};

/// Characters of the part that people read.
const READABLE: usize = 32;

/// The folder name of everything about one version: readable prefix, version, hash of what tells it from others.
pub(crate) fn of_version(spec: &VersionSpec) -> String {
    let version = spec.id.version.to_string();
    let hash = digest(&[
        spec.id.model.as_str(),
        &version,
        spec.model_incarnation.as_str(),
        spec.incarnation.as_str(),
    ]);
    format!("{}-{version}-{hash}", readable(&spec.id.model))
}

/// The folder name of a model, whatever its incarnation: its logs stay together.
pub(crate) fn of_model(model: &ModelName) -> String {
    format!("{}-{}", readable(model), digest(&[model.as_str()]))
}

/// A name that nobody else uses now: 16 hexadecimal digits.
pub(crate) fn fresh() -> String {
    format!("{:016x}", RandomState::new().build_hasher().finish())
}

/// 128 bits of SHA-256 over the parts and their lengths, as hexadecimal digits.
pub(crate) fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hexadecimal(&hash.finalize()[..16])
}

/// The bytes as lower-case hexadecimal digits.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a String does not fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

fn readable(model: &ModelName) -> String {
    let safe = |character: char| {
        if character.is_ascii_alphanumeric() {
            character
        } else {
            '_'
        }
    };
    model.as_str().chars().take(READABLE).map(safe).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use serving_core::{Incarnation, ServableId, Settings, Source, Version};

    use super::*;

    fn spec(model: &str, version: u64, incarnations: (&str, &str)) -> VersionSpec {
        VersionSpec {
            id: ServableId::new(model, Version(version)),
            model_incarnation: Incarnation::from(incarnations.0),
            incarnation: Incarnation::from(incarnations.1),
            source: Source::Readable("".into()),
            settings: Arc::new(Settings::default()),
        }
    }

    #[test]
    fn a_re_created_model_gets_another_folder() {
        assert_ne!(
            of_version(&spec("iris", 1, ("a", "b"))),
            of_version(&spec("iris", 1, ("b", "b")))
        );
        assert_ne!(
            of_version(&spec("iris", 1, ("a", "bc"))),
            of_version(&spec("iris", 1, ("ab", "c")))
        );
    }

    proptest! {
        #[test]
        fn names_are_safe_and_short_and_differ_when_models_do(one in ".{0,80}", other in ".{0,80}") {
            let name = of_version(&spec(&one, 7, ("i", "j")));
            prop_assert!(name.len() < 100);
            prop_assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)));
            prop_assert_eq!(one == other, name == of_version(&spec(&other, 7, ("i", "j"))));
            prop_assert_eq!(one == other, of_model(&one.as_str().into()) == of_model(&other.as_str().into()));
        }
    }
}
