//! Opening the file: one connection that writes, a few that only read.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use thiserror::Error;

use crate::standings::Known;

static MIGRATIONS: Migrator = sqlx::migrate!();

/// SQLite's own codes, which sqlx hands through as text.
const READ_ONLY: &str = "8";
const CANNOT_OPEN: &str = "14";
const NOT_A_DATABASE: &str = "26";

/// The studies in one file. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) reader: SqlitePool,
    writer: Option<SqlitePool>,
    file: Arc<OpenFile>,
    pub(crate) known: Known,
}

/// Which file is open, whatever its name means by now.
#[derive(Debug)]
struct OpenFile {
    path: PathBuf,
    /// Device and number of the file's node; `None` where that could not be found out.
    node: Option<(u64, u64)>,
}

impl Store {
    /// Opens the file to write to it; makes it, and brings its tables up to this version, where needed.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let writing = options(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // In WAL mode only FULL survives a power cut with every commit.
            .synchronous(SqliteSynchronous::Full);
        let writer = pool(1).connect_with(writing).await.map_err(|error| OpenError::of(error, path))?;
        migrate(&writer, path).await?;
        let reader = pool(4).connect_with(options(path).read_only(true)).await;
        let reader = reader.map_err(|error| OpenError::of(error, path))?;
        Ok(Self { reader, writer: Some(writer), file: Arc::new(OpenFile::at(path)), known: Known::default() })
    }

    /// Opens a file that exists, to look at it while another process may write to it.
    pub async fn open_read_only(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref();
        if !path.exists() {
            return Err(OpenError::Missing { path: path.to_owned() });
        }
        let reader = pool(4).connect_with(options(path).read_only(true)).await;
        let reader = reader.map_err(|error| OpenError::of(error, path))?;
        check_version(&reader, path).await?;
        Ok(Self { reader, writer: None, file: Arc::new(OpenFile::at(path)), known: Known::default() })
    }

    /// Whether nothing can be written through it.
    pub fn is_read_only(&self) -> bool {
        self.writer.is_none()
    }

    /// Waits until everything is written, and lets go of the file.
    pub async fn close(self) {
        self.reader.close().await;
        if let Some(writer) = self.writer {
            writer.close().await;
        }
    }

    /// Whether what is written still gets to the file of that name: SQLite goes on writing to one that was removed, and all of
    /// it is gone with the process. A removed file is put back as a copy, and nothing more is written.
    pub(crate) async fn check_file(&self) -> Result<(), WriteError> {
        let OpenFile { path, node } = &*self.file;
        let now = node_of(path);
        if node.is_none() || now == *node {
            return Ok(());
        }
        let path = path.clone();
        if now.is_some() {
            return Err(WriteError::Replaced { path });
        }
        let copied = sqlx::query("VACUUM INTO ?").bind(path.to_string_lossy()).execute(self.writer()?).await;
        match copied {
            Ok(_) => Err(WriteError::Removed { path }),
            Err(source) => Err(WriteError::Gone { path, source }),
        }
    }

    pub(crate) fn writer(&self) -> Result<&SqlitePool, WriteError> {
        self.writer.as_ref().ok_or(WriteError::ReadOnly)
    }
}

impl OpenFile {
    fn at(path: &Path) -> Self {
        Self { path: path.to_owned(), node: node_of(path) }
    }
}

fn node_of(path: &Path) -> Option<(u64, u64)> {
    path.metadata().ok().map(|about| (about.dev(), about.ino()))
}

fn options(path: &Path) -> SqliteConnectOptions {
    // Another study of the same file may be written by another process: wait for its commit.
    SqliteConnectOptions::new().filename(path).foreign_keys(true).busy_timeout(Duration::from_secs(10))
}

fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new().max_connections(connections).idle_timeout(None).max_lifetime(None)
}

async fn migrate(writer: &SqlitePool, path: &Path) -> Result<(), OpenError> {
    MIGRATIONS.run(writer).await.map_err(|error| match error {
        MigrateError::VersionMissing(found) => OpenError::Newer { path: path.to_owned(), found, known: known() },
        MigrateError::Execute(error) => OpenError::of(error, path),
        source => OpenError::Migrate { path: path.to_owned(), source },
    })
}

/// A reader cannot migrate, so it takes exactly the tables that this version makes.
async fn check_version(reader: &SqlitePool, path: &Path) -> Result<(), OpenError> {
    let tables = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM sqlite_schema WHERE name = '_sqlx_migrations'");
    if tables.fetch_one(reader).await.map_err(|error| OpenError::of(error, path))? == 0 {
        return Err(OpenError::Foreign { path: path.to_owned() });
    }
    let found = sqlx::query_scalar::<_, Option<i64>>("SELECT max(version) FROM _sqlx_migrations WHERE success");
    let found = found.fetch_one(reader).await.map_err(|error| OpenError::of(error, path))?.unwrap_or(0);
    let path = path.to_owned();
    match found.cmp(&known()) {
        std::cmp::Ordering::Less => Err(OpenError::Older { path, found, known: known() }),
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => Err(OpenError::Newer { path, found, known: known() }),
    }
}

fn known() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// Why a store could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Nothing to look at.
    #[error("there is no store at `{}`", path.display())]
    Missing {
        /// The file asked for.
        path: PathBuf,
    },
    /// The file has another content.
    #[error("`{}` is not an SQLite database", path.display())]
    NotADatabase {
        /// The file asked for.
        path: PathBuf,
    },
    /// The file is a database of another program.
    #[error("`{}` is a database, but not a store of studies", path.display())]
    Foreign {
        /// The file asked for.
        path: PathBuf,
    },
    /// Written by a later version of the program.
    #[error("`{}` was written by a newer version (tables {found}, this one knows {known})", path.display())]
    Newer {
        /// The file asked for.
        path: PathBuf,
        /// Version of its tables.
        found: i64,
        /// The latest that this program makes.
        known: i64,
    },
    /// Written by an earlier version of the program; opening it to write brings it up to date.
    #[error("`{}` was written by an older version (tables {found}, this one needs {known})", path.display())]
    Older {
        /// The file asked for.
        path: PathBuf,
        /// Version of its tables.
        found: i64,
        /// What this program reads.
        known: i64,
    },
    /// The folder is missing or does not let us write.
    #[error("cannot write to `{}`", path.display())]
    Unwritable {
        /// The file asked for.
        path: PathBuf,
        /// What SQLite said.
        source: sqlx::Error,
    },
    /// The tables could not be brought up to date.
    #[error("could not bring the tables of `{}` up to date", path.display())]
    Migrate {
        /// The file asked for.
        path: PathBuf,
        /// What went wrong.
        source: MigrateError,
    },
    /// Anything else that SQLite said.
    #[error("could not open `{}`", path.display())]
    Database {
        /// The file asked for.
        path: PathBuf,
        /// What SQLite said.
        source: sqlx::Error,
    },
}

impl OpenError {
    fn of(source: sqlx::Error, path: &Path) -> Self {
        let path = path.to_owned();
        let code = source.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned();
        // The lower byte is the kind of error, the rest its details.
        let kind = code.parse::<u32>().map(|code| (code & 0xff).to_string()).unwrap_or_default();
        match kind.as_str() {
            NOT_A_DATABASE => Self::NotADatabase { path },
            READ_ONLY | CANNOT_OPEN => Self::Unwritable { path, source },
            _ => Self::Database { path, source },
        }
    }
}

/// Why nothing could be read.
#[derive(Debug, Error)]
pub enum QueryError {
    /// SQLite did not answer.
    #[error("could not read the store")]
    Database(#[from] sqlx::Error),
    /// A row holds what this program did not write.
    #[error("the store holds something that this version cannot read")]
    Unreadable(#[source] serde_json::Error),
    /// The filter or the sorting names what the study does not have.
    #[error(transparent)]
    Filter(#[from] crate::filter::FilterError),
}

/// Why something beside the log could not be written.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The store was opened to look at it.
    #[error("the store is open for reading only")]
    ReadOnly,
    /// The file was removed under way; a copy of all that it held has its place.
    #[error("the store `{}` was removed while it was in use; all that it held was written to its place again", path.display())]
    Removed {
        /// The file.
        path: PathBuf,
    },
    /// The file was removed under way, and could not be put back.
    #[error("the store `{}` was removed while it was in use, and could not be written again", path.display())]
    Gone {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: sqlx::Error,
    },
    /// Another file has taken its place.
    #[error("the store `{}` was replaced by another file while it was in use", path.display())]
    Replaced {
        /// The file.
        path: PathBuf,
    },
    /// SQLite did not take it.
    #[error("could not write to the store")]
    Database(#[from] sqlx::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_store_is_made_and_opened_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("studies.db");
        Store::open(&path).await.unwrap().close().await;
        Store::open(&path).await.unwrap().close().await;
        assert!(Store::open_read_only(&path).await.unwrap().studies().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn another_file_is_named_as_such() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notes.txt");
        std::fs::write(&path, "no database, but a good many words about one\n".repeat(100)).unwrap();
        assert!(matches!(Store::open(&path).await, Err(OpenError::NotADatabase { .. })));
        assert!(matches!(Store::open_read_only(&path).await, Err(OpenError::NotADatabase { .. })));
        assert!(matches!(Store::open_read_only(dir.path().join("none")).await, Err(OpenError::Missing { .. })));
    }

    #[tokio::test]
    async fn a_folder_that_is_not_there_is_named_as_unwritable() {
        let dir = tempfile::tempdir().unwrap();
        let error = Store::open(dir.path().join("none/studies.db")).await.unwrap_err();
        assert!(matches!(error, OpenError::Unwritable { .. }), "{error:?}");
    }

    #[tokio::test]
    async fn a_store_that_is_removed_under_way_is_put_back_whole() {
        use crate::testing::{Fixture, reported, started};
        let fixture = Fixture::new(nightsweep_search::Direction::Minimize).await;
        fixture.tell(&[started(0, serde_json::json!({})), reported(0, 1, 0.5)]).await;
        let path = fixture.dir.path().join("studies.db");
        for suffix in ["", "-wal", "-shm"] {
            std::fs::remove_file(fixture.dir.path().join(format!("studies.db{suffix}"))).unwrap();
        }
        let error = fixture.store.append(fixture.study.id, &reported(0, 2, 0.4)).await.unwrap_err();
        assert!(error.to_string().contains("was removed while it was in use; all that it held"), "{error}");
        let again = Store::open(&path).await.unwrap();
        let study = again.study_named("night").await.unwrap().unwrap();
        assert_eq!(again.events(study.id, crate::Seq::START).await.unwrap().len(), 2);
        // The old one writes nothing into the new file.
        let error = fixture.store.append(fixture.study.id, &reported(0, 2, 0.4)).await.unwrap_err();
        assert!(error.to_string().contains("was replaced by another file"), "{error}");
        again.append(study.id, &reported(0, 2, 0.4)).await.unwrap();
    }

    #[tokio::test]
    async fn a_newer_file_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("studies.db");
        let store = Store::open(&path).await.unwrap();
        sqlx::query("INSERT INTO _sqlx_migrations VALUES (9999, 'later', current_timestamp, 1, x'00', 1)")
            .execute(store.writer().unwrap())
            .await
            .unwrap();
        store.close().await;
        assert!(matches!(Store::open(&path).await, Err(OpenError::Newer { found: 9999, .. })));
        assert!(matches!(Store::open_read_only(&path).await, Err(OpenError::Newer { found: 9999, .. })));
    }
}
