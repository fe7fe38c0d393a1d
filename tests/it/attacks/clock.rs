//! A clock that is set back, while the gateway runs and while it does not: nothing that was dead lives again.
//!
//! The program is the real one; `libfaketime` shows it the wall clock that a file says, and the true monotonic one.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::harness::{Gateway, Setup, Tokens, Upstream, eventually, forge, tools};

const TOML: &str = "[tokens]\naccess_ttl = \"2s\"\n[routes]\n\"/**\" = \"access-required\"\n";

/// A gateway whose wall clock is as far off as the file `clock` says.
pub(super) fn faked(upstream: &Upstream, toml: &str) -> Setup {
    let setup = Setup::sharing(upstream, toml).file("clock", "+0\n");
    let file = setup.dir().join("clock");
    setup
        .env("LD_PRELOAD", tools::libfaketime().to_str().expect("an ASCII path"))
        .env("FAKETIME_TIMESTAMP_FILE", file.to_str().expect("an ASCII path"))
        .env("FAKETIME_NO_CACHE", "1")
        .env("DONT_FAKE_MONOTONIC", "1")
}

/// Sets the clock of the gateway in `dir` off by so many seconds, in one step.
pub(super) fn set_off(dir: &Path, seconds: i64) {
    fs::write(dir.join("next"), format!("{seconds:+}\n")).expect("written");
    fs::rename(dir.join("next"), dir.join("clock")).expect("renamed");
}

fn code(gateway: &Gateway, token: &str) -> String {
    gateway.client().get("/x").bearer(token).send().code()
}

/// The time by the gateway's clock: a token that it mints says so.
fn clock_of(gateway: &Gateway) -> u64 {
    let tokens = gateway.login("ada", "correct horse");
    forge::payload(&tokens.access)["iat"].as_u64().expect("a number")
}

#[track_caller]
fn started(upstream: &Upstream) -> Gateway {
    let setup = faked(upstream, TOML);
    let users = ["user", "add", "ada", "--password-stdin"];
    setup.cli(&users, "correct horse\n").succeeded();
    setup.start()
}

/// Logs in, waits until the access token has expired, and ends another session.
#[track_caller]
fn expired_and_revoked(gateway: &Gateway) -> (Tokens, String) {
    let expired = gateway.login("ada", "correct horse");
    eventually("the token to expire", || {
        (code(gateway, &expired.access) == "token-expired").then_some(())
    });
    let revoked = forge::with("eve", json!({"exp": forge::now() + 4 * 3600}));
    gateway.client().post("/auth/logout").bearer(&revoked).send().expect(204);
    (expired, revoked)
}

#[track_caller]
fn nothing_lives_again(gateway: &Gateway, (expired, revoked): &(Tokens, String)) {
    assert_eq!(code(gateway, &expired.access), "token-expired");
    assert_eq!(code(gateway, revoked), "token-revoked");
}

// Holds: K10
#[test]
fn a_step_back_while_it_runs_revives_nothing_and_time_goes_on() {
    let upstream = Upstream::echo();
    let gateway = started(&upstream);
    set_off(gateway.dir(), 3600);
    let ahead = clock_of(&gateway);
    assert!(ahead >= forge::now() + 3590, "the clock is not the gateway's");
    let dead = expired_and_revoked(&gateway);
    set_off(gateway.dir(), 0);
    nothing_lives_again(&gateway, &dead);
    let after = clock_of(&gateway);
    assert!(after >= ahead + 2, "{after} is before {ahead}");
    // It goes on: a token of now expires in its time.
    let next = gateway.login("ada", "correct horse").access;
    gateway.client().get("/x").bearer(&next).send().expect(200);
    eventually("time to go on", || (code(&gateway, &next) == "token-expired").then_some(()));
    nothing_lives_again(&gateway, &dead);
}

// Holds: K10
#[test]
fn a_start_an_hour_in_the_past_goes_on_from_the_time_that_was_seen() {
    let upstream = Upstream::echo();
    for end in [Gateway::kill, |gateway: &mut Gateway| assert!(gateway.terminate().success())] {
        let mut gateway = started(&upstream);
        let dead = expired_and_revoked(&gateway);
        let before = clock_of(&gateway);
        end(&mut gateway);
        set_off(gateway.dir(), -3600);
        gateway.restart();
        let told = gateway.logged("clock_behind");
        let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
        assert_eq!(told["level"], json!("WARN"));
        assert!(told["seconds"].as_u64().is_some_and(|behind| behind > 3500), "{told}");
        nothing_lives_again(&gateway, &dead);
        assert!(clock_of(&gateway) >= before);
    }
}

// Holds: K10, U2
// What a session and a throttle know of time does not go back either: while it runs, and over a kill.
#[test]
fn a_step_back_of_an_hour_gives_no_session_and_no_guess_back() {
    const LIVES: &str = "[tokens]\naccess_ttl = \"5m\"\nrefresh_idle = \"20m\"\nsession_max = \"50m\"\n\
        [routes]\n\"/**\" = \"access-required\"\n";
    let upstream = Upstream::echo();
    let setup = faked(&upstream, LIVES);
    let add = ["user", "add", "ada", "--password-stdin"];
    setup.cli(&add, "correct horse\n").succeeded();
    setup.cli(&["user", "add", "bob", "--password-stdin"], "battery staple\n").succeeded();
    let mut gateway = setup.start();
    let refresh = |gateway: &Gateway, token: &str| {
        gateway.client().post("/auth/refresh").bearer(token).send()
    };
    let next = |gateway: &Gateway, token: &str| Tokens::of(&refresh(gateway, token).expect(200));
    let mut ended = gateway.login("ada", "correct horse");
    for minutes in [18, 30] {
        set_off(gateway.dir(), minutes * 60);
        ended = next(&gateway, &ended.refresh);
    }
    let unused = gateway.login("ada", "correct horse");
    // Guesses, until the next one has to wait for a minute.
    let mut off = 3600;
    set_off(gateway.dir(), off);
    let guess = |gateway: &Gateway| {
        let body = json!({"username": "bob", "password": "wrong"});
        let answer = gateway.client().post("/auth/login").json(&body).send();
        let wait = answer.header("retry-after").and_then(|text| text.parse::<i64>().ok());
        (answer.status == 429).then(|| wait.expect("whole seconds"))
    };
    eventually("the throttle", || {
        let wait = guess(&gateway)?;
        off += wait;
        set_off(gateway.dir(), off);
        (wait >= 60).then_some(())
    });
    assert_eq!(guess(&gateway), None);
    let gone = gateway.login("ada", "correct horse");
    gateway.client().post("/auth/logout").bearer(&gone.access).send().expect(204);
    let kept = gateway.login("ada", "correct horse");
    let all_dead = |gateway: &Gateway| {
        refresh(gateway, &unused.refresh).refused(401, "token-revoked");
        assert_eq!(code(gateway, &unused.access), "token-expired");
        refresh(gateway, &ended.refresh).refused(401, "token-expired");
        refresh(gateway, &gone.refresh).refused(401, "token-revoked");
        assert_eq!(code(gateway, &gone.access), "token-revoked");
        let wait = guess(gateway).expect("throttled");
        assert!(wait >= 60, "{wait}");
        gateway.client().get("/x").bearer(&kept.access).send().expect(200);
    };
    all_dead(&gateway);
    set_off(gateway.dir(), off - 3600);
    all_dead(&gateway);
    gateway.kill();
    gateway.restart();
    gateway.logged("clock_behind");
    all_dead(&gateway);
    next(&gateway, &kept.refresh);
}

// Holds: K10
#[test]
fn a_start_two_days_in_the_past_is_refused_with_the_remedy() {
    let upstream = Upstream::echo();
    let mut gateway = started(&upstream);
    let dead = expired_and_revoked(&gateway);
    gateway.terminate();
    set_off(gateway.dir(), -48 * 3600);
    let said = gateway.cli(&["run"], "");
    assert_eq!(said.code, Some(1), "{said:?}");
    for part in ["hours behind", "state.db", "set the clock right"] {
        assert!(said.stderr.contains(part), "{}", said.stderr);
    }
    // With the clock right it goes on as if nothing had been.
    set_off(gateway.dir(), 0);
    gateway.restart();
    nothing_lives_again(&gateway, &dead);
}
