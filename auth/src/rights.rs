//! The question "may it do this to that model?", and who answers it.

use std::sync::Arc;

use async_trait::async_trait;

use crate::directory::Directory;
use crate::permission::Right;
use crate::principal::Principal;

/// Says what principals may do to models.
///
/// Whoever implements it keeps two rules: an admin has [`Right::Manage`] on everything, and the scopes of the principal
/// are applied last ([`Scopes::narrow`](crate::Scopes::narrow)).
#[async_trait]
pub trait Rights: Send + Sync {
    /// The largest right of `principal` on `model`; `None` means that it may not even learn whether the model exists.
    async fn right(&self, principal: &Principal, model: &str)
    -> Result<Option<Right>, RightsError>;

    /// What [`Self::right`] would say, if that is known here and now: whoever asks for each request need not make a future
    /// then.
    fn at_hand(&self, principal: &Principal, model: &str) -> Result<Option<Right>, MustAsk> {
        let _ = (principal, model);
        Err(MustAsk)
    }

    /// The largest right of `principal` that holds on every model, also on those that are yet to be registered.
    async fn right_on_all(&self, principal: &Principal) -> Result<Option<Right>, RightsError> {
        // No model has an empty name, and only a pattern that matches every name matches it.
        self.right(principal, "").await
    }

    /// The right of `principal` on each of `models`, in the same order, for lists: whether there is any is certain, and how
    /// large it is at least. [`Self::right`] may say that it is larger, where that would take a question a model.
    async fn on_each(
        &self,
        principal: &Principal,
        models: &[&str],
    ) -> Result<Vec<Option<Right>>, RightsError> {
        let mut rights = Vec::with_capacity(models.len());
        for model in models {
            rights.push(self.right(principal, model).await?);
        }
        Ok(rights)
    }

    /// Which of `models` the principal has any right on, in the same order: what a list of them may show.
    async fn visible(
        &self,
        principal: &Principal,
        models: &[&str],
    ) -> Result<Vec<bool>, RightsError> {
        let rights = self.on_each(principal, models).await?;
        Ok(rights.iter().map(Option::is_some).collect())
    }
}

/// The right could not be found out. Nobody may anything then.
///
/// The sentence is for callers. The reason in it is for those who run the gateway: it may name its account and the
/// registry's address, but holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RightsError {
    /// The registry does not answer; later it may.
    #[error(
        "the caller's rights cannot be found out: the registry, which knows them, gives no answer"
    )]
    Unavailable(String),
    /// The registry refuses to tell; who runs the gateway has to change something.
    #[error(
        "the caller's rights cannot be found out: the registry refuses to tell this gateway; the reason is in its log"
    )]
    Misconfigured(String),
}

/// The right is not at hand: [`Rights::right`] tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the right has to be asked for")]
pub struct MustAsk;

impl RightsError {
    /// The reason, for those who run the gateway.
    pub fn reason(&self) -> &str {
        match self {
            Self::Unavailable(reason) | Self::Misconfigured(reason) => reason,
        }
    }
}

/// Everybody may everything: for `auth.enabled = false`.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllowAll;

#[async_trait]
impl Rights for AllowAll {
    async fn right(
        &self,
        principal: &Principal,
        model: &str,
    ) -> Result<Option<Right>, RightsError> {
        Ok(principal.scopes.narrow(Some(Right::Manage), model))
    }

    fn at_hand(&self, principal: &Principal, model: &str) -> Result<Option<Right>, MustAsk> {
        Ok(principal.scopes.narrow(Some(Right::Manage), model))
    }
}

/// The grants in memory, as they are at the time of each question: never waits and never fails.
pub(crate) struct CurrentGrants(pub(crate) Arc<Directory>);

#[async_trait]
impl Rights for CurrentGrants {
    async fn right(
        &self,
        principal: &Principal,
        model: &str,
    ) -> Result<Option<Right>, RightsError> {
        Ok(self.0.table().grants().strongest(principal, model))
    }

    fn at_hand(&self, principal: &Principal, model: &str) -> Result<Option<Right>, MustAsk> {
        Ok(self.0.table().grants().strongest(principal, model))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scopes::Scopes;

    #[tokio::test]
    async fn allowing_all_still_obeys_the_scopes_of_a_token() {
        let everybody = Principal::anonymous();
        assert_eq!(
            AllowAll.right(&everybody, "iris").await,
            Ok(Some(Right::Manage))
        );
        let narrowed = Principal {
            scopes: Scopes::only([]),
            ..everybody
        };
        assert_eq!(AllowAll.right(&narrowed, "iris").await, Ok(None));
        assert_eq!(AllowAll.at_hand(&narrowed, "iris"), Ok(None));
    }
}
