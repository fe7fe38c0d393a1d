//! What a presented refresh token does to its session: the usual case is one statement, which rotates if the token is the
//! living one.
//!
//! Otherwise the row is read and judged (`Session::judge`), and what follows is written only if the row still has the
//! living token that was judged; if not, somebody else rotated meanwhile, and it begins again. So of any number of gateways
//! that are shown the same token at once, one rotates and the others read its successor. Called by the store.

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error};

use super::link::Param;
use super::{CHANNEL, moment, sessions, stored};
use crate::store::session::{Renewal, Rotation, Session};
use crate::token::UnixTime;
use crate::token::verify::LEEWAY_MAX;

/// How often others may be faster.
const TRIES_MAX: usize = 16;

/// Does what the token means; `None` when others were faster each time.
pub(super) async fn rotate(on: &Client, asked: &Renewal) -> Result<Option<Rotation>, Error> {
    for _ in 0..TRIES_MAX {
        if replace(on, asked).await? {
            return Ok(Some(Rotation::Rotated));
        }
        let Some(session) = sessions::find(on, &asked.session, asked.now).await? else {
            return Ok(Some(Rotation::Ended));
        };
        let rotation = session.judge(asked);
        let done = match &rotation {
            Rotation::Rotated => None,
            Rotation::Again(_) => touch(on, asked, &session).await?.then_some(rotation),
            Rotation::Reused { .. } => {
                end(on, &session).await?.map(|revoked_until| Rotation::Reused { revoked_until })
            }
            Rotation::Ended => Some(rotation),
        };
        if done.is_some() {
            return Ok(done);
        }
    }
    Ok(None)
}

/// What every statement changes of a session that was used.
const USED: &str = "last_used_at = greatest(last_used_at, $2),
    tokens_until = least(greatest(tokens_until, $3), expires_at)";

/// Rotates, if the token is the living one or there was none; whether it was.
async fn replace(on: &Client, asked: &Renewal) -> Result<bool, Error> {
    let (successor, now, until) =
        (asked.successor.as_ref(), stored(asked.now), stored(asked.tokens_until));
    let (session, presented) = (asked.session.as_bytes(), asked.id.as_bytes());
    let (next, sealed) = match successor {
        Some(successor) => (successor.id.as_bytes(), successor.sealed.as_bytes()),
        // The living one stays; in a session from before it is known from now on.
        None => (presented, [].as_slice()),
    };
    let replaced = match successor {
        Some(_) => ", replaced_id = $4, replaced_at = $2, successor = $6",
        None => ", successor = coalesce(nullif($6::bytea, ''), successor)",
    };
    let sql = format!(
        "UPDATE freshgate_sessions SET {USED}, refresh_id = $5 {replaced}
        WHERE sha256(id) = sha256($1) AND tokens_until > $2 AND (refresh_id = $4 OR refresh_id IS NULL)
        RETURNING 1"
    );
    let params: [Param<'_>; 6] = [
        (&session, Type::BYTEA),
        (&now, Type::INT8),
        (&until, Type::INT8),
        (&presented, Type::BYTEA),
        (&next, Type::BYTEA),
        (&sealed, Type::BYTEA),
    ];
    Ok(!on.query_typed(&sql, &params).await?.is_empty())
}

/// The session was used; `false` when it is no longer as it was judged.
async fn touch(on: &Client, asked: &Renewal, judged: &Session) -> Result<bool, Error> {
    let sql = format!(
        "UPDATE freshgate_sessions SET {USED}
        WHERE sha256(id) = sha256($1) AND refresh_id IS NOT DISTINCT FROM $4 RETURNING 1"
    );
    let (now, until) = (stored(asked.now), stored(asked.tokens_until));
    let (session, living) =
        (asked.session.as_bytes(), judged.refresh_id.as_deref().map(str::as_bytes));
    let params: [Param<'_>; 4] =
        [(&session, Type::BYTEA), (&now, Type::INT8), (&until, Type::INT8), (&living, Type::BYTEA)];
    Ok(!on.query_typed(&sql, &params).await?.is_empty())
}

/// Revokes the session, and tells until when; `None` when it is no longer as it was judged.
async fn end(on: &Client, judged: &Session) -> Result<Option<UnixTime>, Error> {
    let sql = "WITH ended AS (
            DELETE FROM freshgate_sessions WHERE sha256(id) = sha256($1) AND refresh_id IS NOT DISTINCT FROM $2
            RETURNING id, tokens_until
        ), kept AS (
            INSERT INTO freshgate_revocations AS old (kind, id, expires_at)
            SELECT 'session', id, tokens_until + $3 FROM ended
            ON CONFLICT (kind, sha256(id)) DO UPDATE
            SET expires_at = greatest(old.expires_at, excluded.expires_at), changed_by = pg_current_xact_id()
            RETURNING expires_at
        ) SELECT expires_at, pg_notify($4, '') FROM kept";
    let (session, living) = (judged.id.as_bytes(), judged.refresh_id.as_deref().map(str::as_bytes));
    let leeway = stored(UnixTime(LEEWAY_MAX.as_secs()));
    let params: [Param<'_>; 4] = [
        (&session, Type::BYTEA),
        (&living, Type::BYTEA),
        (&leeway, Type::INT8),
        (&CHANNEL, Type::TEXT),
    ];
    let rows = on.query_typed(sql, &params).await?;
    rows.first().map(|row| row.try_get(0).map(moment)).transpose()
}
