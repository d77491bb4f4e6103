//! OpenAPI documents: what each version takes and answers, made from its signature, and what all documents share.
//!
//! Pure: from values to values. MLflow's signature is data, so JSON is built from JSON, without types or templates.

mod answer;
mod fields;
mod params;
pub(crate) mod refusals;
mod request;
mod schema;
pub(crate) mod scoring;
mod version;

pub(crate) use version::{VersionFacts, version_document};
