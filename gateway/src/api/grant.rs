//! Rights of principals: how they are shown, and named to be taken back.

use std::fmt;

use auth::{Grant, InvalidPattern, Permission, Right};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// One right of a principal. The query of `DELETE /api/v1/grants` names one with the same words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, IntoParams, ToSchema)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct GrantInfo {
    /// Who holds it.
    pub principal: String,
    /// How much.
    pub right: GrantedRight,
    /// On which models: `iris`, `fraud-*`, `*`; absent for an admin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// How much a principal was given. A larger one includes the smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum GrantedRight {
    /// Score, see status, events, logs and URIs.
    Read,
    /// Also enable, disable, change settings, restart.
    Manage,
    /// All models, and everybody's tokens and rights.
    Admin,
}

/// The answer of `GET /api/v1/grants`, by principal: an admin sees everybody's, others their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GrantPage {
    /// By principal.
    pub grants: Vec<GrantInfo>,
}

/// A text that names no right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidGrant {
    /// READ or MANAGE of nothing.
    #[error(
        "the model is missing: READ and MANAGE hold on a model, on models like \"fraud-*\", or on \"*\""
    )]
    NoModel,
    /// ADMIN of something.
    #[error("ADMIN holds on everything; leave the model out")]
    AdminOfModel,
    /// No pattern.
    #[error(transparent)]
    Pattern(#[from] InvalidPattern),
}

impl GrantInfo {
    pub(crate) fn new(principal: &str, grant: &Grant) -> Self {
        let (right, model) = match grant {
            Grant::Admin => (GrantedRight::Admin, None),
            Grant::Models(Permission { pattern, right }) => {
                let right = match right {
                    Right::Read => GrantedRight::Read,
                    Right::Manage => GrantedRight::Manage,
                };
                (right, Some(pattern.to_string()))
            }
        };
        Self {
            principal: principal.to_owned(),
            right,
            model,
        }
    }

    pub(crate) fn grant(&self) -> Result<Grant, InvalidGrant> {
        match (self.right, &self.model) {
            (GrantedRight::Admin, None) => Ok(Grant::Admin),
            (GrantedRight::Admin, Some(_)) => Err(InvalidGrant::AdminOfModel),
            (GrantedRight::Read | GrantedRight::Manage, None) => Err(InvalidGrant::NoModel),
            (GrantedRight::Read, Some(model)) => Ok(Grant::read(model.parse()?)),
            (GrantedRight::Manage, Some(model)) => Ok(Grant::manage(model.parse()?)),
        }
    }
}

/// Without the principal: `admin`, `manage fraud-*`.
impl fmt::Display for GrantInfo {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let right = match self.right {
            GrantedRight::Read => "read",
            GrantedRight::Manage => "manage",
            GrantedRight::Admin => "admin",
        };
        formatter.write_str(right)?;
        match &self.model {
            Some(model) => write!(formatter, " {model}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_is_named_as_it_is_shown() {
        for grant in [
            Grant::Admin,
            Grant::read("iris".parse().unwrap()),
            Grant::manage("fraud-*".parse().unwrap()),
        ] {
            assert_eq!(GrantInfo::new("ada", &grant).grant(), Ok(grant));
        }
    }

    #[test]
    fn a_right_needs_a_model_and_an_admin_none() {
        let named = |right, model: Option<&str>| {
            let model = model.map(str::to_owned);
            let principal = "ada".to_owned();
            let info = GrantInfo {
                principal,
                right,
                model,
            };
            info.grant()
        };
        assert_eq!(named(GrantedRight::Read, None), Err(InvalidGrant::NoModel));
        assert_eq!(
            named(GrantedRight::Admin, Some("*")),
            Err(InvalidGrant::AdminOfModel)
        );
        assert!(named(GrantedRight::Manage, Some("*-prod")).is_err());
    }
}
