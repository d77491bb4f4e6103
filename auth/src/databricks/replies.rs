//! What Databricks answers: people (SCIM), models, and who may do what to one.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::http_call::HttpReply;
use crate::inherited::SourceError;
use crate::permission::Right;

/// The group whose members administer a workspace.
const ADMINS: &str = "admins";

/// An answer that means something.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answered<T> {
    Done(T),
    Missing,
    Denied,
    Unauthenticated,
}

/// `scim/v2/Users`.
#[derive(Deserialize)]
pub(super) struct PeopleReply {
    #[serde(default, rename = "Resources")]
    pub(super) people: Vec<Person>,
}

/// `scim/v2/Me`, or one of `scim/v2/Users`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Person {
    pub(super) user_name: String,
    #[serde(default)]
    pub(super) active: bool,
    #[serde(default)]
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    #[serde(default)]
    display: String,
}

/// `mlflow/databricks/registered-models/get`.
#[derive(Deserialize)]
pub(super) struct ModelReply {
    #[serde(rename = "registered_model_databricks")]
    pub(super) model: Model,
}

#[derive(Deserialize)]
pub(super) struct Model {
    pub(super) id: String,
    /// Of who asks.
    #[serde(default)]
    pub(super) permission_level: String,
}

/// `permissions/registered-models/{id}`.
#[derive(Deserialize)]
pub(super) struct AccessReply {
    #[serde(default)]
    access_control_list: Vec<Access>,
}

#[derive(Deserialize)]
struct Access {
    user_name: Option<String>,
    group_name: Option<String>,
    service_principal_name: Option<String>,
    #[serde(default)]
    all_permissions: Vec<Level>,
}

#[derive(Deserialize)]
struct Level {
    permission_level: String,
}

#[derive(Deserialize)]
struct ErrorReply {
    error_code: String,
    #[serde(default)]
    message: String,
}

impl Person {
    pub(super) fn is_admin(&self) -> bool {
        self.is_in(ADMINS)
    }

    fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|known| known.display == group)
    }
}

impl AccessReply {
    /// The largest right that the list gives to `person`, directly or by a group.
    pub(super) fn right_of(&self, person: &Person) -> Option<Right> {
        let is_person = |name: &Option<String>| {
            let name = name.as_deref();
            name.is_some_and(|name| name.eq_ignore_ascii_case(&person.user_name))
        };
        self.access_control_list
            .iter()
            .filter(|access| {
                let group = access.group_name.as_deref();
                is_person(&access.user_name)
                    || is_person(&access.service_principal_name)
                    || group.is_some_and(|group| person.is_in(group))
            })
            .flat_map(|access| &access.all_permissions)
            .filter_map(|level| right(&level.permission_level))
            .max()
    }
}

/// What a permission level lets do here.
pub(super) fn right(level: &str) -> Option<Right> {
    match level {
        "CAN_READ"
        | "CAN_EDIT"
        | "CAN_MANAGE_STAGING_VERSIONS"
        | "CAN_MANAGE_PRODUCTION_VERSIONS" => Some(Right::Read),
        "CAN_MANAGE" => Some(Right::Manage),
        _ => None,
    }
}

/// What the answer to `call` means.
pub(super) fn sort(call: &str, reply: &HttpReply) -> Result<Answered<()>, SourceError> {
    let error = serde_json::from_slice::<ErrorReply>(&reply.body).ok();
    let is_about_the_token = error
        .as_ref()
        .is_some_and(|error| error.message.contains("Invalid access token"));
    match (reply.status, error) {
        (200, _) => Ok(Answered::Done(())),
        (401, _) => Ok(Answered::Unauthenticated),
        (403, _) if is_about_the_token => Ok(Answered::Unauthenticated),
        (403, _) => Ok(Answered::Denied),
        (404, Some(error)) if error.error_code.ends_with("DOES_NOT_EXIST") => Ok(Answered::Missing),
        (status, _) => Err(SourceError::Unavailable(format!(
            "the registry answered {status} to {call}"
        ))),
    }
}

/// The JSON of an answer to `call`.
pub(super) fn read<T: DeserializeOwned>(call: &str, body: &[u8]) -> Result<T, SourceError> {
    serde_json::from_slice(body).map_err(|error| {
        SourceError::Unavailable(format!(
            "the registry's answer to {call} is not what Databricks says (at line {} column {})",
            error.line(),
            error.column()
        ))
    })
}
