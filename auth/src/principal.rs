//! Who is calling, once that is known.

use std::sync::Arc;
use std::time::SystemTime;

use crate::api_token::TokenId;
use crate::inherited::Login;
use crate::rights::RightsError;
use crate::scopes::Scopes;

/// A caller whose credential holds. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Whom grants and events speak of; compared exactly.
    pub name: Arc<str>,
    /// The token that was shown; `None` if the caller came without one.
    pub token: Option<TokenId>,
    /// Whether this caller may do everything: manage all models, see everybody's tokens. Never true with a token that
    /// has scopes, because scopes speak of models only.
    pub admin: bool,
    /// Why nobody can tell whether this caller is an admin; [`Principal::admin`] is false then, and what only an admin may
    /// is to be refused as not to be found out.
    pub admin_unknown: Option<RightsError>,
    /// What the token narrows the principal's rights to. A token that this caller makes must not have wider ones.
    pub scopes: Scopes,
    /// When the token ends; `None` if it does not, or without one. A token that this caller makes must not outlive it.
    pub expires: Option<SystemTime>,
    /// What the caller signed in with at the registry; `None` with a token of ours.
    pub login: Option<Arc<Login>>,
}

impl Principal {
    /// Somebody of that name, with nothing but what is granted to the name.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            token: None,
            admin: false,
            admin_unknown: None,
            scopes: Scopes::everything(),
            expires: None,
            login: None,
        }
    }

    /// Whether this caller may do everything, or why nobody can tell.
    pub fn is_admin(&self) -> Result<bool, RightsError> {
        match &self.admin_unknown {
            Some(error) => Err(error.clone()),
            None => Ok(self.admin),
        }
    }

    /// Everybody, where authentication is switched off: the admin `anonymous`.
    pub fn anonymous() -> Self {
        Self {
            admin: true,
            ..Self::new("anonymous")
        }
    }
}
