//! What was given to principals here: rights on models, and being an admin.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;

use crate::pattern::ModelPattern;
use crate::permission::{Permission, Right, strongest};
use crate::principal::Principal;
use crate::rights::{MustAsk, Rights, RightsError};

/// One thing given to a principal. Grants add up; each is taken back by naming it again.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Grant {
    /// Everything: all models, everybody's tokens. It belongs to the principal, not to one of its tokens.
    Admin,
    /// A right on some models.
    Models(Permission),
}

/// All grants, by principal. A principal that has none may nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    principals: HashMap<Arc<str>, Held>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Held {
    admin: bool,
    permissions: Vec<Permission>,
}

impl Grant {
    /// [`Right::Read`] on what `pattern` matches.
    pub fn read(pattern: ModelPattern) -> Self {
        Self::Models(Permission::new(pattern, Right::Read))
    }

    /// [`Right::Manage`] on what `pattern` matches.
    pub fn manage(pattern: ModelPattern) -> Self {
        Self::Models(Permission::new(pattern, Right::Manage))
    }
}

impl Grants {
    /// Whether the principal called `name` is an admin, whatever its tokens are narrowed to.
    pub fn is_admin(&self, name: &str) -> bool {
        self.principals.get(name).is_some_and(|held| held.admin)
    }

    /// The largest right of `principal` on `model`, its scopes applied.
    pub fn strongest(&self, principal: &Principal, model: &str) -> Option<Right> {
        let granted = || {
            let held = self.principals.get(&principal.name)?;
            if held.admin {
                Some(Right::Manage)
            } else {
                strongest(&held.permissions, model)
            }
        };
        let held = if principal.admin {
            Some(Right::Manage)
        } else {
            granted()
        };
        principal.scopes.narrow(held, model)
    }
}

#[async_trait]
impl Rights for Grants {
    async fn right(
        &self,
        principal: &Principal,
        model: &str,
    ) -> Result<Option<Right>, RightsError> {
        Ok(self.strongest(principal, model))
    }

    fn at_hand(&self, principal: &Principal, model: &str) -> Result<Option<Right>, MustAsk> {
        Ok(self.strongest(principal, model))
    }
}

impl FromIterator<(Arc<str>, Grant)> for Grants {
    fn from_iter<I: IntoIterator<Item = (Arc<str>, Grant)>>(grants: I) -> Self {
        let mut principals = HashMap::<Arc<str>, Held>::new();
        for (principal, grant) in grants {
            let held = principals.entry(principal).or_default();
            match grant {
                Grant::Admin => held.admin = true,
                Grant::Models(permission) => held.permissions.push(permission),
            }
        }
        Self { principals }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::permission::tests::{a_model, some_permissions};
    use crate::scopes::Scopes;

    fn granted(grants: &[(&str, Grant)]) -> Grants {
        grants
            .iter()
            .map(|(name, grant)| (Arc::from(*name), grant.clone()))
            .collect()
    }

    fn pattern(text: &str) -> ModelPattern {
        text.parse().unwrap()
    }

    #[test]
    fn a_grant_holds_for_its_principal_and_its_models_only() {
        let grants = granted(&[
            ("alice", Grant::read(pattern("team-*"))),
            ("alice", Grant::manage(pattern("team-a"))),
            ("bob", Grant::manage(pattern("iris"))),
        ]);
        let right = |name: &str, model| grants.strongest(&Principal::new(name), model);
        assert_eq!(right("alice", "team-a"), Some(Right::Manage));
        assert_eq!(right("alice", "team-b"), Some(Right::Read));
        assert_eq!(right("alice", "iris"), None);
        assert_eq!(right("bob", "iris"), Some(Right::Manage));
        assert_eq!(right("Bob", "iris"), None);
        assert_eq!(right("nobody", "iris"), None);
    }

    #[test]
    fn an_admin_manages_everything() {
        let grants = granted(&[("root", Grant::Admin)]);
        assert!(grants.is_admin("root"));
        assert!(!grants.is_admin("alice"));
        assert_eq!(
            grants.strongest(&Principal::new("root"), "any"),
            Some(Right::Manage)
        );
        assert_eq!(
            grants.strongest(&Principal::anonymous(), "any"),
            Some(Right::Manage)
        );
    }

    #[tokio::test]
    async fn a_right_on_all_models_comes_from_a_star_alone() {
        let grants = granted(&[
            ("alice", Grant::read(pattern("*"))),
            ("alice", Grant::manage(pattern("iris"))),
            ("bob", Grant::manage(pattern("a*"))),
            ("bob", Grant::manage(pattern("iris"))),
            ("root", Grant::Admin),
        ]);
        let narrowed = Principal {
            scopes: Scopes::only([Permission::new(pattern("iris"), Right::Read)]),
            ..Principal::new("alice")
        };
        for (principal, expected) in [
            (Principal::new("alice"), Some(Right::Read)),
            (narrowed, None),
            (Principal::new("bob"), None),
            (Principal::new("root"), Some(Right::Manage)),
            (Principal::new("nobody"), None),
        ] {
            let right = grants.right_on_all(&principal).await;
            assert_eq!(right, Ok(expected), "{}", principal.name);
        }
    }

    #[test]
    fn the_scopes_of_an_admins_token_are_applied_last() {
        let grants = granted(&[("root", Grant::Admin)]);
        let narrowed = Principal {
            scopes: Scopes::only([Permission::new(pattern("iris"), Right::Read)]),
            ..Principal::new("root")
        };
        assert_eq!(grants.strongest(&narrowed, "iris"), Some(Right::Read));
        assert_eq!(grants.strongest(&narrowed, "other"), None);
    }

    proptest! {
        #[test]
        fn a_token_with_scopes_never_may_more_than_its_principal(
            given in some_permissions(),
            scopes in some_permissions(),
            admin in any::<bool>(),
            model in a_model(),
        ) {
            let name = Arc::<str>::from("alice");
            let grants = given
                .into_iter()
                .map(Grant::Models)
                .chain(admin.then_some(Grant::Admin))
                .map(|grant| (Arc::clone(&name), grant))
                .collect::<Grants>();
            let whole = Principal::new("alice");
            let narrowed = Principal { scopes: Scopes::only(scopes), ..whole.clone() };
            prop_assert!(grants.strongest(&narrowed, &model) <= grants.strongest(&whole, &model));
        }
    }
}
