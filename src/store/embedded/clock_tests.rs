//! What the store knows of time: it never opens in the past of what it has seen.

use super::tests::filled;
use super::*;
use crate::store::contract::{claims, session};

const HOUR: u64 = 3600;

/// Opens at this second; a clock is a function, so the seconds are those that the tests need.
fn open_at(dir: &Path, now: fn() -> UnixTime) -> Result<Embedded, StoreFault> {
    Embedded::open_at(dir, now)
}

#[tokio::test]
async fn highest_time_is_kept_by_commits_by_the_purge_and_by_a_clean_stop() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_at(dir.path(), || UnixTime(5000)).unwrap();
    assert_eq!(store.opened_at, UnixTime(5000));
    store.start(session("s")).await.unwrap();
    drop(store);
    let store = open_at(dir.path(), || UnixTime(4000)).unwrap();
    assert_eq!(store.opened_at, UnixTime(5000));
    // Writing at an earlier time does not lower it.
    store.revoke(Revoked::Token("t".into()), UnixTime(9000)).await.unwrap();
    drop(store);
    // Nothing is asked of this one: the purge and the stop alone say how late it was.
    drop(open_at(dir.path(), || UnixTime(6000)).unwrap());
    assert_eq!(open_at(dir.path(), || UnixTime(1)).unwrap().opened_at, UnixTime(6000));
}

#[tokio::test]
async fn commit_alone_keeps_the_highest_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let mut database = Database::open(&path).unwrap();
    for (saw, highest) in [(700, 700), (600, 700), (701, 701)] {
        database.change(UnixTime(saw), |_| Ok(())).unwrap();
        assert_eq!(database.highest().unwrap(), UnixTime(highest));
    }
}

#[tokio::test]
async fn revocations_that_expired_in_the_past_that_was_seen_stay_expired() {
    let dir = filled().await;
    let store = open_at(dir.path(), || UnixTime(1900)).unwrap();
    store.revoke(Revoked::Token("u".into()), UnixTime(2500)).await.unwrap();
    drop(store);
    let store = open_at(dir.path(), || UnixTime(100)).unwrap();
    assert!(store.revocations().holds(&claims("u", "-")));
    assert!(store.revocations().holds(&claims("t2", "dead")));
    // `t` expired at 900: it is not good again at 100, since it is 1900 for us.
    assert_eq!((store.opened_at, store.revocations().len()), (UnixTime(1900), 2));
}

#[tokio::test]
async fn clock_a_day_behind_is_refused_with_the_remedy_and_less_is_not() {
    let dir = tempfile::tempdir().unwrap();
    drop(open_at(dir.path(), || UnixTime(100 * HOUR)).unwrap());
    open_at(dir.path(), || UnixTime(76 * HOUR)).unwrap();
    let fault = open_at(dir.path(), || UnixTime(76 * HOUR - 1)).expect_err("it opened").0;
    for word in ["24 hours behind", "state.db", "set the clock right", "signing key"] {
        assert!(fault.contains(word), "{fault}");
    }
    // Refused, and nothing was changed: with the clock right it opens.
    open_at(dir.path(), || UnixTime(100 * HOUR)).unwrap();
}
