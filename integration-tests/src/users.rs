//! The users of an MLflow server with basic-auth, and what each may do, as its admin manages them.

use anyhow::{Result, bail, ensure};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// A user and the password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The user's name.
    pub user: String,
    /// The password.
    pub password: String,
}

/// What users and their permissions are kept as.
#[derive(Clone, Debug)]
pub struct Users {
    url: String,
    admin: Account,
    http: reqwest::Client,
}

impl Account {
    /// A user with a password that differs from everybody else's.
    pub fn new(user: &str) -> Self {
        Self {
            user: user.to_owned(),
            password: format!("the password of {user}"),
        }
    }
}

impl Users {
    /// The users of the server at a base URL, managed by `admin`.
    pub(crate) fn new(url: String, admin: Account) -> Self {
        Self {
            url,
            admin,
            http: reqwest::Client::new(),
        }
    }

    /// A new user, who may nothing.
    pub async fn add(&self, name: &str) -> Result<Account> {
        let account = Account::new(name);
        let body = json!({ "username": name, "password": account.password });
        self.admin_call(Method::POST, "2.0/mlflow/users/create", body)
            .await?;
        Ok(account)
    }

    /// Makes a user an admin, or no longer.
    pub async fn set_admin(&self, name: &str, is_admin: bool) -> Result<()> {
        let body = json!({ "username": name, "is_admin": is_admin });
        self.admin_call(Method::PATCH, "2.0/mlflow/users/update-admin", body)
            .await
    }

    /// Gives a user a permission on a model.
    pub async fn give(&self, name: &str, model: &str, permission: &str) -> Result<()> {
        let new = json!({
            "username": name, "resource_type": "registered_model", "resource_id": model, "permission": permission,
        });
        let old = json!({ "username": name, "name": model, "permission": permission });
        let (new, old) = (
            ("3.0/mlflow/users/permissions/grant", new),
            ("2.0/mlflow/registered-models/permissions/create", old),
        );
        self.either(Method::POST, new, Method::POST, old).await
    }

    /// Takes a user's permission on a model away.
    pub async fn take(&self, name: &str, model: &str) -> Result<()> {
        let new = json!({
            "username": name, "resource_type": "registered_model", "resource_id": model,
        });
        let old = json!({ "username": name, "name": model });
        let (new, old) = (
            ("3.0/mlflow/users/permissions/revoke", new),
            ("2.0/mlflow/registered-models/permissions/delete", old),
        );
        self.either(Method::POST, new, Method::DELETE, old).await
    }

    /// Denies a user the versions of all models, whatever else was given. Since MLflow 3.13.
    pub async fn deny_versions(&self, name: &str) -> Result<()> {
        let body = json!({
            "username": name, "resource_type": "registered_model_version", "resource_id": "*", "permission": "DENY",
        });
        let grant = "3.0/mlflow/users/permissions/grant";
        self.admin_call(Method::POST, grant, body).await
    }

    /// Whether MLflow itself lets a user read a version.
    pub async fn may_read(&self, account: &Account, model: &str, version: u64) -> Result<bool> {
        let url = format!("{}/api/2.0/mlflow/model-versions/get", self.url);
        let request = self
            .http
            .get(url)
            .query(&[("name", model), ("version", &version.to_string())])
            .basic_auth(&account.user, Some(&account.password));
        let answer = request.send().await?;
        match answer.status() {
            StatusCode::OK => Ok(true),
            StatusCode::FORBIDDEN => Ok(false),
            status => bail!("{status} {}", answer.text().await?),
        }
    }

    /// The newer call, or, where the server has none of that name, the older one.
    async fn either(
        &self,
        new_method: Method,
        new: (&str, Value),
        old_method: Method,
        old: (&str, Value),
    ) -> Result<()> {
        let (status, text) = self.send(new_method, new.0, &new.1).await?;
        match status {
            StatusCode::NOT_FOUND => self.admin_call(old_method, old.0, old.1).await,
            status => {
                ensure!(status.is_success(), "{} {}: {status} {text}", new.0, new.1);
                Ok(())
            }
        }
    }

    async fn admin_call(&self, method: Method, path: &str, body: Value) -> Result<()> {
        let (status, text) = self.send(method, path, &body).await?;
        ensure!(status.is_success(), "{path} {body}: {status} {text}");
        Ok(())
    }

    async fn send(&self, method: Method, path: &str, body: &Value) -> Result<(StatusCode, String)> {
        let request = self
            .http
            .request(method, format!("{}/api/{path}", self.url))
            .basic_auth(&self.admin.user, Some(&self.admin.password));
        let answer = request.json(body).send().await?;
        Ok((answer.status(), answer.text().await?))
    }
}
