//! The HTTP client of a build: credentials, mirrors, deadlines.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rattler_networking::authentication_storage::StorageBackend;
use rattler_networking::authentication_storage::backends::file::{FileStorage, FileStorageError};
use rattler_networking::authentication_storage::backends::memory::MemoryStorage;
use rattler_networking::authentication_storage::backends::netrc::NetRcStorage;
use rattler_networking::{
    AuthenticationMiddleware, AuthenticationStorage, LazyClient, OfflineMiddleware,
};
use reqwest_middleware::ClientBuilder;
use serving_core::LoadError;

use super::address::Credential;
use super::mirrors::Mirrors;
use super::settings::{Credentials, Settings};
use crate::env::trouble::Trouble;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(20);
/// How long a server may be silent.
const SILENCE: Duration = Duration::from_secs(60);
/// Servers of channels refuse clients that do not say who they are.
const USER_AGENT: &str = concat!("sluicegate/", env!("CARGO_PKG_VERSION"));

/// A client for one build, with the credentials as they are now: whoever mends them need not start the gateway anew.
/// `more` are those in the addresses of channels. Blocks on the disk.
pub(super) fn client(settings: &Settings, more: &[Credential]) -> Result<LazyClient, LoadError> {
    let client = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .connect_timeout(CONNECT)
        .read_timeout(SILENCE)
        .build()
        .map_err(|_| {
            LoadError::transient(
                "cannot make a client for the channels: check HTTP_PROXY, HTTPS_PROXY and the system's certificates",
            )
        })?;
    let storage = storage(&settings.credentials, more)?;
    let mut builder = ClientBuilder::new(client).with(Mirrors::new(&settings.mirrors));
    if settings.offline {
        builder = builder.with(OfflineMiddleware);
    }
    Ok(builder
        .with(AuthenticationMiddleware::from_auth_storage(storage))
        .build()
        .into())
}

/// The credentials in addresses, then those of the file, then those of `.netrc`.
fn storage(
    credentials: &Credentials,
    more: &[Credential],
) -> Result<AuthenticationStorage, LoadError> {
    let mut storage = AuthenticationStorage::empty();
    let memory = MemoryStorage::new();
    for (host, credential) in credentials.given.iter().chain(more) {
        // Fails only after a panic elsewhere; the server then says that a credential is missing.
        let _ = memory.store(host, credential);
    }
    storage.add_backend(Arc::new(memory));
    if let Some(path) = &credentials.file {
        if credentials.is_file_configured && !path.is_file() {
            return Err(unreadable(path, "it is not there"));
        }
        let file = FileStorage::from_path(path.clone()).map_err(|error| match error {
            FileStorageError::IOError(error) => unreadable(path, &error.kind().to_string()),
            // The text of this error may quote the file.
            FileStorageError::JSONError(..) => {
                unreadable(path, "it is not as `rattler auth login` writes it")
            }
        })?;
        storage.add_backend(Arc::new(file));
    }
    if let Some(path) = credentials.netrc.as_deref().filter(|path| path.is_file()) {
        if let Ok(netrc) = NetRcStorage::from_path(path) {
            storage.add_backend(Arc::new(netrc));
        } else {
            // Other programs keep their credentials in it as well, in ways of their own.
            tracing::warn!(path = %path.display(), "cannot understand the netrc file");
        }
    }
    Ok(storage)
}

fn unreadable(path: &Path, reason: &str) -> LoadError {
    Trouble::AccessDenied.error(format!(
        "cannot read the credentials for conda channels in {}: {reason}",
        path.display()
    ))
}
