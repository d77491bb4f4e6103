//! What benchmarks measure by itself, and nobody else has a use for.

use std::sync::Arc;

use serving_core::Reference;

use super::target::{Target, references};

/// Reads the path of a scoring URL as each request's is read: the model's name, and what the reference can mean. `None` if
/// it leads nowhere.
#[doc(hidden)]
pub fn read_path(path: &str) -> Option<(Arc<str>, Vec<Reference>)> {
    let target = Target::parse(path).ok()?;
    let references = references(&target.reference);
    Some((target.model, references))
}
