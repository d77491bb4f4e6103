//! Turns an MLflow registry into a watch of aspired versions, and fetches their artifacts.
//!
//! [`RegistrySync`] polls a registry over its REST API and publishes what should be served as
//! [`serving_core::Aspired`]. A poll is all or nothing: while the registry fails, the last value stands.
//! [`Artifacts`] brings the files of one version into a folder: whole, or not at all.
//!
//! Works with MLflow 1.30 (no aliases), 2.x and 3.x.

mod artifacts;
mod client;
mod config;
mod error;
mod select;
mod sync;

pub use artifacts::{Artifacts, Fetched, sweep_partial};
pub use client::{Webhook, WebhookEvent, WebhookTrial, WebhookWish};
pub use config::{ConfigError, RegistryConfig, RegistryCredentials};
pub use error::{FetchError, RegistryError};
pub use select::FoundVersion;
pub use sync::{Catalog, Interest, RegisteredModel, RegistryHandle, RegistrySync, SyncStatus};
