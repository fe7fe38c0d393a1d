//! A copy of the state while it is in use, and a look at a file that is in nobody's use or in somebody's. Called by the command line;
//! changes nothing.
//!
//! A copy of `state.db` alone, as `cp` makes it, lacks what is in the log, or is torn. SQLite copies what is
//! committed at one moment (`VACUUM INTO`), whoever writes meanwhile.

use std::fs::File;
use std::io;
use std::path::Path;

use rusqlite::Connection;

use super::database::stored;
use super::{log, look, take_lock};
use crate::store::StoreFault;
use crate::token::UnixTime;

/// The first schema whose sessions rotate, and the first that revokes subjects.
const ROTATING: i32 = 4;
const OF_SUBJECTS: i32 = 6;

/// What is in a state file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The schema: how many steps it has taken.
    pub schema: i32,
    /// Living sessions.
    pub sessions: u64,
    /// Tokens, sessions and subjects whose revocation still counts.
    pub revocations: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// Looks at every page and index of the state of a directory, at `now`; also while a gateway uses it.
///
/// # Errors
/// [`StoreFault`]: there is none, it cannot be read, it is damaged, newer than this program or not ours.
pub fn check(state_dir: &Path, now: UnixTime) -> Result<Summary, StoreFault> {
    let path = state_dir.join("state.db");
    // A log that is being written looks torn at its end; the gateway that writes it has looked at it when it started.
    let unused = path.exists().then(|| take_lock(state_dir).ok()).flatten();
    if unused.is_some() {
        let damage = log::damage(&path).map_err(|error| unreadable(&path, &error))?;
        if let Some(what) = damage {
            return Err(StoreFault(format!("{} is damaged ({what})", path.display())));
        }
    }
    summarize(&path, now, look::marked(&path)?)
}

/// As [`check`], for a copy.
///
/// # Errors
/// As [`check`].
pub fn check_file(path: &Path, now: UnixTime) -> Result<Summary, StoreFault> {
    let damage = log::damage(path).map_err(|error| unreadable(path, &error))?;
    if let Some(what) = damage {
        return Err(StoreFault(format!("{} is damaged ({what})", path.display())));
    }
    summarize(path, now, None)
}

/// The mark was read before the file is opened: a gateway that runs may move it meanwhile.
fn summarize(path: &Path, now: UnixTime, mark: Option<u64>) -> Result<Summary, StoreFault> {
    let connection = open(path)?;
    summary(&connection, path, now, mark).map_err(|error| unreadable(path, &error))?
}

/// Copies what is committed now into a new file (mode 0600), and looks at every page of the copy.
///
/// # Errors
/// [`StoreFault`]: the state cannot be read, `to` is there already or cannot be written; then there is no copy.
pub fn backup(state_dir: &Path, to: &Path, now: UnixTime) -> Result<Summary, StoreFault> {
    let cannot = |error: &dyn std::fmt::Display| {
        StoreFault(format!("{} cannot be made: {error}", to.display()))
    };
    let path = state_dir.join("state.db");
    let mark = look::marked(&path)?;
    let from = open(&path)?;
    let state = look::state_of(&from).map_err(|error| unreadable(&path, &error))?;
    state.check(&path, mark)?;
    let dir = to.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let copy = tempfile::Builder::new().prefix(".freshgate-backup-").tempfile_in(dir);
    let copy = copy.map_err(|error| cannot(&error))?;
    let name = copy.path().to_str().ok_or_else(|| cannot(&"its path is not UTF-8"))?;
    from.execute("VACUUM INTO ?1", [name]).map_err(|error| cannot(&error))?;
    copy.as_file().sync_all().map_err(|error| cannot(&error))?;
    let summary = check_file(copy.path(), now)?;
    copy.persist_noclobber(to).map_err(|fault| cannot(&fault.error))?;
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|error| cannot(&error))?;
    Ok(summary)
}

/// Opens a file that is there, for reading what others may be writing.
fn open(path: &Path) -> Result<Connection, StoreFault> {
    let about = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    if !about.is_file() {
        return Err(unreadable(path, &io::Error::other("it is no file")));
    }
    look::open_untouched(path).map_err(|error| unreadable(path, &error))
}

fn summary(
    connection: &Connection,
    path: &Path,
    now: UnixTime,
    mark: Option<u64>,
) -> rusqlite::Result<Result<Summary, StoreFault>> {
    let state = look::state_of(connection)?;
    if let Err(fault) = state.check(path, mark) {
        return Ok(Err(fault));
    }
    let schema = state.version;
    let damage: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if damage != "ok" {
        return Ok(Err(StoreFault(format!("{} is damaged ({damage})", path.display()))));
    }
    let count = |table: &str, until: &str| -> rusqlite::Result<u64> {
        let sql = format!("SELECT count(*) FROM {table} WHERE {until} > ?1");
        connection
            .query_row(&sql, [stored(now)], |row| row.get::<_, i64>(0))
            .map(i64::cast_unsigned)
    };
    let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0))?;
    let page: i64 = connection.query_row("PRAGMA page_size", [], |row| row.get(0))?;
    // An older file has other columns; it is raised when a gateway opens it.
    let until = if schema < ROTATING { "expires_at" } else { "tokens_until" };
    let subjects =
        if schema < OF_SUBJECTS { 0 } else { count("subject_revocations", "expires_at")? };
    Ok(Ok(Summary {
        schema,
        sessions: count("sessions", until)?,
        revocations: count("revocations", "expires_at")? + subjects,
        bytes: (pages * page).cast_unsigned(),
    }))
}

fn unreadable(path: &Path, error: &dyn std::fmt::Display) -> StoreFault {
    StoreFault(format!("{} cannot be read: {error}", path.display()))
}
