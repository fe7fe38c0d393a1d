//! What every [`StateStore`] must do, as tests that know only the trait: each backend runs them all with
//! `state_store_contract!(open)`, where `open()` gives an empty store, and whatever keeps it alive.

use std::net::IpAddr;
use std::task::Poll;
use std::time::Duration;

use crate::store::password::Hash;
use crate::store::session::Replaced;
use crate::store::throttle::tally::Allowance;
use crate::store::throttle::{Kind, Rules};
use crate::store::{
    Account, Answer, CheckFault, Device, Keepsake, Renewal, Replacement, Revoked, Rotation,
    Session, StateStore, Successor, Throttled, UnderWay,
};
use crate::token::seal::Sealed;
use crate::token::{Claims, Secret, UnixTime};

/// Makes one test of each promise, named after it.
macro_rules! state_store_contract {
    ($open:expr) => {
        crate::store::contract::state_store_contract!($open,
            session_is_found_until_it_expires, step_up_moves_auth_time_forward_only,
            revoked_session_is_gone_at_once, revoked_token_leaves_its_session,
            revoked_session_is_dead_for_as_long_as_its_last_token, revoking_twice_keeps_the_longer, second_start_of_an_id_is_refused,
            subject_and_its_sessions_end_up_to_the_second, session_of_a_revoked_second_is_not_started,
            living_sessions_are_listed_last_first, marks_of_living_sessions_are_told,
            living_refresh_token_is_replaced_and_the_session_used, replaced_token_gives_the_same_successor_inside_the_window,
            reuse_after_the_window_revokes_the_session_at_once, token_that_was_never_living_is_reuse,
            of_many_that_rotate_at_once_one_does, session_without_a_living_token_takes_the_first_presented,
            without_a_successor_the_living_token_stays, rotation_never_moves_the_end, ended_session_rotates_nothing,
            sessions_rotate_by_themselves,
            what_a_login_gave_is_kept_and_forgotten_with_its_session, cookies_of_a_session_are_replaced,
            unknown_session_can_be_revoked, any_text_is_an_id, many_at_once_are_all_kept,
            failures_make_the_next_wait_and_success_forgets_them,
            address_that_logged_in_is_judged_by_itself, attempts_at_once_are_counted_before_they_end,
            replacement_of_a_password_is_the_last_one);
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

/// A session of `alice` from 1000, whose tokens end at 2000 and which itself ends at 9000. Its refresh token is `r0`.
pub(crate) fn session(id: &str) -> Session {
    Session {
        id: id.into(),
        subject: "alice".into(),
        started_at: UnixTime(1000),
        auth_time: UnixTime(1000),
        last_used_at: UnixTime(1000),
        expires_at: UnixTime(9000),
        tokens_until: UnixTime(2000),
        refresh_id: Some("r0".into()),
        replaced: None,
        address: Some(address(1)),
        device: Device::of("agent \n 𝄞 '"),
        credential_mark: Some("mark".into()),
        keepsake: None,
    }
}

/// As [`session`], with what an application gave at the login.
pub(crate) fn kept_session(id: &str) -> Session {
    let claims = serde_json::json!({"roles": ["a", 1]});
    let keepsake = Keepsake {
        name: "Alice ü".into(),
        claims: claims.as_object().unwrap().clone(),
        cookies: vec!["sid=1;\"'".into(), "w=\u{fc}".into()],
    };
    Session { keepsake: Some(keepsake), ..session(id) }
}

/// The refresh token `id` presented at `now`, to be replaced by the one with a prime behind its name; the window is 10 s.
pub(crate) fn present(session: &str, id: &str, now: u64) -> Renewal {
    Renewal {
        session: session.into(),
        id: id.into(),
        now: UnixTime(now),
        successor: Some(successor(&format!("{id}'"))),
        window: Duration::from_secs(10),
        tokens_until: UnixTime(now + 1000),
    }
}

fn successor(id: &str) -> Successor {
    Successor { id: id.into(), sealed: Sealed::from_bytes(id.as_bytes().to_vec()) }
}

/// Claims of a token `jti` in a session.
pub(crate) fn claims(jti: &str, sid: &str) -> Claims {
    issued(jti, sid, 1000)
}

/// The same, issued in this second.
pub(crate) fn issued(jti: &str, sid: &str, at: u64) -> Claims {
    let all = serde_json::json!({
        "sub": "alice", "type": "access", "jti": jti, "sid": sid, "iat": at, "exp": 2000
    });
    Claims::from_json(all.as_object().unwrap().clone()).unwrap()
}

/// Everything of `alice` up to and in this second.
pub(crate) fn alice(at: u64) -> Revoked {
    Revoked::Subject { subject: "alice".into(), at: UnixTime(at) }
}

pub(crate) async fn session_is_found_until_it_expires(store: &impl StateStore) {
    store.start(session("s")).await.unwrap();
    assert_eq!(store.session("s", UnixTime(1999)).await.unwrap(), Some(session("s")));
    assert_eq!(store.session("s", UnixTime(2000)).await.unwrap(), None);
    assert_eq!(store.session("other", UnixTime(1000)).await.unwrap(), None);
}

pub(crate) async fn step_up_moves_auth_time_forward_only(store: &impl StateStore) {
    store.start(session("s")).await.unwrap();
    let until = UnixTime(2500);
    assert!(store.step_up("s", UnixTime(1500), until).await.unwrap());
    assert!(store.step_up("s", UnixTime(1400), UnixTime(1700)).await.unwrap());
    let found = store.session("s", UnixTime(1600)).await.unwrap().unwrap();
    let stepped = UnixTime(1500);
    let expected =
        Session { auth_time: stepped, last_used_at: stepped, tokens_until: until, ..session("s") };
    assert_eq!(found, expected);
    assert!(!store.step_up("s", until, UnixTime(3000)).await.unwrap());
    assert!(!store.step_up("other", UnixTime(1500), until).await.unwrap());
    // Never beyond the end of the session.
    assert!(store.step_up("s", UnixTime(2400), UnixTime(9999)).await.unwrap());
    assert!(store.session("s", UnixTime(8999)).await.unwrap().is_some());
    assert_eq!(store.session("s", UnixTime(9000)).await.unwrap(), None);
}

pub(crate) async fn revoked_session_is_gone_at_once(store: &impl StateStore) {
    store.start(session("s")).await.unwrap();
    store.revoke(Revoked::Session("s".into()), UnixTime(2000)).await.unwrap();
    assert!(store.revocations().holds(&claims("t1", "s")));
    assert!(store.revocations().holds(&claims("t2", "s")));
    assert!(!store.revocations().holds(&claims("t1", "s2")));
    assert_eq!(store.session("s", UnixTime(1500)).await.unwrap(), None);
    assert!(!store.step_up("s", UnixTime(1500), UnixTime(2000)).await.unwrap());
    let rotation = store.rotate(present("s", "r0", 1500)).await.unwrap();
    assert_eq!(rotation, Rotation::Ended);
}

/// Whoever logs out looks at the session first, and a refresh may come between: what it made must not outlive the revocation.
pub(crate) async fn revoked_session_is_dead_for_as_long_as_its_last_token(store: &impl StateStore) {
    store.start(session("s")).await.unwrap();
    let seen = store.session("s", UnixTime(1500)).await.unwrap().unwrap();
    let rotation = store.rotate(present("s", "r0", 1500)).await.unwrap();
    assert_eq!(rotation, Rotation::Rotated);
    store.revoke(Revoked::Session("s".into()), seen.tokens_until).await.unwrap();
    store.revocations().purge(UnixTime(2499));
    assert!(store.revocations().holds(&claims("r0'", "s")), "its token lives until 2500");
    store.revocations().purge(UnixTime(4000));
    assert!(store.revocations().is_empty(), "and it is not kept for ever");
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

pub(crate) async fn subject_and_its_sessions_end_up_to_the_second(store: &impl StateStore) {
    for id in ["s1", "s2"] {
        store.start(session(id)).await.unwrap();
    }
    let bob = Session { subject: "bob".into(), ..session("s3") };
    store.start(bob.clone()).await.unwrap();
    store.revoke(alice(1500), UnixTime(3000)).await.unwrap();
    let memory = store.revocations();
    // Tokens without a session, by the second.
    for (at, is_dead) in [(1000, true), (1500, true), (1501, false)] {
        assert_eq!(memory.holds(&issued("t", "none", at)), is_dead, "issued at {at}");
    }
    assert_eq!(memory.subject("alice"), Some(UnixTime(1500)));
    // Those of its sessions whatever the clock said by which they were issued.
    for id in ["s1", "s2"] {
        assert!(memory.holds(&issued("t", id, 1600)));
        assert_eq!(store.session(id, UnixTime(1600)).await.unwrap(), None);
        assert!(!store.step_up(id, UnixTime(1600), UnixTime(1700)).await.unwrap());
        assert_eq!(store.rotate(present(id, "r0", 1600)).await.unwrap(), Rotation::Ended);
    }
    assert_eq!(store.session("s3", UnixTime(1600)).await.unwrap(), Some(bob));
    assert!(!memory.holds(&issued("t", "s3", 1600)));
    // An earlier one, which came late, brings nothing back and ends what has begun since.
    let later = Session { started_at: UnixTime(1501), ..session("s4") };
    store.start(later).await.unwrap();
    store.revoke(alice(1400), UnixTime(2000)).await.unwrap();
    assert_eq!(memory.subject("alice"), Some(UnixTime(1500)));
    assert_eq!(store.session("s4", UnixTime(1600)).await.unwrap(), None);
    memory.purge(UnixTime(2999));
    assert!(memory.holds(&issued("t", "none", 1500)));
}

pub(crate) async fn session_of_a_revoked_second_is_not_started(store: &impl StateStore) {
    store.revoke(alice(1500), UnixTime(3000)).await.unwrap();
    for (at, starts) in [(1499, false), (1500, false), (1501, true)] {
        let id = format!("s{at}");
        let session = Session { started_at: UnixTime(at), ..session(&id) };
        assert_eq!(store.start(session).await.is_ok(), starts, "at {at}");
        assert_eq!(store.session(&id, UnixTime(1600)).await.unwrap().is_some(), starts);
        assert!(!starts || !store.revocations().holds(&issued("t", &id, at)));
    }
    store.start(Session { subject: "bob".into(), ..session("b") }).await.unwrap();
}

pub(crate) async fn living_sessions_are_listed_last_first(store: &impl StateStore) {
    let of = |id: &str, subject: &str, at: u64, until: u64| Session {
        subject: subject.into(),
        started_at: UnixTime(at),
        tokens_until: UnixTime(until),
        ..session(id)
    };
    let all = [
        of("a", "alice", 1001, 2000),
        of("b", "bob", 1002, 2000),
        of("c", "alice", 1003, 2000),
        of("over", "alice", 1004, 1500),
        of("ended", "alice", 1005, 2000),
    ];
    for one in &all {
        store.start(one.clone()).await.unwrap();
    }
    store.revoke(Revoked::Session("ended".into()), UnixTime(2000)).await.unwrap();
    let ids = async |of: Option<&str>, max: usize| -> Vec<String> {
        let found = store.sessions(of, UnixTime(1500), max).await.unwrap();
        found.into_iter().map(|session| session.id).collect()
    };
    assert_eq!(ids(None, 100).await, ["c", "b", "a"]);
    assert_eq!(ids(None, 2).await, ["c", "b"]);
    assert_eq!(ids(Some("alice"), 100).await, ["c", "a"]);
    assert_eq!(ids(Some("Alice"), 100).await, [""; 0]);
    let found = store.sessions(Some("bob"), UnixTime(1500), 100).await.unwrap();
    assert_eq!(found, [all[1].clone()]);
}

async fn rotation(store: &impl StateStore, id: &str, now: u64) -> Rotation {
    store.rotate(present("s", id, now)).await.unwrap()
}

fn again(id: &str) -> Rotation {
    Rotation::Again(successor(id).sealed)
}

pub(crate) async fn living_refresh_token_is_replaced_and_the_session_used(store: &impl StateStore) {
    store.start(session("s")).await.unwrap();
    assert_eq!(rotation(store, "r0", 1500).await, Rotation::Rotated);
    let replaced =
        Replaced { id: "r0".into(), at: UnixTime(1500), successor: successor("r0'").sealed };
    let expected = Session {
        refresh_id: Some("r0'".into()),
        replaced: Some(replaced),
        last_used_at: UnixTime(1500),
        tokens_until: UnixTime(2500),
        ..session("s")
    };
    assert_eq!(store.session("s", UnixTime(1500)).await.unwrap(), Some(expected));
    assert_eq!(rotation(store, "r0'", 1501).await, Rotation::Rotated);
    assert_eq!(rotation(store, "r0''", 2499).await, Rotation::Rotated);
}

pub(crate) async fn replaced_token_gives_the_same_successor_inside_the_window(
    store: &impl StateStore,
) {
    store.start(session("s")).await.unwrap();
    assert_eq!(rotation(store, "r0", 1500).await, Rotation::Rotated);
    for now in [1500, 1504, 1509] {
        let other = Renewal { successor: Some(successor("x")), ..present("s", "r0", now) };
        assert_eq!(store.rotate(other).await.unwrap(), again("r0'"), "{now}");
    }
    // Asking again moved nothing: the successor is the living one.
    assert_eq!(rotation(store, "r0'", 1510).await, Rotation::Rotated);
}

pub(crate) async fn reuse_after_the_window_revokes_the_session_at_once(store: &impl StateStore) {
    store.start(session("s")).await.unwrap();
    assert_eq!(rotation(store, "r0", 1500).await, Rotation::Rotated);
    assert!(!store.revocations().holds(&claims("t", "s")));
    let reused = rotation(store, "r0", 1510).await;
    // The last token ends at 2500; the greatest leeway is 300 s.
    assert_eq!(reused, Rotation::Reused { revoked_until: UnixTime(2800) });
    assert!(store.revocations().holds(&claims("t", "s")));
    store.revocations().purge(UnixTime(2799));
    assert!(store.revocations().holds(&claims("t", "s")));
    assert_eq!(store.session("s", UnixTime(1510)).await.unwrap(), None);
    for id in ["r0", "r0'"] {
        assert_eq!(rotation(store, id, 1511).await, Rotation::Ended, "{id}");
    }
}

pub(crate) async fn token_that_was_never_living_is_reuse(store: &impl StateStore) {
    store.start(session("s")).await.unwrap();
    assert!(matches!(rotation(store, "other", 1500).await, Rotation::Reused { .. }));
    assert_eq!(rotation(store, "r0", 1500).await, Rotation::Ended);
    // Two rotations ago, though both windows are open: nobody who was given the next two comes back with this one.
    store.start(session("s2")).await.unwrap();
    for id in ["r0", "r0'"] {
        assert_eq!(store.rotate(present("s2", id, 1500)).await.unwrap(), Rotation::Rotated);
    }
    let reused = store.rotate(present("s2", "r0", 1501)).await.unwrap();
    assert!(matches!(reused, Rotation::Reused { .. }));
}

pub(crate) async fn of_many_that_rotate_at_once_one_does(store: &impl StateStore) {
    store.start(session("s")).await.unwrap();
    let mut living = "r0".to_owned();
    for round in 0..20 {
        let asked = (0..50).map(|one| {
            let next = Some(successor(&format!("{round}-{one}")));
            store.rotate(Renewal { successor: next, ..present("s", &living, 1500) })
        });
        let outcomes: Vec<Rotation> =
            all(asked.collect()).await.into_iter().map(Result::unwrap).collect();
        let rotated = outcomes.iter().filter(|one| **one == Rotation::Rotated).count();
        assert_eq!(rotated, 1, "{outcomes:?}");
        let found = store.session("s", UnixTime(1500)).await.unwrap().unwrap();
        living = found.refresh_id.unwrap();
        assert_eq!(outcomes.iter().filter(|one| **one == again(&living)).count(), 49);
    }
}

pub(crate) async fn session_without_a_living_token_takes_the_first_presented(
    store: &impl StateStore,
) {
    store.start(Session { refresh_id: None, ..session("s") }).await.unwrap();
    assert_eq!(rotation(store, "old", 1500).await, Rotation::Rotated);
    assert_eq!(rotation(store, "old", 1509).await, again("old'"));
    assert!(matches!(rotation(store, "older", 1509).await, Rotation::Reused { .. }));
}

pub(crate) async fn without_a_successor_the_living_token_stays(store: &impl StateStore) {
    let keeping = |id: &str, now| Renewal { successor: None, ..present("s", id, now) };
    store.start(Session { refresh_id: None, ..session("s") }).await.unwrap();
    for now in [1500, 1500, 1900, 2800] {
        assert_eq!(store.rotate(keeping("r0", now)).await.unwrap(), Rotation::Rotated, "{now}");
    }
    let found = store.session("s", UnixTime(2800)).await.unwrap().unwrap();
    let (living, used, until) = (Some("r0".into()), UnixTime(2800), UnixTime(3800));
    let used =
        Session { refresh_id: living, last_used_at: used, tokens_until: until, ..session("s") };
    assert_eq!(found, used);
    // What was replaced while rotation was on is as dead as ever.
    assert_eq!(rotation(store, "r0", 2801).await, Rotation::Rotated);
    assert_eq!(store.rotate(keeping("r0", 2805)).await.unwrap(), again("r0'"));
    assert_eq!(store.rotate(keeping("r0'", 2806)).await.unwrap(), Rotation::Rotated);
    let reused = store.rotate(keeping("r0", 2811)).await.unwrap();
    assert!(matches!(reused, Rotation::Reused { .. }), "{reused:?}");
}

pub(crate) async fn rotation_never_moves_the_end(store: &impl StateStore) {
    store.start(session("s")).await.unwrap();
    let mut living = "r0".to_owned();
    for now in [1900, 2800, 3700, 4600, 5500, 6400, 7300, 8200, 8999] {
        assert_eq!(rotation(store, &living, now).await, Rotation::Rotated, "{now}");
        living.push('\'');
        let found = store.session("s", UnixTime(now)).await.unwrap().unwrap();
        assert_eq!(found.expires_at, UnixTime(9000));
        assert_eq!(found.tokens_until, UnixTime((now + 1000).min(9000)));
    }
    assert_eq!(rotation(store, &living, 9000).await, Rotation::Ended);
    assert_eq!(store.session("s", UnixTime(9000)).await.unwrap(), None);
}

pub(crate) async fn ended_session_rotates_nothing(store: &impl StateStore) {
    assert_eq!(rotation(store, "r0", 1500).await, Rotation::Ended);
    store.start(session("s")).await.unwrap();
    // Its last token has expired, and a token that is presented later revokes nothing.
    for id in ["r0", "other"] {
        assert_eq!(rotation(store, id, 2000).await, Rotation::Ended);
    }
    assert!(store.revocations().is_empty());
}

pub(crate) async fn sessions_rotate_by_themselves(store: &impl StateStore) {
    for id in ["s", "s2"] {
        store.start(session(id)).await.unwrap();
    }
    assert_eq!(rotation(store, "r0", 1500).await, Rotation::Rotated);
    assert!(matches!(rotation(store, "r0", 1600).await, Rotation::Reused { .. }));
    assert_eq!(store.session("s2", UnixTime(1600)).await.unwrap(), Some(session("s2")));
    assert_eq!(store.rotate(present("s2", "r0", 1600)).await.unwrap(), Rotation::Rotated);
}

pub(crate) async fn marks_of_living_sessions_are_told(store: &impl StateStore) {
    let marked = |id: &str, subject: &str, mark: Option<&str>, until: u64| Session {
        subject: subject.into(),
        credential_mark: mark.map(str::to_owned),
        tokens_until: UnixTime(until),
        ..session(id)
    };
    for one in [
        marked("a", "alice", Some("m1"), 2000),
        marked("b", "alice", Some("m1"), 2000),
        marked("c", "alice", Some("m2"), 2000),
        marked("d", "bob", None, 2000),
        marked("e", "carol", Some("m3"), 1500),
        marked("f", "dave", Some("m4"), 2000),
    ] {
        store.start(one).await.unwrap();
    }
    store.revoke(Revoked::Session("f".into()), UnixTime(2000)).await.unwrap();
    let mut all = store.marks(UnixTime(1500)).await.unwrap();
    all.sort();
    let pair = |subject: &str, mark: Option<&str>| (subject.to_owned(), mark.map(str::to_owned));
    let expected = [pair("alice", Some("m1")), pair("alice", Some("m2")), pair("bob", None)];
    assert_eq!(all, expected);
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

/// What all of them answer, asked at once.
async fn all<T>(mut waiting: Vec<Answer<'_, T>>) -> Vec<T> {
    let mut outcomes = Vec::new();
    std::future::poll_fn(|context| {
        waiting.retain_mut(|one| match one.as_mut().poll(context) {
            Poll::Ready(outcome) => {
                outcomes.push(outcome);
                false
            }
            Poll::Pending => true,
        });
        if waiting.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    outcomes
}

pub(crate) async fn many_at_once_are_all_kept(store: &impl StateStore) {
    let ids: Vec<String> = (0..1000).map(|n| format!("s{n}")).collect();
    let started = all(ids.iter().map(|id| store.start(session(id))).collect()).await;
    started.into_iter().for_each(Result::unwrap);
    for id in &ids {
        assert!(store.session(id, UnixTime(1500)).await.unwrap().is_some(), "{id}");
    }
}

pub(crate) async fn replacement_of_a_password_is_the_last_one(store: &impl StateStore) {
    let hash = |password: &str| Hash::of(&Secret::new(password)).unwrap();
    assert!(store.replacement("alice").await.unwrap().is_none());
    for (of, password) in [([1; 32], "first"), ([1; 32], "same"), ([2; 32], "last")] {
        store.replace("alice", Replacement { of, hash: hash(password) }).await.unwrap();
    }
    store.replace("Alice", Replacement { of: [3; 32], hash: hash("other") }).await.unwrap();
    let found = store.replacement("alice").await.unwrap().unwrap();
    assert_eq!(found.of, [2; 32]);
    assert!(found.hash.verify(&Secret::new("last")));
    assert!(!found.hash.verify(&Secret::new("first")));
    assert!(store.replacement("bob").await.unwrap().is_none());
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
    assert!(
        wait(store, "alice", 7, now).await.is_some() && wait(store, "j", 1, now).await.is_some()
    );
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

pub(crate) async fn what_a_login_gave_is_kept_and_forgotten_with_its_session(
    store: &impl StateStore,
) {
    store.start(kept_session("s")).await.unwrap();
    store.start(session("t")).await.unwrap();
    assert_eq!(store.session("s", UnixTime(1000)).await.unwrap(), Some(kept_session("s")));
    assert!(store.keepsakes().of("s").is_some() && store.keepsakes().of("t").is_none());
    store.revoke(Revoked::Session("s".into()), UnixTime(9000)).await.unwrap();
    assert!(store.keepsakes().of("s").is_none());
}

pub(crate) async fn cookies_of_a_session_are_replaced(store: &impl StateStore) {
    let new = vec!["sid=2".to_owned()];
    let keepsake = Keepsake { cookies: new.clone(), ..kept_session("s").keepsake.unwrap() };
    store.start(kept_session("s")).await.unwrap();
    store.start(session("t")).await.unwrap();
    for id in ["s", "t", "never"] {
        store.keep(id, new.clone(), None).await.unwrap();
    }
    let found = store.session("s", UnixTime(1000)).await.unwrap().unwrap();
    assert_eq!(found.keepsake, Some(keepsake.clone()));
    let claims = serde_json::json!({"roles": "b"}).as_object().unwrap().clone();
    store.keep("s", new.clone(), Some(claims.clone())).await.unwrap();
    let found = store.session("s", UnixTime(1000)).await.unwrap().unwrap();
    assert_eq!(found.keepsake, Some(Keepsake { claims, ..keepsake }));
    // Nothing was kept of this login, and there is nothing to add to.
    assert_eq!(store.session("t", UnixTime(1000)).await.unwrap(), Some(session("t")));
}
