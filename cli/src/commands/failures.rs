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

/// A build that failed, with the next step for its kind. `log` says where all is that it printed, where that is known.
pub(crate) fn of_build(failure: &BuildFailure, log: Option<&str>) -> CommandError {
    let BuildFailure {
        error_code,
        message,
        last_lines,
    } = failure;
    let error = CommandError::failed(text(Some(error_code), message, last_lines));
    let error = match next_step(error_code) {
        Some(next) => error.next(next),
        None => error,
    };
    match log {
        Some(log) => error.also(log),
        None => error,
    }
}

fn next_step(code: &str) -> Option<&'static str> {
    Some(match code {
        "INVALID_DECLARATION" => {
            "correct conda.yaml, python_env.yaml or requirements.txt in the model's folder, log the model again, and build that"
        }
        "PACKAGE_NOT_FOUND" => {
            "correct the name or the version that the model declares, or let `conda.channels` or `pip.extra_index_urls` \
             name where the package is"
        }
        "UNSATISFIABLE" => {
            "loosen one of the requirements that the model declares and log it again, or the `constraints` of the configuration"
        }
        "PYTHON_NOT_AVAILABLE" => {
            "log the model with a Python that can be had; or let `conda.channels` name a channel that has this one, or, with uv and \
             virtualenv, install it on the host that builds"
        }
        "HASH_MISMATCH" => {
            "build again; if it stays, a mirror or proxy on the way answers with something else, or an admin chooses anew \
             with --fresh"
        }
        "NETWORK" | "ACCESS_DENIED" => {
            "`sluicegate doctor` checks where packages come from; docs/configuration.md tells of channels, mirrors and \
             credentials"
        }
        "OFFLINE" => {
            "build it once where there is a network, and bring it here with `sluicegate environments export` and `import`"
        }
        "DISK_FULL" => {
            "`sluicegate environments prune` (with --local where no gateway runs) removes environments that nobody uses"
        }
        "PIP_FAILED" => {
            "the last lines say what stopped it: often a compiler or library that this host lacks, or a release that is \
             not made for this Python, which `constraints` of the configuration can keep out"
        }
        "IMPORT_FAILED" => {
            "declare what cannot be imported, or keep out the release that broke it: in the model's requirements, or with \
             `constraints` of the configuration for all models"
        }
        "MLFLOW_MISSING" => {
            "add mlflow to the requirements that the model declares, and log it again"
        }
        "TOOL_MISSING" => {
            "install the program on the host that builds, or name it in the configuration"
        }
        "INSTALL_FAILED" => {
            "packages that do not go together have to be declared otherwise; one that is broken is fetched anew by building \
             again"
        }
        _ => return None,
    })
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
            of_build(&failure, Some("the log tells more")).to_string()
        };
        let all = [
            "INVALID_DECLARATION",
            "PACKAGE_NOT_FOUND",
            "UNSATISFIABLE",
            "PYTHON_NOT_AVAILABLE",
            "HASH_MISMATCH",
            "NETWORK",
            "OFFLINE",
            "DISK_FULL",
            "PIP_FAILED",
            "IMPORT_FAILED",
            "MLFLOW_MISSING",
            "TOOL_MISSING",
            "INSTALL_FAILED",
            "BUILD_FAILED",
        ];
        insta::assert_snapshot!(all.map(failed).join("\n\n"));
    }
}
