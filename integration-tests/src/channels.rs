//! The conda channel of the tests, which `scripts/make-channel` makes of this machine's interpreters, and variants of it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::environment::{Environment, forwarded, project_root, setting};
use crate::process::{command, output};
use crate::trial::lacking;

/// The only channel; models name it as MLflow writes it.
const CHANNEL: &str = "conda-forge";

/// The folder with the channel.
#[derive(Clone, Debug)]
pub struct Channels {
    folder: PathBuf,
}

impl Channels {
    /// The folder named by `SLUICEGATE_TEST_CHANNELS`, or else the one that `scripts/make-channel` makes (once, then
    /// cached). Packages of Python can be made on Linux only; elsewhere the test is left out.
    pub(crate) async fn find(environment: &Environment) -> Result<Self> {
        if cfg!(not(target_os = "linux")) {
            return Err(lacking(
                "conda packages for the tests are made on Linux only",
            ));
        }
        let folder = if let Some(folder) = setting("SLUICEGATE_TEST_CHANNELS") {
            PathBuf::from(folder)
        } else {
            let mut make = command(environment.python());
            make.arg(project_root().join("scripts/make-channel"))
                .envs(forwarded(&[
                    "SLUICEGATE_TEST_CACHE",
                    "SLUICEGATE_BASE_PYTHON",
                ]));
            let made = output(make)
                .await
                .context("make the channel of the tests")?;
            PathBuf::from(made.trim())
        };
        Ok(Self { folder })
    }

    /// The folder that has the channel.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The address below which the channel is: a gateway's `conda.channel_alias`.
    pub fn alias(&self) -> String {
        format!("file://{}", self.folder.display())
    }

    /// The versions of Python that the channel has, such as `3.11.7`.
    pub fn pythons(&self) -> Result<Vec<String>> {
        let index = self.index(platform())?;
        let packages = index["packages.conda"].as_object().context("packages")?;
        let pythons = packages.values().filter(|entry| entry["name"] == "python");
        Ok(pythons
            .filter_map(|entry| entry["version"].as_str().map(str::to_owned))
            .collect())
    }

    /// Writes a channel with the same packages below `folder`, of which the index says something else; gives its address.
    /// `change` gets the entry of each package.
    pub fn altered(&self, folder: &Path, mut change: impl FnMut(&mut Value)) -> Result<String> {
        let channel = folder.join(CHANNEL);
        for platform in [platform(), "noarch"] {
            let (from, to) = (self.platform(platform), channel.join(platform));
            std::fs::create_dir_all(&to)?;
            let mut index = self.index(platform)?;
            let packages = index["packages.conda"].as_object_mut();
            for (file, entry) in packages.context("packages")? {
                change(entry);
                std::os::unix::fs::symlink(from.join(file), to.join(file))?;
            }
            std::fs::write(to.join("repodata.json"), index.to_string())?;
        }
        Ok(format!("file://{}", channel.display()))
    }

    fn index(&self, platform: &str) -> Result<Value> {
        let path = self.platform(platform).join("repodata.json");
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        serde_json::from_str(&text).with_context(|| path.display().to_string())
    }

    fn platform(&self, name: &str) -> PathBuf {
        self.folder.join(CHANNEL).join(name)
    }
}

/// conda's word for this machine, such as `linux-64`.
pub fn platform() -> &'static str {
    if cfg!(target_arch = "aarch64") {
        "linux-aarch64"
    } else {
        "linux-64"
    }
}
