//! The binary `sluicegate`.
fn main() {}
