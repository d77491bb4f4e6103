//! The secret that the registry signs deliveries with, where nobody configured one: made once, kept in the data folder.

use std::fs::{File, OpenOptions, rename};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use auth::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const FILE_NAME: &str = "webhook.secret";

/// Where it is kept (mode 0600). All of it blocks on the disk.
#[derive(Clone, Debug)]
pub struct WebhookSecretFile(PathBuf);

impl WebhookSecretFile {
    /// The file in `data_dir`, which exists.
    pub fn new(data_dir: &Path) -> Self {
        Self(data_dir.join(FILE_NAME))
    }

    /// The secret; `None` if none was kept yet.
    pub fn read(&self) -> io::Result<Option<Secret>> {
        match std::fs::read_to_string(&self.0) {
            Ok(text) => Ok(Some(text.trim())
                .filter(|text| !text.is_empty())
                .map(Secret::from)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes a secret of 256 random bits and keeps it: whole, or not at all.
    pub fn make(&self) -> io::Result<Secret> {
        let random: [u8; 32] = rand::random();
        let text = URL_SAFE_NO_PAD.encode(random);
        let staged = self.0.with_extension("secret.new");
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&staged)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        rename(&staged, &self.0)?;
        if let Some(folder) = self.0.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(Secret::new(text))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_is_made_once_kept_and_nobody_elses_to_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = WebhookSecretFile::new(folder.path());
        assert_eq!(file.read().unwrap(), None);
        let made = file.make().unwrap();
        assert_eq!(made.expose().len(), 43);
        assert_eq!(file.read().unwrap(), Some(made));
        let mode = std::fs::metadata(&file.0).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
