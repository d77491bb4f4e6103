//! Shows on stderr what is being waited for: spinners on a terminal, plain lines otherwise.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

use crate::output;

/// Between two pictures of a spinner.
const TICK: Duration = Duration::from_millis(100);

/// The display of one command.
pub(crate) struct Progress {
    spinners: Option<MultiProgress>,
}

/// One thing that is waited for. Dropped without an end, it counts as failed.
pub(crate) struct Step {
    title: String,
    detail: String,
    since: Instant,
    spinner: Option<Spinner>,
    has_ended: bool,
}

struct Spinner {
    bar: ProgressBar,
    board: MultiProgress,
}

impl Progress {
    /// For people on a terminal, or for a log.
    pub(crate) fn new() -> Self {
        let spinners = output::stderr_is_terminal()
            .then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr()));
        Self { spinners }
    }

    /// Begins to wait for something.
    pub(crate) fn step(&self, title: impl Into<String>) -> Step {
        let title = title.into();
        let spinner = self.spinners.as_ref().map(|board| {
            let bar = board.add(ProgressBar::new_spinner());
            bar.set_style(style());
            bar.set_prefix(title.clone());
            bar.enable_steady_tick(TICK);
            Spinner {
                bar,
                board: board.clone(),
            }
        });
        if spinner.is_none() {
            output::note(&format!("… {title}"));
        }
        Step {
            title,
            detail: String::new(),
            since: Instant::now(),
            spinner,
            has_ended: false,
        }
    }

    /// Prints a line for keeps, above what is still waited for.
    pub(crate) fn line(&self, text: &str) {
        print(self.spinners.as_ref(), text);
    }
}

impl Step {
    /// What is being done right now. Said again without a change, it prints nothing.
    pub(crate) fn detail(&mut self, detail: impl Into<String>) {
        let detail = detail.into();
        if detail == self.detail {
            return;
        }
        if let Some(spinner) = &self.spinner {
            // From here on the time is that of this detail.
            spinner.bar.reset_elapsed();
            spinner.bar.set_message(detail.clone());
        } else {
            let since = seconds(self.since.elapsed());
            output::note(&format!("… {}: {detail} (after {since})", self.title));
        }
        self.detail = detail;
    }

    /// It is there: keeps `text` with the time it took.
    pub(crate) fn done(mut self, text: &str) {
        let took = seconds(self.since.elapsed());
        self.end(&format!("✓ {text} ({took})"));
    }

    fn end(&mut self, text: &str) {
        self.has_ended = true;
        let board = self.spinner.take().map(|spinner| {
            spinner.bar.finish_and_clear();
            spinner.board
        });
        print(board.as_ref(), text);
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if !self.has_ended {
            let took = seconds(self.since.elapsed());
            self.end(&format!("✗ {} ({took})", self.title));
        }
    }
}

/// `0.4 s`, `12 s`, `3 min 5 s`.
pub(crate) fn seconds(duration: Duration) -> String {
    match duration.as_secs() {
        0..10 => format!("{:.1} s", duration.as_secs_f64()),
        whole @ 10..60 => format!("{whole} s"),
        whole => format!("{} min {} s", whole / 60, whole % 60),
    }
}

fn print(board: Option<&MultiProgress>, text: &str) {
    match board {
        Some(board) => board.suspend(|| output::note(text)),
        None => output::note(text),
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {prefix} ({elapsed}) {wide_msg:.dim}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_reads_well_at_every_size() {
        for (milliseconds, shown) in [
            (420, "0.4 s"),
            (9_999, "10.0 s"),
            (12_700, "12 s"),
            (185_000, "3 min 5 s"),
        ] {
            assert_eq!(seconds(Duration::from_millis(milliseconds)), shown);
        }
    }
}
