//! Tokens of a data folder, made on its host without asking a gateway: the way to the first one.
//!
//! Whoever may write the folder is an admin of it anyway. A gateway that runs in the folder sees a change by the
//! store's revision: a new token at once, a revoked one within about a second.

use std::cmp::Reverse;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use auth::{Grant, Grants, InvalidPattern, NewToken, TokenId, TokenRecord, TokenStore};

use crate::api::{CreateToken, CreatedToken, GrantInfo, GrantedRight, InvalidGrant, TokenInfo};
use crate::store::{OpenError, Store};

/// The tokens in a data folder.
#[derive(Debug)]
pub struct LocalTokens {
    store: Store,
}

/// A token or a right cannot be made, listed or revoked.
#[derive(Debug, thiserror::Error)]
pub enum LocalTokensError {
    /// The folder or its state cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Nobody was named.
    #[error("a token speaks for somebody: name a principal")]
    NoPrincipal,
    /// A pattern of `--read` or `--manage`.
    #[error(transparent)]
    Pattern(#[from] InvalidPattern),
    /// A right that is to be taken back.
    #[error(transparent)]
    Grant(#[from] InvalidGrant),
    /// A lifetime or a name.
    #[error(transparent)]
    Token(#[from] auth::InvalidToken),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] auth::StoreError),
}

impl LocalTokens {
    /// Opens the state in `data_dir`; makes it if there is none yet.
    pub async fn open(data_dir: &Path) -> Result<Self, LocalTokensError> {
        let store = Store::open(data_dir).await?;
        Ok(Self { store })
    }

    /// Makes a token, and gives its principal the rights that were asked for with it.
    pub async fn create(
        &self,
        wish: &CreateToken,
        now: SystemTime,
    ) -> Result<CreatedToken, LocalTokensError> {
        let principal = wish
            .principal
            .as_deref()
            .ok_or(LocalTokensError::NoPrincipal)?;
        let grants = wish.grants()?;
        let new = NewToken {
            comment: wish.comment.clone().unwrap_or_default(),
            lifetime: wish.lifetime.map(|lifetime| lifetime.0),
            ..NewToken::new(Arc::from(principal))
        };
        let (record, token) = new.issue(now)?;
        // Rights first: a token that is shown can be used.
        for grant in &grants {
            self.store.grant(principal, grant).await?;
        }
        self.store.insert(record.clone()).await?;
        let grants = self.grants(Some(principal)).await?;
        let admin = grants
            .iter()
            .any(|grant| grant.right == GrantedRight::Admin);
        Ok(CreatedToken {
            token: token.expose().to_owned(),
            info: describe(record, admin),
            grants,
        })
    }

    /// Everybody's tokens, oldest first.
    pub async fn list(&self) -> Result<Vec<TokenInfo>, LocalTokensError> {
        let kept = self.store.load().await?;
        let grants: Grants = kept.grants.into_iter().collect();
        let mut records = kept.tokens;
        records.sort_by(|one, other| {
            (one.created, one.id.as_str()).cmp(&(other.created, other.id.as_str()))
        });
        Ok(records
            .into_iter()
            .map(|record| {
                let admin = grants.is_admin(&record.principal) && record.scopes.is_everything();
                describe(record, admin)
            })
            .collect())
    }

    /// Makes a token worthless; `false` if there is none of that id.
    pub async fn revoke(&self, id: &str) -> Result<bool, LocalTokensError> {
        Ok(self.store.revoke(&TokenId::from(id)).await?)
    }

    /// What `principal` was given, or everybody.
    pub async fn grants(
        &self,
        principal: Option<&str>,
    ) -> Result<Vec<GrantInfo>, LocalTokensError> {
        let kept = self.store.load().await?.grants.into_iter();
        Ok(shown(kept.filter(|(name, _)| {
            principal.is_none_or(|only| *only == **name)
        })))
    }

    /// Takes a right back; `false` if it was not given.
    pub async fn revoke_grant(&self, named: &GrantInfo) -> Result<bool, LocalTokensError> {
        let grant = named.grant()?;
        Ok(self.store.revoke_grant(&named.principal, &grant).await?)
    }

    /// Ends the work on the state in good order.
    pub async fn close(&self) {
        self.store.close().await;
    }
}

impl CreateToken {
    /// The rights that are asked for besides the token.
    pub(crate) fn grants(&self) -> Result<Vec<Grant>, InvalidPattern> {
        let admin = self.admin.then_some(Ok(Grant::Admin));
        let read = self
            .read
            .iter()
            .map(|pattern| pattern.parse().map(Grant::read));
        let manage = self
            .manage
            .iter()
            .map(|pattern| pattern.parse().map(Grant::manage));
        admin.into_iter().chain(read).chain(manage).collect()
    }
}

/// Rights as they are shown: by principal, the largest first.
pub(crate) fn shown(grants: impl Iterator<Item = (Arc<str>, Grant)>) -> Vec<GrantInfo> {
    let mut shown: Vec<_> = grants
        .map(|(principal, grant)| GrantInfo::new(&principal, &grant))
        .collect();
    shown.sort_by(|one, other| {
        let key = |grant: &GrantInfo| {
            (
                grant.principal.clone(),
                Reverse(grant.right),
                grant.model.clone(),
            )
        };
        key(one).cmp(&key(other))
    });
    shown
}

/// What may be told about a token.
pub(crate) fn describe(record: TokenRecord, admin: bool) -> TokenInfo {
    TokenInfo {
        admin,
        id: record.id.to_string(),
        principal: record.principal.to_string(),
        comment: record.comment,
        created: record.created.into(),
        expires: record.expires.map(Into::into),
    }
}
