//! The SQL of failed attempts: one counter for all gateways, judged and raised in one statement, before the password is
//! looked at.
//!
//! An attempt is counted as failed when it begins, and taken back when it ends otherwise. So the bound on guesses is the same
//! for any number of gateways, and one that goes away in the middle of an attempt has counted it. The arithmetic of
//! `throttle::tally` is repeated in the database's own language, which alone can lock and count in one step; a test holds
//! them against each other. Counters are locked in the order of their kinds, so no two attempts wait for each other.
//! The clock is the database's: gateways' clocks differ.

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error};

use super::link::{Link, LinkFault};
use super::{moment, stored};
use crate::store::throttle::tallies::{Ids, KEY_BYTES};
use crate::store::throttle::under_way::Share;
use crate::store::throttle::{ADDRESS_KNOWN_FOR, Kind, Rules};
use crate::store::{Tallies, Throttled, UnderWay};
use crate::token::UnixTime;

/// The step of the schema that makes room for them. Kinds are those of [`Kind`], and 3 is an address that is known.
pub(super) const STEP: &str = include_str!("failures.sql");

/// Beyond this knobs are alike: far more than anybody waits for, and far less than overflows.
const FREE_MAX: u64 = 1 << 28;

const KINDS: [Kind; 3] = [Kind::Account, Kind::Pair, Kind::Address];

/// What names accounts and addresses in the table: the same for every gateway of this database.
pub(super) async fn names(link: &Link, new: [u8; KEY_BYTES]) -> Result<Tallies, LinkFault> {
    let keep =
        "INSERT INTO freshgate_failed_key (single, key) VALUES (1, $1) ON CONFLICT DO NOTHING";
    link.query(keep, &[(&new.as_slice(), Type::BYTEA)]).await?;
    let rows = link.query("SELECT key FROM freshgate_failed_key", &[]).await?;
    let key: &[u8] = rows.first().ok_or_else(LinkFault::odd)?.try_get(0)?;
    Ok(Tallies::new(key.try_into().map_err(|_| LinkFault::odd())?))
}

/// Begins an attempt: lets it in and counts it as failed, or says how long to wait. Without `moment` it is now.
pub(super) async fn begin(
    on: &Client,
    ids: Ids,
    rules: &Rules,
    moment_: Option<UnixTime>,
) -> Result<Result<UnderWay<'static>, Throttled>, Error> {
    let sql = "SELECT wait, waits_for, known, moment, added, blocked
        FROM freshgate_attempt($1, $2, $3, $4, $5, $6, $7)";
    let all = ids_of(&ids);
    // Of each kind, and last those of an account where it is known.
    let known = rules.of(Kind::Pair, true);
    let allowances = KINDS.map(|kind| rules.of(kind, false)).into_iter().chain([known]);
    let (mut free, mut delay, mut most) = (Vec::new(), Vec::new(), Vec::new());
    for one in allowances {
        free.push(number(one.free.min(FREE_MAX)));
        delay.push(number(one.delay_s()));
        most.push(number(one.most().min(FREE_MAX + u64::from(u32::BITS))));
    }
    let moment_ = moment_.map(stored);
    let params = [
        (&all[0] as _, Type::BYTEA),
        (&all[1] as _, Type::BYTEA),
        (&all[2] as _, Type::BYTEA),
        (&moment_ as _, Type::INT8),
        (&free as _, Type::INT8_ARRAY),
        (&delay as _, Type::INT8_ARRAY),
        (&most as _, Type::INT8_ARRAY),
    ];
    let row = on.query_typed_one(sql, &params).await?;
    let wait: i64 = row.try_get(0)?;
    if let Some(seconds) = u64::try_from(wait).ok().filter(|seconds| *seconds > 0) {
        let by: i32 = row.try_get(1)?;
        let by = KINDS.into_iter().find(|kind| *kind as i32 == by).unwrap_or(Kind::Account);
        return Ok(Err(Throttled { retry_after: std::time::Duration::from_secs(seconds), by }));
    }
    let (added, blocked): (Vec<i64>, Vec<i64>) = (row.try_get(4)?, row.try_get(5)?);
    let share = |kind: Kind| Share {
        added_s: added.get(kind as usize).copied().unwrap_or(0),
        blocked_until: blocked.get(kind as usize).copied().unwrap_or(0),
    };
    let began = (row.try_get(2)?, moment(row.try_get(3)?));
    Ok(Ok(UnderWay::stored(ids, rules, began, KINDS.map(share))))
}

/// Ends an attempt whose password was right: its own failures at this address are forgotten, the address is known, and
/// what it had counted elsewhere is taken back.
pub(super) async fn succeeded(on: &Client, attempt: UnderWay<'_>) -> Result<(), Error> {
    let ids = ids_of(&attempt.ids());
    let (shares, began) = attempt.shares();
    let known_until = stored(began.plus(ADDRESS_KNOWN_FOR));
    end(on, &ids, shares, Some(known_until)).await
}

/// Ends an attempt in which nothing was checked: what it had counted is taken back.
pub(super) async fn withdrawn(on: &Client, attempt: UnderWay<'_>) -> Result<(), Error> {
    let ids = ids_of(&attempt.ids());
    let (shares, _) = attempt.shares();
    end(on, &ids, shares, None).await
}

async fn end(
    on: &Client,
    ids: &[Vec<u8>; 3],
    shares: [Share; 3],
    known_until: Option<i64>,
) -> Result<(), Error> {
    let sql = "SELECT freshgate_taken_back($1, $2, $3, $4, $5, $6)";
    let added = shares.map(|share| share.added_s).to_vec();
    let blocked = shares.map(|share| share.blocked_until).to_vec();
    let params = [
        (&ids[0] as _, Type::BYTEA),
        (&ids[1] as _, Type::BYTEA),
        (&ids[2] as _, Type::BYTEA),
        (&added as _, Type::INT8_ARRAY),
        (&blocked as _, Type::INT8_ARRAY),
        (&known_until as _, Type::INT8),
    ];
    on.query_typed(sql, &params).await?;
    Ok(())
}

fn ids_of(ids: &Ids) -> [Vec<u8>; 3] {
    KINDS.map(|kind| ids.of(kind).to_vec())
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
