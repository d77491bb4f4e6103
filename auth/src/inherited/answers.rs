//! What may a caller do: to one model, to all, to each of a list.

use async_trait::async_trait;
use tokio::task::JoinSet;
use tracing::debug;

use super::source::{Caller, Overview};
use super::{InheritedRights, Standing, caller, identity};
use crate::permission::Right;
use crate::principal::Principal;
use crate::rights::{Rights, RightsError};

#[async_trait]
impl Rights for InheritedRights {
    async fn right(
        &self,
        principal: &Principal,
        model: &str,
    ) -> Result<Option<Right>, RightsError> {
        let caller = caller(principal);
        let right = match self.standing(&caller).await? {
            Standing::Nothing => None,
            Standing::Admin => Some(Right::Manage),
            Standing::Given(given) => given.on(model),
            Standing::Asked => self.on_model(&caller, model).await?,
        };
        Ok(principal.scopes.narrow(right, model))
    }

    async fn right_on_all(&self, principal: &Principal) -> Result<Option<Right>, RightsError> {
        let caller = caller(principal);
        let right = match self.standing(&caller).await? {
            Standing::Nothing => None,
            Standing::Admin => Some(Right::Manage),
            Standing::Given(given) => given.on_all(),
            Standing::Asked => match &*self.overview(&caller).await? {
                Overview::AllBut {
                    others,
                    some_are_denied: false,
                    ..
                } => *others,
                _ => None,
            },
        };
        // No model has an empty name, and only a pattern that matches every name matches it.
        Ok(principal.scopes.narrow(right, ""))
    }

    async fn on_each(
        &self,
        principal: &Principal,
        models: &[&str],
    ) -> Result<Vec<Option<Right>>, RightsError> {
        let caller = caller(principal);
        let mut rights = match self.standing(&caller).await? {
            Standing::Nothing => vec![None; models.len()],
            Standing::Admin => vec![Some(Right::Manage); models.len()],
            Standing::Given(given) => models.iter().map(|model| given.on(model)).collect(),
            Standing::Asked => self.asked(principal, &caller, models).await?,
        };
        for (right, model) in rights.iter_mut().zip(models) {
            *right = principal.scopes.narrow(*right, model);
        }
        Ok(rights)
    }
}

impl InheritedRights {
    /// As the registry has it, of those that are in the scope of the caller's token.
    async fn asked(
        &self,
        principal: &Principal,
        caller: &Caller,
        models: &[&str],
    ) -> Result<Vec<Option<Right>>, RightsError> {
        let mut rights = vec![None; models.len()];
        let mut in_scope_count = 0;
        let mut unknown = Vec::new();
        let mut key = (identity(caller), Box::default());
        for (index, model) in models.iter().enumerate() {
            let scope = principal.scopes.narrow(Some(Right::Manage), model);
            if scope.is_some() {
                in_scope_count += 1;
                key.1 = Box::from(*model);
                match self.0.models.peek(&key) {
                    Some(right) => rights[index] = right,
                    None => unknown.push((index, Box::from(*model))),
                }
            }
        }
        if unknown.len() > 1 {
            match &*self.overview(caller).await? {
                Overview::Unknown => {}
                Overview::Readable(readable) => {
                    for (index, model) in unknown.drain(..) {
                        rights[index] = readable.get(&model).copied();
                    }
                }
                Overview::AllBut {
                    others,
                    readable,
                    unclear,
                    ..
                } => unknown.retain(|(index, model)| {
                    rights[*index] = readable.get(model).copied().max(*others);
                    unclear.contains(model)
                }),
            }
        }
        let is_all = unknown.len() == in_scope_count;
        self.each(caller, unknown, is_all, &mut rights).await?;
        Ok(rights)
    }

    /// The rights on `models`, where single answers are needed: a few at a time. One without an answer is left out; an error
    /// only if they are all that was asked about, and none is answered.
    async fn each(
        &self,
        caller: &Caller,
        models: Vec<(usize, Box<str>)>,
        is_all: bool,
        rights: &mut [Option<Right>],
    ) -> Result<(), RightsError> {
        for (index, _) in &models {
            rights[*index] = None;
        }
        let mut asked = JoinSet::new();
        let mut models = models.into_iter();
        let (mut failure, mut is_answered) = (None, !is_all);
        loop {
            while asked.len() < self.0.config.at_a_time.max(1)
                && let Some((index, model)) = models.next()
            {
                let (registry, caller) = (self.clone(), caller.clone());
                asked.spawn(async move {
                    let right = registry.on_model(&caller, &model).await;
                    (index, model, right)
                });
            }
            match asked.join_next().await {
                None => return failure.filter(|_| !is_answered).map_or(Ok(()), Err),
                Some(Ok((index, _, Ok(right)))) => {
                    is_answered = true;
                    rights[index] = right;
                }
                Some(Ok((_, model, Err(error)))) => {
                    debug!(%model, reason = error.reason(), "a model is left out of a list: nobody tells who may see it");
                    failure = Some(error);
                }
                Some(Err(error)) => return Err(RightsError::Unavailable(error.to_string())),
            }
        }
    }
}
