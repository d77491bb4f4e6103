//! What the machine lacks: room, memory, a program.

use super::{Case, Verdict};
use crate::env::trouble::Trouble;
use crate::process::diagnosis::speaks_of_passing;

impl Case<'_> {
    pub(super) fn killed(&self) -> Option<Verdict> {
        self.attempt.ended.code.is_none().then(|| Verdict {
            trouble: Trouble::PipFailed,
            passing: true,
            message: format!(
                "{} was stopped while it installed ({}): perhaps the machine ran out of memory",
                self.attempt.program, self.attempt.ended.reason
            ),
        })
    }

    pub(super) fn disk_full(&self) -> Option<Verdict> {
        self.told
            .has(&[
                "No space left on device",
                "Disk quota exceeded",
                "(os error 28)",
            ])
            .then_some(())?;
        let file = self
            .told
            .between_last("file `", "`: No space left")
            .map(|file| format!(" (writing {file})"));
        Some(Verdict::new(
            Trouble::DiskFull,
            format!(
                "there is no room left on the disk to install the Python packages{}: make room, or remove environments \
                 that nobody uses (sluicegate environments prune)",
                file.unwrap_or_default()
            ),
        ))
    }

    pub(super) fn no_tool(&self) -> Option<Verdict> {
        if self
            .told
            .has(&["Git executable not found", "Cannot find command 'git'"])
        {
            return Some(Verdict::new(
                Trouble::ToolMissing,
                "the model's requirements name a git repository, and git is not installed on this machine: install it, \
                 or require a released package"
                    .to_owned(),
            ));
        }
        if self.told.text.ends_with("No module named pip") {
            return Some(Verdict::new(
                Trouble::ToolMissing,
                "the environment has no pip to install the Python packages with: add pip to the dependencies of the \
                 model's conda.yaml, or install uv on this machine"
                    .to_owned(),
            ));
        }
        // The shell's words for a program that cannot be run, or is not there.
        let cannot_run = matches!(self.attempt.ended.code, Some(126 | 127));
        (cannot_run && !speaks_of_passing(&self.told.lines)).then(|| Verdict {
            trouble: Trouble::ToolMissing,
            passing: false,
            message: format!("{} cannot be run on this machine", self.attempt.program),
        })
    }
}
