//! Tokens and grants: what `auth` needs kept. A change by another process is seen by the revision.

use async_trait::async_trait;
use auth::{
    Grant, Permission, Right, StoreError as TokenStoreError, TokenDigest, TokenId, TokenRecord,
    TokenStore, TokensAndGrants,
};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::time::{from_millis, to_millis};
use super::{Store, StoreError};

#[async_trait]
impl TokenStore for Store {
    async fn revision(&self) -> Result<u64, TokenStoreError> {
        let mut connection = self.pool.acquire().await.map_err(told)?;
        revision(&mut connection).await.map_err(told)
    }

    async fn load(&self) -> Result<TokensAndGrants, TokenStoreError> {
        self.tokens_and_grants().await.map_err(told)
    }

    async fn insert(&self, record: TokenRecord) -> Result<(), TokenStoreError> {
        let result = sqlx::query(
            "INSERT INTO token (id, digest, principal, scopes, comment, created, expires) VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(record.id.as_str())
        .bind(record.digest.as_bytes().as_slice())
        .bind(&*record.principal)
        .bind(serde_json::json!(record.scopes).to_string())
        .bind(&record.comment)
        .bind(to_millis(record.created))
        .bind(record.expires.map(to_millis))
        .execute(&self.pool)
        .await;
        match result {
            Ok(_) => Ok(()),
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Err(
                TokenStoreError(format!("the token {} exists already", record.id)),
            ),
            Err(error) => Err(told(error)),
        }
    }

    async fn revoke(&self, id: &TokenId) -> Result<bool, TokenStoreError> {
        let done = sqlx::query("DELETE FROM token WHERE id = ?")
            .bind(id.as_str())
            .execute(&self.pool)
            .await
            .map_err(told)?;
        Ok(done.rows_affected() > 0)
    }

    async fn grant(&self, principal: &str, grant: &Grant) -> Result<(), TokenStoreError> {
        let (what, pattern) = columns(grant);
        sqlx::query("INSERT INTO granted (principal, what, pattern) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
            .bind(principal)
            .bind(what)
            .bind(pattern)
            .execute(&self.pool)
            .await
            .map_err(told)?;
        Ok(())
    }

    async fn revoke_grant(&self, principal: &str, grant: &Grant) -> Result<bool, TokenStoreError> {
        let (what, pattern) = columns(grant);
        let done =
            sqlx::query("DELETE FROM granted WHERE principal = ? AND what = ? AND pattern = ?")
                .bind(principal)
                .bind(what)
                .bind(pattern)
                .execute(&self.pool)
                .await
                .map_err(told)?;
        Ok(done.rows_affected() > 0)
    }
}

impl Store {
    /// In one transaction, so that all three are of one moment.
    async fn tokens_and_grants(&self) -> Result<TokensAndGrants, StoreError> {
        let mut transaction = self.pool.begin().await?;
        let revision = revision(&mut transaction).await?;
        let tokens = sqlx::query(
            "SELECT id, digest, principal, scopes, comment, created, expires FROM token",
        )
        .fetch_all(&mut *transaction)
        .await?;
        let grants = sqlx::query("SELECT principal, what, pattern FROM granted")
            .fetch_all(&mut *transaction)
            .await?;
        Ok(TokensAndGrants {
            revision,
            tokens: tokens.iter().map(read_token).collect::<Result<_, _>>()?,
            grants: grants.iter().map(read_grant).collect::<Result<_, _>>()?,
        })
    }
}

async fn revision(connection: &mut SqliteConnection) -> Result<u64, StoreError> {
    let number: i64 = sqlx::query_scalar("SELECT number FROM token_revision")
        .fetch_one(connection)
        .await?;
    Ok(number.cast_unsigned())
}

fn read_token(row: &SqliteRow) -> Result<TokenRecord, StoreError> {
    let id: String = row.try_get("id")?;
    let digest: Vec<u8> = row.try_get("digest")?;
    let digest: [u8; 32] = digest
        .try_into()
        .map_err(|_| StoreError::Damaged(format!("the digest of the token {id}")))?;
    let scopes: String = row.try_get("scopes")?;
    // A scope that cannot be read must not become "no scope", which would widen the token.
    let scopes = serde_json::from_str(&scopes)
        .map_err(|error| StoreError::Damaged(format!("the scopes of the token {id}: {error}")))?;
    let principal: String = row.try_get("principal")?;
    let expires: Option<i64> = row.try_get("expires")?;
    Ok(TokenRecord {
        id: id.into(),
        digest: TokenDigest::from(digest),
        principal: principal.into(),
        scopes,
        comment: row.try_get("comment")?,
        created: from_millis(row.try_get("created")?),
        expires: expires.map(from_millis),
    })
}

fn read_grant(row: &SqliteRow) -> Result<(std::sync::Arc<str>, Grant), StoreError> {
    let principal: String = row.try_get("principal")?;
    let what: String = row.try_get("what")?;
    let pattern: String = row.try_get("pattern")?;
    let right = match what.as_str() {
        "admin" => return Ok((principal.into(), Grant::Admin)),
        "manage" => Right::Manage,
        _ => Right::Read,
    };
    let pattern = pattern
        .parse()
        .map_err(|error| StoreError::Damaged(format!("a grant of {principal}: {error}")))?;
    let grant = Grant::Models(Permission::new(pattern, right));
    Ok((principal.into(), grant))
}

fn columns(grant: &Grant) -> (&'static str, String) {
    match grant {
        Grant::Admin => ("admin", String::new()),
        Grant::Models(permission) => {
            let what = match permission.right {
                Right::Read => "read",
                Right::Manage => "manage",
            };
            (what, permission.pattern.to_string())
        }
    }
}

fn told(error: impl Into<StoreError>) -> TokenStoreError {
    TokenStoreError(error.into().to_string())
}
