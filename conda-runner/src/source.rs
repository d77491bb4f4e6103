//! Where model folders come from, seen from here.

use std::fmt;
use std::path::Path;

use async_trait::async_trait;
use serving_core::{LoadError, Progress};

/// Fetches model folders. The gateway puts the registry behind it, an example a local folder.
#[async_trait]
pub trait ModelSource: Send + Sync {
    /// Fetches what `source` (the text of [`serving_core::Source::Readable`]) names to `into`, which does not exist
    /// before. Afterwards it is there as the answer says, or not at all. Dropping the future abandons the work.
    async fn fetch(
        &self,
        source: &str,
        into: &Path,
        progress: &Progress,
    ) -> Result<FetchedModel, LoadError>;
}

/// What was fetched.
#[derive(Clone, PartialEq, Eq)]
pub enum FetchedModel {
    /// The whole model folder.
    Complete,
    /// Only the files that declare the model and its environment (`MLmodel`, `requirements.txt`, `python_env.yaml`,
    /// `conda.yaml`, as far as they exist). The rest is where only MLflow's own client can read.
    NeedsClient {
        /// For `mlflow artifacts download --artifact-uri`.
        uri: String,
        /// Variables for that process only: the tracking address and its credentials.
        environment: Vec<(String, String)>,
    },
}

/// Shows no value of `environment`.
impl fmt::Debug for FetchedModel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complete => formatter.write_str("Complete"),
            Self::NeedsClient { uri, .. } => formatter
                .debug_struct("NeedsClient")
                .field("uri", uri)
                .finish_non_exhaustive(),
        }
    }
}
