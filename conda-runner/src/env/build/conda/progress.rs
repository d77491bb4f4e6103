//! How far the downloads of one environment are, told to people.

use std::sync::{Arc, Mutex, PoisonError};

use rattler_cache::package_cache::CacheReporter;

use crate::bytes::human;
use crate::env::build::Report;

/// Of all packages that have to be fetched. Cheap to clone.
#[derive(Clone)]
pub(super) struct Downloads {
    report: Report,
    state: Arc<Mutex<State>>,
}

struct State {
    packages: usize,
    bytes: u64,
    done: usize,
    /// Bytes that arrived, by package.
    arrived: Vec<u64>,
    /// What people were told last.
    told: String,
}

/// Of one of them.
struct OfPackage {
    all: Downloads,
    index: usize,
}

impl Downloads {
    /// Nothing of so many `packages`, of so many `bytes` together, has arrived yet.
    pub(super) fn new(report: Report, packages: usize, bytes: u64) -> Self {
        Self {
            report,
            state: Arc::new(Mutex::new(State {
                packages,
                bytes,
                done: 0,
                arrived: Vec::new(),
                told: String::new(),
            })),
        }
    }

    /// Attends to one package more.
    pub(super) fn package(&self) -> Arc<dyn CacheReporter> {
        let index = self.change(|state| {
            state.arrived.push(0);
            state.arrived.len() - 1
        });
        Arc::new(OfPackage {
            all: self.clone(),
            index,
        })
    }

    fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut state);
        let text = state.text();
        if state.packages > 0 && text != state.told {
            self.report.progress(&text);
            state.told = text;
        }
        result
    }
}

impl State {
    fn text(&self) -> String {
        let arrived: u64 = self.arrived.iter().sum();
        let (done, packages) = (self.done, self.packages);
        let noun = if packages == 1 { "package" } else { "packages" };
        // A list need not know how large its packages are.
        let all = match self.bytes {
            bytes if bytes < arrived => String::new(),
            bytes => format!(" of {}", human(bytes)),
        };
        // No more news than one a megabyte.
        let arrived = human(arrived >> 20 << 20);
        format!("downloading {done} of {packages} {noun}, {arrived}{all}")
    }
}

impl CacheReporter for OfPackage {
    fn on_validate_start(&self) -> usize {
        self.index
    }

    fn on_validate_complete(&self, _: usize) {}

    fn on_download_start(&self) -> usize {
        self.index
    }

    fn on_download_progress(&self, _: usize, progress: u64, _: Option<u64>) {
        self.all.change(|state| {
            if let Some(arrived) = state.arrived.get_mut(self.index) {
                *arrived = progress;
            }
        });
    }

    fn on_download_completed(&self, _: usize) {
        self.all
            .change(|state| state.done = state.packages.min(state.done + 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_how_much_there_is_and_how_much_has_come() {
        let mut state = State {
            packages: 12,
            bytes: 120 << 20,
            done: 3,
            arrived: vec![30 << 20, 4 << 20],
            told: String::new(),
        };
        assert_eq!(state.text(), "downloading 3 of 12 packages, 34MB of 120MB");
        state.bytes = 3 << 30;
        assert_eq!(state.text(), "downloading 3 of 12 packages, 34MB of 3GB");
        (state.packages, state.done, state.bytes) = (1, 0, 0);
        assert_eq!(state.text(), "downloading 0 of 1 package, 34MB");
    }
}
