//! How much may be done to which models: a right and the pattern that it holds for.

use serde::{Deserialize, Serialize};

use crate::pattern::ModelPattern;

/// What a caller may do to a model. A larger one includes the smaller: `Manage > Read`.
///
/// The third word of the contract, Admin, is no right on a model but a property of a principal
/// ([`Principal::admin`](crate::Principal::admin)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// Score any deployed version; see status, events, logs and URIs.
    Read,
    /// Also enable, disable, change settings, restart.
    Manage,
}

/// A right on every model that a pattern matches.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Permission {
    /// Which models.
    pub pattern: ModelPattern,
    /// How much.
    pub right: Right,
}

impl Permission {
    /// `right` on what `pattern` matches.
    pub fn new(pattern: ModelPattern, right: Right) -> Self {
        Self { pattern, right }
    }
}

/// The largest right that any of `permissions` gives on `model`: permissions add up and never take away.
pub(crate) fn strongest(permissions: &[Permission], model: &str) -> Option<Right> {
    permissions
        .iter()
        .filter(|permission| permission.pattern.matches(model))
        .map(|permission| permission.right)
        .max()
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// Permissions over a small alphabet, so that patterns and names of [`a_model`] often meet.
    pub(crate) fn some_permissions() -> impl Strategy<Value = Vec<Permission>> {
        vec((r"[ab]{1,3}|[ab]{0,2}\*", any::<bool>()), 0..6).prop_map(|drawn| {
            drawn
                .into_iter()
                .map(|(pattern, manage)| {
                    let right = if manage { Right::Manage } else { Right::Read };
                    Permission::new(pattern.parse().unwrap(), right)
                })
                .collect()
        })
    }

    pub(crate) fn a_model() -> impl Strategy<Value = String> {
        "[ab]{1,3}"
    }

    #[test]
    fn manage_includes_read_and_any_right_is_more_than_none() {
        assert!(Right::Manage > Right::Read);
        assert!(Some(Right::Read) > None);
    }

    #[test]
    fn a_permission_is_written_in_small_letters() {
        let permission = Permission::new("team-*".parse().unwrap(), Right::Manage);
        let json = r#"{"pattern":"team-*","right":"manage"}"#;
        assert_eq!(serde_json::to_string(&permission).unwrap(), json);
        assert_eq!(
            serde_json::from_str::<Permission>(json).unwrap(),
            permission
        );
        assert!(serde_json::from_str::<Permission>(r#"{"pattern":"*a","right":"read"}"#).is_err());
    }

    proptest! {
        #[test]
        fn one_more_permission_never_takes_a_right_away(
            permissions in some_permissions(),
            more in some_permissions(),
            model in a_model(),
        ) {
            let all = [permissions.clone(), more.clone()].concat();
            prop_assert_eq!(
                strongest(&all, &model),
                strongest(&permissions, &model).max(strongest(&more, &model))
            );
        }

        #[test]
        fn a_right_comes_from_a_permission_that_matches(permissions in some_permissions(), model in a_model()) {
            match strongest(&permissions, &model) {
                Some(right) => prop_assert!(permissions.iter().any(|it| it.right == right && it.pattern.matches(&model))),
                None => prop_assert!(permissions.iter().all(|it| !it.pattern.matches(&model))),
            }
        }
    }
}
