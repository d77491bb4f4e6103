//! Calls about tokens and rights.

use gateway::api::{CreateToken, CreatedToken, GrantInfo, GrantPage, TokenInfo, TokenPage};
use reqwest::Method;

use super::Client;
use crate::error::CommandError;

impl Client {
    /// Makes a token.
    pub(crate) async fn create_token(
        &self,
        wish: &CreateToken,
    ) -> Result<CreatedToken, CommandError> {
        self.receive(self.api(Method::POST, &["tokens"]).json(wish))
            .await
    }

    /// Everybody's tokens for an admin, otherwise the caller's own.
    pub(crate) async fn list_tokens(&self) -> Result<Vec<TokenInfo>, CommandError> {
        let page: TokenPage = self.get(&["tokens"], &()).await?;
        Ok(page.tokens)
    }

    /// Makes a token worthless.
    pub(crate) async fn revoke_token(&self, id: &str) -> Result<(), CommandError> {
        self.send(self.api(Method::DELETE, &["tokens", id]))
            .await
            .map(drop)
    }

    /// What `principal` was given, or everybody for an admin, otherwise the caller.
    pub(crate) async fn list_grants(
        &self,
        principal: Option<&str>,
    ) -> Result<Vec<GrantInfo>, CommandError> {
        let query = principal.map(|principal| [("principal", principal)]);
        let page: GrantPage = self.get(&["grants"], &query).await?;
        Ok(page.grants)
    }

    /// Takes a right back.
    pub(crate) async fn revoke_grant(&self, grant: &GrantInfo) -> Result<(), CommandError> {
        let request = self.api(Method::DELETE, &["grants"]).query(grant);
        self.send(request).await.map(drop)
    }
}
