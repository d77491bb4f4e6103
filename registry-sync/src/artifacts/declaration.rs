//! Fetches the few files from which an environment is built, when the rest is for MLflow's client.

use std::path::Path;

use reqwest::Response;
use tokio::fs;

use super::MLMODEL;
use crate::client::{Authority, Client, below};
use crate::error::{FetchError, RegistryError};
use crate::select::VersionSource;

/// In an order in which each may name the next ones.
const OPTIONAL: [&str; 3] = ["python_env.yaml", "conda.yaml", "requirements.txt"];

/// A declaration is a page or two; nothing larger is one.
const MAX_SIZE: u64 = 1024 * 1024;

/// Downloads `MLmodel` and what else there is of the declaration to `into`.
///
/// MLflow before 3 answers a missing file with 500, as it does when its store cannot be reached. So a file may
/// be missing only if no file before it names it: a name that is read is a promise.
pub(super) async fn download(
    client: &Client,
    source: &VersionSource,
    into: &Path,
) -> Result<(), FetchError> {
    let failed = |error| FetchError::from_registry(error, &source.to_string());
    let mut named = match read(client, source, MLMODEL).await {
        Ok(text) => text,
        Err(error @ RegistryError::Failing { status: 500, .. }) => {
            let error = failed(error);
            return Err(FetchError {
                message: format!(
                    "{}. The MLflow server reads such files with its own client and credentials: its log says why",
                    error.message
                ),
                ..error
            });
        }
        Err(error) => return Err(failed(error)),
    };
    write(into, MLMODEL, &named).await?;
    for name in OPTIONAL {
        match read(client, source, name).await {
            Ok(text) => {
                write(into, name, &text).await?;
                named.extend_from_slice(&text);
            }
            Err(RegistryError::NotFound(_) | RegistryError::Failing { status: 500, .. })
                if !contains(&named, name) => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(())
}

async fn read(
    client: &Client,
    source: &VersionSource,
    file: &str,
) -> Result<Vec<u8>, RegistryError> {
    // Not below `/api/2.0/mlflow`, in MLflow 1.30 to 3.18.
    let url = below(client.base_url(), ["model-versions", "get-artifact"]);
    let query = [
        ("name", source.name.as_str()),
        ("version", source.version.as_str()),
        ("path", file),
    ];
    let what = format!("reading {file}");
    let mut response: Response = client
        .stream(Authority::Registry, url, &query, &what)
        .await?;
    let mut text = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| client.unreachable(error))?
    {
        text.extend_from_slice(&chunk);
        if text.len() as u64 > MAX_SIZE {
            let limit = MAX_SIZE;
            return Err(RegistryError::TooLarge { what, limit });
        }
    }
    Ok(text)
}

async fn write(into: &Path, name: &str, text: &[u8]) -> Result<(), FetchError> {
    let path = into.join(name);
    fs::write(&path, text)
        .await
        .map_err(|error| FetchError::from_io(&error, "writing", &path))
}

fn contains(text: &[u8], name: &str) -> bool {
    text.windows(name.len())
        .any(|window| window == name.as_bytes())
}
