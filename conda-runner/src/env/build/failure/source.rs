//! A package that has to be built from its source, and cannot be.

use super::told::{last_after, shortened};
use super::{Case, REASON, Verdict};
use crate::env::trouble::Trouble;
use crate::process::diagnosis::speaks_of_passing;

impl Case<'_> {
    pub(super) fn build(&self) -> Option<Verdict> {
        let signs = [
            "Failed to build `",
            "Failed to download and build",
            "The build backend returned an error",
            "Failed building wheel for",
            "Failed to build '",
            "to build wheel did not run successfully",
            "metadata-generation-failed",
            "Preparing metadata (pyproject.toml) did not run",
            "egg_info did not run successfully",
        ];
        // A repository that cannot be fetched is not built: pip says so in the same words.
        if !self.told.has(&signs) || self.told.has(&["git clone", "git fetch"]) {
            return None;
        }
        let package = self
            .told
            .between("Failed to build `", "`")
            .or_else(|| self.told.word_after("Failed building wheel for "))
            .or_else(|| self.told.between("Failed to build '", "'"))
            .or_else(|| last_after(&self.told.lines, "Collecting "))
            .unwrap_or("a package");
        let package = package.split(" @ ").next().unwrap_or(package);
        let why =
            build_error(&self.told.lines).map(|line| format!(": {}", shortened(line, REASON)));
        Some(Verdict {
            trouble: Trouble::PipFailed,
            passing: speaks_of_passing(&self.told.lines),
            message: format!(
                "{package} has to be built from its source for this Python, and that failed{}. Require a version that \
                 has a wheel for this Python and machine, or install what its build needs (most often a C compiler and \
                 the headers of a library)",
                why.unwrap_or_default()
            ),
        })
    }
}

/// The line of a build's output that says most: the compiler's, or else the last error or exception.
fn build_error(lines: &[String]) -> Option<&str> {
    let is_wrapper = |line: &str| {
        let wrappers = [
            "Failed to",
            "Command '[",
            "subprocess-",
            "metadata-",
            "failed-wheel",
            "command '",
        ];
        wrappers.iter().any(|wrapper| line.starts_with(wrapper))
    };
    let fatal = lines
        .iter()
        .find_map(|line| line.split_once("fatal error: "));
    if let Some((_, fatal)) = fatal {
        return Some(fatal);
    }
    let error = lines.iter().rev().find_map(|line| {
        let error = line.strip_prefix("error: ")?;
        (!is_wrapper(error)).then_some(error)
    });
    error.or_else(|| {
        let mut lines = lines.iter().rev().map(String::as_str);
        lines.find(|line| {
            let name = line.split(": ").next().unwrap_or_default();
            let is_name = |name: &str| {
                name.chars()
                    .all(|c| c.is_ascii_alphanumeric() || "._".contains(c))
            };
            is_name(name) && (name.ends_with("Error") || name.ends_with("Exception"))
        })
    })
}
