//! The SQL of sessions and revocations: each verb is one statement, and so one transaction.
//!
//! A revocation and the end of its session are one statement too, which also rings the bell of every gateway
//! (`NOTIFY`); what was revoked they read themselves (`feed`). Called by the store.

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error, Row};

use super::{moment, stored};
use super::feed::row_of;
use crate::store::{Revoked, Session};
use crate::token::UnixTime;

/// The channel on which gateways are told that there is something newer.
pub(super) const CHANNEL: &str = "freshgate";

/// Records a session; `false` when there is one with this id.
pub(super) async fn start(on: &Client, session: &Session) -> Result<bool, Error> {
    let sql = "INSERT INTO freshgate_sessions (id, subject, started_at, auth_time, expires_at)
        VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING RETURNING 1";
    let (id, subject) = (session.id.as_bytes(), session.subject.as_bytes());
    let times = [session.started_at, session.auth_time, session.expires_at].map(stored);
    let params = [
        (&id as _, Type::BYTEA),
        (&subject as _, Type::BYTEA),
        (&times[0] as _, Type::INT8),
        (&times[1] as _, Type::INT8),
        (&times[2] as _, Type::INT8),
    ];
    Ok(!on.query_typed(sql, &params).await?.is_empty())
}

/// The session that lives at `now`. One that was revoked has no row.
pub(super) async fn find(on: &Client, id: &str, now: UnixTime) -> Result<Option<Session>, Error> {
    let sql = "SELECT id, subject, started_at, auth_time, expires_at FROM freshgate_sessions
        WHERE sha256(id) = sha256($1) AND expires_at > $2";
    let (id, now) = (id.as_bytes(), stored(now));
    let rows = on.query_typed(sql, &[(&id, Type::BYTEA), (&now, Type::INT8)]).await?;
    rows.first().map(session).transpose()
}

fn session(row: &Row) -> Result<Session, Error> {
    let text = |column: usize| -> Result<String, Error> {
        let bytes: &[u8] = row.try_get(column)?;
        Ok(String::from_utf8_lossy(bytes).into_owned())
    };
    Ok(Session {
        id: text(0)?,
        subject: text(1)?,
        started_at: moment(row.try_get(2)?),
        auth_time: moment(row.try_get(3)?),
        expires_at: moment(row.try_get(4)?),
    })
}

/// Moves `auth_time` forward, never back; `false` when there is no living session.
pub(super) async fn step_up(on: &Client, id: &str, auth_time: UnixTime) -> Result<bool, Error> {
    let sql = "UPDATE freshgate_sessions SET auth_time = greatest(auth_time, $2)
        WHERE sha256(id) = sha256($1) AND expires_at > $2 RETURNING 1";
    let (id, time) = (id.as_bytes(), stored(auth_time));
    let rows = on.query_typed(sql, &[(&id, Type::BYTEA), (&time, Type::INT8)]).await?;
    Ok(!rows.is_empty())
}

/// Revokes, ends the session that it is about, and tells every gateway.
pub(super) async fn revoke(on: &Client, what: &Revoked, until: UnixTime) -> Result<(), Error> {
    let sql = "WITH ended AS (
            DELETE FROM freshgate_sessions WHERE $1 = 'session' AND sha256(id) = sha256($2)
        ), kept AS (
            INSERT INTO freshgate_revocations AS old (kind, id, expires_at) VALUES ($1, $2, $3)
            ON CONFLICT (kind, sha256(id)) DO UPDATE
            SET expires_at = greatest(old.expires_at, excluded.expires_at), changed_by = pg_current_xact_id()
            RETURNING 1
        ) SELECT pg_notify($4, '') FROM kept";
    let ((kind, id), until) = (row_of(what), stored(until));
    let params =
        [(&kind as _, Type::TEXT), (&id as _, Type::BYTEA), (&until as _, Type::INT8), (&CHANNEL as _, Type::TEXT)];
    on.query_typed(sql, &params).await?;
    Ok(())
}

/// Writes something, to know whether that is possible.
pub(super) async fn probe(on: &Client) -> Result<(), Error> {
    on.batch_execute("UPDATE freshgate_schema SET probed_at = now()").await
}
