//! Solving and installing from channels that the tests make: no Python, no network but this machine's own.

mod activating;
mod fixture;
mod installing;
mod poisoned;
mod remote;
mod solving;
