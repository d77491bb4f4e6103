//! How workers are started, as the configuration says it.

use std::fmt;
use std::str::FromStr;

use crate::api::nearest;

/// Who starts the scoring server of a worker; the server is MLflow's own in each case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Launcher {
    /// `mlflow models serve`, which stays as its idle parent.
    MlflowServe,
    /// Nobody: the server alone.
    Direct,
    /// A warmed process for each environment, which forks it.
    #[default]
    Template,
}

impl Launcher {
    const ALL: [Self; 3] = [Self::MlflowServe, Self::Direct, Self::Template];

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

impl FromStr for Launcher {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|one| one.as_str() == word);
        known.ok_or_else(|| {
            let words = Self::ALL.map(Self::as_str);
            let hint = nearest(word, words.iter().copied())
                .map(|meant| format!("; did you mean {meant:?}?"))
                .unwrap_or_default();
            format!("{word:?} is not one of {}{hint}", words.join(", "))
        })
    }
}
