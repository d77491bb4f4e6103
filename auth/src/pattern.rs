//! Patterns of model names: one name, all names that start alike, or all names.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Which models a grant or a scope speaks of.
///
/// | written | matches |
/// |---|---|
/// | `iris` | the model `iris` and no other |
/// | `team-*` | every name that starts with `team-`, also `team-` itself |
/// | `*` | every name |
///
/// Names are compared exactly: case counts, nothing is normalised. A `*` is special as the last character and refused
/// elsewhere, so that `*-prod` is an error and not a grant that silently matches nothing. It has no escape: a model whose
/// own name contains a `*` is reached by the prefix before it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelPattern(Shape);

#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Shape {
    Exact(Arc<str>),
    /// The empty prefix is `*`.
    Prefix(Arc<str>),
}

/// A text that is not a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPattern {
    /// No text at all.
    #[error("a model pattern must not be empty; `*` means all models")]
    Empty,
    /// `*` before the last character.
    #[error("in the model pattern `{0}`, `*` may only be the last character, as in `team-*`")]
    StarInside(String),
}

impl ModelPattern {
    /// The pattern `*`.
    pub fn all() -> Self {
        Self(Shape::Prefix("".into()))
    }

    /// Whether it speaks of `model`.
    pub fn matches(&self, model: &str) -> bool {
        match &self.0 {
            Shape::Exact(name) => **name == *model,
            Shape::Prefix(prefix) => model.starts_with(&**prefix),
        }
    }
}

impl FromStr for ModelPattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Err(InvalidPattern::Empty);
        }
        let (stem, open) = match text.strip_suffix('*') {
            Some(stem) => (stem, true),
            None => (text, false),
        };
        if stem.contains('*') {
            return Err(InvalidPattern::StarInside(text.to_owned()));
        }
        let stem = stem.into();
        Ok(Self(if open {
            Shape::Prefix(stem)
        } else {
            Shape::Exact(stem)
        }))
    }
}

/// As it was written: parsing it again gives the same pattern.
impl fmt::Display for ModelPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Shape::Exact(name) => formatter.write_str(name),
            Shape::Prefix(prefix) => write!(formatter, "{prefix}*"),
        }
    }
}

impl fmt::Debug for ModelPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ModelPattern({self})")
    }
}

impl Serialize for ModelPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ModelPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> ModelPattern {
        text.parse().unwrap()
    }

    #[test]
    fn a_name_matches_itself_only() {
        assert!(pattern("iris").matches("iris"));
        for other in ["", "iri", "iris2", "Iris", " iris", "iris*"] {
            assert!(!pattern("iris").matches(other), "{other:?}");
        }
    }

    #[test]
    fn a_trailing_star_matches_every_name_that_starts_alike() {
        for name in ["team-", "team-a", "team-*", "team-ä/b"] {
            assert!(pattern("team-*").matches(name), "{name:?}");
        }
        for name in ["", "team", "Team-a", "a-team-"] {
            assert!(!pattern("team-*").matches(name), "{name:?}");
        }
    }

    #[test]
    fn a_star_elsewhere_is_refused() {
        assert_eq!("".parse::<ModelPattern>(), Err(InvalidPattern::Empty));
        for text in ["*-prod", "a*b", "**", "a**"] {
            assert_eq!(
                text.parse::<ModelPattern>(),
                Err(InvalidPattern::StarInside(text.to_owned()))
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_is_read(text in "[a-c*/ ä]{0,6}") {
            if let Ok(read) = text.parse::<ModelPattern>() {
                prop_assert_eq!(read.to_string(), text);
            }
        }

        #[test]
        fn a_star_alone_matches_everything(name in ".*") {
            prop_assert!(ModelPattern::all().matches(&name));
            prop_assert!(pattern("*").matches(&name));
        }

        #[test]
        fn a_longer_prefix_never_matches_more(prefix in "[ab]{0,3}", more in "[ab]{0,2}", name in "[ab]{0,6}") {
            let shorter = pattern(&format!("{prefix}*"));
            let longer = pattern(&format!("{prefix}{more}*"));
            prop_assert!(!longer.matches(&name) || shorter.matches(&name));
        }

        #[test]
        fn an_exact_name_is_covered_by_its_own_prefix_pattern(name in "[ab ]{1,4}") {
            prop_assert!(pattern(&name).matches(&name));
            let open = format!("{name}*");
            prop_assert!(pattern(&open).matches(&name));
        }
    }
}
