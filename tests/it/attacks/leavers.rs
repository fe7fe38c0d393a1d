//! Users who leave: removed, disabled or given another password, they keep nothing that they had.

use serde_json::json;

use crate::endpoints::{SHUT, login, started};
use crate::harness::{Gateway, Tokens, Upstream, eventually};

#[track_caller]
fn dead(gateway: &Gateway, tokens: &Tokens) {
    let client = gateway.client();
    client.get("/x").bearer(&tokens.access).send().refused(401, "token-revoked");
    client.post("/auth/refresh").bearer(&tokens.refresh).send().refused(401, "token-revoked");
}

/// What a change of the users does to the sessions of `ada`, who is changed, and of `bob`, who is not.
fn changed(change: impl Fn(&Gateway), while_it_runs: bool) {
    let upstream = Upstream::echo();
    let mut gateway = started(&upstream, SHUT);
    gateway.user("bob", "his password", "{}");
    let bob = eventually("bob", || {
        let body = json!({"username": "bob", "password": "his password"});
        let answer = gateway.client().post("/auth/login").json(&body).send();
        (answer.status == 200).then(|| Tokens::of(&answer))
    });
    let ada = login(&gateway);
    if while_it_runs {
        change(&gateway);
        eventually("the change", || {
            let answer = gateway.client().get("/x").bearer(&ada.access).send();
            (answer.status == 401).then_some(())
        });
    } else {
        gateway.terminate();
        change(&gateway);
        gateway.restart();
    }
    dead(&gateway, &ada);
    gateway.client().get("/x").bearer(&bob.access).send().expect(200);
    gateway.client().post("/auth/refresh").bearer(&bob.refresh).send().expect(200);
    let listed = gateway.cli(&["session", "list", "--user", "ada"], "").succeeded();
    assert_eq!(listed.stdout, "no living sessions\n");
}

fn password(gateway: &Gateway) {
    let args = ["user", "password", "ada", "--password-stdin"];
    gateway.cli(&args, "another password\n").succeeded();
}

fn remove(gateway: &Gateway) {
    gateway.cli(&["user", "remove", "ada"], "").succeeded();
}

fn disable(gateway: &Gateway) {
    gateway.cli(&["user", "disable", "ada"], "").succeeded();
}

// Holds: L6
#[test]
fn a_new_password_ends_the_sessions_of_its_user() {
    changed(password, true);
    changed(password, false);
}

// Holds: L6
#[test]
fn a_removed_user_has_no_session_left() {
    changed(remove, true);
    changed(remove, false);
}

// Holds: L6
#[test]
fn a_disabled_user_has_no_session_left() {
    changed(disable, true);
    changed(disable, false);
}

// Holds: L6
#[test]
fn a_user_who_is_enabled_again_logs_in_anew() {
    let upstream = Upstream::echo();
    let gateway = started(&upstream, SHUT);
    let before = login(&gateway);
    disable(&gateway);
    eventually("the change", || {
        let answer = gateway.client().get("/x").bearer(&before.access).send();
        (answer.status == 401).then_some(())
    });
    gateway.cli(&["user", "enable", "ada"], "").succeeded();
    let after = eventually("ada to be back", || {
        let body = json!({"username": "ada", "password": "correct horse"});
        let answer = gateway.client().post("/auth/login").json(&body).send();
        (answer.status == 200).then(|| Tokens::of(&answer))
    });
    gateway.client().get("/x").bearer(&after.access).send().expect(200);
    dead(&gateway, &before);
}

// Holds: L6
#[test]
fn tokens_without_a_session_go_with_their_user_too() {
    let upstream = Upstream::echo();
    let gateway = started(&upstream, SHUT);
    let minted = gateway.mint(&["--sub", "ada"]);
    gateway.client().get("/x").bearer(&minted).send().expect(200);
    password(&gateway);
    eventually("the change", || {
        (gateway.client().get("/x").bearer(&minted).send().code() == "token-revoked").then_some(())
    });
}
