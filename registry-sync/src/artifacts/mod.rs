//! Brings the files of one version into a folder: whole, or not at all.

mod declaration;
mod local;
mod location;
mod name;
mod proxied;
mod staging;

use std::path::Path;
use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::client::{Client, DownloadUriReply, Usage, VersionReply};
use crate::config::RegistryCredentials;
use crate::error::{FetchError, RegistryError};
use crate::select::VersionSource;
use location::Location;
use proxied::Proxied;
use staging::Staging;

pub use staging::sweep_partial;

/// The file that makes a folder an MLflow model.
const MLMODEL: &str = "MLmodel";

/// Fetches the files of versions. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Artifacts {
    client: Client,
    slots: Arc<Semaphore>,
}

/// What is in the folder now.
#[derive(Clone, PartialEq, Eq)]
pub enum Fetched {
    /// The whole model.
    Complete,
    /// Only the files that declare the model and its environment (`MLmodel`, and `requirements.txt`,
    /// `python_env.yaml`, `conda.yaml` where they exist): the rest can be read by MLflow's own client only.
    NeedsClient {
        /// What to give to `mlflow artifacts download --artifact-uri`.
        uri: String,
        /// Variables of the download process, and of no other: may hold credentials.
        environment: Vec<(String, String)>,
    },
}

/// Where to say what is being done, for people who wait.
type Progress<'a> = &'a (dyn Fn(String) + Send + Sync);

impl Artifacts {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            slots: Arc::new(Semaphore::new(proxied::SLOTS)),
        }
    }

    /// Fetches what `source` (the text of `Source::Readable`) names into `into`, which must not exist yet.
    ///
    /// The files are collected in a hidden folder beside `into` and moved there when they are complete. An error,
    /// or dropping the future, removes what was collected; what a killed process leaves, [`sweep_partial`] removes.
    pub async fn fetch(
        &self,
        source: &str,
        into: &Path,
        progress: &(dyn Fn(String) + Send + Sync),
    ) -> Result<Fetched, FetchError> {
        let source = VersionSource::from_text(source).map_err(|error| {
            FetchError::permanent(format!("'{source}' does not name a version: {error}"))
        })?;
        progress(format!("asking the registry where {source} is"));
        let uri = self
            .resolve(&source)
            .await
            .map_err(|error| FetchError::from_registry(error, &source.to_string()))?;
        let location =
            Location::parse(&uri, self.client.base_url()).map_err(|error| error.of(&source))?;
        let staging = Staging::create(into).await?;
        let fetched = match location {
            Location::Proxied {
                root,
                authority,
                path,
            } => {
                let proxied = Proxied {
                    client: &self.client,
                    root: &root,
                    authority,
                    path: &path,
                    source: &source,
                    slots: &self.slots,
                };
                proxied.download(staging.path(), progress).await?;
                Fetched::Complete
            }
            Location::Local(folder) => {
                progress(format!("copying {}", folder.display()));
                local::copy(&folder, staging.path(), &source).await?;
                Fetched::Complete
            }
            Location::Elsewhere { uri, trusted } => {
                progress("downloading the model's declaration".to_owned());
                declaration::download(&self.client, &source, staging.path()).await?;
                let environment = self.environment(trusted);
                Fetched::NeedsClient { uri, environment }
            }
        };
        staging.commit(into).await?;
        Ok(fetched)
    }

    /// Where the files of exactly this version are. `source` of the version itself is no such place: in MLflow 3
    /// it is `models:/m-…`.
    async fn resolve(&self, source: &VersionSource) -> Result<String, RegistryError> {
        let query = [
            ("name", source.name.as_str()),
            ("version", source.version.as_str()),
        ];
        let usage = Usage::default();
        let place: DownloadUriReply = self
            .client
            .registry("model-versions/get-download-uri", &query, &usage)
            .await?;
        // Asked last: if the version is the right one now, it was when its place was named.
        let VersionReply { model_version } = self
            .client
            .registry("model-versions/get", &query, &usage)
            .await?;
        if model_version.creation_timestamp != source.created {
            return Err(RegistryError::NotFound(
                "it was deleted, and another version has its name and number now".to_owned(),
            ));
        }
        Ok(place.artifact_uri)
    }

    fn environment(&self, trusted: bool) -> Vec<(String, String)> {
        let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut environment = vec![variable("MLFLOW_TRACKING_URI", self.client.base())];
        match self.client.credentials() {
            RegistryCredentials::Basic { username, password } if trusted => {
                environment.push(variable("MLFLOW_TRACKING_USERNAME", username));
                environment.push(variable("MLFLOW_TRACKING_PASSWORD", password));
            }
            RegistryCredentials::Bearer(token) if trusted => {
                environment.push(variable("MLFLOW_TRACKING_TOKEN", token));
            }
            _ => {}
        }
        environment
    }
}

impl std::fmt::Debug for Fetched {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Complete => formatter.write_str("Complete"),
            Self::NeedsClient { uri, environment } => {
                let names: Vec<_> = environment.iter().map(|(name, _)| name).collect();
                formatter
                    .debug_struct("NeedsClient")
                    .field("uri", uri)
                    .field("environment", &names)
                    .finish()
            }
        }
    }
}
