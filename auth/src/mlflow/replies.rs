//! What an MLflow server answers, sorted by what it means.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::http_call::HttpReply;
use crate::inherited::SourceError;

/// An answer that means something.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answered {
    /// 200, and its JSON.
    Done(Vec<u8>),
    /// The caller was let through, but there is no such thing: 404 with MLflow's own JSON.
    Missing,
    /// There is no such API: 404 with the web framework's page.
    NoSuchCall,
    /// What was asked for is not known to this version: 400 with MLflow's own JSON.
    Invalid,
    /// 401.
    Unauthenticated,
    /// 403 by the permission check.
    Denied,
}

/// `users/get`.
#[derive(Deserialize)]
pub(super) struct UserReply {
    pub(super) user: User,
}

#[derive(Deserialize)]
pub(super) struct User {
    pub(super) username: String,
    #[serde(default)]
    pub(super) is_admin: bool,
    /// All that was given to the user for single models. MLflow before 3.13 only.
    pub(super) registered_model_permissions: Option<Vec<ModelPermission>>,
}

#[derive(Deserialize)]
pub(super) struct ModelPermission {
    pub(super) name: String,
    pub(super) permission: String,
}

/// `registered-models/permissions/get`, before 3.13.
#[derive(Deserialize)]
pub(super) struct ModelPermissionReply {
    pub(super) registered_model_permission: ModelPermission,
}

/// `users/permissions/get`, since 3.13. There is an `allowed`, too, but it means USE: it is false for READ.
#[derive(Deserialize)]
pub(super) struct EffectiveReply {
    pub(super) permission: String,
}

/// `users/permissions/list`, since 3.13: what was given, not what comes of it.
#[derive(Deserialize)]
pub(super) struct GrantsReply {
    #[serde(default)]
    pub(super) permissions: Vec<GivenRow>,
}

#[derive(Deserialize)]
pub(super) struct GivenRow {
    pub(super) resource_type: String,
    pub(super) resource_pattern: String,
    pub(super) permission: String,
    workspace: Option<String>,
}

impl GivenRow {
    /// Elsewhere, a model of the same name is another one. Servers without workspaces have only the default one.
    pub(super) fn is_in_default_workspace(&self) -> bool {
        self.workspace
            .as_deref()
            .is_none_or(|name| name == "default")
    }
}

/// `model-versions/get`: that it is one is all that counts.
#[derive(Deserialize)]
pub(super) struct VersionReply {
    #[serde(rename = "model_version")]
    pub(super) _model_version: Named,
}

/// `registered-models/search`. Empty lists are left out.
#[derive(Deserialize)]
pub(super) struct SearchReply {
    #[serde(default)]
    pub(super) registered_models: Vec<Named>,
    #[serde(default)]
    pub(super) next_page_token: String,
}

#[derive(Deserialize)]
pub(super) struct Named {
    pub(super) name: String,
}

#[derive(Default, Deserialize)]
struct ErrorReply {
    error_code: String,
}

/// What `reply` to `call` means.
pub(super) fn sort(call: &str, reply: HttpReply) -> Result<Answered, SourceError> {
    let code = serde_json::from_slice::<ErrorReply>(&reply.body).map(|error| error.error_code);
    let code = code.as_deref().ok();
    match (reply.status, code) {
        (200, _) => Ok(Answered::Done(reply.body)),
        (404, Some("RESOURCE_DOES_NOT_EXIST")) => Ok(Answered::Missing),
        (404, None) => Ok(Answered::NoSuchCall),
        (400, Some("INVALID_PARAMETER_VALUE")) => Ok(Answered::Invalid),
        (401, _) => Ok(Answered::Unauthenticated),
        (403, _) if contains(&reply.body, "Invalid Host header") => {
            Err(SourceError::Misconfigured(
                "the MLflow server does not accept requests for this host name: start it with --allowed-hosts, or use an \
                 address that it accepts"
                    .to_owned(),
            ))
        }
        (403, _) => Ok(Answered::Denied),
        (status, _) => Err(SourceError::Unavailable(format!(
            "the registry answered {status} to {call}"
        ))),
    }
}

/// The JSON of an answer to `call`.
pub(super) fn read<T: DeserializeOwned>(call: &str, body: &[u8]) -> Result<T, SourceError> {
    serde_json::from_slice(body).map_err(|error| {
        // The position only: the text could quote what was sent.
        SourceError::Unavailable(format!(
            "the registry's answer to {call} is not what an MLflow server with basic-auth says (at line {} column {})",
            error.line(),
            error.column()
        ))
    })
}

/// An answer that this call never gets from an MLflow server with basic-auth.
pub(super) fn odd(call: &str, answered: &Answered) -> SourceError {
    let what = match answered {
        Answered::Done(_) => "200",
        Answered::Missing | Answered::NoSuchCall => "404",
        Answered::Invalid => "400",
        Answered::Unauthenticated => "401",
        Answered::Denied => "403",
    };
    SourceError::Unavailable(format!("the registry answered {what} to {call}"))
}

fn contains(body: &[u8], text: &str) -> bool {
    String::from_utf8_lossy(body).contains(text)
}
