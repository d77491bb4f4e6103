//! Secrets of the gateway's own, made once and kept in the data folder: what the registry signs deliveries with, where
//! nobody configured it, and what the sessions of browsers are sealed with.

use std::fs::{File, OpenOptions, rename};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use auth::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Where one is kept (mode 0600). All of it blocks on the disk.
#[derive(Clone, Debug)]
pub struct SecretFile(PathBuf);

impl SecretFile {
    /// What deliveries are signed with, in `data_dir`, which exists.
    pub fn of_webhooks(data_dir: &Path) -> Self {
        Self(data_dir.join("webhook.secret"))
    }

    /// What sessions are sealed with, in `data_dir`, which exists.
    pub fn of_sessions(data_dir: &Path) -> Self {
        Self(data_dir.join("session.secret"))
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
        let file = SecretFile::of_webhooks(folder.path());
        assert_eq!(file.read().unwrap(), None);
        let made = file.make().unwrap();
        assert_eq!(made.expose().len(), 43);
        assert_eq!(file.read().unwrap(), Some(made));
        let mode = std::fs::metadata(&file.0).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
