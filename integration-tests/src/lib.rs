//! The whole system under test: one builder per actor, all of them real.
//!
//! - [`World`]: what the tests of one binary share; made piece by piece, when a test first asks for it
//! - [`MlflowServer`] and [`Registry`]: a real MLflow server, and the changes that people make in it
//! - [`Guarded`] and [`Users`]: an MLflow server with basic-auth, and who may do what in it
//! - [`Models`]: tiny models logged by MLflow's own client; [`Logged`] ones are registered as often as a test likes
//! - [`Channels`]: conda packages of this machine's interpreters, in the place of the Internet's
//! - [`Gateway`]: the real `sluicegate serve`; [`Client`]: who scores and operates
//! - [`ScoringServer`]: `mlflow models serve` asked directly, for comparison
//! - [`Collector`]: takes traces, as a collector of OpenTelemetry does
//! - [`Wire`]: a TCP line that can be cut, and that counts what passes
//! - [`Promtool`]: Prometheus' own judge of metrics and rules
//! - [`Browser`]: a real one, with a [`Page`] for each visit
//! - [`Run`]: the folder of one run, and the proof that no process of it is left
//!
//! Tests are plain async functions listed with [`tests!`](crate::tests) and run by [`run`]: unlike the built-in
//! harness this one ends what the tests shared, and fails if a process is left.

mod binary;
mod browser;
mod channels;
mod client;
mod collector;
mod declared;
mod environment;
mod gateway;
mod guarded;
mod mlflow;
mod models;
mod process;
mod promtool;
mod registry;
mod run;
mod scoring_server;
mod trial;
mod users;
mod wait;
mod wire;
mod world;

pub use browser::{Browser, NARROW, Page, Place, Scheme, Size, WIDE};
pub use channels::{Channels, platform};
pub use client::{Answer, Client, score_path};
pub use collector::Collector;
pub use declared::conda_yaml;
pub use environment::{Environment, setting};
pub use gateway::{Gateway, GatewayBuilder, SECRET};
pub use guarded::Guarded;
pub use mlflow::{MlflowServer, MlflowServerBuilder};
pub use models::{Logged, Models};
pub use process::{Process, command, kill, output, process_lives};
pub use promtool::{Promtool, monitoring};
pub use registry::{Registry, Stage};
pub use run::Run;
pub use scoring_server::ScoringServer;
pub use thirtyfour::Key;
pub use trial::{Outcome, Test, lacking, run};
pub use users::{Account, Users};
pub use wait::{PATIENCE, until, until_within};
pub use wire::Wire;
pub use world::World;
