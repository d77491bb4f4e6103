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

    async fn visible(
        &self,
        principal: &Principal,
        models: &[&str],
    ) -> Result<Vec<bool>, RightsError> {
        let in_scope = |model: &str| {
            let narrowed = principal.scopes.narrow(Some(Right::Manage), model);
            narrowed.is_some()
        };
        let mut visible: Vec<bool> = models.iter().map(|model| in_scope(model)).collect();
        let in_scope_count = visible.iter().filter(|is_in_scope| **is_in_scope).count();
        let caller = caller(principal);
        match self.standing(&caller).await? {
            Standing::Nothing => return Ok(vec![false; models.len()]),
            Standing::Admin => return Ok(visible),
            Standing::Given(given) => {
                for (visible, model) in visible.iter_mut().zip(models) {
                    *visible &= given.on(model).is_some();
                }
                return Ok(visible);
            }
            Standing::Asked => {}
        }
        let identity = identity(&caller);
        let mut unknown = Vec::new();
        let mut key = (identity, Box::default());
        for (index, model) in models.iter().enumerate() {
            if visible[index] {
                key.1 = Box::from(*model);
                match self.0.models.peek(&key) {
                    Some(right) => visible[index] = right.is_some(),
                    None => unknown.push((index, Box::from(*model))),
                }
            }
        }
        if unknown.len() > 1 {
            match &*self.overview(&caller).await? {
                Overview::Unknown => {}
                Overview::Readable(names) => {
                    for (index, model) in unknown.drain(..) {
                        visible[index] = names.contains(&model);
                    }
                }
                Overview::AllBut {
                    others,
                    readable,
                    unclear,
                    ..
                } => unknown.retain(|(index, model)| {
                    visible[*index] = others.is_some() || readable.contains(model);
                    unclear.contains(model)
                }),
            }
        }
        let is_all = unknown.len() == in_scope_count;
        self.each(&caller, unknown, is_all, &mut visible).await?;
        Ok(visible)
    }
}

impl InheritedRights {
    /// Which of `models` can be seen, where single answers are needed: a few at a time. One without an answer is left out;
    /// an error only if they are all that was asked about, and none is answered.
    async fn each(
        &self,
        caller: &Caller,
        models: Vec<(usize, Box<str>)>,
        is_all: bool,
        visible: &mut [bool],
    ) -> Result<(), RightsError> {
        for (index, _) in &models {
            visible[*index] = false;
        }
        let mut asked = JoinSet::new();
        let mut models = models.into_iter();
        let (mut failure, mut is_answered) = (None, !is_all);
        loop {
            while asked.len() < self.0.config.at_a_time.max(1)
                && let Some((index, model)) = models.next()
            {
                let (rights, caller) = (self.clone(), caller.clone());
                asked.spawn(async move {
                    let right = rights.on_model(&caller, &model).await;
                    (index, model, right)
                });
            }
            match asked.join_next().await {
                None => return failure.filter(|_| !is_answered).map_or(Ok(()), Err),
                Some(Ok((index, _, Ok(right)))) => {
                    is_answered = true;
                    visible[index] = right.is_some();
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
