//! Making, listing and revoking tokens, for both token APIs.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use auth::{Grant, Grants, NewToken, Secret, TokenId, TokenRecord};

use super::{Access, Refused};
use crate::error::ErrorCode;

/// How long a list waits for the registry to say who is an admin; others count as none.
const PATIENCE: Duration = Duration::from_secs(5);

/// A token that is asked for.
#[derive(Debug, Default)]
pub(crate) struct Wish {
    /// Whom it speaks for; the caller, if nobody is named.
    pub(crate) principal: Option<String>,
    pub(crate) comment: String,
    pub(crate) lifetime: Option<Duration>,
    /// What the principal is given besides.
    pub(crate) grants: Vec<Grant>,
}

/// A token and who may use it.
pub(crate) struct Known {
    pub(crate) record: TokenRecord,
    /// Whether it speaks for an admin.
    pub(crate) admin: bool,
}

impl Access {
    /// Makes a token. Others' tokens and grants are an admin's to give; what a caller's own token is narrowed to, a token
    /// that it makes is narrowed to as well, and it ends no later: who found a token must not make it last.
    pub(crate) async fn create_token(&self, wish: Wish) -> Result<(Known, Secret), Refused> {
        let own = wish
            .principal
            .as_deref()
            .is_none_or(|name| *name == *self.principal.name);
        if (!own || !wish.grants.is_empty()) && !self.is_admin()? {
            return Err(Refused::new(
                ErrorCode::PermissionDenied,
                "only an admin may make tokens for others or give rights",
            ));
        }
        if !wish.grants.is_empty() {
            self.to_give_rights()?;
        }
        let name = wish
            .principal
            .map_or_else(|| Arc::clone(&self.principal.name), Arc::from);
        let new = NewToken {
            scopes: self.principal.scopes.clone(),
            comment: wish.comment,
            lifetime: wish.lifetime,
            not_after: self.principal.expires,
            ..NewToken::new(Arc::clone(&name))
        };
        let (record, token) = new
            .issue(self.state.clock.now())
            .map_err(|error| Refused::invalid(error.to_string()))?;
        let tokens = &self.state.tokens;
        // Rights first: a token that is shown can be used.
        for grant in &wish.grants {
            tokens.grant(&name, grant).await?;
        }
        tokens.insert(record.clone()).await?;
        self.state.authenticator.reload().await?;
        let known = self.known(vec![record.clone()]).await?.pop();
        let admin = known.is_some_and(|known| known.admin);
        Ok((Known { record, admin }, token))
    }

    /// The tokens that the caller may know of, oldest first.
    pub(crate) async fn tokens(&self) -> Result<Vec<Known>, Refused> {
        // A list that is short because nobody can tell would look like the whole.
        self.is_admin()?;
        let kept = self.state.tokens.load().await?.tokens.into_iter();
        let records = kept.filter(|record| self.may_know(record));
        let mut known = self.known(records.collect()).await?;
        known.sort_by(|one, other| {
            let key = |known: &Known| (known.record.created, known.record.id.clone());
            key(one).cmp(&key(other))
        });
        Ok(known)
    }

    /// What there is to tell about tokens; who is an admin, is said by the grants or by the registry, if it answers soon.
    async fn known(&self, records: Vec<TokenRecord>) -> Result<Vec<Known>, Refused> {
        let names = || records.iter().map(|record| Arc::clone(&record.principal));
        let admins: HashSet<Arc<str>> = if let Some(rights) = self.state.authenticator.inherited() {
            let names: BTreeSet<_> = names().collect();
            rights.admins(names, PATIENCE).await
        } else {
            let kept = self.state.tokens.load().await?;
            let grants: Grants = kept.grants.into_iter().collect();
            names().filter(|name| grants.is_admin(name)).collect()
        };
        let known = records.into_iter().map(|record| Known {
            admin: record.scopes.is_everything() && admins.contains(&record.principal),
            record,
        });
        Ok(known.collect())
    }

    /// Everybody's for an admin, their own for others. A token with scopes knows of those that are narrowed like it.
    fn may_know(&self, record: &TokenRecord) -> bool {
        let caller = &self.principal;
        let own = record.principal == caller.name;
        let as_wide = caller.scopes.is_everything() || record.scopes == caller.scopes;
        caller.admin || (own && as_wide)
    }

    /// Revokes one of the tokens that the caller may know of; it holds no longer when this returns.
    pub(crate) async fn revoke_token(&self, id: &str) -> Result<(), Refused> {
        let id = TokenId::from(id);
        let kept = self.state.tokens.load().await?.tokens;
        let is_known = |record: &TokenRecord| record.id == id && self.may_know(record);
        if !kept.iter().any(is_known) {
            // An admin may know of more.
            self.is_admin()?;
            return Err(Refused::missing(format!(
                "there is no token {:?}",
                id.as_str()
            )));
        }
        self.state.tokens.revoke(&id).await?;
        self.state.authenticator.reload().await?;
        Ok(())
    }
}
