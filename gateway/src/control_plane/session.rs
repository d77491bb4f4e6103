//! Signing in with a browser: a credential once, a cookie from then on.

use std::sync::Arc;

use auth::{AuthError, Credential, NoSession, NotBegun, Principal, Sessions};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::access::Access;
use super::authentication::Credential as Shown;
use super::extract::Body;
use super::openapi::{
    InternalError, InvalidParameterValue, RequestTooLarge, ResourceExhausted,
    TemporarilyUnavailable, Unauthenticated,
};
use super::{ControlState, Refused};
use crate::api::{SessionInfo, SignIn};
use crate::error::{ApiError, ErrorCode};

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
        ResourceExhausted,
        TemporarilyUnavailable,
        InternalError,
    ),
)]
pub(super) async fn sign_in(
    State(state): State<Arc<ControlState>>,
    shown: Shown,
    body: Body,
) -> Result<Response, Refused> {
    let Some(sessions) = state.authenticator.sessions() else {
        // Without authentication there is nobody to be told from others.
        return Ok(Json(info(&Principal::anonymous(), false)).into_response());
    };
    // Else another site could sign a person in as somebody else, with a form.
    let own = sessions.is_own_page(&Method::POST, shown.headers());
    own.map_err(|reason| Refused::invalid(format!("signing in: {reason}")))?;
    let credential = credential(body.read()?)?;
    let checked = state.authenticator.check(credential.clone(), shown.peer());
    let principal = checked.await.map_err(not_signed_in)?;
    shown.trail().called_by(&principal);
    let over_tls = sessions.is_over_tls(shown.headers());
    sessions.admit(&principal.name).map_err(not_begun)?;
    let session = sessions.begin(&credential, over_tls).map_err(not_begun)?;
    // What the new one takes the place of would hold on, though nobody could sign out of it any more.
    end_all(&state, sessions, shown.headers()).await?;
    let mut answer = Json(info(&principal, true)).into_response();
    let age = session.lifetime.as_secs();
    set(&mut answer, &session.cookie, age, over_tls)?;
    Ok(answer)
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
///
/// Also of somebody whose credential holds no longer, and who would be nobody to other calls.
#[utoipa::path(
    delete,
    path = "/session",
    operation_id = "sign_out",
    tag = "session",
    security(()),
    responses(
        (status = NO_CONTENT, description = "Signed out; also if there was no session."),
        InvalidParameterValue,
        ResourceExhausted,
        TemporarilyUnavailable,
        InternalError,
    ),
)]
pub(super) async fn sign_out(
    State(state): State<Arc<ControlState>>,
    shown: Shown,
) -> Result<Response, Refused> {
    let mut answer = StatusCode::NO_CONTENT.into_response();
    let Some(sessions) = state.authenticator.sessions() else {
        return Ok(answer);
    };
    match sessions.of_request(&Method::DELETE, shown.headers()) {
        Ok(_) | Err(NoSession::Over) => end_all(&state, sessions, shown.headers()).await?,
        Err(reason @ (NoSession::NoHeader | NoSession::Elsewhere)) => {
            return Err(Refused::invalid(format!("signing out: {reason}")));
        }
    }
    for (name, over_tls) in sessions.cookies().into_iter().zip([true, false]) {
        set(&mut answer, &format!("{name}="), 0, over_tls)?;
    }
    Ok(answer)
}

/// Ends each session that the browser has a cookie for: over TLS and without, it may have two.
async fn end_all(
    state: &ControlState,
    sessions: &Sessions,
    headers: &HeaderMap,
) -> Result<(), Refused> {
    for session in sessions.all_of(headers) {
        let until = sessions.end(&session);
        let until = until.map_err(|reason| Refused::busy(reason.to_string()))?;
        let kept = state
            .store
            .end_session(&session.id, until, state.clock.now());
        if let Err(error) = kept.await {
            // A second try would find nothing to sign out of, and a restart would bring it back.
            sessions.take_back(&session);
            return Err(error.into());
        }
    }
    Ok(())
}

/// As the same would be read from an `Authorization` header, which cannot carry all that JSON can.
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
        } if !user.is_empty() => {
            // The registry would take what comes before the colon for the name.
            if user.contains(|letter: char| letter == ':' || letter.is_control()) {
                return Err(Refused::invalid(
                    "a user name has no colons and no control characters in it",
                ));
            }
            Ok(Credential::of_user(&user, &password))
        }
        _ => Err(Refused::invalid(
            "either \"token\" is needed, or \"username\" and \"password\"",
        )),
    }
}

/// In the words of a form instead of a header.
fn not_signed_in(reason: AuthError) -> Refused {
    let is_password_refused = reason == AuthError::PasswordRefused;
    let mut error = ApiError::from(reason);
    if is_password_refused {
        "this gateway knows no user names and passwords: sign in with a token"
            .clone_into(&mut error.message);
    }
    Refused(error)
}

fn not_begun(reason: NotBegun) -> Refused {
    match reason {
        NotBegun::TooLong => Refused::invalid(reason.to_string()),
        NotBegun::TooMany => Refused::busy(reason.to_string()),
        NotBegun::NotSealed => Refused::new(ErrorCode::InternalError, reason.to_string()),
    }
}

fn info(principal: &Principal, authentication: bool) -> SessionInfo {
    SessionInfo {
        principal: principal.name.to_string(),
        admin: principal.admin,
        authentication,
    }
}

/// Lets the browser keep `cookie` (`name=value`) for `age` seconds: for this host alone, out of reach of scripts, and never
/// sent along when another site makes the browser ask.
fn set(answer: &mut Response, cookie: &str, age: u64, over_tls: bool) -> Result<(), Refused> {
    let secure = if over_tls { "; Secure" } else { "" };
    let text = format!("{cookie}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict{secure}");
    let mut value = HeaderValue::try_from(text)
        .map_err(|_| Refused::new(ErrorCode::InternalError, "the cookie cannot be written"))?;
    // Not shown by `Debug`.
    value.set_sensitive(true);
    answer.headers_mut().append(SET_COOKIE, value);
    // A password is behind it.
    let store = HeaderValue::from_static("no-store");
    answer.headers_mut().insert(CACHE_CONTROL, store);
    Ok(())
}
