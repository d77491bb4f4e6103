//! What a token may be used for: scopes narrow what its principal may, and never widen it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::permission::{Permission, Right, strongest};

/// The scopes of a token. As JSON: `null`, or a list of permissions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Scopes(Option<Arc<[Permission]>>);

impl Scopes {
    /// No narrowing: whatever the principal may.
    pub fn everything() -> Self {
        Self(None)
    }

    /// At most these; an empty list is a token that may do nothing to any model.
    pub fn only(permissions: impl IntoIterator<Item = Permission>) -> Self {
        Self(Some(permissions.into_iter().collect()))
    }

    /// Whether nothing is narrowed.
    pub fn is_everything(&self) -> bool {
        self.0.is_none()
    }

    /// The permissions that it is narrowed to; `None` if it is not.
    pub fn permissions(&self) -> Option<&[Permission]> {
        self.0.as_deref()
    }

    /// What is left of the `held` right on `model`: never more than `held`.
    pub fn narrow(&self, held: Option<Right>, model: &str) -> Option<Right> {
        match &self.0 {
            None => held,
            // `None` is the least of all, so that a model out of scope leaves nothing.
            Some(permissions) => held.min(strongest(permissions, model)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::option;
    use proptest::prelude::*;

    use super::*;
    use crate::permission::tests::{a_model, some_permissions};

    fn some_scopes() -> impl Strategy<Value = Scopes> {
        option::of(some_permissions()).prop_map(|permissions| match permissions {
            Some(permissions) => Scopes::only(permissions),
            None => Scopes::everything(),
        })
    }

    fn a_right() -> impl Strategy<Value = Option<Right>> {
        prop_oneof![
            Just(None),
            Just(Some(Right::Read)),
            Just(Some(Right::Manage))
        ]
    }

    #[test]
    fn a_scope_cuts_manage_down_to_read() {
        let scopes = Scopes::only([Permission::new("team-*".parse().unwrap(), Right::Read)]);
        assert_eq!(
            scopes.narrow(Some(Right::Manage), "team-a"),
            Some(Right::Read)
        );
        assert_eq!(scopes.narrow(Some(Right::Manage), "iris"), None);
        assert_eq!(scopes.narrow(None, "team-a"), None);
    }

    #[test]
    fn an_empty_list_is_not_the_same_as_no_list() {
        assert_eq!(Scopes::only([]).narrow(Some(Right::Manage), "iris"), None);
        assert_eq!(
            Scopes::everything().narrow(Some(Right::Manage), "iris"),
            Some(Right::Manage)
        );
        assert!(!Scopes::only([]).is_everything());
    }

    proptest! {
        #[test]
        fn a_scope_never_widens(scopes in some_scopes(), held in a_right(), model in a_model()) {
            prop_assert!(scopes.narrow(held, &model) <= held);
        }

        #[test]
        fn narrowing_twice_is_narrowing_once(scopes in some_scopes(), held in a_right(), model in a_model()) {
            let once = scopes.narrow(held, &model);
            prop_assert_eq!(scopes.narrow(once, &model), once);
        }

        #[test]
        fn who_holds_more_keeps_at_least_as_much(
            scopes in some_scopes(),
            one in a_right(),
            other in a_right(),
            model in a_model(),
        ) {
            let (less, more) = (one.min(other), one.max(other));
            prop_assert!(scopes.narrow(less, &model) <= scopes.narrow(more, &model));
        }

        #[test]
        fn scopes_survive_being_stored_as_json(scopes in some_scopes()) {
            let json = serde_json::to_string(&scopes).unwrap();
            prop_assert_eq!(serde_json::from_str::<Scopes>(&json).unwrap(), scopes);
        }
    }
}
