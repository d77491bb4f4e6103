//! The control plane as a service, without ports: a real store, a scripted engine and registry.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod batching;
mod engine;
mod environments;
mod event_stream;
mod events;
mod figures;
mod general;
mod harness;
mod label_history;
mod legacy;
mod log_following;
mod logs;
mod metrics;
mod models;
mod names;
mod observing;
mod openapi;
mod registry_rights;
mod rights;
mod scripted_engine;
mod scripted_environments;
mod scripted_files;
mod scripted_registry;
mod scripted_webhooks;
mod serving;
mod session;
mod settings;
mod tokens;
mod webhooks;
