//! What is known of a version besides how to reach it, for those who ask.

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

/// Facts about one version, from its files. Kept in memory: nobody who asks waits for a disk.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct About {
    /// The model's signature, if it was logged with one.
    pub signature: Option<Signature>,
    /// A request body that its worker understands, if an input example was logged.
    pub example: Option<Example>,
    /// The MLflow version that the model declares. What its worker runs is [`Upstream::mlflow_version`](super::Upstream).
    pub mlflow_version: Option<String>,
}

/// A signature in MLflow's own JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Signature {
    /// What goes in.
    pub inputs: Option<Value>,
    /// What comes out.
    pub outputs: Option<Value>,
    /// Inference parameters (since MLflow 2.6).
    pub params: Option<Value>,
}

/// A logged input example as the body of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// Its `Content-Type`.
    pub content_type: String,
    /// The body.
    pub body: Bytes,
}
