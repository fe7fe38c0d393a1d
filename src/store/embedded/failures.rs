//! The SQL of failed attempts: which counters and known addresses outlive a restart.
//!
//! Rows are named by keyed hashes, never by what somebody typed. The key lies in the same file: it keeps names
//! from being read there, not from being tried out one by one by whoever has the file. Called by `owner`,
//! and by `database` when the file is opened.

use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use super::database::{moment, stored};
use crate::store::Tallies;
use crate::store::throttle::Kind;
use crate::store::throttle::tallies::{KEY_BYTES, Row, TALLIES_MAX};
use crate::store::throttle::tally::Tally;
use crate::token::UnixTime;

/// The step of the schema that makes room for them.
pub(super) const STEP: &str = "
    CREATE TABLE failed_logins_key (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        key  BLOB NOT NULL
    ) STRICT;
    CREATE TABLE failed_logins (
        kind          TEXT NOT NULL CHECK (kind IN ('account', 'pair', 'address', 'known')),
        id            BLOB NOT NULL,
        forgiven_at   INTEGER NOT NULL,
        blocked_until INTEGER NOT NULL,
        PRIMARY KEY (kind, id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX failed_logins_by_end ON failed_logins (kind, forgiven_at);
";

/// Most rows that one purge removes of each kind.
const PURGE_ROWS_MAX: usize = 10_000;
const KINDS: [Option<Kind>; 4] = [Some(Kind::Account), Some(Kind::Pair), Some(Kind::Address), None];

/// Reads what lives at `now`; the first time keeps the new key.
pub(super) fn load(
    from: &Connection,
    new_key: [u8; KEY_BYTES],
    now: UnixTime,
) -> rusqlite::Result<Tallies> {
    let tallies = Tallies::new(&key(from, new_key)?);
    // The last to be forgiven are read last, so that they stay when there are too many.
    let sql = "SELECT id, forgiven_at, blocked_until FROM failed_logins
        WHERE kind = ?1 AND forgiven_at > ?2 ORDER BY forgiven_at";
    let mut statement = from.prepare(sql)?;
    for kind in KINDS {
        let mut rows = statement.query(params![word(kind), stored(now)])?;
        while let Some(row) = rows.next()? {
            let tally =
                Tally { forgiven_at: moment(row.get(1)?), blocked_until: moment(row.get(2)?) };
            tallies.load(Row { kind, id: row.get(0)?, tally }, now);
        }
    }
    Ok(tallies)
}

fn key(from: &Connection, new: [u8; KEY_BYTES]) -> rusqlite::Result<[u8; KEY_BYTES]> {
    let kept = from.query_row("SELECT key FROM failed_logins_key", [], |row| row.get(0));
    if let Some(key) = kept.optional()? {
        return Ok(key);
    }
    from.execute("INSERT INTO failed_logins_key (only, key) VALUES (1, ?1)", [new])?;
    Ok(new)
}

/// Writes the rows as they are; what says nothing any more has no row.
pub(super) fn keep(on: &Transaction<'_>, rows: &[Row]) -> rusqlite::Result<()> {
    let upsert = "INSERT INTO failed_logins (kind, id, forgiven_at, blocked_until)
        VALUES (?1, ?2, ?3, ?4) ON CONFLICT (kind, id) DO UPDATE
        SET forgiven_at = excluded.forgiven_at, blocked_until = excluded.blocked_until";
    let delete = "DELETE FROM failed_logins WHERE kind = ?1 AND id = ?2";
    for Row { kind, id, tally } in rows {
        match tally.forgiven_at {
            UnixTime(0) => on.prepare_cached(delete)?.execute(params![word(*kind), id])?,
            end => {
                let until = stored(tally.blocked_until);
                let values = params![word(*kind), id, stored(end), until];
                on.prepare_cached(upsert)?.execute(values)?
            }
        };
    }
    Ok(())
}

/// Removes what is forgiven at `now`, and of each kind the first to be forgiven where there are more than the
/// memory holds; a bounded number of rows, and `true` when there may be more.
pub(super) fn purge(on: &Transaction<'_>, now: UnixTime) -> rusqlite::Result<bool> {
    let forgiven = "DELETE FROM failed_logins WHERE kind = ?1 AND id IN
        (SELECT id FROM failed_logins WHERE kind = ?1 AND forgiven_at <= ?2 LIMIT ?3)";
    let count = "SELECT count(*) FROM failed_logins WHERE kind = ?1";
    let first = "DELETE FROM failed_logins WHERE kind = ?1 AND id IN
        (SELECT id FROM failed_logins WHERE kind = ?1 ORDER BY forgiven_at LIMIT ?2)";
    let mut more = false;
    for kind in KINDS.map(word) {
        let limit = PURGE_ROWS_MAX as i64;
        let removed = on.prepare_cached(forgiven)?.execute(params![kind, stored(now), limit])?;
        let left: i64 = on.prepare_cached(count)?.query_row([kind], |row| row.get(0))?;
        let over = left - TALLIES_MAX as i64;
        if over > 0 {
            on.prepare_cached(first)?.execute(params![kind, over.min(limit)])?;
        }
        more |= removed == PURGE_ROWS_MAX || over > limit;
    }
    Ok(more)
}

fn word(kind: Option<Kind>) -> &'static str {
    match kind {
        Some(Kind::Account) => "account",
        Some(Kind::Pair) => "pair",
        Some(Kind::Address) => "address",
        None => "known",
    }
}
