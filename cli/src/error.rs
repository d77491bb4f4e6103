//! How a command fails: what went wrong, what to do next, and the exit code.

use std::fmt;
use std::process::ExitCode;

/// Ends a command. Shown as two lines at most: what failed, and the next step.
#[derive(Debug)]
pub(crate) struct CommandError {
    message: String,
    next: Option<String>,
    kind: Kind,
}

/// What scripts can tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Refused or failed: exit code 1.
    Failed,
    /// Asked for in a wrong way: exit code 2.
    Usage,
    /// The reader of our output has gone: nothing to say, exit code 0.
    ReaderGone,
}

impl CommandError {
    /// Something was refused or failed.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            next: None,
            kind: Kind::Failed,
        }
    }

    /// The command line or a configuration file is wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self {
            kind: Kind::Usage,
            ..Self::failed(message)
        }
    }

    /// Nobody reads what we print (a closed pipe, as in `… | head`).
    pub(crate) fn reader_gone() -> Self {
        Self {
            kind: Kind::ReaderGone,
            ..Self::failed("the reader of the output has gone")
        }
    }

    /// The same with the step that leads on.
    #[must_use]
    pub(crate) fn next(mut self, step: impl Into<String>) -> Self {
        self.next = Some(step.into());
        self
    }

    /// The same with one thing more to know for the next step.
    #[must_use]
    pub(crate) fn also(self, hint: &str) -> Self {
        let next = match &self.next {
            Some(next) => format!("{next}; {hint}"),
            None => hint.to_owned(),
        };
        self.next(next)
    }

    /// What failed.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The step that leads on; empty if none is known.
    pub(crate) fn next_step(&self) -> &str {
        self.next.as_deref().unwrap_or_default()
    }

    /// Whether there is anything to say.
    pub(crate) fn is_quiet(&self) -> bool {
        self.kind == Kind::ReaderGone
    }

    /// 0, 1 or 2.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self.kind {
            Kind::ReaderGone => ExitCode::SUCCESS,
            Kind::Failed => ExitCode::from(1),
            Kind::Usage => ExitCode::from(2),
        }
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "error: {}", self.message)?;
        match &self.next {
            Some(next) => write!(formatter, "\n next: {next}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for CommandError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_failed_and_the_next_step() {
        let error = CommandError::failed("the gateway does not answer").next("start it");
        assert_eq!(
            error.to_string(),
            "error: the gateway does not answer\n next: start it"
        );
    }

    #[test]
    fn only_a_reader_that_has_gone_is_quiet() {
        assert!(CommandError::reader_gone().is_quiet());
        assert!(!CommandError::failed("x").is_quiet());
        assert!(!CommandError::usage("x").is_quiet());
    }
}
