//! The formats that clients and workers speak, and the cuts and joins that turn one into the other.
//!
//! Bytes in, bytes out: no HTTP, no waiting. Translation never prints JSON again; it finds where a value begins and
//! ends and puts other brackets around it, so that no number, string or order can change.

mod answer;
mod dialect;
mod media_type;
pub mod merge;
mod request;
mod scan;
mod segments;
#[cfg(test)]
mod tests;

pub use answer::{AnswerShape, Rewrite, UnexpectedAnswer, rewrite_whole};
pub use dialect::Dialect;
pub use media_type::{ACCEPTED, MediaType, UnsupportedMediaType};
pub use request::{Rejection, Translation, passes_as_it_is, translate};
pub(crate) use segments::IntoParts;
pub use segments::Segments;
