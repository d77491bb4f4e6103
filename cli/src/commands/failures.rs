//! Failures of versions and of builds as people read them: the word for programs, the sentence, the last lines.

use gateway::api::{BuildFailure, FailureDetail};

use crate::error::CommandError;

/// `CODE: message`, and the last lines below it.
pub(crate) fn text(code: Option<&str>, message: &str, last_lines: &[String]) -> String {
    let mut text = match code {
        Some(code) => format!("{code}: {message}"),
        None => message.to_owned(),
    };
    for line in last_lines {
        text.push_str("\n  | ");
        text.push_str(line);
    }
    text
}

/// Where all is that a version printed on its way to `failure`.
pub(crate) fn log_command(model: &str, version: u64, failure: Option<&FailureDetail>) -> String {
    let command = format!("`sluicegate models logs {model} {version} --kind build`");
    // Only builds have words for what went wrong.
    match failure.and_then(|failure| failure.code.as_ref()) {
        Some(_) => format!("{command} shows all that the build printed"),
        None => format!("{command} and `--kind worker` show all that it printed"),
    }
}

/// A build that failed; `otherwise` is the next step where its kind does not tell a better one.
pub(crate) fn of_build(failure: &BuildFailure, otherwise: &str) -> CommandError {
    let BuildFailure {
        error_code,
        message,
        last_lines,
    } = failure;
    let next = match error_code.as_str() {
        "DISK_FULL" => {
            "`sluicegate environments prune` (with --local where no gateway runs) removes environments that nobody uses"
        }
        "NETWORK" | "ACCESS_DENIED" => {
            "`sluicegate doctor` checks where packages come from; docs/configuration.md tells of channels, mirrors and \
             credentials"
        }
        "OFFLINE" => {
            "build it once where there is a network, and bring it here with `sluicegate environments export` and `import`"
        }
        _ => otherwise,
    };
    CommandError::failed(text(Some(error_code), message, last_lines)).next(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_build_is_told_with_its_code_its_last_lines_and_the_next_step() {
        let failed = |code: &str| {
            let failure = BuildFailure {
                error_code: code.to_owned(),
                message: "the message".to_owned(),
                last_lines: vec!["one".to_owned(), "two".to_owned()],
            };
            of_build(&failure, "look into the log").to_string()
        };
        let all = ["PIP_FAILED", "DISK_FULL", "NETWORK", "OFFLINE"].map(failed);
        insta::assert_snapshot!(all.join("\n\n"));
    }
}
