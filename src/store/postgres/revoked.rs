//! The SQL of revocations. One of them, and the end of the sessions that it is about, is one statement, which also rings the
//! bell of every gateway (`NOTIFY`); what was revoked they read themselves (`feed`).
//!
//! A statement locks the row of a session before that of its revocation, so no two wait for each other. Called by the
//! store, and `feed` for what a row means.

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error, Row};

use super::link::{LinkFault, Param};
use super::{CHANNEL, moment, stored};
use crate::store::{Revocations, Revoked};
use crate::token::UnixTime;
use crate::token::verify::LEEWAY_MAX;

/// The step of the schema that makes room for them. `changed_by` is the transaction that wrote a row: the feed goes by it.
pub(super) const STEP: &str = "
    CREATE TABLE freshgate_revocations (
        kind        text NOT NULL,
        id          bytea NOT NULL,
        last_second bigint,
        expires_at  bigint NOT NULL,
        changed_by  xid8 NOT NULL DEFAULT pg_current_xact_id()
    );
    CREATE UNIQUE INDEX freshgate_revocations_by_id ON freshgate_revocations (kind, sha256(id));
    CREATE INDEX freshgate_revocations_by_change ON freshgate_revocations (changed_by);
    CREATE INDEX freshgate_revocations_by_expiry ON freshgate_revocations (expires_at);
";

/// Revokes, ends the sessions that it is about, and tells every gateway. Gives the rows that it wrote, for the memory.
pub(super) async fn revoke(
    on: &Client,
    what: &Revoked,
    until: UnixTime,
) -> Result<Vec<Row>, Error> {
    let (kind, id, last_second) = match what {
        Revoked::Token(id) => ("token", id, None),
        Revoked::Session(id) => ("session", id, None),
        Revoked::Subject { subject, at } => ("subject", subject, Some(stored(*at))),
    };
    // Of a subject each session is revoked by its own id too: that holds whatever clock its tokens were issued by.
    let (whose, written) = match what {
        Revoked::Token(_) => ("false", ONE),
        Revoked::Session(_) => ("sha256(id) = sha256($2)", ONE),
        Revoked::Subject { .. } => ("sha256(subject) = sha256($2)", ALL),
    };
    let sql = format!(
        "WITH ended AS (
            DELETE FROM freshgate_sessions WHERE {whose} RETURNING id, tokens_until
        ), kept AS (
            INSERT INTO freshgate_revocations AS old (kind, id, last_second, expires_at) {written}
            ON CONFLICT (kind, sha256(id)) DO UPDATE SET
                expires_at = greatest(old.expires_at, excluded.expires_at),
                last_second = greatest(old.last_second, excluded.last_second),
                changed_by = pg_current_xact_id()
            RETURNING kind, id, last_second, expires_at
        ) SELECT kept.*, pg_notify($6, '') FROM kept"
    );
    let (id, until) = (id.as_bytes(), stored(until));
    let leeway = stored(UnixTime(LEEWAY_MAX.as_secs()));
    let params: [Param<'_>; 6] = [
        (&kind, Type::TEXT),
        (&id, Type::BYTEA),
        (&last_second, Type::INT8),
        (&until, Type::INT8),
        (&leeway, Type::INT8),
        (&CHANNEL, Type::TEXT),
    ];
    on.query_typed(&sql, &params).await
}

/// The row of a token or a session; its own is locked first, and says until when its last token lives: a refresh may have made
/// one since whoever revokes looked.
const ONE: &str = "SELECT $1, $2, $3, greatest($4, max(tokens_until) + $5) FROM ended";
/// The row of a subject, and one for each of its sessions.
const ALL: &str =
    "SELECT $1, $2, $3, $4 UNION ALL SELECT 'session', id, NULL, tokens_until + $5 FROM ended";

/// Puts rows into the memory: kind, id, last second and expiry.
pub(super) fn add(rows: &[Row], into: &Revocations) -> Result<(), LinkFault> {
    for row in rows {
        let (kind, id): (&str, &[u8]) = (row.try_get(0)?, row.try_get(1)?);
        let last_second: Option<i64> = row.try_get(2)?;
        let until = moment(row.try_get(3)?);
        // Whoever wrote what is not UTF-8 was not us; no token says so.
        let Ok(id) = std::str::from_utf8(id) else { continue };
        match (kind, last_second) {
            ("token", _) => into.add_token(id, until),
            ("session", _) => into.add_session(id, until),
            ("subject", Some(at)) => into.add_subject(id, moment(at), until),
            _ => {
                let text = "it holds a revocation of a kind that this freshgate does not know";
                return Err(LinkFault::Refused(text.into()));
            }
        }
    }
    Ok(())
}
