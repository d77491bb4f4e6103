//! The data plane in process: real requests, real sockets, fake workers.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test that calls them"
)]

mod abandoned;
mod access_log;
mod answers;
mod arriving;
mod asleep;
mod batching;
mod collector;
mod documents;
mod figures;
mod fixture;
mod formats;
mod limits;
mod paths;
mod server;
mod status_codes;
mod traces;
mod worker;
mod workers;
