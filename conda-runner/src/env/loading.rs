//! Whether what loads a model can be imported in its environment. Models of several flavours may share one: what one of
//! them lacks is no trouble of the others, so it is asked for each, and noted in the environment where it can.

use std::path::{Path, PathBuf};

use serving_core::{LoadError, WorkPermits};

use super::build::{self, Report, Site};
use super::cache::Built;
use crate::process::host::Host;
use crate::single_flight::SingleFlight;

/// In an environment: an empty file for each module that can be imported.
const IMPORTED: &str = ".sluicegate.imported";

/// The questions that are being asked. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Loading {
    host: Host,
    asking: SingleFlight<Result<(), LoadError>>,
}

impl Loading {
    /// `host` starts the interpreters that are asked.
    pub(crate) fn new(host: Host) -> Self {
        Self {
            asking: SingleFlight::new(host.tasks().clone()),
            host,
        }
    }

    /// Whether `module` can be imported in `built`. Asked once for all who want to know it at the same time, and not
    /// again where it is known. Modules that MLflow does not provide come with the model, and are not asked for.
    pub(crate) async fn check(
        &self,
        built: &Built,
        module: &str,
        work: WorkPermits,
        report: Report,
    ) -> Result<(), LoadError> {
        let is_named = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        let is_of_mlflow = module.starts_with("mlflow.") && module.split('.').all(is_named);
        // Without MLflow there is more to complain of than this.
        if !is_of_mlflow || built.marker.facts.is_none() {
            return Ok(());
        }
        let note = note(&built.path, module);
        if tokio::fs::try_exists(&note).await.unwrap_or(false) {
            return Ok(());
        }
        let site = Site {
            prefix: built.path.clone(),
            place: built.path.clone(),
            folder: "/".into(),
            host: self.host.clone(),
            report,
        };
        let (hold, owned) = (built.hold.clone(), module.to_owned());
        let ask = || async move {
            let _hold = hold;
            let _permit = work.permit().await;
            let importing = build::import_check(&site, Some(&owned));
            site.report.step("checking imports", importing).await?;
            noted(&note).await;
            Ok(())
        };
        let question = format!("{} {module}", built.key);
        let asked = self.asking.run(&question, ask).await;
        asked.unwrap_or_else(|| {
            Err(LoadError::transient(
                "the check of what loads the model broke off: the gateway's own log says why",
            ))
        })
    }
}

fn note(place: &Path, module: &str) -> PathBuf {
    place.join(IMPORTED).join(module)
}

/// Where it cannot be noted, it is asked again.
async fn noted(note: &Path) {
    if let Some(folder) = note.parent() {
        let _ = tokio::fs::create_dir_all(folder).await;
    }
    let _ = tokio::fs::write(note, "").await;
}
