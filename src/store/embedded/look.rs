//! What a state file says about itself, before anything in it is believed or changed.
//!
//! Called by `database`, which then opens it for good, and by `copy`, which does not.

use std::io;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::ffi::SQLITE_IOERR_SHMSIZE;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::database::NEWEST;
use super::mark;
use crate::store::StoreFault;

/// `PRAGMA application_id` of our files: "FrGt".
pub(super) const APPLICATION_ID: i32 = 0x4672_4774;

/// The first version that numbers its commits.
const NUMBERED: i32 = 8;
/// How long SQLite waits for somebody who reads or copies the file by hand.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// The last commit that the mark of this file knows, if there is one.
///
/// # Errors
/// [`StoreFault`]: there is one, and it cannot be read.
pub(super) fn marked(path: &Path) -> Result<Option<u64>, StoreFault> {
    mark::read(path).map_err(|error| mark_fault(path, &error))
}

/// Opens a file that is there. Closing it leaves the file and its log as they are, so that what is refused can be looked at.
pub(super) fn open_untouched(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    Ok(connection)
}

pub(super) fn commits(connection: &Connection) -> rusqlite::Result<u64> {
    let number = connection.query_row("SELECT commits FROM clock", [], |row| row.get::<_, i64>(0));
    number.map(i64::cast_unsigned)
}

/// What a file says about itself.
pub(super) struct FileState {
    application_id: i32,
    pub(super) version: i32,
    tables: i64,
    damage: String,
    /// The number of the last commit; 0 in a file that numbers none.
    commits: u64,
}

/// Looks at an open file, quickly.
pub(super) fn state_of(connection: &Connection) -> rusqlite::Result<FileState> {
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let application_id = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let version = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let is_numbered = application_id == APPLICATION_ID && (NUMBERED..=NEWEST).contains(&version);
    Ok(FileState {
        application_id,
        version,
        tables: number("SELECT count(*) FROM sqlite_schema")?,
        damage: connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?,
        commits: if is_numbered { commits(connection)? } else { 0 },
    })
}

impl FileState {
    /// Whether it is ours, whole as far as a quick look tells, not newer than this program, and not older than its mark.
    pub(super) fn check(&self, path: &Path, mark: Option<u64>) -> Result<(), StoreFault> {
        let path = path.display();
        let newest = NEWEST;
        if self.application_id != APPLICATION_ID && self.tables > 0 {
            return Err(StoreFault(format!("{path} is a database of another program")));
        }
        if self.version > newest {
            return Err(StoreFault(format!(
                "{path} was written by a newer freshgate (schema {}, this one knows {newest}); use that one, or a backup",
                self.version
            )));
        }
        if self.damage != "ok" {
            return Err(damaged(&path, &self.damage));
        }
        if self.tables == 0 {
            return Err(damaged(&path, "it is empty"));
        }
        let (commits, mark) = (self.commits, mark.unwrap_or(0));
        if commits < mark {
            let what = format!(
                "its end or that of its log is gone: it goes to commit {commits}, and state.mark beside it to {mark}; \
                 if it is a backup that was put back, remove state.mark"
            );
            return Err(damaged(&path, &what));
        }
        Ok(())
    }
}

pub(super) fn open_fault(path: &Path, error: &rusqlite::Error) -> StoreFault {
    let path = path.display();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            damaged(&path, &error.to_string())
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            StoreFault(format!("{path} or its directory is not writable by this user ({error})"))
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            StoreFault(format!("{path} is locked by another program ({error})"))
        }
        // What SQLite says where it cannot make `state.db-shm` is no more than "disk I/O error".
        Some(ErrorCode::DiskFull) => no_room(&path, error),
        _ if error.sqlite_extended_error_code() == Some(SQLITE_IOERR_SHMSIZE) => {
            no_room(&path, error)
        }
        _ => StoreFault(format!("{path} cannot be opened: {error}")),
    }
}

fn no_room(path: &std::path::Display<'_>, error: &dyn std::fmt::Display) -> StoreFault {
    StoreFault(format!(
        "{path} cannot be opened: its disk is full ({error}); make room, and start again"
    ))
}

pub(super) fn mark_fault(path: &Path, error: &io::Error) -> StoreFault {
    let mark = mark::path_of(path);
    if error.kind() == io::ErrorKind::StorageFull {
        return no_room(&mark.display(), error);
    }
    StoreFault(format!(
        "{} cannot be used ({error}): it says how far {} must go; remove it if that file is whole",
        mark.display(),
        path.display()
    ))
}

pub(super) fn damaged(path: &std::path::Display<'_>, what: &str) -> StoreFault {
    StoreFault(format!(
        "{path} is damaged ({what}); restore a backup, or move the file and what lies beside it (state.db-*, state.mark) away: then every session ends, and tokens revoked before are good again until they expire, unless the signing key is replaced too"
    ))
}
