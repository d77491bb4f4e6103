//! What can go wrong: with one call to the registry, and with fetching the files of a version.

use std::io;
use std::path::Path;

/// Why the registry could not be asked. The text is for people and says what to do; it holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// No answer: name not found, connection refused, TLS, time out.
    #[error("the registry at {url} does not answer: {reason}")]
    Unreachable {
        /// Where it should be.
        url: String,
        /// What the network said.
        reason: String,
    },
    /// 401: MLflow's `basic-auth` and most proxies.
    #[error(
        "the registry wants other credentials (401): set MLFLOW_TRACKING_USERNAME and \
         MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
    )]
    Unauthenticated,
    /// 403.
    #[error(
        "the registry refuses {what} (403: {message}): grant the account of this gateway READ on it"
    )]
    Denied {
        /// The call, in words.
        what: String,
        /// What the registry said.
        message: String,
    },
    /// 403 by MLflow's check of the Host header (3.x).
    #[error(
        "the MLflow server does not accept requests for the host name in {url}: \
         start it with --allowed-hosts, or use an address that it accepts"
    )]
    HostRefused {
        /// As whom it was called.
        url: String,
    },
    /// The registry says that there is no such thing (`RESOURCE_DOES_NOT_EXIST`).
    #[error("{0}")]
    NotFound(String),
    /// An answer that no MLflow server gives.
    #[error(
        "{url} does not look like an MLflow tracking server ({reason}): \
         check the registry URL, also its path prefix"
    )]
    NotMlflow {
        /// What was asked.
        url: String,
        /// What was odd.
        reason: String,
    },
    /// A redirect that leaves the registry's origin: credentials are not taken there.
    #[error("the registry redirects to {to}: if that is right, set the registry URL to it")]
    Redirected {
        /// Scheme, host and port of the target.
        to: String,
    },
    /// Any other refusal.
    #[error("the registry refuses {what} ({status}): {message}")]
    Refused {
        /// The call, in words.
        what: String,
        /// HTTP status code.
        status: u16,
        /// What the registry said.
        message: String,
    },
    /// 5xx, or 429.
    #[error("the registry fails at {what} ({status}): {message}")]
    Failing {
        /// The call, in words.
        what: String,
        /// HTTP status code.
        status: u16,
        /// What the registry said.
        message: String,
    },
    /// An answer over the limit, of which nothing is used.
    #[error("the registry's answer to {what} is larger than {limit} bytes")]
    TooLarge {
        /// The call, in words.
        what: String,
        /// The limit.
        limit: u64,
    },
    /// It changed each time it was looked at, so no look can be trusted.
    #[error("the registry keeps changing while it is read")]
    Unsettled,
}

/// Why the files of a version are not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FetchError {
    /// Whether another try could help without anybody changing anything.
    pub retry: bool,
    /// For people: what was wrong, where, what to do.
    pub message: String,
}

impl FetchError {
    /// An error that stays until somebody changes something.
    pub(crate) fn permanent(message: impl Into<String>) -> Self {
        Self {
            retry: false,
            message: message.into(),
        }
    }

    /// An error that is worth another try.
    pub(crate) fn transient(message: impl Into<String>) -> Self {
        Self {
            retry: true,
            message: message.into(),
        }
    }

    /// A call to the registry that failed on the way to `what` ("iris@3").
    pub(crate) fn from_registry(error: RegistryError, what: &str) -> Self {
        match error {
            RegistryError::NotFound(message) => {
                Self::permanent(format!("the artifacts of {what} are gone: {message}"))
            }
            // Nobody tells when a right is granted, but asking again and again would not get it.
            RegistryError::Denied { message, .. } => Self::permanent(format!(
                "the registry does not let this gateway read the artifacts of {what} (403: {message}): grant \
                 its account READ on the registered model and on the experiment of its run, then restart the version"
            )),
            error @ (RegistryError::Refused { .. } | RegistryError::TooLarge { .. }) => {
                Self::permanent(format!(
                    "the artifacts of {what} cannot be fetched: {error}"
                ))
            }
            error => Self::transient(format!(
                "the artifacts of {what} cannot be fetched: {error}"
            )),
        }
    }

    /// A file system call that failed at `path`.
    pub(crate) fn from_io(error: &io::Error, doing: &str, path: &Path) -> Self {
        let path = path.display();
        match error.kind() {
            // Space may come back: prune, or a volume that grows.
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::transient(format!(
                "the disk is full ({doing} {path}): free space in the data folder"
            )),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::permanent(format!("no permission ({doing} {path}): {error}"))
            }
            _ => Self::transient(format!("{doing} {path} failed: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_named_and_worth_another_try() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let error = FetchError::from_io(&full, "writing", Path::new("models/x"));
        assert!(
            error.retry && error.message.contains("disk is full"),
            "{error}"
        );
    }

    #[test]
    fn what_only_a_person_can_change_is_not_tried_again() {
        let denied = RegistryError::Denied {
            what: "downloading MLmodel".into(),
            message: "Permission denied".into(),
        };
        let error = FetchError::from_registry(denied, "iris@3");
        assert!(!error.retry && error.message.contains("grant"), "{error}");
        let gone = RegistryError::NotFound("no such version".into());
        let error = FetchError::from_registry(gone, "iris@3");
        assert!(
            !error.retry && error.message.contains("iris@3 are gone"),
            "{error}"
        );
        let failing = RegistryError::Failing {
            what: "downloading MLmodel".into(),
            status: 503,
            message: String::new(),
        };
        assert!(FetchError::from_registry(failing, "iris@3").retry);
    }
}
