//! Prints the OpenAPI document: `cargo run -p gateway --example openapi > docs/openapi.json`.

use std::io::{Result, Write, stdout};

fn main() -> Result<()> {
    stdout().write_all(gateway::control_plane::openapi_document().as_bytes())
}
