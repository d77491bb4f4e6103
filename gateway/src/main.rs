//! The thin server binary.
fn main() {}
