//! The gateway: data plane (score), control plane (operate, observe), store, and the assembly of the rest.

pub mod error;
pub mod ports;
