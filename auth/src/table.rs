//! Tokens and grants as the hot path reads them: one value, replaced as a whole.

use std::collections::HashMap;
use std::time::SystemTime;

use crate::api_token::{TokenDigest, TokenRecord};
use crate::grants::Grants;
use crate::principal::Principal;
use crate::token_store::TokensAndGrants;

/// One revision of a store, ready to be asked.
#[derive(Debug, Default)]
pub(crate) struct Table {
    revision: u64,
    tokens: HashMap<TokenDigest, KnownToken>,
    grants: Grants,
}

/// What a token stands for, worked out when the table was made.
#[derive(Debug)]
struct KnownToken(Principal);

/// What the table says about a token.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Lookup {
    Holds(Principal),
    Expired,
    Unknown,
}

impl Table {
    pub(crate) fn new(kept: TokensAndGrants) -> Self {
        let grants = kept.grants.into_iter().collect::<Grants>();
        let tokens = kept
            .tokens
            .into_iter()
            .map(|record| (record.digest, KnownToken::new(record, &grants)))
            .collect();
        Self {
            revision: kept.revision,
            tokens,
            grants,
        }
    }

    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    pub(crate) fn grants(&self) -> &Grants {
        &self.grants
    }

    /// What `digest` stands for at `now`.
    pub(crate) fn look_up(&self, digest: &TokenDigest, now: SystemTime) -> Lookup {
        match self.tokens.get(digest) {
            None => Lookup::Unknown,
            Some(KnownToken(principal)) if principal.expires.is_some_and(|end| end <= now) => {
                Lookup::Expired
            }
            Some(KnownToken(principal)) => Lookup::Holds(principal.clone()),
        }
    }
}

impl KnownToken {
    fn new(record: TokenRecord, grants: &Grants) -> Self {
        Self(Principal {
            // Scopes speak of models; being an admin goes beyond models, so a token with scopes is without it.
            admin: record.scopes.is_everything() && grants.is_admin(&record.principal),
            admin_unknown: None,
            name: record.principal,
            token: Some(record.id),
            scopes: record.scopes,
            expires: record.expires,
            login: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::api_token::NewToken;
    use crate::grants::Grant;
    use crate::permission::{Permission, Right};
    use crate::scopes::Scopes;

    #[test]
    fn a_token_with_scopes_is_no_admin_even_if_its_principal_is() {
        let whole = NewToken::new("root");
        let narrowed = NewToken {
            scopes: Scopes::only([Permission::new("*".parse().unwrap(), Right::Manage)]),
            ..whole.clone()
        };
        let (whole, _) = whole.issue(SystemTime::UNIX_EPOCH).unwrap();
        let (narrowed, _) = narrowed.issue(SystemTime::UNIX_EPOCH).unwrap();
        let table = Table::new(TokensAndGrants {
            revision: 1,
            tokens: vec![whole.clone(), narrowed.clone()],
            grants: vec![(Arc::from("root"), Grant::Admin)],
        });
        let principal = |digest| match table.look_up(digest, SystemTime::UNIX_EPOCH) {
            Lookup::Holds(principal) => principal,
            other => panic!("{other:?}"),
        };
        assert!(principal(&whole.digest).admin);
        let narrowed = principal(&narrowed.digest);
        assert!(!narrowed.admin);
        assert_eq!(
            table.grants().strongest(&narrowed, "any"),
            Some(Right::Manage)
        );
    }
}
