//! What a model declares about its environment, read from the files that MLflow writes beside it.

mod conda_file;
mod conditions;
mod python_env;
mod served;
mod text;
mod wanted;

pub(crate) use conda_file::CondaFile;
pub(crate) use python_env::PythonEnv;
pub(crate) use served::Served;
pub(crate) use wanted::{Builder, Wanted};
