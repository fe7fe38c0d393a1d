//! What every [`StateStore`] must do, as tests that know only the trait: each backend runs them all with
//! `state_store_contract!(open)`, where `open()` gives an empty store, and whatever keeps it alive.

use crate::store::{Revoked, Session, StateStore};
use crate::token::{Claims, UnixTime};

/// Makes one test of each promise, named after it.
macro_rules! state_store_contract {
    ($open:expr) => {
        crate::store::contract::state_store_contract!($open,
            session_is_found_until_it_expires, step_up_moves_auth_time_forward_only,
            revoked_session_is_gone_at_once, revoked_token_leaves_its_session,
            revoking_twice_keeps_the_longer, second_start_of_an_id_is_refused,
            unknown_session_can_be_revoked, any_text_is_an_id, many_at_once_are_all_kept);
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
