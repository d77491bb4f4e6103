//! Makes a virtual environment from an interpreter.

use std::path::Path;

use serving_core::LoadError;

use super::Site;
use crate::env::trouble::Trouble;

/// Makes it at the site's prefix: with `uv`, or with the interpreter's own `venv` if that is `None`.
pub(crate) async fn make(
    _site: &Site,
    _interpreter: &Path,
    _uv: Option<&Path>,
) -> Result<(), LoadError> {
    Err(Trouble::ToolMissing.error("virtual environments are not made yet"))
}
