//! A caller in front of the control plane: who it is, and what it may do to a model.

use std::sync::Arc;

use auth::{Principal, Right};
use axum::extract::FromRequestParts;
use http::request::Parts;
use serving_core::ModelName;

use super::{ControlState, Refused};
use crate::error::ErrorCode;

/// The caller of this request, with the state that its rights are looked up in.
pub(crate) struct Access {
    pub(crate) state: Arc<ControlState>,
    pub(crate) principal: Principal,
}

impl Access {
    /// The caller's right on `model`; `None` means that it may not even learn whether the model exists.
    pub(crate) async fn right(&self, model: &str) -> Result<Option<Right>, Refused> {
        let right = self.state.rights.right(&self.principal, model).await;
        Ok(right?)
    }

    /// Those of `models` that the caller may see, in the same order; one question for all of them.
    pub(crate) async fn visible(
        &self,
        models: impl IntoIterator<Item = ModelName>,
    ) -> Result<Vec<ModelName>, Refused> {
        let rights = self.rights(models).await?;
        Ok(rights.into_iter().map(|(model, _)| model).collect())
    }

    /// The same with the right that the caller has at least.
    pub(crate) async fn rights(
        &self,
        models: impl IntoIterator<Item = ModelName>,
    ) -> Result<Vec<(ModelName, Right)>, Refused> {
        let models: Vec<_> = models.into_iter().collect();
        let names: Vec<_> = models.iter().map(ModelName::as_str).collect();
        let rights = self.state.rights.on_each(&self.principal, &names).await?;
        let seen = models.into_iter().zip(rights);
        Ok(seen
            .filter_map(|(model, right)| Some((model, right?)))
            .collect())
    }

    /// The caller's right on every model, also on those that are yet to be registered.
    pub(crate) async fn right_on_all(&self) -> Result<Option<Right>, Refused> {
        Ok(self.state.rights.right_on_all(&self.principal).await?)
    }

    /// The caller's right on a model that it wants to see.
    pub(crate) async fn to_see(&self, model: &str) -> Result<Right, Refused> {
        // A path with nothing between two slashes; no registry has such a name.
        if model.is_empty() {
            return Err(unknown_model(model));
        }
        self.right(model).await?.ok_or_else(|| unknown_model(model))
    }

    /// Whether the caller is an admin; refuses as not to be found out while nobody can tell.
    pub(crate) fn is_admin(&self) -> Result<bool, Refused> {
        Ok(self.principal.is_admin()?)
    }

    /// Refuses who may not manage `model`.
    pub(crate) async fn to_manage(&self, model: &str) -> Result<(), Refused> {
        match self.to_see(model).await? {
            Right::Manage => Ok(()),
            Right::Read => Err(Refused::new(
                ErrorCode::PermissionDenied,
                format!(
                    "{} may see the model {model:?}, but not manage it",
                    self.principal.name
                ),
            )),
        }
    }

    /// Whether the model is known here without asking the registry.
    pub(crate) fn is_known(&self, model: &str) -> bool {
        let state = &self.state;
        let aspired = state.aspired.borrow();
        state.registry.catalog().models.contains_key(model)
            || state.engine.snapshot().borrow().models.contains_key(model)
            || aspired
                .as_ref()
                .is_some_and(|aspired| aspired.models.contains_key(model))
            || state
                .intents
                .enabled()
                .iter()
                .any(|name| name.as_str() == model)
    }

    /// Refuses models that do not exist; asks the registry about those that are not known here.
    pub(crate) async fn to_exist(&self, model: &ModelName) -> Result<(), Refused> {
        if self.is_known(model.as_str()) {
            return Ok(());
        }
        match self.state.registry.is_registered(model).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(unknown_model(model.as_str())),
            Err(reason) => Err(Refused::unavailable(reason.to_string())),
        }
    }
}

/// The same words whether the model is missing or hidden.
pub(crate) fn unknown_model(model: &str) -> Refused {
    Refused::missing(format!(
        "there is no registered model {model:?}, or you may not see it"
    ))
}

impl FromRequestParts<Arc<ControlState>> for Access {
    type Rejection = Refused;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &Arc<ControlState>,
    ) -> Result<Self, Refused> {
        let principal = parts.extensions.get::<Principal>().cloned();
        // Only a route outside of the authentication layer could come here without one.
        let principal = principal
            .ok_or_else(|| Refused::new(ErrorCode::Unauthenticated, "a credential is needed"))?;
        Ok(Self {
            state: Arc::clone(state),
            principal,
        })
    }
}
