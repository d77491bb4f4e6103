//! The one place where HTTP status codes are decided, from the kind of an error.

use std::borrow::Cow;
use std::time::Duration;

use auth::{AuthError, RightsError, TurnedAway};
use http::StatusCode;
use tracing::debug;

use crate::ports::{EnvironmentsError, WebhooksError};

/// What went wrong, in the words of the contract. Each kind has one status code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// No, unknown, expired or revoked credential.
    Unauthenticated,
    /// A known caller without the right.
    PermissionDenied,
    /// Nothing of that name is served, or the caller may not see it.
    ResourceDoesNotExist,
    /// Something of that name exists already.
    ResourceAlreadyExists,
    /// A parameter of an API call is wrong.
    InvalidParameterValue,
    /// The body is not what the model or the API can take.
    BadRequest,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// The request body is over the limit.
    RequestTooLarge,
    /// A content type or encoding that nothing here understands.
    UnsupportedMediaType,
    /// The queue is full.
    ResourceExhausted,
    /// It will be there later.
    TemporarilyUnavailable,
    /// The worker died with the request in hand.
    WorkerDied,
    /// The worker's answer could not be understood.
    BadGateway,
    /// The deadline passed.
    DeadlineExceeded,
    /// A fault of ours.
    InternalError,
}

impl ErrorCode {
    /// The string that clients see as `error_code`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::ResourceDoesNotExist => "RESOURCE_DOES_NOT_EXIST",
            Self::ResourceAlreadyExists => "RESOURCE_ALREADY_EXISTS",
            Self::InvalidParameterValue => "INVALID_PARAMETER_VALUE",
            Self::BadRequest => "BAD_REQUEST",
            Self::MethodNotAllowed => "METHOD_NOT_ALLOWED",
            Self::RequestTooLarge => "REQUEST_TOO_LARGE",
            Self::UnsupportedMediaType => "UNSUPPORTED_MEDIA_TYPE",
            Self::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Self::TemporarilyUnavailable => "TEMPORARILY_UNAVAILABLE",
            Self::WorkerDied => "WORKER_DIED",
            Self::BadGateway => "BAD_GATEWAY",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::InternalError => "INTERNAL_ERROR",
        }
    }

    /// The status code of this kind.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::PermissionDenied => StatusCode::FORBIDDEN,
            Self::ResourceDoesNotExist => StatusCode::NOT_FOUND,
            Self::ResourceAlreadyExists => StatusCode::CONFLICT,
            Self::InvalidParameterValue | Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::RequestTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
            Self::TemporarilyUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::WorkerDied | Self::BadGateway => StatusCode::BAD_GATEWAY,
            Self::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
            Self::InternalError => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl From<&EnvironmentsError> for ErrorCode {
    fn from(error: &EnvironmentsError) -> Self {
        match error {
            EnvironmentsError::Unknown(_) => Self::ResourceDoesNotExist,
            EnvironmentsError::Unclear(_) | EnvironmentsError::Unsuitable(_) => {
                Self::InvalidParameterValue
            }
            // A disk that is full or gone; a build that did not come to its end.
            EnvironmentsError::Failed(_) | EnvironmentsError::Build(_) => {
                Self::TemporarilyUnavailable
            }
        }
    }
}

impl From<&WebhooksError> for ErrorCode {
    fn from(error: &WebhooksError) -> Self {
        match error {
            WebhooksError::Unsupported(_) => Self::ResourceDoesNotExist,
            WebhooksError::Denied(_) => Self::PermissionDenied,
            WebhooksError::Refused(_) => Self::InvalidParameterValue,
            WebhooksError::Failed(_) => Self::TemporarilyUnavailable,
        }
    }
}

impl From<&AuthError> for ErrorCode {
    fn from(error: &AuthError) -> Self {
        match error {
            // Nobody knows whether the password is right.
            AuthError::Unavailable(_) => Self::TemporarilyUnavailable,
            _ => Self::Unauthenticated,
        }
    }
}

impl From<&RightsError> for ErrorCode {
    fn from(error: &RightsError) -> Self {
        match error {
            RightsError::Unavailable(_) => Self::TemporarilyUnavailable,
            // Coming again does not help: who runs the gateway has to change something.
            RightsError::Misconfigured(_) => Self::InternalError,
        }
    }
}

/// When to come again while nobody can tell who a caller is or what it may do.
const RIGHTS_PAUSE: Duration = Duration::from_secs(5);

/// The error code that a client is told, in the extensions of the answer, for whoever keeps account of answers.
#[derive(Clone, Debug)]
pub(crate) struct ToldCode(pub(crate) Cow<'static, str>);

/// A pause as `Retry-After` says it: rounded up, and never zero, because who comes again at once comes too early.
pub(crate) fn whole_seconds(pause: Duration) -> u64 {
    let rounded_up = pause.as_secs() + u64::from(pause.subsec_nanos() > 0);
    rounded_up.max(1)
}

/// An error as a client is told it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", code.as_str())]
pub struct ApiError {
    /// Its kind.
    pub code: ErrorCode,
    /// For people: what was wrong, where, what to do. Never a secret, never a path of the host.
    pub message: String,
    /// When to come again; sent as whole seconds, at least one.
    pub retry_after: Option<Duration>,
}

impl ApiError {
    /// An error of `code` that says `message`.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            retry_after: None,
        }
    }

    /// The same with a `Retry-After`.
    #[must_use]
    pub fn retry_after(mut self, pause: Duration) -> Self {
        self.retry_after = Some(pause);
        self
    }

    fn retried_if_temporary(self) -> Self {
        if self.code == ErrorCode::TemporarilyUnavailable {
            self.retry_after(RIGHTS_PAUSE)
        } else {
            self
        }
    }

    /// The body: `{"error_code", "message", "request_id"}`.
    pub fn body(&self, request_id: &str) -> serde_json::Value {
        serde_json::json!({
            "error_code": self.code.as_str(),
            "message": self.message,
            "request_id": request_id,
        })
    }
}

impl From<TurnedAway> for ApiError {
    fn from(reason: TurnedAway) -> Self {
        Self::new(ErrorCode::PermissionDenied, reason.to_string())
    }
}

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        if let AuthError::Unavailable(reason) = &error {
            debug!(%reason, "a caller could not be recognised");
        }
        Self::new((&error).into(), error.to_string()).retried_if_temporary()
    }
}

/// The reason is not for callers. Those who run the gateway find it in the log: when the registry stops telling, [`auth`]
/// says so once, above the level of this.
impl From<RightsError> for ApiError {
    fn from(error: RightsError) -> Self {
        debug!(
            reason = error.reason(),
            "a caller's rights could not be found out"
        );
        Self::new((&error).into(), error.to_string()).retried_if_temporary()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_that_cannot_be_asked_is_no_wrong_password_and_its_reason_stays_here() {
        let reason = || "http://mlflow:5000 refused gatekeeper".to_owned();
        for (error, code, is_retried) in [
            (
                ApiError::from(AuthError::Unavailable(reason())),
                ErrorCode::TemporarilyUnavailable,
                true,
            ),
            (
                RightsError::Unavailable(reason()).into(),
                ErrorCode::TemporarilyUnavailable,
                true,
            ),
            (
                RightsError::Misconfigured(reason()).into(),
                ErrorCode::InternalError,
                false,
            ),
            (
                AuthError::PasswordWrong.into(),
                ErrorCode::Unauthenticated,
                false,
            ),
        ] {
            assert_eq!(error.code, code);
            assert_eq!(error.retry_after.is_some(), is_retried, "{error}");
            assert!(!error.message.contains("mlflow:5000"), "{error}");
        }
    }

    #[test]
    fn pauses_are_whole_seconds_and_never_zero() {
        for (millis, seconds) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (30_000, 30)] {
            assert_eq!(whole_seconds(Duration::from_millis(millis)), seconds);
        }
    }
}
