//! What every [`StateStore`] must do, as tests that know only the trait: each backend runs them all with
//! `state_store_contract!(open)`, where `open()` gives an empty store, and whatever keeps it alive.

use std::net::IpAddr;
use std::time::Duration;

use crate::store::throttle::tally::Allowance;
use crate::store::throttle::{Kind, Rules};
use crate::store::{Account, CheckFault, Revoked, Session, StateStore, Throttled, UnderWay};
use crate::token::{Claims, UnixTime};

/// Makes one test of each promise, named after it.
macro_rules! state_store_contract {
    ($open:expr) => {
        crate::store::contract::state_store_contract!($open,
            session_is_found_until_it_expires, step_up_moves_auth_time_forward_only,
            revoked_session_is_gone_at_once, revoked_token_leaves_its_session,
            revoking_twice_keeps_the_longer, second_start_of_an_id_is_refused,
            unknown_session_can_be_revoked, any_text_is_an_id, many_at_once_are_all_kept,
            failures_make_the_next_wait_and_success_forgets_them,
            address_that_logged_in_is_judged_by_itself, attempts_at_once_are_counted_before_they_end);
    };
    ($open:expr, $($fact:ident),+) => {
        $(#[tokio::test]
        async fn $fact() {
            let (store, _keep) = $open;
            crate::store::contract::$fact(&store).await;
        })+
    };
}
pub(crate) use state_store_contract;

/// A session of `alice` from 1000 to 2000.
pub(crate) fn session(id: &str) -> Session {
    Session {
        id: id.into(),
        subject: "alice".into(),
        started_at: UnixTime(1000),
        auth_time: UnixTime(1000),
        expires_at: UnixTime(2000),
    }
}

/// Claims of a token `jti` in a session.
pub(crate) fn claims(jti: &str, sid: &str) -> Claims {
    let all = serde_json::json!({
        "sub": "alice", "type": "access", "jti": jti, "sid": sid, "iat": 1000, "exp": 2000
    });
    Claims::from_json(all.as_object().unwrap().clone()).unwrap()
}

pub(crate) async fn session_is_found_until_it_expires(store: &impl StateStore) {
    store.start(session("s")).await.unwrap();
    assert_eq!(store.session("s", UnixTime(1999)).await.unwrap(), Some(session("s")));
    assert_eq!(store.session("s", UnixTime(2000)).await.unwrap(), None);
    assert_eq!(store.session("other", UnixTime(1000)).await.unwrap(), None);
}

pub(crate) async fn step_up_moves_auth_time_forward_only(store: &impl StateStore) {
    store.start(session("s")).await.unwrap();
    assert!(store.step_up("s", UnixTime(1500)).await.unwrap());
    assert!(store.step_up("s", UnixTime(1400)).await.unwrap());
    let found = store.session("s", UnixTime(1600)).await.unwrap().unwrap();
    assert_eq!(found, Session { auth_time: UnixTime(1500), ..session("s") });
    assert!(!store.step_up("s", UnixTime(2000)).await.unwrap());
    assert!(!store.step_up("other", UnixTime(1500)).await.unwrap());
}

pub(crate) async fn revoked_session_is_gone_at_once(store: &impl StateStore) {
    store.start(session("s")).await.unwrap();
    store.revoke(Revoked::Session("s".into()), UnixTime(2000)).await.unwrap();
    assert!(store.revocations().holds(&claims("t1", "s")));
    assert!(store.revocations().holds(&claims("t2", "s")));
    assert!(!store.revocations().holds(&claims("t1", "s2")));
    assert_eq!(store.session("s", UnixTime(1500)).await.unwrap(), None);
    assert!(!store.step_up("s", UnixTime(1500)).await.unwrap());
}

pub(crate) async fn revoked_token_leaves_its_session(store: &impl StateStore) {
    store.start(session("s")).await.unwrap();
    store.revoke(Revoked::Token("t".into()), UnixTime(2000)).await.unwrap();
    assert!(store.revocations().holds(&claims("t", "s")));
    assert!(!store.revocations().holds(&claims("t2", "s")));
    assert!(store.session("s", UnixTime(1500)).await.unwrap().is_some());
}

pub(crate) async fn revoking_twice_keeps_the_longer(store: &impl StateStore) {
    store.revoke(Revoked::Token("t".into()), UnixTime(3000)).await.unwrap();
    store.revoke(Revoked::Token("t".into()), UnixTime(2000)).await.unwrap();
    assert_eq!(store.revocations().len(), 1);
    store.revocations().purge(UnixTime(2500));
    assert!(store.revocations().holds(&claims("t", "s")));
}

pub(crate) async fn second_start_of_an_id_is_refused(store: &impl StateStore) {
    store.start(session("s")).await.unwrap();
    let thief = Session { subject: "mallory".into(), ..session("s") };
    assert!(store.start(thief).await.is_err());
    let found = store.session("s", UnixTime(1500)).await.unwrap();
    assert_eq!(found, Some(session("s")));
}

pub(crate) async fn unknown_session_can_be_revoked(store: &impl StateStore) {
    store.revoke(Revoked::Session("never".into()), UnixTime(2000)).await.unwrap();
    assert!(store.revocations().holds(&claims("t", "never")));
}

pub(crate) async fn any_text_is_an_id(store: &impl StateStore) {
    for id in ["'; DROP TABLE sessions; --", "a\0b", "𝄞", " ", &"x".repeat(8192)] {
        store.start(session(id)).await.unwrap();
        assert_eq!(store.session(id, UnixTime(1500)).await.unwrap().unwrap().id, id);
        store.revoke(Revoked::Session(id.into()), UnixTime(2000)).await.unwrap();
        assert!(store.revocations().holds(&claims("t", id)), "{id:?}");
    }
}

pub(crate) async fn many_at_once_are_all_kept(store: &impl StateStore) {
    let ids: Vec<String> = (0..1000).map(|n| format!("s{n}")).collect();
    let mut waiting: Vec<_> = ids.iter().map(|id| store.start(session(id))).collect();
    std::future::poll_fn(|context| {
        waiting.retain_mut(|one| match one.as_mut().poll(context) {
            std::task::Poll::Ready(outcome) => {
                outcome.unwrap();
                false
            }
            std::task::Poll::Pending => true,
        });
        if waiting.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    for id in &ids {
        assert!(store.session(id, UnixTime(1500)).await.unwrap().is_some(), "{id}");
    }
}

/// Three failures of an account are free, and four of an address.
pub(crate) const RULES: Rules = Rules {
    account: Allowance { free: 3, delay_max: Duration::from_secs(60) },
    pair: Allowance { free: 3, delay_max: Duration::from_secs(900) },
    address: Allowance { free: 4, delay_max: Duration::from_secs(900) },
};

/// The address `192.0.2.LAST`.
pub(crate) fn address(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

/// Begins an attempt at `name` from an address, at a moment.
pub(crate) async fn begin<'s>(
    store: &'s impl StateStore,
    name: &str,
    from: u8,
    at: u64,
) -> Result<UnderWay<'s>, Throttled> {
    match store.begin(&Account::of(name), address(from), &RULES, UnixTime(at)).await {
        Ok(under_way) => Ok(under_way),
        Err(CheckFault::Throttled(throttled)) => Err(throttled),
        Err(other) => panic!("{other:?}"),
    }
}

/// A failed attempt, which must not be throttled.
pub(crate) async fn fail(store: &impl StateStore, name: &str, from: u8, at: u64) {
    store.failed(begin(store, name, from, at).await.unwrap()).await.unwrap();
}

/// The wait in seconds and the counter that asks for it; the attempt, if it is let in, is withdrawn.
pub(crate) async fn wait(
    store: &impl StateStore,
    name: &str,
    from: u8,
    at: u64,
) -> Option<(u64, Kind)> {
    match begin(store, name, from, at).await {
        Ok(under_way) => {
            store.withdrawn(under_way).await;
            None
        }
        Err(throttled) => Some((throttled.retry_after.as_secs(), throttled.by)),
    }
}

pub(crate) async fn failures_make_the_next_wait_and_success_forgets_them(store: &impl StateStore) {
    for _ in 0..3 {
        fail(store, "alice", 1, 1000).await;
    }
    assert_eq!(wait(store, "ALICE ", 1, 1000).await.unwrap().0, 1);
    // Others too: the account's own counter.
    assert_eq!(wait(store, "alice", 2, 1000).await, Some((1, Kind::Account)));
    assert_eq!(wait(store, "bob", 1, 1000).await, None);
    fail(store, "alice", 1, 1001).await;
    assert_eq!(wait(store, "alice", 1, 1001).await.unwrap().0, 2);
    assert_eq!(wait(store, "bob", 1, 1001).await, Some((1, Kind::Address)));
    store.succeeded(begin(store, "alice", 1, 1003).await.unwrap()).await.unwrap();
    assert_eq!(wait(store, "alice", 1, 1003).await, None);
    // What failed at the address, and for alice elsewhere, is not forgotten.
    fail(store, "bob", 1, 1003).await;
    assert_eq!(wait(store, "carol", 1, 1003).await, Some((2, Kind::Address)));
    fail(store, "alice", 2, 1003).await;
    assert_eq!(wait(store, "alice", 3, 1003).await, Some((4, Kind::Account)));
}

pub(crate) async fn address_that_logged_in_is_judged_by_itself(store: &impl StateStore) {
    store.succeeded(begin(store, "alice", 1, 1000).await.unwrap()).await.unwrap();
    // From everywhere, and from the next desk.
    let mut now = 1000;
    for from in [2, 3, 4, 5, 6].into_iter().cycle().take(30) {
        now += wait(store, "alice", from, now).await.map_or(0, |(seconds, _)| seconds);
        fail(store, "alice", from, now).await;
    }
    for name in ["b", "c", "d", "e", "f", "g", "h", "i"] {
        now += wait(store, name, 1, now).await.map_or(0, |(seconds, _)| seconds);
        fail(store, name, 1, now).await;
    }
    assert!(wait(store, "alice", 7, now).await.is_some() && wait(store, "j", 1, now).await.is_some());
    assert_eq!(wait(store, "alice", 1, now).await, None);
    for _ in 0..3 {
        fail(store, "alice", 1, now).await;
    }
    assert_eq!(wait(store, "alice", 1, now).await, Some((1, Kind::Pair)));
    // For a month after the last login.
    const MONTH: u64 = 30 * 24 * 3600;
    for at in [990, 990, 990, 991, 993, 997] {
        fail(store, "alice", 8, at + MONTH).await;
    }
    assert_eq!(wait(store, "alice", 1, 999 + MONTH).await, None);
    assert_eq!(wait(store, "alice", 1, 1000 + MONTH).await, Some((5, Kind::Account)));
}

pub(crate) async fn attempts_at_once_are_counted_before_they_end(store: &impl StateStore) {
    let mut held = Vec::new();
    for _ in 0..100 {
        held.extend(begin(store, "alice", 1, 1000).await.ok());
    }
    assert_eq!(held.len(), 3);
    assert_eq!(wait(store, "alice", 2, 1000).await, Some((1, Kind::Account)));
    // Whoever goes away before the answer has guessed all the same.
    drop(held);
    assert_eq!(wait(store, "alice", 1, 1000).await.unwrap().0, 1);
    // After that, one at a time.
    let one = begin(store, "alice", 1, 1001).await.unwrap();
    assert!(wait(store, "alice", 1, 1001).await.is_some());
    // What was not checked was no guess.
    store.withdrawn(one).await;
    assert_eq!(wait(store, "alice", 1, 1001).await, None);
}
