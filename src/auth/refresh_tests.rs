//! Rotation, reuse and the ends of a session, on a real store; time is an argument.

use super::tests::{MINUTE, NOW, World, at};
use super::*;
use crate::store::Device;
use crate::store::file::edit;
use crate::token::TokenKind;

/// What a refresh gave: the access token, and the refresh token if there was one.
type Given = (String, Option<String>);

async fn refreshed(world: &World, token: &str, now: UnixTime) -> Result<Given, Refusal> {
    let (_, body) = world.ask(Endpoint::Refresh, Some(token), &json!({}), now).await?;
    let text = |name: &str| body[name].as_str().map(str::to_owned);
    Ok((text("access_token").expect("an access token"), text("refresh_token")))
}

async fn next(world: &World, token: &str, now: UnixTime) -> String {
    refreshed(world, token, now).await.unwrap().1.expect("a refresh token")
}

#[track_caller]
fn revoked(outcome: Result<Given, Refusal>) {
    assert_eq!(outcome.unwrap_err(), Refusal::TokenRevoked);
}

async fn session(world: &World, token: &str, now: UnixTime) -> crate::store::Session {
    let sid = world.read(token).session.expect("a session");
    world.state.session(&sid, now).await.unwrap().expect("a living session")
}

#[tokio::test]
async fn each_refresh_gives_the_next_refresh_token_of_the_same_session() {
    let world = World::new();
    let (_, first) = world.login().await;
    let mut token = first.clone();
    for second in [60, 120, 1200] {
        let before = world.read(&token);
        let (access, given) = refreshed(&world, &token, at(second)).await.unwrap();
        token = given.unwrap();
        let (access, after) = (world.read(&access), world.read(&token));
        assert_eq!((after.kind, &after.session), (TokenKind::Refresh, &before.session));
        assert_ne!(after.id, before.id);
        // Only a password moves it, and none was asked for.
        assert_eq!((after.auth_time, access.auth_time), (Some(NOW), Some(NOW)));
        assert!(!access.is_fresh(at(second)) && !after.is_fresh(at(second)));
        assert_eq!(session(&world, &token, at(second)).await.refresh_id, Some(after.id));
    }
}

#[tokio::test]
async fn login_keeps_where_it_came_from_and_when_the_session_ends() {
    let world = World::new();
    let (_, refresh) = world.login().await;
    let found = session(&world, &refresh, NOW).await;
    assert_eq!(found.address, Some([192, 0, 2, 1].into()));
    assert_eq!(found.device, Device::of("an agent"));
    assert_eq!((found.started_at, found.last_used_at), (NOW, NOW));
    assert_eq!((found.expires_at, found.tokens_until), (at(3600), at(3600)));
    assert_eq!(found.refresh_id, Some(world.read(&refresh).id));
}

#[tokio::test]
async fn same_token_gives_the_same_next_one_inside_the_window_and_ends_the_session_after_it() {
    let world = World::new();
    let (access, first) = world.login().await;
    let second = next(&world, &first, at(100)).await;
    for now in [at(100), at(105), at(109)] {
        let (stale, again) = refreshed(&world, &first, now).await.unwrap();
        assert_eq!(again.as_ref(), Some(&second), "byte for byte");
        world.ask(Endpoint::Me, Some(&stale), &json!({}), now).await.unwrap();
    }
    let third = next(&world, &second, at(109)).await;
    assert_eq!(next(&world, &second, at(118)).await, third);
    assert_eq!(world.metrics.refresh_reuse.get(), 0);
    revoked(refreshed(&world, &second, at(119)).await);
    assert_eq!(world.metrics.refresh_reuse.get(), 1);
    // The family is dead: the thief's tokens, and the owner's.
    for token in [&first, &second, &third] {
        revoked(refreshed(&world, token, at(119)).await);
    }
    let outcome = world.ask(Endpoint::Me, Some(&access), &json!({}), at(119)).await;
    assert_eq!(outcome.unwrap_err(), Refusal::TokenRevoked);
    assert_eq!(world.metrics.refresh_reuse.get(), 1, "told once");
    // Another login is another family.
    let (_, other) = world.login().await;
    next(&world, &other, at(200)).await;
}

#[tokio::test]
async fn two_at_once_get_the_same_next_token() {
    let world = World::new();
    let (_, first) = world.login().await;
    let (one, two) = tokio::join!(next(&world, &first, at(60)), next(&world, &first, at(60)));
    assert_eq!(one, two);
    next(&world, &one, at(90)).await;
}

#[tokio::test]
async fn without_a_window_a_token_is_good_once() {
    let mut world = World::new();
    world.sessions.reuse_window = Duration::ZERO;
    let (_, first) = world.login().await;
    let second = next(&world, &first, at(60)).await;
    revoked(refreshed(&world, &first, at(60)).await);
    revoked(refreshed(&world, &second, at(60)).await);
}

#[tokio::test]
async fn absolute_end_never_moves_and_no_token_is_good_beyond_it() {
    let mut world = World::new();
    world.sessions.session_max = 150 * MINUTE;
    let (_, mut token) = world.login().await;
    for (minute, ends) in [(50, 110), (100, 150), (140, 150), (149, 150)] {
        let now = at(minute * 60);
        let (access, given) = refreshed(&world, &token, now).await.unwrap();
        token = given.unwrap();
        assert_eq!(world.read(&token).expires_at, at(ends * 60), "minute {minute}");
        let most = (minute + 15).min(150);
        assert_eq!(world.read(&access).expires_at, at(most * 60), "minute {minute}");
        assert_eq!(session(&world, &token, now).await.expires_at, at(150 * 60));
    }
    let outcome = refreshed(&world, &token, at(150 * 60)).await;
    assert_eq!(outcome.unwrap_err(), Refusal::TokenExpired);
}

#[tokio::test]
async fn session_that_is_not_used_for_long_enough_ends_and_a_step_up_is_a_use() {
    let mut world = World::new();
    world.sessions.refresh_idle = Some(20 * MINUTE);
    let (_, first) = world.login().await;
    let second = next(&world, &first, at(20 * 60 - 1)).await;
    let (access, given) = refreshed(&world, &second, at(30 * 60)).await.unwrap();
    let third = given.unwrap();
    let body = json!({"password": "password"});
    world.ask(Endpoint::Reauth, Some(&access), &body, at(40 * 60)).await.unwrap();
    // Fifty minutes after the refresh, and one second within twenty of the step-up.
    next(&world, &third, at(60 * 60 - 1)).await;
    world.sessions.session_max = 24 * 60 * MINUTE;
    let (_, other) = world.login().await;
    revoked(refreshed(&world, &other, at(20 * 60)).await);
    assert_eq!(world.metrics.refresh_reuse.get(), 0);
    // The limit is that of today.
    world.sessions.refresh_idle = None;
    let other = next(&world, &other, at(20 * 60)).await;
    world.sessions.refresh_idle = Some(20 * MINUTE);
    revoked(refreshed(&world, &other, at(40 * 60)).await);
    // Logging out of it works.
    world.ask(Endpoint::Logout, Some(&other), &json!({}), at(40 * 60)).await.unwrap();
}

#[tokio::test]
async fn without_rotation_the_one_refresh_token_is_good_until_the_session_ends() {
    let mut world = World::new();
    world.sessions.rotation = false;
    let (_, token) = world.login().await;
    for second in [1, 1, 60, 1800, 3599] {
        let (access, given) = refreshed(&world, &token, at(second)).await.unwrap();
        assert_eq!(given, None);
        let ends = (second + 900).min(3600);
        assert_eq!(world.read(&access).expires_at, at(ends));
        assert_eq!(session(&world, &token, at(second)).await.last_used_at, at(second));
    }
    assert_eq!(refreshed(&world, &token, at(3600)).await.unwrap_err(), Refusal::TokenExpired);
}

#[tokio::test]
async fn rotation_is_switched_under_living_sessions() {
    let mut world = World::new();
    world.sessions.rotation = false;
    let (_, first) = world.login().await;
    assert_eq!(refreshed(&world, &first, at(1)).await.unwrap().1, None);
    // On: the token that the client has is the living one.
    world.sessions.rotation = true;
    let second = next(&world, &first, at(100)).await;
    // Off again: the living one stays, the replaced one gives it for the rest of the window, and is a theft then.
    world.sessions.rotation = false;
    assert_eq!(refreshed(&world, &second, at(105)).await.unwrap().1, None);
    assert_eq!(refreshed(&world, &first, at(109)).await.unwrap().1, Some(second.clone()));
    assert_eq!(refreshed(&world, &second, at(900)).await.unwrap().1, None);
    revoked(refreshed(&world, &first, at(901)).await);
    revoked(refreshed(&world, &second, at(901)).await);
}

#[tokio::test]
async fn refusal_because_of_the_user_replaces_nothing() {
    let world = World::new();
    let (_, first) = world.login().await;
    let text = std::fs::read_to_string(world.dir.path().join("users.toml")).unwrap();
    world.edit(|path| edit::remove(path, "alice").unwrap());
    revoked(refreshed(&world, &first, at(60)).await);
    world.edit(|path| std::fs::write(path, text).unwrap());
    next(&world, &first, at(120)).await;
    assert_eq!(world.metrics.refresh_reuse.get(), 0);
}

#[tokio::test]
async fn state_file_holds_no_token_and_the_successor_only_for_a_while() {
    let world = World::new();
    let (_, first) = world.login().await;
    let second = next(&world, &first, NOW).await;
    let file = || {
        let read = |name: &str| std::fs::read(world.dir.path().join(name)).unwrap();
        String::from_utf8_lossy(&[read("state.db"), read("state.db-wal")].concat()).into_owned()
    };
    let text = file();
    for token in [&first, &second] {
        assert!(text.contains(&world.read(token).id), "the id is there, so the file was read");
        for part in token.split('.') {
            assert!(!text.contains(part), "{part}");
        }
    }
    let found = session(&world, &second, NOW).await;
    assert!(found.replaced.is_some());
    // The owner purges after its first batch, so the second answer comes after the purge.
    let sid = found.id;
    let World { dir, state, .. } = world;
    drop(state);
    let open = |now: fn() -> UnixTime| crate::store::embedded::Embedded::open_at(dir.path(), now);
    for (now, kept) in [((|| at(59)) as fn() -> UnixTime, true), (|| at(60), false)] {
        let store = open(now).unwrap();
        store.session(&sid, now()).await.unwrap();
        let found = store.session(&sid, now()).await.unwrap().unwrap();
        assert_eq!(found.replaced.is_some(), kept);
    }
}
