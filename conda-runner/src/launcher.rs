//! How a worker is started: by MLflow's own command, without its idle parent, or as a fork of a warmed process.

use std::fmt;
use std::str::FromStr;

use serving_core::LoadError;

/// Who starts the scoring server of a worker. It is MLflow's own in each case, and answers the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Launcher {
    /// `mlflow models serve`, which stays as the idle parent of the server that it starts.
    MlflowServe,
    /// The server alone, by the command that `mlflow models serve` would start it with. Where that is not known to be
    /// the same (MLflow's Flask server, before 3.x), it is [`MlflowServe`](Self::MlflowServe).
    Direct,
    /// A fork of a process that has imported all that the environment's workers need, and no model. Where that fails,
    /// it is [`Direct`](Self::Direct), and so it is for models that want more than one thread for numbers.
    #[default]
    Template,
}

impl Launcher {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MlflowServe => "mlflow-serve",
            Self::Direct => "direct",
            Self::Template => "template",
        }
    }
}

impl fmt::Display for Launcher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Not one of `mlflow-serve`, `direct`, `template`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no launcher: use mlflow-serve, direct or template")]
pub struct UnknownLauncher(String);

impl FromStr for Launcher {
    type Err = UnknownLauncher;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        [Self::MlflowServe, Self::Direct, Self::Template]
            .into_iter()
            .find(|launcher| launcher.as_str() == word)
            .ok_or_else(|| UnknownLauncher(word.to_owned()))
    }
}

impl From<UnknownLauncher> for LoadError {
    fn from(error: UnknownLauncher) -> Self {
        Self::permanent(error.to_string())
    }
}
