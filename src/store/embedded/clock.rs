//! The highest time that the file has seen: a gateway never opens it in the past of that.
//!
//! Written with what else is committed, once a minute, and at a clean stop. Called by `database`, and by the store itself when
//! the file is opened.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, Transaction};

use super::database::{moment, stored};
use crate::store::StoreFault;
use crate::token::UnixTime;

/// How far the system's clock may be behind the highest time seen before; beyond that one of the two was badly
/// wrong, and only a person knows which.
pub const CLOCK_BEHIND_MAX: Duration = Duration::from_secs(24 * 3600);

/// The step of the schema that makes room for it.
pub(super) const STEP: &str = "
    CREATE TABLE clock (
        only    INTEGER PRIMARY KEY CHECK (only = 1),
        highest INTEGER NOT NULL
    ) STRICT;
    INSERT INTO clock (only, highest) VALUES (1, 0);
";

/// The highest time ever [seen](saw); 1970 in a new file.
pub(super) fn highest(from: &Connection) -> rusqlite::Result<UnixTime> {
    from.query_row("SELECT highest FROM clock", [], |row| row.get(0)).map(moment)
}

/// Remembers that it was this late, and gives the number of the commit to come.
pub(super) fn saw(on: &Transaction<'_>, now: UnixTime) -> rusqlite::Result<u64> {
    let sql =
        "UPDATE clock SET highest = max(highest, ?1), commits = commits + 1 RETURNING commits";
    on.prepare_cached(sql)?.query_row([stored(now)], |row| row.get(0)).map(i64::cast_unsigned)
}

/// The later of `now` and the highest time seen. Were it the earlier one, tokens that have expired would be good
/// again, and some of them were revoked and forgotten since.
///
/// # Errors
/// [`StoreFault`] when `now` is more than [`CLOCK_BEHIND_MAX`] behind.
pub(super) fn later(now: UnixTime, highest: UnixTime, file: &Path) -> Result<UnixTime, StoreFault> {
    let behind = highest.since(now);
    if behind > CLOCK_BEHIND_MAX {
        return Err(StoreFault(format!(
            "the system's clock is {} hours behind the time that {} has seen: set the clock right; or, if it is \
             right now and was wrong before, move that file and state.mark away: then every session ends, and tokens revoked \
             before are good again until they expire, unless the signing key is replaced too",
            behind.as_secs() / 3600,
            file.display()
        )));
    }
    if !behind.is_zero() {
        tracing::warn!(
            event = "clock_behind",
            seconds = behind.as_secs(),
            "the system's clock is behind the time seen before the start; time goes on from there"
        );
    }
    Ok(now.max(highest))
}
