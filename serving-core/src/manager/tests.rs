//! The manager as a whole, under paused time, with a scripted loader.

mod histories;
mod laws;
mod lives;
mod observer;
mod recoveries;
mod scaling;
mod takeovers;
mod world;
