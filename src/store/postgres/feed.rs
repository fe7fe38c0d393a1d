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

/// Rows that are taken at once: what they take in memory while they are put where they belong.
const PORTION: usize = 10_000;

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
        // One look at the table, in portions: each page asked for by itself would search the index and sum up its ids again.
        let cursor = format!(
            "BEGIN READ ONLY;
            DECLARE freshgate_revoked NO SCROLL CURSOR FOR
                SELECT kind, id, last_second, expires_at FROM freshgate_revocations WHERE expires_at > {}",
            stored(now)
        );
        link.execute(&cursor).await?;
        let portion = format!("FETCH {PORTION} FROM freshgate_revoked");
        loop {
            let rows = link.query(&portion, &[]).await?;
            if rows.is_empty() {
                break;
            }
            add(&rows, into)?;
        }
        link.execute("COMMIT").await?;
        Ok(feed)
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
