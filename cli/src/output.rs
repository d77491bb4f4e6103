//! The one place that prints: results on stdout, everything else on stderr.

use std::io::{self, ErrorKind, IsTerminal, Write};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::error::CommandError;

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
}

/// Prints `text` and a line end on stdout.
pub(crate) fn line(text: &str) -> Result<(), CommandError> {
    bytes(format!("{text}\n").as_bytes())
}

/// Writes `bytes` to stdout as they are.
pub(crate) fn bytes(bytes: &[u8]) -> Result<(), CommandError> {
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(bytes)
        .and_then(|()| stdout.flush())
        .map_err(|error| write_error(&error))
}

/// Prints `value` as indented JSON on stdout.
pub(crate) fn json<T: Serialize + ?Sized>(value: &T) -> Result<(), CommandError> {
    line(&to_json(serde_json::to_string_pretty(value))?)
}

/// Prints `value` as one line of JSON on stdout.
pub(crate) fn json_line<T: Serialize + ?Sized>(value: &T) -> Result<(), CommandError> {
    line(&to_json(serde_json::to_string(value))?)
}

/// Prints `text` and a line end on stderr. If nobody can read it, that is no failure.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Whether a person looks at stdout.
pub(crate) fn stdout_is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Whether a person looks at stderr.
pub(crate) fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// `rows` under `header` in columns, without a line end. Wide cells are wrapped on a terminal.
pub(crate) fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header.iter().copied())
        .add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

fn to_json(text: serde_json::Result<String>) -> Result<String, CommandError> {
    text.map_err(|error| CommandError::failed(format!("cannot print as JSON: {error}")))
}

fn write_error(error: &io::Error) -> CommandError {
    if error.kind() == ErrorKind::BrokenPipe {
        CommandError::reader_gone()
    } else {
        CommandError::failed(format!("cannot write to stdout: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_aligned_columns_and_no_trailing_spaces() {
        let rows = [["iris", "Ready"], ["a longer name", "Failed"]];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(
            table(&["NAME", "STATE"], rows),
            "NAME           STATE\niris           Ready\na longer name  Failed"
        );
    }

    #[test]
    fn a_closed_pipe_is_no_failure_and_a_full_disk_is() {
        assert!(write_error(&ErrorKind::BrokenPipe.into()).is_quiet());
        assert!(!write_error(&ErrorKind::StorageFull.into()).is_quiet());
    }
}
