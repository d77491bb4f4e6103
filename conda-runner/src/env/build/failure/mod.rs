//! Why uv or pip could not install: what kind of trouble, and the sentence that tells people what to do.
//!
//! Both programs explain themselves in words for their own users, which change from release to release. What is not
//! recognised here is still shown, as their own last lines, and is taken for something that may pass: taking a passing
//! trouble for a lasting one is an outage until somebody looks.

mod index;
mod machine;
mod requirements;
mod source;
mod told;

#[cfg(test)]
mod tests;

use serving_core::LoadError;

use self::told::{Told, last_after, shortened};
use super::indexes::without_secrets;
use crate::env::trouble::Trouble;
use crate::process::child::Ended;
use crate::process::diagnosis::speaks_of_passing;
use crate::process::output::last;

/// Characters of another program's explanation within a sentence; all of it is in the last lines.
const EXPLANATION: usize = 500;
/// Characters of a reason in a sentence.
const REASON: usize = 200;

/// An installation that failed.
pub(crate) struct Attempt<'a> {
    /// `uv` or `pip`.
    pub(crate) program: &'a str,
    pub(crate) ended: &'a Ended,
    /// What the program told only its own log.
    pub(crate) more: &'a [String],
    /// The indexes that were asked, for people.
    pub(crate) asked: &'a str,
    /// Whether nothing could be fetched, by the operator's wish.
    pub(crate) offline: bool,
}

/// What it comes to: kind, sentence, and whether another try could help against the kind's habit.
struct Verdict {
    trouble: Trouble,
    passing: bool,
    message: String,
}

/// A failed installation, while it is judged.
struct Case<'a> {
    attempt: &'a Attempt<'a>,
    told: Told,
}

impl Verdict {
    fn new(trouble: Trouble, message: String) -> Self {
        Self {
            trouble,
            passing: false,
            message,
        }
    }
}

impl Attempt<'_> {
    /// The error to report.
    pub(crate) fn error(&self) -> LoadError {
        let case = Case {
            attempt: self,
            told: Told::new(self.ended.lines.iter().chain(self.more)),
        };
        let verdict = case.verdict();
        let message = verdict.message;
        let error = if verdict.passing {
            verdict.trouble.passing(message)
        } else {
            verdict.trouble.error(message)
        };
        let lines = self.ended.lines.iter();
        let lines: Vec<String> = lines.map(|line| without_secrets(line)).collect();
        error.with_last_lines(last(&lines))
    }
}

impl Case<'_> {
    /// Of the first judge who recognises it: what the machine did goes before what an index said, and that before
    /// what is said of the requirements.
    fn verdict(&self) -> Verdict {
        let judges: [fn(&Self) -> Option<Verdict>; 12] = [
            Self::killed,
            Self::disk_full,
            Self::no_tool,
            Self::build,
            Self::hash,
            Self::access,
            Self::not_cached,
            Self::network,
            Self::python,
            Self::not_found,
            Self::unsatisfiable,
            Self::declaration,
        ];
        let verdict = judges.iter().find_map(|judge| judge(self));
        verdict.unwrap_or_else(|| self.unknown())
    }

    /// pip also knows of the indexes that a requirements file names.
    fn asked(&self) -> &str {
        let of_pip = self.told.line_after("Looking in indexes: ");
        of_pip.unwrap_or(self.attempt.asked)
    }

    fn unknown(&self) -> Verdict {
        let why = self
            .told
            .line_after("error: ")
            .or_else(|| last_after(&self.told.lines, "ERROR: "))
            .or_else(|| {
                self.told
                    .lines
                    .iter()
                    .map(String::as_str)
                    .rfind(|line| !line.is_empty())
            });
        let why = why.map_or(String::new(), |why| format!(": {}", shortened(why, REASON)));
        let lasting = self
            .told
            .has(&["unexpected argument", "invalid value", "no such option"]);
        Verdict {
            trouble: Trouble::PipFailed,
            passing: !lasting || speaks_of_passing(&self.told.lines),
            message: format!(
                "{} cannot install the model's requirements ({}){why}",
                self.attempt.program, self.attempt.ended.reason
            ),
        }
    }
}
