//! The SQL of revocations: of tokens and sessions in one table, of subjects in another.
//!
//! Rows are kept until what they revoke has expired. Called by `owner`, and by `database` when the file is opened.

use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use super::database::{moment, stored};
use crate::store::{Revocations, Revoked, Session};
use crate::token::UnixTime;
use crate::token::verify::LEEWAY_MAX;

/// The step of the schema that makes room for those of subjects.
pub(super) const STEP: &str = "
    CREATE TABLE subject_revocations (
        subject    TEXT PRIMARY KEY NOT NULL,
        at         INTEGER NOT NULL,
        expires_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX subject_revocations_by_expiry ON subject_revocations (expires_at);
";

/// Remove what expired at `?1` or earlier, `?2` rows at most.
pub(super) const PURGES: [&str; 2] = [
    "DELETE FROM revocations WHERE (kind, id) IN
        (SELECT kind, id FROM revocations WHERE expires_at <= ?1 LIMIT ?2)",
    "DELETE FROM subject_revocations WHERE subject IN
        (SELECT subject FROM subject_revocations WHERE expires_at <= ?1 LIMIT ?2)",
];

/// Fills the memory with what lives at `now`. There may be a million: no row costs an allocation.
pub(super) fn load(
    from: &Connection,
    now: UnixTime,
    revocations: &Revocations,
) -> rusqlite::Result<()> {
    let mut statement =
        from.prepare("SELECT kind, id, expires_at FROM revocations WHERE expires_at > ?1")?;
    let mut rows = statement.query([stored(now)])?;
    while let Some(row) = rows.next()? {
        let (id, until) = (row.get_ref(1)?.as_str()?, moment(row.get(2)?));
        match row.get_ref(0)?.as_str()? {
            "token" => revocations.add_token(id, until),
            _ => revocations.add_session(id, until),
        }
    }
    let mut statement = from
        .prepare("SELECT subject, at, expires_at FROM subject_revocations WHERE expires_at > ?1")?;
    let mut rows = statement.query([stored(now)])?;
    while let Some(row) = rows.next()? {
        let (at, until) = (moment(row.get(1)?), moment(row.get(2)?));
        revocations.add_subject(row.get_ref(0)?.as_str()?, at, until);
    }
    Ok(())
}

/// Revokes, and gives the sessions that end with it, each with its last second: their rows go in the same transaction, so
/// that they cannot be refreshed or stepped up.
pub(super) fn revoke(
    on: &Transaction<'_>,
    what: &Revoked,
    expires_at: UnixTime,
) -> rusqlite::Result<Vec<(String, UnixTime)>> {
    match what {
        Revoked::Token(id) => put(on, "token", id, expires_at)?,
        Revoked::Session(id) => {
            put(on, "session", id, expires_at)?;
            return end(on, "id", id);
        }
        Revoked::Subject { subject, at } => return everything(on, subject, *at, expires_at),
    }
    Ok(Vec::new())
}

fn put(on: &Transaction<'_>, kind: &str, id: &str, expires_at: UnixTime) -> rusqlite::Result<()> {
    let sql = "INSERT INTO revocations (kind, id, expires_at) VALUES (?1, ?2, ?3)
        ON CONFLICT (kind, id) DO UPDATE SET expires_at = max(expires_at, excluded.expires_at)";
    on.prepare_cached(sql)?.execute(params![kind, id, stored(expires_at)])?;
    Ok(())
}

/// Each session is revoked by its own id too: that holds whatever clock its tokens were issued by.
fn everything(
    on: &Transaction<'_>,
    subject: &str,
    at: UnixTime,
    expires_at: UnixTime,
) -> rusqlite::Result<Vec<(String, UnixTime)>> {
    let sql = "INSERT INTO subject_revocations (subject, at, expires_at) VALUES (?1, ?2, ?3)
        ON CONFLICT (subject) DO UPDATE
        SET at = max(at, excluded.at), expires_at = max(expires_at, excluded.expires_at)";
    on.prepare_cached(sql)?.execute(params![subject, stored(at), stored(expires_at)])?;
    end(on, "subject", subject)
}

/// Ends the sessions that have this in that column, each until the last of its tokens is dead: a refresh may have made
/// one since whoever revokes looked.
fn end(on: &Transaction<'_>, column: &str, is: &str) -> rusqlite::Result<Vec<(String, UnixTime)>> {
    let sql = format!("DELETE FROM sessions WHERE {column} = ?1 RETURNING id, tokens_until");
    let mut ended = on.prepare_cached(&sql)?;
    let rows = ended.query_map([is], |row| {
        let last = moment(row.get(1)?);
        Ok((row.get(0)?, last.plus(LEEWAY_MAX)))
    })?;
    let ended = rows.collect::<rusqlite::Result<Vec<(String, UnixTime)>>>()?;
    for (id, until) in &ended {
        put(on, "session", id, *until)?;
    }
    Ok(ended)
}

/// Whether everything of its subject was revoked in the second in which it starts, or later.
pub(super) fn is_born_dead(on: &Transaction<'_>, session: &Session) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM subject_revocations WHERE subject = ?1 AND at >= ?2";
    let mut statement = on.prepare_cached(sql)?;
    let found =
        statement.query_row(params![session.subject, stored(session.started_at)], |_| Ok(()));
    Ok(found.optional()?.is_some())
}
