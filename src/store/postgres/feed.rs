//! The change feed: what was revoked since the last look, and nothing missed.
//!
//! Transactions commit in another order than their numbers, so "newer than the highest seen" would lose one that began
//! early and committed late. Every row carries the transaction that wrote it, and a position is a whole snapshot of the
//! database: what is read next is what that snapshot did not see. It neither misses one nor waits for a long transaction of
//! somebody else. Rows stay until the tokens they are about are dead, so nobody can be away for too long.
//!
//! After each connect everything is read anew: whatever happened to the database meanwhile (a standby took over, a
//! backup was restored), no position of before is relied on. Called by `keeper`.

use tokio_postgres::types::Type;

use super::link::{Link, LinkFault};
use super::revoked::add;
use super::stored;
use crate::store::Revocations;
use crate::token::UnixTime;

/// Rows that are read at once.
const PAGE: i64 = 10_000;

/// What was read so far.
pub(super) struct Feed {
    /// A `pg_snapshot`: everything that it sees is in memory.
    position: String,
    /// When the server started: another one behind the same connection (a pooler's) knows nothing of the position.
    server: String,
}

impl Feed {
    /// Reads every revocation that lives at `now`.
    pub(super) async fn start(
        link: &Link,
        now: UnixTime,
        into: &Revocations,
    ) -> Result<Feed, LinkFault> {
        let feed = Feed::here(link).await?;
        let sql = "SELECT kind, id, last_second, expires_at, sha256(id) FROM freshgate_revocations
            WHERE (kind, sha256(id)) > ($1, $2) AND expires_at > $3 ORDER BY kind, sha256(id) LIMIT $4";
        let (mut kind, mut hash) = (String::new(), Vec::<u8>::new());
        let now = stored(now);
        loop {
            let params = [
                (&kind as _, Type::TEXT),
                (&hash as _, Type::BYTEA),
                (&now as _, Type::INT8),
                (&PAGE as _, Type::INT8),
            ];
            let rows = link.query(sql, &params).await?;
            let Some(last) = rows.last() else { return Ok(feed) };
            (kind, hash) = (last.try_get(0)?, last.try_get(4)?);
            add(&rows, into)?;
        }
    }

    /// Reads what the last look did not see. When it answers, everything that was acknowledged before it was asked is
    /// in memory.
    pub(super) async fn read(&mut self, link: &Link, into: &Revocations) -> Result<(), LinkFault> {
        let next = Feed::here(link).await?;
        if next.server != self.server {
            return Err(LinkFault::Away("another server answers now".into()));
        }
        let sql = "SELECT kind, id, last_second, expires_at FROM freshgate_revocations
            WHERE changed_by >= pg_snapshot_xmin($1::text::pg_snapshot)
            AND NOT pg_visible_in_snapshot(changed_by, $1::text::pg_snapshot)";
        let rows = link.query(sql, &[(&self.position as _, Type::TEXT)]).await?;
        add(&rows, into)?;
        *self = next;
        Ok(())
    }

    /// The position of now; what is read after it may be newer, and is then read once more.
    async fn here(link: &Link) -> Result<Feed, LinkFault> {
        let sql = "SELECT pg_current_snapshot()::text, pg_postmaster_start_time()::text";
        let rows = link.query(sql, &[]).await?;
        let row = rows.first().ok_or_else(LinkFault::odd)?;
        Ok(Feed { position: row.try_get(0)?, server: row.try_get(1)? })
    }
}
