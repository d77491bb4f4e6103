//! Opens the database: makes what is missing, private to the user, and brings the tables up to date.

use std::fs::{DirBuilder, OpenOptions, Permissions, set_permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use tokio::sync::watch;
use tokio::time::sleep;

use super::events::newest_event;
use super::{OpenError, Store, StoreError};

static MIGRATIONS: Migrator = sqlx::migrate!();

const FILE_NAME: &str = "state.db";

/// How long a statement waits for another process that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a call waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// SQLite has one writer; the others read.
const CONNECTIONS: u32 = 4;

const TRIES: u32 = 10;
const RETRY: Duration = Duration::from_millis(100);

impl Store {
    /// Opens `state.db` in `data_dir`, and makes both if they are missing (modes 0700 and 0600).
    pub async fn open(data_dir: &Path) -> Result<Self, OpenError> {
        make_private_folder(data_dir)?;
        let path = data_dir.join(FILE_NAME);
        make_private_file(&path)?;
        let mut attempt = 1;
        loop {
            match Self::connect(&path).await {
                // Two processes that meet at a new file hinder each other once: the one finds half of what the other makes.
                Err(OpenError::Unusable { source, .. }) if attempt < TRIES && may_pass(&source) => {
                    attempt += 1;
                    sleep(RETRY).await;
                }
                result => return result,
            }
        }
    }

    async fn connect(path: &Path) -> Result<Self, OpenError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            // An answer that was given must hold after a power cut, too.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            .disable_statement_logging();
        let path = path.to_owned();
        let pool = SqlitePoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_with(options)
            .await;
        let pool = match pool {
            Ok(pool) => pool,
            Err(error) => {
                let source = error.into();
                return Err(OpenError::Unusable { path, source });
            }
        };
        let source = match MIGRATIONS.run(&pool).await {
            Ok(()) => match newest_event(&pool).await {
                Ok(newest) => {
                    let newest = watch::Sender::new(newest);
                    return Ok(Self { pool, newest });
                }
                Err(error) => error,
            },
            Err(MigrateError::VersionMissing(_)) => return Err(OpenError::Newer { path }),
            Err(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) => {
                error.into()
            }
            Err(other) => StoreError::Other(other.to_string()),
        };
        pool.close().await;
        Err(OpenError::Unusable { path, source })
    }
}

/// Whether another try could go better; a file that is none of ours stays what it is.
fn may_pass(error: &StoreError) -> bool {
    match error {
        StoreError::Locked | StoreError::Busy | StoreError::Other(_) => true,
        StoreError::Full | StoreError::NotWritable | StoreError::Damaged(_) => false,
    }
}

/// A folder that is there already keeps its mode: it may be somebody else's, or have been opened on purpose.
pub(super) fn make_private_folder(path: &Path) -> Result<(), OpenError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| OpenError::Folder {
            path: path.to_owned(),
            source,
        })
}

/// SQLite gives the files beside this one (`-wal`, `-shm`) the same mode.
///
/// A file that is there is not opened: closing it again would take SQLite's locks away, which belong to the process
/// and not to its handles (fcntl(2)).
fn make_private_file(path: &Path) -> Result<(), OpenError> {
    let made = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(path);
    let private = match made {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            set_permissions(path, Permissions::from_mode(0o600))
        }
        Err(error) => Err(error),
    };
    private.map_err(|source| OpenError::File {
        path: path.to_owned(),
        source,
    })
}
