//! The SQLite file: its schema, and its versions.
//!
//! Opening checks that the file is ours, whole and not newer than this program, and raises an older one
//! step by step. Nothing here decides when to commit: `owner` does.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use aws_lc_rs::rand;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, Transaction, params};

use super::look::{
    APPLICATION_ID, commits, damaged, mark_fault, marked, open_fault, open_untouched, state_of,
};
use super::mark::{self, Mark};
use super::{clock, failures, keepsakes, log, replacements, revoked, sessions};
use crate::store::throttle::tallies::KEY_BYTES;
use crate::store::{Keepsakes, Revocations, StoreFault, Tallies};
use crate::token::UnixTime;

/// Every step from an empty file to the newest schema. The version of a file is the number of steps it
/// has taken, so an applied step is never edited: a change is a new step.
const STEPS: [&str; 8] = [
    "
    CREATE TABLE sessions (
        id         TEXT PRIMARY KEY NOT NULL,
        subject    TEXT NOT NULL,
        started_at INTEGER NOT NULL,
        auth_time  INTEGER NOT NULL,
        expires_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX sessions_by_expiry ON sessions (expires_at);
    CREATE INDEX sessions_by_subject ON sessions (subject);
    CREATE TABLE revocations (
        kind       TEXT NOT NULL CHECK (kind IN ('token', 'session')),
        id         TEXT NOT NULL,
        expires_at INTEGER NOT NULL,
        PRIMARY KEY (kind, id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX revocations_by_expiry ON revocations (expires_at);
",
    clock::STEP,
    failures::STEP,
    sessions::STEP,
    replacements::STEP,
    revoked::STEP,
    keepsakes::STEP,
    mark::STEP,
];

/// The version of a file of this program.
pub(super) const NEWEST: i32 = STEPS.len() as i32;
/// Most rows that one purge removes from a table, so that callers never wait long for it.
const PURGE_ROWS_MAX: usize = 1000;

/// An open `state.db`.
#[derive(Debug)]
pub(super) struct Database {
    connection: Connection,
    mark: Mark,
}

impl Database {
    /// Opens the file, or makes it with mode 0600.
    ///
    /// # Errors
    /// [`StoreFault`] naming the file and what to do.
    pub(super) fn open(path: &Path) -> Result<Database, StoreFault> {
        if !path.exists() {
            create(path)?;
        }
        let damage = make_private(path).and_then(|()| log::damage(path));
        let damage = damage
            .map_err(|error| StoreFault(format!("{} cannot be opened: {error}", path.display())))?;
        if let Some(what) = damage {
            return Err(damaged(&path.display(), what));
        }
        let mark = marked(path)?;
        let mut connection = open_untouched(path).map_err(|error| open_fault(path, &error))?;
        let state = state_of(&connection).map_err(|error| open_fault(path, &error))?;
        state.check(path, mark)?;
        let commits = touch(&mut connection, state.version);
        let commits = commits.map_err(|error| open_fault(path, &error))?;
        let mark = Mark::open(path, commits).map_err(|error| mark_fault(path, &error))?;
        Ok(Database { connection, mark })
    }

    /// Fills the memory with every revocation that lives at `now`.
    ///
    /// # Errors
    /// [`StoreFault`]: without all of them the gateway must not start.
    pub(super) fn load_revocations(
        &self,
        now: UnixTime,
        revocations: &Revocations,
    ) -> Result<(), StoreFault> {
        revoked::load(&self.connection, now, revocations)
            .map_err(|error| StoreFault(format!("the revocations cannot be read: {error}")))
    }

    /// Fills the memory with what is kept of the logins of every session that lives at `now`.
    ///
    /// # Errors
    /// [`StoreFault`]: without it users would be strangers to their application.
    pub(super) fn load_keepsakes(&self, now: UnixTime, all: &Keepsakes) -> Result<(), StoreFault> {
        keepsakes::load(&self.connection, now, all)
            .map_err(|error| StoreFault(format!("the sessions cannot be read: {error}")))
    }

    /// The highest time that the file has seen.
    ///
    /// # Errors
    /// [`StoreFault`]: a gateway that does not know it must not start.
    pub(super) fn highest(&self) -> Result<UnixTime, StoreFault> {
        clock::highest(&self.connection)
            .map_err(|error| StoreFault(format!("the highest time seen cannot be read: {error}")))
    }

    /// Every counter of failed attempts and every known address that lives at `now`.
    ///
    /// # Errors
    /// [`StoreFault`]: without them guesses would begin anew.
    pub(super) fn load_tallies(&self, now: UnixTime) -> Result<Tallies, StoreFault> {
        let mut key = [0; KEY_BYTES];
        rand::fill(&mut key).map_err(|_| StoreFault("this machine gave no random bytes".into()))?;
        failures::load(&self.connection, key, now)
            .map_err(|error| StoreFault(format!("the failed logins cannot be read: {error}")))
    }

    /// Makes a file as a version left it that knew only this many steps.
    #[cfg(test)]
    pub(super) fn make_old(path: &Path, version: usize) -> Connection {
        let connection = Connection::open(path).expect("a new file");
        let steps = STEPS[..version].concat();
        connection.execute_batch(&steps).expect("steps that once were the newest");
        connection
            .pragma_update(None, "application_id", APPLICATION_ID)
            .expect("a pragma of SQLite");
        connection.pragma_update(None, "user_version", version as i32).expect("a pragma of SQLite");
        connection
    }

    /// Makes the disk full for this connection: the file may have no more pages than these.
    #[cfg(test)]
    pub(super) fn limit_pages(&self, pages: i64) {
        self.connection.pragma_update(None, "max_page_count", pages).expect("a pragma of SQLite");
    }

    /// Reads in one transaction.
    pub(super) fn ask<T>(
        &mut self,
        act: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        act(&self.connection.transaction()?)
    }

    /// Changes in one transaction, at `now`. When this returns it is on the disk and in the mark; after an error nothing
    /// of it is.
    pub(super) fn change<T>(
        &mut self,
        now: UnixTime,
        act: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let transaction = self.connection.transaction()?;
        let done = act(&transaction)?;
        let commit = clock::saw(&transaction, now)?;
        transaction.commit()?;
        self.mark.set(commit);
        Ok(done)
    }
}

/// Removes what expired at `before` or earlier, and what was replaced so long before `now` that it means nothing any more; a
/// bounded number of rows, and `true` when there may be more.
pub(super) fn purge(
    on: &Transaction<'_>,
    before: UnixTime,
    now: UnixTime,
) -> rusqlite::Result<bool> {
    let ended = "DELETE FROM sessions WHERE id IN
        (SELECT id FROM sessions WHERE tokens_until <= ?1 LIMIT ?2)";
    let mut more = sessions::forget_replaced(on, now, PURGE_ROWS_MAX)? == PURGE_ROWS_MAX;
    for sql in [ended].into_iter().chain(revoked::PURGES) {
        let removed =
            on.prepare_cached(sql)?.execute(params![stored(before), PURGE_ROWS_MAX as i64])?;
        more |= removed == PURGE_ROWS_MAX;
    }
    Ok(more)
}

/// SQLite's integers have a sign; the far end of time stays the far end.
pub(super) fn stored(time: UnixTime) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

pub(super) fn moment(stored: i64) -> UnixTime {
    UnixTime(u64::try_from(stored).unwrap_or(0))
}

/// From here on the connection is one that writes: the newest schema, and the log goes into the file at the end. Gives the number
/// of the last commit.
fn touch(connection: &mut Connection, version: i32) -> rusqlite::Result<u64> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    raise(connection, version)?;
    commits(connection)
}

/// Sets how the connection works and applies the steps that the file has not taken, each with its
/// version in one transaction.
fn raise(connection: &mut Connection, version: i32) -> rusqlite::Result<()> {
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    // FULL: an acknowledged row survives power loss, not only `kill -9`.
    connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;")?;
    for (index, step) in STEPS.iter().enumerate().skip(usize::try_from(version).unwrap_or(0)) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", index as i32 + 1)?;
        transaction.commit()?;
    }
    Ok(())
}

/// Makes the file with its whole schema under another name and then gives it its own, so that an empty
/// `state.db` is never one that we began: it has been cut off, and with it what was revoked.
fn create(path: &Path) -> Result<(), StoreFault> {
    let cannot = |error: &dyn std::fmt::Display| {
        StoreFault(format!("{} cannot be made: {error}", path.display()))
    };
    for beside in [path.with_extension("db-wal"), mark::path_of(path)] {
        if beside.exists() {
            return Err(StoreFault(format!(
                "{} is gone, but {} is there; restore a backup, or move that away too: then every session ends, and tokens revoked \
                 before are good again until they expire, unless the signing key is replaced too",
                path.display(),
                beside.display()
            )));
        }
    }
    let dir = path.parent().unwrap_or(Path::new("."));
    // A temporary file has mode 0600 from the start; the journals copy the mode of their database.
    let file = tempfile::Builder::new()
        .prefix("state.db.new-")
        .tempfile_in(dir)
        .map_err(|error| cannot(&error))?;
    let made = Connection::open(file.path()).and_then(|mut connection| {
        raise(&mut connection, 0)?;
        connection.close().map_err(|(_, error)| error)
    });
    made.map_err(|error| cannot(&error))?;
    file.as_file().sync_all().map_err(|error| cannot(&error))?;
    file.persist_noclobber(path).map_err(|fault| cannot(&fault.error))?;
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|error| cannot(&error))
}

/// An existing file loses what others may do with it: it is ours alone.
fn make_private(path: &Path) -> io::Result<()> {
    let mode = fs::metadata(path)?.permissions().mode();
    match mode & 0o077 {
        0 => Ok(()),
        _ => fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o700)),
    }
}
