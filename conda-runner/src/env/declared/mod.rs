//! What a model declares about its environment, read from the files that MLflow writes beside it.

mod conda_file;
mod python_env;

pub(crate) use conda_file::CondaFile;
pub(crate) use python_env::PythonEnv;
