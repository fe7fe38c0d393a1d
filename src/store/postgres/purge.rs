//! Forgets what has expired. Any gateway may do it, one at a time.
//!
//! A revocation goes when its tokens have been dead for [`MARGIN_S`], by the earlier of two clocks: the database's, which no
//! gateway that has connected is behind, and the own. Called by `keeper`.

use std::time::Duration;

use tokio_postgres::types::Type;

use super::link::{Link, LinkFault};
use super::shared::Shared;
use super::stored;
use crate::store::session::REUSE_WINDOW_MAX;
use crate::store::throttle::tallies::TALLIES_MAX;
use crate::token::UnixTime;

/// How often.
pub(super) const EVERY: Duration = Duration::from_secs(60);
/// How long a row is kept beyond its expiry: longer than the greatest `[tokens] leeway` (5 minutes), for which an
/// expired token may still be accepted, and than clocks drift apart.
const MARGIN_S: u64 = 900;
/// Most rows that one statement removes.
const ROWS_MAX: i64 = 5000;
/// The lock of whoever purges: "FrGt", and 2.
const LOCK: i64 = 0x4672_4774_0002;

/// What is removed: the table, the condition with the moment `$1`, and how long before now that is.
const EXPIRED: [(&str, &str, u64); 3] = [
    ("freshgate_sessions", "tokens_until <= at", MARGIN_S),
    ("freshgate_revocations", "expires_at <= at", MARGIN_S),
    ("freshgate_failed", "forgiven_at <= at", 0),
];

/// Removes expired rows, a bounded number; `true` when there may be more.
pub(super) async fn database(link: &Link, now: UnixTime) -> Result<bool, LinkFault> {
    let mut more = false;
    for (table, condition, margin) in EXPIRED {
        let (now, margin) = (stored(now), stored(UnixTime(margin)));
        let sql = format!(
            "WITH mine AS MATERIALIZED (
                SELECT pg_try_advisory_xact_lock($1) AS is_mine,
                least($2, floor(extract(epoch FROM clock_timestamp()))::bigint) - $3 AS at
            ) DELETE FROM {table} WHERE ctid = ANY (ARRAY(
                SELECT {table}.ctid FROM {table}, mine WHERE is_mine AND {condition} LIMIT $4
            )) RETURNING 1"
        );
        let params = [
            (&LOCK as _, Type::INT8),
            (&now as _, Type::INT8),
            (&margin as _, Type::INT8),
            (&ROWS_MAX as _, Type::INT8),
        ];
        more |= link.query(&sql, &params).await?.len() as i64 == ROWS_MAX;
    }
    let window = stored(UnixTime(REUSE_WINDOW_MAX.as_secs()));
    let replaced =
        "UPDATE freshgate_sessions SET replaced_id = NULL, replaced_at = NULL, successor = NULL
        WHERE replaced_at <= least($1, floor(extract(epoch FROM clock_timestamp()))::bigint) - $2";
    link.query(replaced, &[(&stored(now), Type::INT8), (&window, Type::INT8)]).await?;
    for kind in 0..4_i32 {
        // The first to be forgiven, where a flood of names has left more than that.
        let sql = "DELETE FROM freshgate_failed WHERE kind = $1 AND forgiven_at < (
            SELECT forgiven_at FROM freshgate_failed WHERE kind = $1 ORDER BY forgiven_at DESC OFFSET $2 LIMIT 1
        )";
        let most = TALLIES_MAX as i64 - 1;
        link.query(sql, &[(&kind as _, Type::INT4), (&most as _, Type::INT8)]).await?;
    }
    Ok(more)
}

/// Forgets what has expired here.
pub(super) fn memory(shared: &Shared, now: UnixTime) {
    shared.revocations.purge(UnixTime(now.0.saturating_sub(MARGIN_S)));
}
