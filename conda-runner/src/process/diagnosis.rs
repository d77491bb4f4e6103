//! Reads what a failed process printed: which lines tell people why, and whether another try could help.
//!
//! Taking a passing trouble for a lasting one is an outage until somebody looks; the other way round costs a few vain
//! tries with growing pauses. So only what is known to last waits for a change: exceptions that say how this model
//! loads in this environment. Whatever speaks of memory, processes, disk or network is worth another try, even within
//! such an exception.

use serving_core::LoadError;

use super::child::{Ended, killed_by};
use super::output::last;

/// Begins every Python traceback.
const TRACEBACK: &str = "Traceback (most recent call last):";
/// Between the tracebacks of exceptions of which one led to the other.
const LINKS: [&str; 2] = [
    "The above exception was the direct cause of the following exception:",
    "During handling of the above exception, another exception occurred:",
];
/// How `mlflow models serve` ends when the server that it started failed: says nothing new in thirty lines.
const LAUNCHER: &str = "Exception: Command '[";
/// Parts of what a shell, Python, compilers and clients print when the machine or the network failed them.
const PASSING: [&str; 44] = [
    // Processes and threads. The first is how the shell that leads every process tells it.
    "Cannot fork",
    "can't start new thread",
    "Resource temporarily unavailable",
    "temporarily unavailable",
    // Memory, also of compilers and graphics cards.
    "MemoryError",
    "Cannot allocate memory",
    "can't allocate memory",
    "out of memory",
    "OutOfMemoryError",
    "Out of memory",
    "Killed signal terminated program",
    "signal: 9",
    "CUDA error",
    "CUDNN_STATUS",
    "CUBLAS_STATUS",
    "NCCL error",
    // Files.
    "No space left on device",
    "Disk quota exceeded",
    "Too many open files",
    "Input/output error",
    "Stale file handle",
    "Text file busy",
    // Network.
    "ConnectionError",
    "ConnectionRefusedError",
    "ConnectionResetError",
    "ConnectTimeout",
    "Connection refused",
    "Connection reset",
    "Connection aborted",
    "TimeoutError",
    "Timeout:",
    "timed out",
    "Max retries exceeded",
    "Temporary failure in name resolution",
    "Name or service not known",
    "Network is unreachable",
    "No route to host",
    "couldn't connect to",
    "Could not connect to",
    "HTTP 503",
    "Server Error",
    "Service Unavailable",
    "Bad Gateway",
    "Too Many Requests",
];
/// Exceptions that say what is wrong with the model or its environment, by the last part of their name.
const LASTING: [&str; 35] = [
    "ArithmeticError",
    "AssertionError",
    "AttributeError",
    "BadZipFile",
    "EOFError",
    "Exception",
    "FileExistsError",
    "FileNotFoundError",
    "ImportError",
    "IndentationError",
    "IndexError",
    "InvalidVersion",
    "IsADirectoryError",
    "JSONDecodeError",
    "KeyError",
    "LookupError",
    "MlflowException",
    "ModuleNotFoundError",
    "NameError",
    "NotADirectoryError",
    "NotImplementedError",
    "OverflowError",
    "PackageNotFoundError",
    "PermissionError",
    "PicklingError",
    "RecursionError",
    "RuntimeError",
    "SyntaxError",
    "TypeError",
    "UnboundLocalError",
    "UnicodeDecodeError",
    "UnpicklingError",
    "ValidationError",
    "ValueError",
    "ZeroDivisionError",
];
/// Of an `OSError` without a more exact name: a library of the system that the environment lacks.
const MISSING_LIBRARY: &str = "cannot open shared object file";

/// The error for a worker that ended while it started.
pub(crate) fn failed_start(ended: &Ended) -> LoadError {
    let lines = without_launcher(&ended.lines);
    let exception = exception(lines);
    let why = exception
        .map(|line| format!(": {line}"))
        .unwrap_or_default();
    let message = format!("the worker ended while it started ({}){why}", reason(ended));
    judged(message, is_lasting(ended)).with_last_lines(last(lines))
}

/// The error for an interpreter that did not answer a question it should.
pub(crate) fn failed_answer(message: String, ended: &Ended) -> LoadError {
    // 126 and 127 are the shell's words for a program that cannot be run, or is not there.
    let no_program = matches!(ended.code, Some(126 | 127)) && !has_any(&ended.lines, &PASSING);
    let lasting = ended.success || no_program || is_lasting(ended);
    judged(message, lasting).with_last_lines(last(&ended.lines))
}

/// Whether the machine or the network failed whoever printed this.
pub(crate) fn speaks_of_passing(lines: &[String]) -> bool {
    has_any(lines, &PASSING)
}

fn judged(message: String, lasting: bool) -> LoadError {
    if lasting {
        LoadError::permanent(message)
    } else {
        LoadError::transient(message)
    }
}

/// Whether a Python program ended with an exception that it would end with again.
fn is_lasting(ended: &Ended) -> bool {
    let lines = without_launcher(&ended.lines);
    let Some(exception) = exception(lines) else {
        return false;
    };
    let name = exception.split(':').next().unwrap_or(exception);
    let name = name.rsplit('.').next().unwrap_or(name);
    let lasting = match name {
        "OSError" => exception.contains(MISSING_LIBRARY),
        name => LASTING.contains(&name),
    };
    let was_killed = ended.code.is_none() || code_of_server(ended).is_some_and(|code| code < 0);
    lasting && !was_killed && !has_any(last_exceptions(lines), &PASSING)
}

fn has_any<'a>(lines: impl IntoIterator<Item = &'a String>, parts: &[&str]) -> bool {
    lines
        .into_iter()
        .any(|line| parts.iter().any(|part| line.contains(part)))
}

/// The lines that tell of a death: what the server printed, without its launcher's remark.
pub(crate) fn last_lines(ended: &Ended) -> Vec<String> {
    last(without_launcher(&ended.lines))
}

/// How the server ended. Its launcher ends with code 1 whatever happened to the server, and says more in its remark.
pub(crate) fn reason(ended: &Ended) -> String {
    match code_of_server(ended) {
        // How Python's subprocess tells of a signal.
        Some(signal @ ..0) => killed_by(-signal),
        Some(code) => format!("exit code {code}"),
        None => ended.reason.clone(),
    }
}

/// From the launcher's remark, if there is one.
fn code_of_server(ended: &Ended) -> Option<i32> {
    let remark = ended
        .lines
        .iter()
        .rfind(|line| line.starts_with(LAUNCHER))?;
    let (_, code) = remark.rsplit_once("Return code = ")?;
    code.trim().parse().ok()
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

/// What the last exception and those that led to it say: a model's library may hide a dead network behind an exception
/// of its own. Frames show source text, which says nothing about this time.
fn last_exceptions(lines: &[String]) -> impl Iterator<Item = &String> {
    let mut start = lines.len();
    while let Some(at) = lines[..start].iter().rposition(|line| line == TRACEBACK) {
        start = at;
        let before = lines[..at].iter().rfind(|line| !line.is_empty());
        if !before.is_some_and(|line| LINKS.contains(&line.as_str())) {
            break;
        }
    }
    lines[start..].iter().filter(|line| !line.starts_with("  "))
}

/// The last exception: the first line after the last traceback that is not indented.
pub(crate) fn exception(lines: &[String]) -> Option<&str> {
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
            code: (!by_signal).then_some(1),
            reason: if by_signal {
                "killed by signal 9 (SIGKILL)"
            } else {
                "exit code 1"
            }
            .to_owned(),
            model_raised: false,
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
    fn a_server_that_was_killed_may_start_later_whatever_it_said_before() {
        let remark = format!("{LAUNCHER}'bash']' returned non zero return code. Return code = -9");
        let output = traceback("ValueError: caught and told") + &traceback(&remark);
        assert_eq!(failed_start(&ended(false, &output)).retry, Retry::Later);
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
    fn signals_silence_memory_processes_disk_and_network_are_worth_another_try() {
        let by_exception = [
            "MemoryError",
            "OSError: [Errno 28] No space left on device: 'x'",
            "OSError: [Errno 122] Disk quota exceeded: 'x'",
            "RuntimeError: can't start new thread",
            "BlockingIOError: [Errno 11] Resource temporarily unavailable",
            "RuntimeError: CUDA error: out of memory",
            "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB",
            "ImportError: x.so: failed to map segment from shared object: Cannot allocate memory",
            "requests.exceptions.ConnectionError: HTTPSConnectionPool(host='h')",
            "requests.exceptions.HTTPError: 503 Server Error: Service Unavailable for url: h",
            "urllib.error.URLError: <urlopen error [Errno -2] Name or service not known>",
            "OSError: We couldn't connect to 'https://huggingface.co' to load the files",
            "mlflow.exceptions.MlflowException: API request failed with exception Max retries exceeded",
            "somebody.SpecialTrouble: who knows",
        ];
        for ended in [
            ended(true, &traceback("ValueError: never mind")),
            ended(false, "no traceback at all"),
            ended(false, "sh: 0: Cannot fork"),
        ]
        .into_iter()
        .chain(by_exception.map(|exception| ended(false, &traceback(exception))))
        {
            assert_eq!(failed_start(&ended).retry, Retry::Later, "{ended:?}");
        }
    }

    #[test]
    fn what_is_wrong_with_the_model_or_its_environment_waits_for_a_change() {
        for exception in [
            "ModuleNotFoundError: No module named 'skops'",
            "AttributeError: Can't get attribute 'Model' on <module '__main__'>",
            "_pickle.UnpicklingError: invalid load key, 'v'.",
            "TypeError: __init__() got an unexpected keyword argument 'x'",
            "RuntimeError: Error(s) in loading state_dict for Net:",
            "mlflow.exceptions.MlflowException: Model does not have the \"python_function\" flavor",
            "json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)",
            "OSError: libgomp.so.1: cannot open shared object file: No such file or directory",
            "AssertionError",
        ] {
            let ended = ended(false, &traceback(exception));
            assert_eq!(failed_start(&ended).retry, Retry::Never, "{exception}");
        }
    }

    #[test]
    fn an_exception_that_the_network_led_to_is_worth_another_try_and_an_older_one_does_not_count() {
        let network = traceback("ConnectionError: h");
        let other = traceback("ValueError: cannot load the tokenizer");
        for link in LINKS {
            let output = format!("{network}\n{link}\n\n{other}");
            assert_eq!(failed_start(&ended(false, &output)).retry, Retry::Later);
        }
        let output = format!("{network}WARNING: going on without\n{other}");
        assert_eq!(failed_start(&ended(false, &output)).retry, Retry::Never);
    }
}
