//! Logs of the quickstart's programs: read to show how far a program is, and why it failed.

use std::fs;
use std::path::Path;

use crate::error::CommandError;

/// Lines of a log that an error shows.
const SHOWN_LINES: usize = 15;

/// What was logged until now; nothing if there is no log.
pub(super) fn read(log: &Path) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The last whole line that is not empty.
pub(super) fn last_line(log: &Path) -> Option<String> {
    let text = read(log);
    let (whole, _) = text.rsplit_once('\n')?;
    let line = whole.lines().rev().find(|line| !line.trim().is_empty())?;
    Some(line.trim().to_owned())
}

/// Tells that `what` happened, with the last lines of `log` and where it is.
pub(super) fn failure(what: &str, log: &Path) -> CommandError {
    let text = read(log);
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let last = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
    let shown: Vec<String> = [what.to_owned()]
        .into_iter()
        .chain(last.iter().map(|line| format!("  | {line}")))
        .collect();
    CommandError::failed(shown.join("\n")).next(format!("the whole log is {}", log.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_shows_the_last_lines_only_and_where_the_rest_is() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("server.log");
        let lines: Vec<String> = (1..=20)
            .map(|number| format!("line {number}\n\n"))
            .collect();
        fs::write(&log, lines.concat()).unwrap();
        let text = failure("it failed", &log).to_string();
        assert!(
            !text.contains("line 5\n") && text.contains("| line 6\n"),
            "{text}"
        );
        assert!(text.ends_with("server.log"), "{text}");
        assert_eq!(last_line(&log).as_deref(), Some("line 20"));
    }

    #[test]
    fn a_log_that_is_not_there_is_empty() {
        let nowhere = Path::new("/nowhere/at/all.log");
        assert_eq!(read(nowhere), "");
        assert_eq!(last_line(nowhere), None);
    }
}
