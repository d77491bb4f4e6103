//! Fetches the files of one version, by what its source needs for that.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serving_core::{LoadError, LoadJob, Source};
use tokio::time::timeout;

use crate::config::EnvManager;
use crate::env::{Care, Environment, Environments, Trouble, Wish};
use crate::error::disk;
use crate::model::MODEL_FILE;
use crate::process::command;
use crate::process::diagnosis::last_lines;
use crate::process::host::Host;
use crate::process::logs::Log;
use crate::shelf::Staging;
use crate::source::{FetchedModel, ModelSource};

/// For the download of a model by MLflow's client. The largest models are hundreds of gigabytes; a client that waits
/// for a storage that does not answer waits for ever.
const DOWNLOAD: Duration = Duration::from_secs(6 * 3600);

/// What is to be fetched, and with what. Owns all of it: a fetch may outlive the one who began it.
pub(crate) struct Fetch {
    pub(crate) source: Arc<dyn ModelSource>,
    pub(crate) environments: Arc<Environments>,
    pub(crate) host: Host,
    pub(crate) job: LoadJob,
    pub(crate) manager: EnvManager,
    pub(crate) log: Log,
}

impl Fetch {
    /// Fetches it to [`Staging::whole`].
    pub(crate) async fn run(&self, staging: &Staging) -> Result<(), LoadError> {
        let Source::Readable(source) = &self.job.spec.source else {
            return Err(LoadError::permanent("the version cannot be read"));
        };
        let whole = staging.whole();
        let fetched = {
            let _permit = self.job.work.permit().await;
            self.job.progress.step("fetching the model");
            self.source
                .fetch(source, &whole, &self.job.progress)
                .await?
        };
        let FetchedModel::NeedsClient { uri, environment } = fetched else {
            return Ok(());
        };
        // Takes a permit of its own: one who waits for a second while holding a first might wait for ever.
        let wish = Wish {
            manager: self.manager,
            folder: &whole,
            care: Care::Staging(staging.clone()),
            fresh: false,
        };
        let with = self
            .environments
            .provide(wish, &self.job, &self.log)
            .await?;
        let _permit = self.job.work.permit().await;
        self.job.progress.step("fetching the model");
        let model = self.download(&with, &uri, &environment, staging).await?;
        tokio::fs::rename(&whole, staging.path().join("declaration"))
            .await
            .map_err(disk("move", &whole))?;
        tokio::fs::rename(&model, &whole)
            .await
            .map_err(disk("move", &model))
    }

    /// Has MLflow's own client download the model; returns where it put it.
    async fn download(
        &self,
        with: &Environment,
        uri: &str,
        variables: &[(String, String)],
        staging: &Staging,
    ) -> Result<PathBuf, LoadError> {
        let into = staging.path().join("download");
        tokio::fs::create_dir(&into)
            .await
            .map_err(disk("make", &into))?;
        let launch = command::download(&self.host, with, uri, variables, &into);
        let run = self.host.run(&launch, &self.log);
        let Ok(ended) = timeout(DOWNLOAD, run).await else {
            return Err(Trouble::Network.error(format!(
                "MLflow's client did not download the model within {} hours: look whether its storage answers",
                DOWNLOAD.as_secs() / 3600
            )));
        };
        let ended = ended?;
        if !ended.success {
            // Mostly the network or a credential: both may be better later.
            let message = format!(
                "MLflow's client cannot download the model ({})",
                ended.reason
            );
            return Err(LoadError::transient(message).with_last_lines(last_lines(&ended)));
        }
        find_model(&into)
            .await
            .map_err(disk("read", &into))?
            .ok_or_else(|| {
                LoadError::permanent(
                    "what MLflow's client downloaded is no MLflow model: it has no MLmodel file",
                )
            })
    }
}

/// The client puts the folder that an address names into the destination, or its content.
async fn find_model(into: &Path) -> io::Result<Option<PathBuf>> {
    let is_model = async |folder: &Path| tokio::fs::try_exists(folder.join(MODEL_FILE)).await;
    if is_model(into).await? {
        return Ok(Some(into.to_owned()));
    }
    let mut entries = tokio::fs::read_dir(into).await?;
    while let Some(entry) = entries.next_entry().await? {
        if is_model(&entry.path()).await.unwrap_or(false) {
            return Ok(Some(entry.path()));
        }
    }
    Ok(None)
}
