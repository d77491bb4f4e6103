//! Models whose declarations were edited by hand: copies of logged ones with other files.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::mlflow::MlflowServer;
use crate::models::Logged;
use crate::process::{command, output};

/// A `conda.yaml` as MLflow writes it, with these lines under `pip:`.
pub fn conda_yaml(python: &str, pip: &[&str]) -> String {
    let pip = pip.join("\n  - ");
    format!(
        "channels:\n- conda-forge\ndependencies:\n- python={python}\n- pip<=25.3\n- pip:\n  - {pip}\nname: mlflow-env\n"
    )
}

impl MlflowServer {
    /// The folder of a logged model's files.
    pub fn files(&self, logged: &Logged) -> Result<PathBuf> {
        let id = logged.model_id.as_deref();
        let id = id.context("only models of MLflow 3 have a folder of their own")?;
        let experiments = std::fs::read_dir(self.artifacts())?.flatten();
        experiments
            .map(|experiment| experiment.path().join("models").join(id).join("artifacts"))
            .find(|folder| folder.is_dir())
            .with_context(|| format!("{id} has no folder"))
    }

    /// A copy of a logged model, kept under `name`, of which `edit` changes the files in its folder.
    pub async fn edited(
        &self,
        logged: &Logged,
        name: &str,
        edit: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<Logged> {
        let files = self.files(logged)?;
        // Beside the folders of models is one for each run. A version's source has to be its run's.
        let experiment = files.ancestors().nth(3).context("an experiment")?;
        let run = experiment.join(&logged.run_id).join("artifacts");
        let folder = run.join(name);
        ensure!(!folder.exists(), "{name} is there already");
        std::fs::create_dir_all(&run)?;
        let mut copy = command("cp");
        copy.arg("-R").arg(&files).arg(&folder);
        output(copy).await?;
        edit(&folder)?;
        let source = folder.strip_prefix(self.artifacts())?;
        Ok(Logged {
            source: format!("mlflow-artifacts:/{}", source.display()),
            run_id: logged.run_id.clone(),
            model_id: None,
        })
    }

    /// A copy of a logged model that declares this `conda.yaml`.
    pub async fn redeclared(
        &self,
        logged: &Logged,
        name: &str,
        conda_yaml: &str,
    ) -> Result<Logged> {
        let write = |folder: &Path| Ok(std::fs::write(folder.join("conda.yaml"), conda_yaml)?);
        self.edited(logged, name, write).await
    }
}
