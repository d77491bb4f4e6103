//! Reads what a failed process printed: which lines tell people why, and whether another try could help.
//!
//! The rule for a worker that ends while it starts: a signal (the kernel's out-of-memory killer, a person) and an end
//! without a Python traceback are worth another try, and so are exceptions that speak of memory, disk, or the network.
//! Any other exception is how this model loads in this environment, and waits for a change.

use serving_core::LoadError;

use super::child::{Ended, killed_by};
use super::output::last;

/// Begins every Python traceback.
const TRACEBACK: &str = "Traceback (most recent call last):";
/// How `mlflow models serve` ends when the server that it started failed: says nothing new in thirty lines.
const LAUNCHER: &str = "Exception: Command '[";
/// Parts of exceptions that may not come again.
const PASSING: [&str; 11] = [
    "MemoryError",
    "Cannot allocate memory",
    "No space left on device",
    "Too many open files",
    "ConnectionError",
    "ConnectionRefusedError",
    "ConnectionResetError",
    "Connection refused",
    "TimeoutError",
    "Timeout:",
    "Temporary failure in name resolution",
];
/// Parts of what uv says when an index or the disk failed it, not the requirements.
const PASSING_OF_UV: [&str; 5] = [
    "Failed to fetch",
    "Request failed after",
    "Failed to download",
    "No space left on device",
    "error sending request",
];

/// The error for a worker that ended while it started.
pub(crate) fn failed_start(ended: &Ended) -> LoadError {
    let lines = without_launcher(&ended.lines);
    let exception = exception(lines);
    let why = exception
        .map(|line| format!(": {line}"))
        .unwrap_or_default();
    let message = format!("the worker ended while it started ({}){why}", reason(ended));
    let permanent = !ended.by_signal
        && exception.is_some_and(|line| !PASSING.iter().any(|part| line.contains(part)));
    let error = if permanent {
        LoadError::permanent(message)
    } else {
        LoadError::transient(message)
    };
    error.with_last_lines(last(lines))
}

/// The error for a step of building an environment that uv could not do.
pub(crate) fn failed_build(doing: &str, ended: &Ended) -> LoadError {
    let passing = ended.by_signal
        || ended
            .lines
            .iter()
            .any(|line| PASSING_OF_UV.iter().any(|part| line.contains(part)));
    let why = ended
        .lines
        .iter()
        .find_map(|line| line.strip_prefix("error: "));
    let why = why.map(|line| format!(": {line}")).unwrap_or_default();
    let message = format!("uv cannot {doing} ({}){why}", ended.reason);
    let error = if passing {
        LoadError::transient(message)
    } else {
        LoadError::permanent(message)
    };
    error.with_last_lines(last(&ended.lines))
}

/// The lines that tell of a death: what the server printed, without its launcher's remark.
pub(crate) fn last_lines(ended: &Ended) -> Vec<String> {
    last(without_launcher(&ended.lines))
}

/// How the server ended. Its launcher ends with code 1 whatever happened to the server, and says more in its remark.
pub(crate) fn reason(ended: &Ended) -> String {
    let remark = ended
        .lines
        .iter()
        .rev()
        .find(|line| line.starts_with(LAUNCHER));
    let code = remark.and_then(|remark| remark.rsplit_once("Return code = "));
    match code.and_then(|(_, code)| code.trim().parse::<i32>().ok()) {
        // How Python's subprocess tells of a signal.
        Some(signal @ ..0) => killed_by(-signal),
        Some(code) => format!("exit code {code}"),
        None => ended.reason.clone(),
    }
}

fn without_launcher(lines: &[String]) -> &[String] {
    let Some(end) = lines.iter().rposition(|line| line.starts_with(LAUNCHER)) else {
        return lines;
    };
    match lines[..end].iter().rposition(|line| line == TRACEBACK) {
        Some(start) => &lines[..start],
        None => lines,
    }
}

/// The last exception: the first line after the last traceback that is not indented.
fn exception(lines: &[String]) -> Option<&str> {
    let start = lines.iter().rposition(|line| line == TRACEBACK)?;
    let is_frame = |line: &str| line.is_empty() || line.starts_with(' ');
    lines[start + 1..]
        .iter()
        .map(String::as_str)
        .find(|line| !is_frame(line))
}

#[cfg(test)]
mod tests {
    use serving_core::Retry;

    use super::*;

    fn ended(by_signal: bool, output: &str) -> Ended {
        Ended {
            success: false,
            by_signal,
            reason: if by_signal {
                "killed by signal 9 (SIGKILL)"
            } else {
                "exit code 1"
            }
            .to_owned(),
            lines: output.lines().map(str::to_owned).collect(),
        }
    }

    fn traceback(exception: &str) -> String {
        format!("{TRACEBACK}\n  File \"app.py\", line 1, in <module>\n    load()\n{exception}\n")
    }

    #[test]
    fn a_model_that_raises_on_load_waits_for_a_change_and_says_why() {
        let launcher = traceback(
            "Exception: Command '['bash', '-c', 'exec uvicorn']' returned non zero return code.",
        );
        let output = traceback("ModuleNotFoundError: No module named 'skops'") + &launcher;
        let error = failed_start(&ended(false, &output));
        assert_eq!(error.retry, Retry::Never);
        assert_eq!(
            &*error.message,
            "the worker ended while it started (exit code 1): ModuleNotFoundError: No module named 'skops'"
        );
        assert_eq!(
            error.last_lines.last().unwrap(),
            "ModuleNotFoundError: No module named 'skops'"
        );
    }

    #[test]
    fn the_end_of_the_server_is_told_not_that_of_its_launcher() {
        for (code, reason_told) in [("-9", "killed by signal 9 (SIGKILL)"), ("3", "exit code 3")] {
            let remark =
                format!("{LAUNCHER}'bash']' returned non zero return code. Return code = {code}");
            let ended = ended(false, &traceback(&remark));
            assert_eq!(reason(&ended), reason_told);
            assert_eq!(failed_start(&ended).retry, Retry::Later);
            assert!(last_lines(&ended).is_empty());
        }
    }

    #[test]
    fn lines_after_the_traceback_do_not_hide_the_exception() {
        let output = traceback("FileNotFoundError: [Errno 2] No such file")
            + "[9866] [INFO] Shutting down: Master";
        let error = failed_start(&ended(false, &output));
        assert_eq!(error.retry, Retry::Never);
        assert!(
            error
                .message
                .ends_with("FileNotFoundError: [Errno 2] No such file")
        );
    }

    #[test]
    fn signals_silence_memory_disk_and_network_are_worth_another_try() {
        for ended in [
            ended(true, &traceback("ValueError: never mind")),
            ended(false, "no traceback at all"),
            ended(false, &traceback("MemoryError")),
            ended(
                false,
                &traceback("OSError: [Errno 28] No space left on device: 'x'"),
            ),
            ended(
                false,
                &traceback("requests.exceptions.ConnectionError: HTTPSConnectionPool(host='h')"),
            ),
        ] {
            assert_eq!(failed_start(&ended).retry, Retry::Later, "{ended:?}");
        }
    }

    #[test]
    fn requirements_without_a_solution_wait_for_a_change_and_a_dead_index_does_not() {
        let unsolvable = "error: No solution found when resolving dependencies\n  cause: Because there is no version of x";
        let error = failed_build("install", &ended(false, unsolvable));
        assert_eq!(error.retry, Retry::Never);
        assert!(error.message.contains("No solution found"));
        let unreachable = "error: Request failed after 3 retries in 7.0s\n  cause: Failed to fetch: http://index/";
        assert_eq!(
            failed_build("install", &ended(false, unreachable)).retry,
            Retry::Later
        );
        assert_eq!(
            failed_build("install", &ended(true, "")).retry,
            Retry::Later
        );
    }
}
