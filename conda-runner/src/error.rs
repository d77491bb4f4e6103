//! Why a runner cannot start, and how trouble with the disk reads.

use std::io;
use std::path::{Path, PathBuf};

use serving_core::LoadError;

/// Why a runner cannot start.
#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    /// A folder below the data folder cannot be made, read or swept.
    #[error("cannot use the folder {}", path.display())]
    Folder {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody wants to look at what is in a data folder that nobody has made.
    #[error(
        "there is no data folder at {}, so there are no environments in it: name the one of the gateway (--data-dir, \
         or data_dir in its configuration)", path.display()
    )]
    NoDataFolder {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A folder for sockets that others could reach into.
    #[error("{} is not a folder that only this user can enter: remove it, or set its mode to 0700", path.display())]
    OpenToOthers {
        /// Which one.
        path: PathBuf,
    },
    /// A part of the configuration that makes no sense. Does not repeat it: it may hold a secret.
    #[error("the configuration of {section} makes no sense: {problem}")]
    Setting {
        /// Which part.
        section: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The thread that writes logs could not be started.
    #[error("cannot start the log writer")]
    LogWriter(#[source] io::Error),
}

/// What the data folder is called where its place is nobody's business: as in the configuration.
const DATA_DIR: &str = "<data_dir>";

impl RunnerError {
    /// For `map_err`: trouble with the folder at `path`.
    pub(crate) fn folder(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Folder { path, source }
    }
}

/// Under a running gateway: what a person can mend without changing the model.
impl From<RunnerError> for LoadError {
    fn from(error: RunnerError) -> Self {
        match std::error::Error::source(&error) {
            Some(source) => Self::transient(format!("{error}: {source}")),
            None => Self::transient(error.to_string()),
        }
    }
}

/// The error without the place of the data folder: callers are told of it who may know the model, but not the host.
pub(crate) fn without_place(error: LoadError, data_dir: &Path) -> LoadError {
    LoadError {
        message: unplaced(&error.message, data_dir).into(),
        last_lines: unplaced_lines(&error.last_lines, data_dir),
        ..error
    }
}

/// The lines without the place of the data folder.
pub(crate) fn unplaced_lines(lines: &[String], data_dir: &Path) -> Vec<String> {
    let lines = lines.iter();
    lines.map(|line| unplaced(line, data_dir)).collect()
}

fn unplaced(text: &str, data_dir: &Path) -> String {
    match data_dir.to_str() {
        // Of the root of all files every path is a part.
        Some(place) if place.len() > 1 => text.replace(place, DATA_DIR),
        _ => text.to_owned(),
    }
}

/// For `map_err`: trouble with the disk, which a person may end without changing the model: worth another try.
pub(crate) fn disk(doing: &str, path: &Path) -> impl FnOnce(io::Error) -> LoadError {
    let what = format!("cannot {doing} {}", path.display());
    move |error| LoadError::transient(format!("{what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_that_callers_are_told_of_does_not_say_where_the_data_folder_is() {
        let error = disk("read", Path::new("/srv/gate/models/iris"))(io::Error::other("broken"));
        let error = error.with_last_lines(vec!["File \"/srv/gate/environments/1/x.py\"".into()]);
        let told = without_place(error.clone(), Path::new("/srv/gate"));
        assert_eq!(&*told.message, "cannot read <data_dir>/models/iris: broken");
        assert_eq!(told.last_lines, ["File \"<data_dir>/environments/1/x.py\""]);
        assert_eq!(without_place(error.clone(), Path::new("/")), error);
    }
}
