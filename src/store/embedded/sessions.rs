//! The SQL of sessions: their rows, and how a presented refresh token changes one.
//!
//! Everything happens inside a transaction that the owner commits, on the one thread there is, so reading a row and
//! changing it is one step. Called by `owner`, and by `database` when the file is opened.

use std::net::IpAddr;

use rusqlite::{OptionalExtension as _, Row, Transaction, params};

use super::database::{moment, stored};
use super::revoked;
use crate::store::session::{Device, REUSE_WINDOW_MAX, Renewal, Replaced, Rotation, Session};
use crate::store::{Marks, Revoked};
use crate::token::UnixTime;
use crate::token::seal::Sealed;

/// The step of the schema that lets refresh tokens rotate. Sessions from before know no living refresh token, and
/// end when they would have.
pub(super) const STEP: &str = "
    ALTER TABLE sessions ADD COLUMN last_used_at INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE sessions ADD COLUMN tokens_until INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE sessions ADD COLUMN refresh_id TEXT;
    ALTER TABLE sessions ADD COLUMN replaced_id TEXT;
    ALTER TABLE sessions ADD COLUMN replaced_at INTEGER;
    ALTER TABLE sessions ADD COLUMN successor BLOB;
    ALTER TABLE sessions ADD COLUMN address TEXT;
    ALTER TABLE sessions ADD COLUMN device TEXT;
    ALTER TABLE sessions ADD COLUMN credential_mark TEXT;
    UPDATE sessions SET last_used_at = auth_time, tokens_until = expires_at;
    DROP INDEX sessions_by_expiry;
    CREATE INDEX sessions_by_end ON sessions (tokens_until);
    CREATE INDEX sessions_by_replacement ON sessions (replaced_at) WHERE replaced_at IS NOT NULL;
";

/// Records a session. A `sid` that is there already is a constraint error.
pub(super) fn start(on: &Transaction<'_>, session: &Session) -> rusqlite::Result<()> {
    let sql = "INSERT INTO sessions (id, subject, started_at, auth_time, last_used_at, expires_at, tokens_until,
            refresh_id, address, device, credential_mark)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
    on.prepare_cached(sql)?.execute(params![
        session.id,
        session.subject,
        stored(session.started_at),
        stored(session.auth_time),
        stored(session.last_used_at),
        stored(session.expires_at),
        stored(session.tokens_until),
        session.refresh_id,
        session.address.map(|address| address.to_string()),
        session.device.as_ref().map(Device::as_str),
        session.credential_mark
    ])?;
    Ok(())
}

/// The session that lives at `now`. One that was revoked has no row.
pub(super) fn find(
    on: &Transaction<'_>,
    id: &str,
    now: UnixTime,
) -> rusqlite::Result<Option<Session>> {
    let sql = "SELECT * FROM sessions WHERE id = ?1 AND tokens_until > ?2";
    on.prepare_cached(sql)?.query_row(params![id, stored(now)], read).optional()
}

/// The living sessions of a subject, or of everybody: the last to start first, at most `max`.
pub(super) fn list(
    on: &Transaction<'_>,
    of: Option<&str>,
    now: UnixTime,
    max: usize,
) -> rusqlite::Result<Vec<Session>> {
    let sql = match of {
        Some(_) => {
            "SELECT * FROM sessions WHERE subject = ?3 AND tokens_until > ?1
            ORDER BY started_at DESC, id LIMIT ?2"
        }
        None => {
            "SELECT * FROM sessions WHERE tokens_until > ?1 AND ?3 IS NULL
            ORDER BY started_at DESC, id LIMIT ?2"
        }
    };
    let max = i64::try_from(max).unwrap_or(i64::MAX);
    on.prepare_cached(sql)?.query_map(params![stored(now), max, of], read)?.collect()
}

/// Each living pair of a subject and what its credential looked like at a login.
pub(super) fn marks(on: &Transaction<'_>, now: UnixTime) -> rusqlite::Result<Marks> {
    let sql = "SELECT DISTINCT subject, credential_mark FROM sessions WHERE tokens_until > ?1";
    let mut statement = on.prepare_cached(sql)?;
    statement.query_map([stored(now)], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

fn read(row: &Row<'_>) -> rusqlite::Result<Session> {
    let replaced: Option<String> = row.get("replaced_id")?;
    let replaced = match replaced {
        None => None,
        Some(id) => Some(Replaced {
            id,
            at: moment(row.get("replaced_at")?),
            successor: Sealed::from_bytes(row.get("successor")?),
        }),
    };
    let address: Option<String> = row.get("address")?;
    let device: Option<String> = row.get("device")?;
    Ok(Session {
        id: row.get("id")?,
        subject: row.get("subject")?,
        started_at: moment(row.get("started_at")?),
        auth_time: moment(row.get("auth_time")?),
        last_used_at: moment(row.get("last_used_at")?),
        expires_at: moment(row.get("expires_at")?),
        tokens_until: moment(row.get("tokens_until")?),
        refresh_id: row.get("refresh_id")?,
        replaced,
        // For people only: one that is no address any more ends no session.
        address: address.and_then(|address| address.parse::<IpAddr>().ok()),
        device: device.as_deref().and_then(Device::of),
        credential_mark: row.get("credential_mark")?,
    })
}

/// Moves `auth_time` and the other times forward, never back; `false` when there is no living session.
pub(super) fn step_up(
    on: &Transaction<'_>,
    id: &str,
    auth_time: UnixTime,
    tokens_until: UnixTime,
) -> rusqlite::Result<bool> {
    let sql =
        "UPDATE sessions SET auth_time = max(auth_time, ?2), last_used_at = max(last_used_at, ?2),
            tokens_until = min(max(tokens_until, ?3), expires_at)
        WHERE id = ?1 AND tokens_until > ?2";
    let values = params![id, stored(auth_time), stored(tokens_until)];
    Ok(on.prepare_cached(sql)?.execute(values)? == 1)
}

/// Does what a presented refresh token means: rotates, or revokes the session when it was one too many.
pub(super) fn rotate(on: &Transaction<'_>, asked: &Renewal) -> rusqlite::Result<Rotation> {
    let Some(session) = find(on, &asked.session, asked.now)? else {
        return Ok(Rotation::Ended);
    };
    let rotation = session.judge(asked);
    match &rotation {
        Rotation::Rotated => replace(on, asked)?,
        Rotation::Again(_) => touch(on, asked)?,
        Rotation::Reused { revoked_until } => {
            revoked::revoke(on, &Revoked::Session(session.id), *revoked_until)?;
        }
        Rotation::Ended => {}
    }
    Ok(rotation)
}

fn replace(on: &Transaction<'_>, asked: &Renewal) -> rusqlite::Result<()> {
    touch(on, asked)?;
    match &asked.successor {
        // The living one stays; in a session from before it is known from now on.
        None => {
            let sql = "UPDATE sessions SET refresh_id = ?2 WHERE id = ?1";
            on.prepare_cached(sql)?.execute([&asked.session, &asked.id])?;
        }
        Some(successor) => {
            let sql = "UPDATE sessions SET refresh_id = ?2, replaced_id = ?3, replaced_at = ?4, successor = ?5
                WHERE id = ?1";
            let values = params![
                asked.session,
                successor.id,
                asked.id,
                stored(asked.now),
                successor.sealed.as_bytes()
            ];
            on.prepare_cached(sql)?.execute(values)?;
        }
    }
    Ok(())
}

/// The session was used.
fn touch(on: &Transaction<'_>, asked: &Renewal) -> rusqlite::Result<()> {
    let sql = "UPDATE sessions SET last_used_at = max(last_used_at, ?2),
            tokens_until = min(max(tokens_until, ?3), expires_at)
        WHERE id = ?1";
    let values = params![asked.session, stored(asked.now), stored(asked.tokens_until)];
    on.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

/// Forgets what was replaced so long ago that no window is open any more, at most `rows` of them; how many there were.
pub(super) fn forget_replaced(
    on: &Transaction<'_>,
    now: UnixTime,
    rows: usize,
) -> rusqlite::Result<usize> {
    let before = UnixTime(now.0.saturating_sub(REUSE_WINDOW_MAX.as_secs()));
    let sql =
        "UPDATE sessions SET replaced_id = NULL, replaced_at = NULL, successor = NULL WHERE id IN
        (SELECT id FROM sessions WHERE replaced_at <= ?1 LIMIT ?2)";
    on.prepare_cached(sql)?.execute(params![stored(before), rows as i64])
}
