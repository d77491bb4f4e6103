//! A token store that forgets everything when it is dropped: for tests, and for servers without a disk.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::api_token::{TokenId, TokenRecord};
use crate::grants::Grant;
use crate::token_store::{StoreError, TokenStore, TokensAndGrants};

/// Tokens and grants in memory.
#[derive(Debug, Default)]
pub struct MemoryTokenStore {
    kept: Mutex<TokensAndGrants>,
}

impl MemoryTokenStore {
    fn kept(&self) -> MutexGuard<'_, TokensAndGrants> {
        // No code below can panic between two halves of a change, so what a poisoned lock guards is whole.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl TokenStore for MemoryTokenStore {
    async fn revision(&self) -> Result<u64, StoreError> {
        Ok(self.kept().revision)
    }

    async fn load(&self) -> Result<TokensAndGrants, StoreError> {
        Ok(self.kept().clone())
    }

    async fn insert(&self, record: TokenRecord) -> Result<(), StoreError> {
        let mut kept = self.kept();
        let same = |known: &TokenRecord| known.id == record.id || known.digest == record.digest;
        if kept.tokens.iter().any(same) {
            return Err(StoreError(format!(
                "the token {} exists already",
                record.id
            )));
        }
        kept.tokens.push(record);
        kept.revision += 1;
        Ok(())
    }

    async fn revoke(&self, id: &TokenId) -> Result<bool, StoreError> {
        let mut kept = self.kept();
        let before = kept.tokens.len();
        kept.tokens.retain(|known| known.id != *id);
        let revoked = kept.tokens.len() < before;
        kept.revision += u64::from(revoked);
        Ok(revoked)
    }

    async fn grant(&self, principal: &str, grant: &Grant) -> Result<(), StoreError> {
        let mut kept = self.kept();
        let given = |(name, known): &(_, _)| is(name, known, principal, grant);
        if !kept.grants.iter().any(given) {
            kept.grants.push((principal.into(), grant.clone()));
            kept.revision += 1;
        }
        Ok(())
    }

    async fn revoke_grant(&self, principal: &str, grant: &Grant) -> Result<bool, StoreError> {
        let mut kept = self.kept();
        let before = kept.grants.len();
        kept.grants
            .retain(|(name, known)| !is(name, known, principal, grant));
        let revoked = kept.grants.len() < before;
        kept.revision += u64::from(revoked);
        Ok(revoked)
    }
}

fn is(name: &Arc<str>, known: &Grant, principal: &str, grant: &Grant) -> bool {
    **name == *principal && known == grant
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::api_token::NewToken;

    fn record() -> TokenRecord {
        NewToken::new("alice")
            .issue(SystemTime::UNIX_EPOCH)
            .unwrap()
            .0
    }

    #[tokio::test]
    async fn every_change_and_nothing_else_moves_the_revision() {
        let store = MemoryTokenStore::default();
        let (record, grant) = (record(), Grant::Admin);
        let mut seen = vec![store.revision().await.unwrap()];

        store.insert(record.clone()).await.unwrap();
        seen.push(store.revision().await.unwrap());
        store.grant("alice", &grant).await.unwrap();
        seen.push(store.revision().await.unwrap());
        assert!(store.revoke_grant("alice", &grant).await.unwrap());
        seen.push(store.revision().await.unwrap());
        assert!(store.revoke(&record.id).await.unwrap());
        seen.push(store.revision().await.unwrap());
        assert!(seen.is_sorted_by(|earlier, later| earlier < later));

        assert!(!store.revoke(&record.id).await.unwrap());
        assert!(!store.revoke_grant("alice", &grant).await.unwrap());
        assert_eq!(store.revision().await.unwrap(), seen[4]);
    }

    #[tokio::test]
    async fn the_same_token_is_not_kept_twice() {
        let store = MemoryTokenStore::default();
        let first = record();
        store.insert(first.clone()).await.unwrap();
        let same_id = TokenRecord {
            id: first.id.clone(),
            ..record()
        };
        let same_digest = TokenRecord {
            digest: first.digest,
            ..record()
        };
        for other in [first, same_id, same_digest] {
            assert!(store.insert(other).await.is_err());
        }
        assert_eq!(store.load().await.unwrap().tokens.len(), 1);
    }

    #[tokio::test]
    async fn a_grant_given_twice_is_taken_back_once() {
        let store = MemoryTokenStore::default();
        let read = Grant::read("iris".parse().unwrap());
        store.grant("alice", &read).await.unwrap();
        store.grant("alice", &read).await.unwrap();
        assert_eq!(store.load().await.unwrap().revision, 1);
        assert!(!store.revoke_grant("bob", &read).await.unwrap());
        assert!(store.revoke_grant("alice", &read).await.unwrap());
        assert!(store.load().await.unwrap().grants.is_empty());
    }
}
