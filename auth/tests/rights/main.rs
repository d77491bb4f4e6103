//! Rights that are inherited: from MLflow servers of both generations and from Databricks, over scripted replies.

#![expect(clippy::unwrap_used, reason = "a test ends where its support fails")]

mod crowds;
mod databricks;
mod fake;
mod gateway;
mod laws;
mod lists;
mod passwords;
mod traps;
