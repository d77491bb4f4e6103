//! Calls to the MLflow server: as whom, and what it means to be refused.

use std::fmt;

use super::MlflowUsers;
use super::replies::{Answered, sort};
use crate::http_call::{Credentials, HttpCall};
use crate::inherited::{Caller, SourceError};

impl MlflowUsers {
    /// `GET api/2.0/mlflow/{call}`: the caller with its own password, or the gateway's account about the caller.
    pub(super) async fn ask(
        &self,
        caller: &Caller,
        call: &str,
        query: &[(&str, &str)],
    ) -> Result<Answered, SourceError> {
        self.get(caller, "2.0", call, query).await
    }

    /// `GET api/3.0/mlflow/{call}`: what came with 3.13.
    pub(super) async fn ask_v3(
        &self,
        caller: &Caller,
        call: &str,
        query: &[(&str, &str)],
    ) -> Result<Answered, SourceError> {
        self.get(caller, "3.0", call, query).await
    }

    async fn get(
        &self,
        caller: &Caller,
        version: &str,
        call: &str,
        query: &[(&str, &str)],
    ) -> Result<Answered, SourceError> {
        let own;
        let credentials = match caller {
            Caller::Named(_) => self.service.as_ref().ok_or_else(no_service)?,
            Caller::SignedIn(login) => {
                own = Credentials::Basic {
                    user: login.user().to_owned(),
                    password: login.password().clone(),
                };
                &own
            }
        };
        let path = format!("api/{version}/mlflow/{call}");
        let reply = self.http.get(HttpCall {
            path: &path,
            query,
            credentials,
        });
        let reply = reply
            .await
            .map_err(|error| SourceError::Unavailable(error.to_string()))?;
        match (sort(call, reply)?, caller) {
            (Answered::Unauthenticated, Caller::SignedIn(_)) => Err(SourceError::SignedOut),
            (Answered::Unauthenticated, Caller::Named(_)) => Err(SourceError::Misconfigured(
                "the registry does not accept the gateway's own account: check MLFLOW_TRACKING_USERNAME and \
                 MLFLOW_TRACKING_PASSWORD"
                    .to_owned(),
            )),
            (answered, _) => Ok(answered),
        }
    }

    /// What a 403 means where only questions about others are ever refused.
    pub(super) fn denied(&self, caller: &Caller, call: &str) -> SourceError {
        match caller {
            Caller::Named(_) => self.not_admin(),
            Caller::SignedIn(_) => {
                SourceError::Unavailable(format!("the registry answered 403 to {call}"))
            }
        }
    }

    pub(super) fn not_admin(&self) -> SourceError {
        let account = match &self.service {
            Some(Credentials::Basic { user, .. }) => format!("account {user:?}"),
            _ => "account".to_owned(),
        };
        SourceError::Misconfigured(format!(
            "the gateway's {account} is no admin of the MLflow server, and only an admin is told the rights of others: make \
             it one, or let callers come with their MLflow user name and password"
        ))
    }
}

pub(super) fn no_service() -> SourceError {
    SourceError::Misconfigured(
        "the gateway has no account at the registry: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD to those \
         of an admin"
            .to_owned(),
    )
}

impl fmt::Debug for MlflowUsers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("MlflowUsers")
            .field("service", &self.service)
            .field("default_permission", &self.default_permission)
            .finish_non_exhaustive()
    }
}
