//! Signing in with a browser: a credential once, a cookie from then on.

use std::sync::Arc;

use auth::{Credential, NewSession, PAGE_HEADER, Principal};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::access::Access;
use super::authentication::Credential as Shown;
use super::extract::Body;
use super::openapi::{
    InternalError, InvalidParameterValue, RequestTooLarge, TemporarilyUnavailable, Unauthenticated,
};
use super::{ControlState, Refused};
use crate::api::{SessionInfo, SignIn};
use crate::error::ErrorCode;

/// Signs in: the answer sets a cookie, with which a page of this gateway calls from then on.
///
/// Nothing of it is a credential elsewhere. Calls that change something need the header `X-Sluicegate-Page` beside it.
#[utoipa::path(
    post,
    path = "/session",
    operation_id = "sign_in",
    tag = "session",
    security(()),
    request_body(content = SignIn, content_type = "application/json"),
    responses(
        (status = OK, description = "Signed in.", body = SessionInfo),
        InvalidParameterValue,
        Unauthenticated,
        RequestTooLarge,
        TemporarilyUnavailable,
        InternalError,
    ),
)]
pub(super) async fn sign_in(
    State(state): State<Arc<ControlState>>,
    shown: Shown,
    body: Body,
) -> Result<Response, Refused> {
    // Else another site could sign a person in as somebody else, with a form.
    if !shown.headers().contains_key(PAGE_HEADER) {
        return Err(Refused::invalid(
            "signing in is for pages of this gateway: the header X-Sluicegate-Page is missing",
        ));
    }
    let credential = credential(body.read()?)?;
    let checked = state.authenticator.check(credential.clone(), shown.peer());
    let principal = checked.await.map_err(|reason| Refused(reason.into()))?;
    let Some(sessions) = state.authenticator.sessions() else {
        // Without authentication there is nobody to be told from others.
        return Ok(Json(info(&principal, false)).into_response());
    };
    let session = sessions.begin(&credential).ok_or_else(|| {
        Refused::new(ErrorCode::InternalError, "the session cannot be sealed")
    })?;
    let is_secure = is_secure(&state, shown.headers());
    let headers = [(SET_COOKIE, begun(&session, is_secure)?)];
    Ok((headers, Json(info(&principal, true))).into_response())
}

/// Who is calling, by whichever credential.
#[utoipa::path(
    get,
    path = "/session",
    operation_id = "session",
    tag = "session",
    responses((status = OK, description = "The caller.", body = SessionInfo)),
)]
pub(super) async fn show(access: Access) -> Json<SessionInfo> {
    let authentication = access.state.authenticator.sessions().is_some();
    Json(info(&access.principal, authentication))
}

/// Signs out: the session holds no longer, wherever its cookie is.
#[utoipa::path(
    delete,
    path = "/session",
    operation_id = "sign_out",
    tag = "session",
    responses(
        (status = NO_CONTENT, description = "Signed out; also if there was no session."),
        TemporarilyUnavailable,
    ),
)]
pub(super) async fn sign_out(access: Access, shown: Shown) -> Result<Response, Refused> {
    let state = &access.state;
    let Some(sessions) = state.authenticator.sessions() else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    if let Some(session) = state
        .authenticator
        .session(&Method::DELETE, shown.headers())
    {
        let until = sessions.end(&session);
        let now = state.clock.now();
        state.store.end_session(&session.id, until, now).await?;
    }
    let cookie = format!(
        "{}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict",
        sessions.cookie()
    );
    let headers = [(SET_COOKIE, header(&cookie)?)];
    Ok((StatusCode::NO_CONTENT, headers).into_response())
}

fn credential(asked: SignIn) -> Result<Credential, Refused> {
    match asked {
        SignIn {
            token: Some(token),
            username: None,
            password: None,
        } if !token.is_empty() => Ok(Credential::Token(token.into())),
        SignIn {
            token: None,
            username: Some(user),
            password: Some(password),
        } if !user.is_empty() => Ok(Credential::Password {
            user,
            password: password.into(),
        }),
        _ => Err(Refused::invalid(
            "either \"token\" is needed, or \"username\" and \"password\"",
        )),
    }
}

fn info(principal: &Principal, authentication: bool) -> SessionInfo {
    SessionInfo {
        principal: principal.name.to_string(),
        admin: principal.admin,
        authentication,
    }
}

/// Whether the browser reaches the gateway over TLS, as far as that can be known: then the cookie goes no other way.
fn is_secure(state: &ControlState, headers: &HeaderMap) -> bool {
    let public = state.about.public_url.as_ref();
    let forwarded = headers.get("x-forwarded-proto");
    public.is_some_and(|url| url.scheme() == "https")
        || forwarded.is_some_and(|proto| proto.as_bytes().eq_ignore_ascii_case(b"https"))
}

fn begun(session: &NewSession, is_secure: bool) -> Result<HeaderValue, Refused> {
    let secure = if is_secure { "; Secure" } else { "" };
    let age = session.lifetime.as_secs();
    header(&format!(
        "{}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict{secure}",
        session.cookie
    ))
}

fn header(cookie: &str) -> Result<HeaderValue, Refused> {
    HeaderValue::from_str(cookie)
        .map_err(|_| Refused::new(ErrorCode::InternalError, "the cookie cannot be written"))
}
