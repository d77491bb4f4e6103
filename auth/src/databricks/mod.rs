//! Users and permissions of the workspace model registry of Databricks, behind the same questions as MLflow's.
//!
//! A caller comes with its Databricks user name and a Databricks token as the password, or with a token of ours for that
//! user; then the gateway's own token asks, which must be a workspace admin's. Groups of groups are not looked into.

mod replies;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use serde::de::DeserializeOwned;

use crate::http_call::{Credentials, HttpCall, HttpCalls};
use crate::inherited::{Account, Caller, Overview, RightsSource, SourceError};
use crate::permission::Right;
use crate::secret::Secret;

use replies::{AccessReply, Answered, ModelReply, PeopleReply, Person, read, right, sort};

/// The users of one Databricks workspace.
pub struct DatabricksUsers {
    http: Arc<dyn HttpCalls>,
    service: Option<Credentials>,
}

impl DatabricksUsers {
    /// The users of the workspace that `http` calls; `service` is the gateway's own token there.
    pub fn new(http: Arc<dyn HttpCalls>, service: Option<Secret>) -> Self {
        Self {
            http,
            service: service.map(Credentials::Bearer),
        }
    }

    async fn get<T: DeserializeOwned>(
        &self,
        caller: &Caller,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Answered<T>, SourceError> {
        let own;
        let credentials = match caller {
            Caller::Named(_) => self.service.as_ref().ok_or_else(|| {
                SourceError::Misconfigured(
                    "the gateway has no account at the registry: set MLFLOW_TRACKING_TOKEN to the token of a workspace \
                     admin"
                        .to_owned(),
                )
            })?,
            Caller::SignedIn(login) => {
                own = Credentials::Bearer(login.password().clone());
                &own
            }
        };
        let reply = self.http.get(HttpCall {
            path,
            query,
            credentials,
        });
        let reply = reply
            .await
            .map_err(|error| SourceError::Unavailable(error.to_string()))?;
        let answered = match sort(path, &reply)? {
            Answered::Done(()) => Answered::Done(read(path, &reply.body)?),
            Answered::Missing => Answered::Missing,
            Answered::Denied => Answered::Denied,
            Answered::Unauthenticated => {
                return Err(match caller {
                    Caller::SignedIn(_) => SourceError::SignedOut,
                    Caller::Named(_) => SourceError::Misconfigured(
                        "the registry does not accept the gateway's own token: check MLFLOW_TRACKING_TOKEN"
                            .to_owned(),
                    ),
                });
            }
        };
        Ok(answered)
    }

    async fn person(&self, caller: &Caller) -> Result<Option<Person>, SourceError> {
        let scim = "api/2.0/preview/scim/v2";
        let name = caller.name();
        let person = match caller {
            Caller::SignedIn(_) => match self.get(caller, &format!("{scim}/Me"), &[]).await? {
                Answered::Done(person) => Some(person),
                _ => None,
            },
            Caller::Named(_) => {
                // No user name has such characters, and in a filter they would mean something.
                if name.contains(['"', '\\']) {
                    return Ok(None);
                }
                let filter = format!("userName eq \"{name}\"");
                let path = format!("{scim}/Users");
                match self.get(caller, &path, &[("filter", &filter)]).await? {
                    Answered::Done(PeopleReply { people }) => people.into_iter().next(),
                    Answered::Missing => None,
                    _ => return Err(not_admin()),
                }
            }
        };
        // Whose token it is must be who the caller says to be; names are mail addresses, compared without case.
        Ok(person.filter(|person| person.active && person.user_name.eq_ignore_ascii_case(name)))
    }

    async fn own_right(&self, caller: &Caller, model: &str) -> Result<Option<Right>, SourceError> {
        Ok(match self.model(caller, model).await? {
            Answered::Done(reply) => right(&reply.model.permission_level),
            _ => None,
        })
    }

    async fn right_of(&self, caller: &Caller, model: &str) -> Result<Option<Right>, SourceError> {
        let (person, found) = tokio::join!(self.person(caller), self.model(caller, model));
        let (person, id) = match (person?, found?) {
            (Some(person), Answered::Done(reply)) => (person, reply.model.id),
            (_, Answered::Denied) => return Err(not_admin()),
            _ => return Ok(None),
        };
        let path = format!("api/2.0/permissions/registered-models/{id}");
        match self.get(caller, &path, &[]).await? {
            Answered::Done::<AccessReply>(access) => Ok(access.right_of(&person)),
            Answered::Missing => Ok(None),
            _ => Err(not_admin()),
        }
    }

    async fn model(
        &self,
        caller: &Caller,
        model: &str,
    ) -> Result<Answered<ModelReply>, SourceError> {
        let path = "api/2.0/mlflow/databricks/registered-models/get";
        self.get(caller, path, &[("name", model)]).await
    }
}

#[async_trait]
impl RightsSource for DatabricksUsers {
    async fn account(&self, caller: &Caller) -> Result<Option<Account>, SourceError> {
        let person = self.person(caller).await?;
        Ok(person.map(|person| Account {
            admin: person.is_admin(),
            ..Account::new(person.user_name)
        }))
    }

    async fn right(&self, caller: &Caller, model: &str) -> Result<Option<Right>, SourceError> {
        match caller {
            Caller::SignedIn(_) => self.own_right(caller, model).await,
            Caller::Named(_) => self.right_of(caller, model).await,
        }
    }

    async fn overview(&self, _: &Caller) -> Result<Overview, SourceError> {
        Ok(Overview::Unknown)
    }

    async fn check_service(&self) -> Result<(), SourceError> {
        // Whose name that is does not matter: it is asked with the gateway's own token.
        let nobody = Caller::Named(Arc::default());
        let me = "api/2.0/preview/scim/v2/Me";
        match self.get::<Person>(&nobody, me, &[]).await? {
            Answered::Done(person) if person.is_admin() => Ok(()),
            _ => Err(not_admin()),
        }
    }
}

fn not_admin() -> SourceError {
    SourceError::Misconfigured(
        "the gateway's token is not one of a workspace admin, and only an admin is told the rights of others: use an \
         admin's, or let callers come with their Databricks user name and token"
            .to_owned(),
    )
}

impl fmt::Debug for DatabricksUsers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("DatabricksUsers")
            .field("service", &self.service)
            .finish_non_exhaustive()
    }
}
