//! Installs the pip part of an environment, with uv or with the environment's own pip.

use std::path::PathBuf;

use serving_core::LoadError;

use super::Site;
use crate::env::trouble::Trouble;

/// What the operator wants of all installations from package indexes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PipSettings {
    /// A constraints file.
    pub(crate) constraints: Option<PathBuf>,
    /// The index in the place of PyPI. May hold a password.
    pub(crate) index_url: Option<String>,
    /// Further indexes. May hold passwords.
    pub(crate) extra_index_urls: Vec<String>,
    /// Whether only what is cached may be used.
    pub(crate) offline: bool,
}

/// Who installs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Installer {
    /// This uv.
    Uv(PathBuf),
    /// The pip of the environment itself.
    Pip,
}

impl Installer {
    /// Installs `lines` (of a requirements file) into the environment at the site's prefix. Of each package that
    /// `locked` names (`name==version`) it takes that version.
    pub(crate) async fn install(
        &self,
        _site: &Site,
        _lines: &[String],
        _locked: &[String],
        _settings: &PipSettings,
    ) -> Result<(), LoadError> {
        Err(Trouble::ToolMissing.error("nothing is installed yet"))
    }

    /// Every Python package in the environment at the site's prefix, as `name==version`; those that came from a file
    /// or a repository are left out.
    pub(crate) async fn installed(&self, _site: &Site) -> Result<Vec<String>, LoadError> {
        Ok(Vec::new())
    }
}
