//! The SQL of sessions: each verb is one statement, and so one transaction.
//!
//! Called by the store. What a presented refresh token does is in `rotation`, revoking in `revoked`.

use std::net::IpAddr;

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error, Row};

use super::{keepsakes, moment, stored};
use crate::store::Marks;
use crate::store::session::{Device, Replaced, Session};
use crate::token::UnixTime;
use crate::token::seal::Sealed;

/// The step of the schema that makes room for them.
pub(super) const STEP: &str = "
    CREATE TABLE freshgate_sessions (
        id              bytea NOT NULL,
        subject         bytea NOT NULL,
        started_at      bigint NOT NULL,
        auth_time       bigint NOT NULL,
        last_used_at    bigint NOT NULL,
        expires_at      bigint NOT NULL,
        tokens_until    bigint NOT NULL,
        refresh_id      bytea,
        replaced_id     bytea,
        replaced_at     bigint,
        successor       bytea,
        address         text,
        device          bytea,
        credential_mark bytea
    );
    CREATE UNIQUE INDEX freshgate_sessions_by_id ON freshgate_sessions (sha256(id));
    CREATE INDEX freshgate_sessions_by_subject ON freshgate_sessions (sha256(subject));
    CREATE INDEX freshgate_sessions_by_end ON freshgate_sessions (tokens_until);
    CREATE INDEX freshgate_sessions_by_replacement ON freshgate_sessions (replaced_at) WHERE replaced_at IS NOT NULL;
";

/// Why a session was not recorded.
pub(super) enum NotStarted {
    /// There is one with this id.
    Taken,
    /// Everything of its subject was revoked in the second of its start, or later.
    BornDead,
}

/// Records a session. A revocation of its subject that is under way at the same moment may pass it by; then its tokens
/// are dead by their times all the same, and only the row is left.
pub(super) async fn start(on: &Client, session: &Session) -> Result<Result<(), NotStarted>, Error> {
    let sql = "WITH dead AS (
            SELECT 1 FROM freshgate_revocations
            WHERE kind = 'subject' AND sha256(id) = sha256($2) AND last_second >= $3
        ), started AS (
            INSERT INTO freshgate_sessions (id, subject, started_at, auth_time, last_used_at, expires_at, tokens_until,
                refresh_id, address, device, credential_mark, kept_name, kept_claims, kept_cookies)
            SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14 WHERE NOT EXISTS (SELECT FROM dead)
            ON CONFLICT DO NOTHING RETURNING 1
        ) SELECT EXISTS (SELECT FROM started), EXISTS (SELECT FROM dead)";
    let (id, subject) = (session.id.as_bytes(), session.subject.as_bytes());
    let times = [session.started_at, session.auth_time, session.last_used_at].map(stored);
    let ends = [session.expires_at, session.tokens_until].map(stored);
    let refresh_id = session.refresh_id.as_deref().map(str::as_bytes);
    let address = session.address.map(|address| address.to_string());
    let device = session.device.as_ref().map(|device| device.as_str().as_bytes());
    let mark = session.credential_mark.as_deref().map(str::as_bytes);
    let kept = keepsakes::columns(session.keepsake.as_ref());
    let params = [
        (&id as _, Type::BYTEA),
        (&subject as _, Type::BYTEA),
        (&times[0] as _, Type::INT8),
        (&times[1] as _, Type::INT8),
        (&times[2] as _, Type::INT8),
        (&ends[0] as _, Type::INT8),
        (&ends[1] as _, Type::INT8),
        (&refresh_id as _, Type::BYTEA),
        (&address as _, Type::TEXT),
        (&device as _, Type::BYTEA),
        (&mark as _, Type::BYTEA),
        (&kept[0] as _, Type::BYTEA),
        (&kept[1] as _, Type::BYTEA),
        (&kept[2] as _, Type::BYTEA),
    ];
    let row = on.query_typed_one(sql, &params).await?;
    Ok(match (row.try_get(0)?, row.try_get(1)?) {
        (true, _) => Ok(()),
        (false, true) => Err(NotStarted::BornDead),
        (false, false) => Err(NotStarted::Taken),
    })
}

/// The session that lives at `now`. One that was revoked has no row.
pub(super) async fn find(on: &Client, id: &str, now: UnixTime) -> Result<Option<Session>, Error> {
    let sql =
        "SELECT * FROM freshgate_sessions WHERE sha256(id) = sha256($1) AND tokens_until > $2";
    let (id, now) = (id.as_bytes(), stored(now));
    let rows = on.query_typed(sql, &[(&id, Type::BYTEA), (&now, Type::INT8)]).await?;
    rows.first().map(session).transpose()
}

/// The living sessions of a subject, or of everybody: the last to start first, at most `max`.
pub(super) async fn list(
    on: &Client,
    of: Option<&str>,
    now: UnixTime,
    max: usize,
) -> Result<Vec<Session>, Error> {
    let whose = match of {
        Some(_) => "sha256(subject) = sha256($3)",
        None => "$3::bytea IS NULL",
    };
    let sql = format!(
        "SELECT * FROM freshgate_sessions WHERE {whose} AND tokens_until > $1
        ORDER BY started_at DESC, id LIMIT $2"
    );
    let (of, now) = (of.map(str::as_bytes), stored(now));
    let max = i64::try_from(max).unwrap_or(i64::MAX);
    let params = [(&now as _, Type::INT8), (&max as _, Type::INT8), (&of as _, Type::BYTEA)];
    on.query_typed(&sql, &params).await?.iter().map(session).collect()
}

/// Each living pair of a subject and what its credential looked like at a login.
pub(super) async fn marks(on: &Client, now: UnixTime) -> Result<Marks, Error> {
    let sql =
        "SELECT DISTINCT subject, credential_mark FROM freshgate_sessions WHERE tokens_until > $1";
    let now = stored(now);
    let rows = on.query_typed(sql, &[(&now, Type::INT8)]).await?;
    let pair = |row: &Row| Ok((required(row, "subject")?, text(row, "credential_mark")?));
    rows.iter().map(pair).collect()
}

/// Moves `auth_time` and the other times forward, never back; `false` when there is no living session.
pub(super) async fn step_up(
    on: &Client,
    id: &str,
    auth_time: UnixTime,
    tokens_until: UnixTime,
) -> Result<bool, Error> {
    let sql = "UPDATE freshgate_sessions SET auth_time = greatest(auth_time, $2),
            last_used_at = greatest(last_used_at, $2), tokens_until = least(greatest(tokens_until, $3), expires_at)
        WHERE sha256(id) = sha256($1) AND tokens_until > $2 RETURNING 1";
    let (id, time, until) = (id.as_bytes(), stored(auth_time), stored(tokens_until));
    let params = [(&id as _, Type::BYTEA), (&time as _, Type::INT8), (&until as _, Type::INT8)];
    Ok(!on.query_typed(sql, &params).await?.is_empty())
}

/// Writes something, to know whether that is possible.
pub(super) async fn probe(on: &Client) -> Result<(), Error> {
    on.batch_execute("UPDATE freshgate_schema SET probed_at = now()").await
}

fn session(row: &Row) -> Result<Session, Error> {
    let time = |column: &str| -> Result<UnixTime, Error> { row.try_get(column).map(moment) };
    let replaced = match (text(row, "replaced_id")?, row.try_get("successor")?) {
        (Some(id), Some(sealed)) => {
            Some(Replaced { id, at: time("replaced_at")?, successor: Sealed::from_bytes(sealed) })
        }
        _ => None,
    };
    let address: Option<&str> = row.try_get("address")?;
    Ok(Session {
        id: required(row, "id")?,
        subject: required(row, "subject")?,
        started_at: time("started_at")?,
        auth_time: time("auth_time")?,
        last_used_at: time("last_used_at")?,
        expires_at: time("expires_at")?,
        tokens_until: time("tokens_until")?,
        refresh_id: text(row, "refresh_id")?,
        replaced,
        // For people only: one that is no address any more ends no session.
        address: address.and_then(|address| address.parse::<IpAddr>().ok()),
        device: text(row, "device")?.as_deref().and_then(Device::of),
        credential_mark: text(row, "credential_mark")?,
        keepsake: keepsakes::read(row)?,
    })
}

fn required(row: &Row, column: &str) -> Result<String, Error> {
    let bytes: &[u8] = row.try_get(column)?;
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

fn text(row: &Row, column: &str) -> Result<Option<String>, Error> {
    let bytes: Option<&[u8]> = row.try_get(column)?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned()))
}
