//! The gateway: data plane (score), control plane (operate, observe), store, and the assembly of the rest.

pub mod api;
mod assemble;
mod base_url;
pub mod config;
pub mod control_plane;
pub mod data_plane;
mod databricks;
pub mod error;
pub mod figures;
mod lane;
mod lifecycle;
pub mod local_environments;
pub mod local_tokens;
pub mod metrics;
mod open_files;
mod openapi;
mod parts;
pub mod ports;
pub mod protocol;
mod request_id;
pub mod rights;
mod run_error;
pub mod server;
pub mod store;
pub mod telemetry;
mod ui;

pub use lifecycle::run;
pub use run_error::RunError;
