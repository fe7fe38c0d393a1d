//! The sessions of whoever asks, and what a revocation does to a login in the same second; on a real store.

use super::tests::{MINUTE, NOW, World, at};
use super::*;
use crate::store::file::edit;
use crate::store::password::Hash;
use crate::store::{Revoked, Session};
use crate::token::Secret;

const NONE: Value = Value::Null;

async fn login(world: &World, now: UnixTime) -> Result<(String, String), Refusal> {
    let body = json!({"username": "alice", "password": "password"});
    let (_, body) = world.ask(Endpoint::Login, None, &body, now).await?;
    let token = |name: &str| body[name].as_str().unwrap().to_owned();
    Ok((token("access_token"), token("refresh_token")))
}

async fn listed(world: &World, access: &str, now: UnixTime) -> Vec<Value> {
    let (response, body) = world.ask(Endpoint::Sessions, Some(access), &NONE, now).await.unwrap();
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(body["truncated"], false);
    body["sessions"].as_array().unwrap().clone()
}

fn sid(world: &World, token: &str) -> String {
    world.read(token).session.unwrap()
}

/// A session of somebody else.
async fn of_bob(world: &World) -> String {
    let template = world.state.sessions(Some("alice"), NOW, 1).await.unwrap().remove(0);
    let id = "4fc1c46d-8ff3-4a4d-8e4a-b7e7ed0e4ac9".to_owned();
    let bob = Session { id: id.clone(), subject: "bob".into(), ..template };
    world.state.start(bob).await.unwrap();
    id
}

#[tokio::test]
async fn sessions_of_the_caller_are_listed_with_what_tells_them_apart() {
    let world = World::new();
    let (first, _) = login(&world, NOW).await.unwrap();
    let (second, refresh) = login(&world, at(10)).await.unwrap();
    of_bob(&world).await;
    world.ask(Endpoint::Refresh, Some(&refresh), &NONE, at(60)).await.unwrap();
    let all = listed(&world, &first, at(60)).await;
    let expected = |token: &str, created: u64, used: u64, current: bool| {
        json!({
            "sid": sid(&world, token), "device": "an agent", "address": "192.0.2.1", "created": NOW.0 + created,
            "last_used": NOW.0 + used, "expires": NOW.0 + created + 3600, "current": current
        })
    };
    assert_eq!(all, [expected(&second, 10, 60, false), expected(&first, 0, 0, true)]);
}

#[tokio::test]
async fn one_session_is_ended_by_its_owner_and_by_nobody_else() {
    let world = World::new();
    let (here, _) = login(&world, NOW).await.unwrap();
    let (there, refresh) = login(&world, NOW).await.unwrap();
    let bobs = of_bob(&world).await;
    for other in [bobs.as_str(), "4fc1c46d-8ff3-4a4d-8e4a-b7e7ed0e4aca", "x", "..."] {
        let asked = world.ask(Endpoint::EndSession, Some(&here), &json!({"sid": other}), NOW).await;
        assert_eq!(asked.unwrap_err(), Refusal::NoRoute, "{other}");
    }
    assert!(world.state.session(&bobs, NOW).await.unwrap().is_some());
    let this = json!({"sid": sid(&world, &there)});
    let (response, _) = world.ask(Endpoint::EndSession, Some(&here), &this, NOW).await.unwrap();
    assert_eq!(response.status(), 204);
    for (endpoint, token) in [(Endpoint::Me, &there), (Endpoint::Refresh, &refresh)] {
        let asked = world.ask(endpoint, Some(token), &NONE, NOW).await;
        assert_eq!(asked.unwrap_err(), Refusal::TokenRevoked);
    }
    assert_eq!(listed(&world, &here, NOW).await.len(), 1);
    let again = world.ask(Endpoint::EndSession, Some(&here), &this, NOW).await;
    assert_eq!(again.unwrap_err(), Refusal::NoRoute);
}

#[tokio::test]
async fn ending_asks_for_the_password_first_and_listing_does_not() {
    let world = World::new();
    let (fresh, refresh) = login(&world, NOW).await.unwrap();
    let (_, body) = world.ask(Endpoint::Refresh, Some(&refresh), &NONE, NOW).await.unwrap();
    let stale = body["access_token"].as_str().unwrap();
    assert_eq!(listed(&world, stale, NOW).await.len(), 1);
    for endpoint in [Endpoint::EndSession, Endpoint::EndSessions] {
        let this = json!({"sid": sid(&world, &fresh)});
        let asked = world.ask(endpoint, Some(stale), &this, NOW).await;
        assert_eq!(asked.unwrap_err(), Refusal::TokenNotFresh { max_age: None });
    }
    assert_eq!(listed(&world, stale, NOW).await.len(), 1);
}

#[tokio::test]
async fn logging_out_everywhere_ends_all_of_the_second_and_a_login_right_after_it_lives() {
    let world = World::new();
    let (here, _) = login(&world, NOW).await.unwrap();
    let (there, refresh) = login(&world, at(1)).await.unwrap();
    let bobs = of_bob(&world).await;
    // Of no session, issued in the same second.
    let minted = world.minted("alice", at(1));
    let (response, _) = world.ask(Endpoint::EndSessions, Some(&here), &NONE, at(1)).await.unwrap();
    assert_eq!(response.status(), 204);
    for token in [&here, &there, &minted] {
        let asked = world.ask(Endpoint::Me, Some(token), &NONE, at(1)).await;
        assert_eq!(asked.unwrap_err(), Refusal::TokenRevoked);
    }
    let asked = world.ask(Endpoint::Refresh, Some(&refresh), &NONE, at(1)).await;
    assert_eq!(asked.unwrap_err(), Refusal::TokenRevoked);
    assert!(world.state.session(&bobs, at(1)).await.unwrap().is_some());
    // The login waits for the next second, and says so in its token.
    let (access, refresh) = login(&world, at(1)).await.unwrap();
    assert_eq!(world.read(&access).issued_at, at(2));
    world.ask(Endpoint::Me, Some(&access), &NONE, at(2)).await.unwrap();
    world.ask(Endpoint::Refresh, Some(&refresh), &NONE, at(2)).await.unwrap();
    assert_eq!(listed(&world, &access, at(2)).await.len(), 1);
}

#[tokio::test]
async fn login_that_waited_is_judged_by_the_password_of_afterwards() {
    let world = World::new();
    let what = Revoked::Subject { subject: "alice".into(), at: at(1) };
    world.state.revoke(what, at(9999)).await.unwrap();
    let other = Hash::of(&Secret::new("other")).unwrap();
    let waiting = login(&world, at(1));
    // Runs once the check of the old password is under way.
    let changing = async {
        world.edit(|users| edit::set_password(users, "alice", &other).unwrap());
    };
    let (outcome, ()) = tokio::join!(waiting, changing);
    assert_eq!(outcome.unwrap_err(), Refusal::CredentialsInvalid);
    assert!(world.state.sessions(None, NOW, 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn revocation_in_the_future_keeps_no_login_waiting_for_long() {
    let world = World::new();
    let what = Revoked::Subject { subject: "alice".into(), at: at(100) };
    world.state.revoke(what, at(9999)).await.unwrap();
    let begun = std::time::Instant::now();
    assert_eq!(login(&world, NOW).await.unwrap_err(), Refusal::StoreUnavailable);
    assert!(begun.elapsed() < MINUTE / 4);
}

#[tokio::test]
async fn refresh_of_a_session_that_began_with_another_password_says_no() {
    let world = World::new();
    let (_, refresh) = login(&world, NOW).await.unwrap();
    world.edit(|users| {
        let text = std::fs::read_to_string(users).unwrap();
        std::fs::write(users, text.replace("reader", "writer")).unwrap();
    });
    let (_, body) = world.ask(Endpoint::Refresh, Some(&refresh), &NONE, NOW).await.unwrap();
    let other = Hash::of(&Secret::new("other")).unwrap();
    world.edit(|users| edit::set_password(users, "alice", &other).unwrap());
    let next = body["refresh_token"].as_str().unwrap();
    let asked = world.ask(Endpoint::Refresh, Some(next), &NONE, NOW).await;
    assert_eq!(asked.unwrap_err(), Refusal::TokenRevoked);
}
