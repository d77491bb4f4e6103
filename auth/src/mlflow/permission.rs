//! The names of permissions in MLflow's basic-auth, and what they are worth here.

use std::fmt;
use std::str::FromStr;

use crate::permission::Right;

/// A permission on a registered model as MLflow names it. `READ`, `EDIT`, `MANAGE`, `NO_PERMISSIONS` exist in all
/// versions, `USE` and `DENY` since 3.13.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MlflowPermission {
    /// Nothing, because nobody gave anything.
    NoPermissions,
    /// Nothing, whatever else was given.
    Deny,
    /// See and load.
    Read,
    /// Like READ for models.
    Use,
    /// Also change.
    Edit,
    /// Also delete, and give to others.
    Manage,
}

/// No name of a permission.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not one of NO_PERMISSIONS, READ, USE, EDIT, MANAGE")]
pub struct UnknownPermission(String);

impl MlflowPermission {
    /// What it lets do here.
    pub fn right(self) -> Option<Right> {
        match self {
            Self::NoPermissions | Self::Deny => None,
            Self::Read | Self::Use | Self::Edit => Some(Right::Read),
            Self::Manage => Some(Right::Manage),
        }
    }
}

impl FromStr for MlflowPermission {
    type Err = UnknownPermission;

    fn from_str(name: &str) -> Result<Self, UnknownPermission> {
        Ok(match name {
            "NO_PERMISSIONS" => Self::NoPermissions,
            "DENY" => Self::Deny,
            "READ" => Self::Read,
            "USE" => Self::Use,
            "EDIT" => Self::Edit,
            "MANAGE" => Self::Manage,
            _ => return Err(UnknownPermission(name.to_owned())),
        })
    }
}

impl fmt::Display for MlflowPermission {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NoPermissions => "NO_PERMISSIONS",
            Self::Deny => "DENY",
            Self::Read => "READ",
            Self::Use => "USE",
            Self::Edit => "EDIT",
            Self::Manage => "MANAGE",
        })
    }
}

/// What a permission of that name lets do; one that a later MLflow invents lets do nothing.
pub(super) fn right(name: &str) -> Option<Right> {
    name.parse::<MlflowPermission>().ok()?.right()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_and_above_lets_score_and_only_manage_lets_manage() {
        for (name, expected) in [
            ("NO_PERMISSIONS", None),
            ("DENY", None),
            ("READ", Some(Right::Read)),
            ("USE", Some(Right::Read)),
            ("EDIT", Some(Right::Read)),
            ("MANAGE", Some(Right::Manage)),
            ("manage", None),
            ("OWN", None),
        ] {
            assert_eq!(right(name), expected, "{name}");
        }
    }

    #[test]
    fn names_survive_being_printed() {
        for name in ["NO_PERMISSIONS", "DENY", "READ", "USE", "EDIT", "MANAGE"] {
            let permission: MlflowPermission = name.parse().unwrap();
            assert_eq!(permission.to_string(), name);
        }
    }
}
