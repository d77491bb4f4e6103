//! The file `conda.yaml`, as MLflow 1, 2 and 3 write it and as people edit it.

use std::path::Path;

use serving_core::LoadError;

use crate::env::trouble::Trouble;

/// What it says, each entry as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CondaFile {
    /// In the order of their priority; `defaults` and URLs as they are written.
    pub(crate) channels: Vec<String>,
    /// Match specs: `python=3.11.7`, `conda-forge::numpy >=1.2`.
    pub(crate) packages: Vec<String>,
    /// Lines of a requirements file, installed afterwards.
    pub(crate) pip: Vec<String>,
}

impl CondaFile {
    /// Reads it from a model folder; `None` if there is no such file.
    pub(crate) async fn read(_folder: &Path) -> Result<Option<Self>, LoadError> {
        Err(Trouble::InvalidDeclaration.error("conda.yaml is not read yet"))
    }
}
