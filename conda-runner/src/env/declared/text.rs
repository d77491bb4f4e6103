//! The texts of declarations, and how it is told that one of them is wrong.

use std::io;
use std::path::Path;

use serving_core::LoadError;

use crate::env::secrets::redacted;
use crate::env::trouble::Trouble;
use crate::error::disk;

/// A declaration is some dozen lines, and an `MLmodel` has one a column. What is larger was not written by MLflow.
const LARGEST: u64 = 16 << 20;

/// The text of the file `name` in a model folder; `None` if there is no such file.
pub(super) async fn read(folder: &Path, name: &str) -> Result<Option<String>, LoadError> {
    let path = folder.join(name);
    let size = match tokio::fs::metadata(&path).await {
        Ok(seen) => seen.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(disk("read", &path)(error)),
    };
    if size > LARGEST {
        return Err(wrong(
            name,
            "it is larger than 16 MB: log the model again with the file that was meant",
        ));
    }
    let bytes = tokio::fs::read(&path).await.map_err(disk("read", &path))?;
    match String::from_utf8(bytes) {
        // Editors of Windows begin a file with a mark.
        Ok(text) => Ok(Some(text.trim_start_matches('\u{feff}').to_owned())),
        Err(_) => Err(wrong(name, "it is not UTF-8 text: save it as UTF-8")),
    }
}

/// The error for a declaration that cannot be understood. Addresses that it quotes are shown without their secrets.
pub(super) fn wrong(name: &str, what: impl std::fmt::Display) -> LoadError {
    let what = redacted(&what.to_string());
    Trouble::InvalidDeclaration.error(format!("the model's {name} cannot be understood: {what}"))
}

/// The same, in the words of the YAML parser, which name line and column.
pub(super) fn not_yaml(name: &str) -> impl FnOnce(serde_yaml_ng::Error) -> LoadError {
    move |error| {
        wrong(
            name,
            format!("{error}; mend it there, and log the model again"),
        )
    }
}
