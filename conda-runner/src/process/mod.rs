//! Processes: groups that die whole, their output, their logs, and whether they answer.

pub(crate) mod child;
pub(crate) mod command;
pub(crate) mod diagnosis;
pub(crate) mod forked;
pub(crate) mod group;
pub(crate) mod host;
pub(crate) mod logs;
pub(crate) mod output;
pub(crate) mod pieces;
pub(crate) mod probe;
pub(crate) mod sockets;
pub(crate) mod usage;
