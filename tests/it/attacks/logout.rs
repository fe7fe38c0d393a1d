//! Logout: what it ended is dead on every connection, and no page ever shows a token.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::json;

use crate::endpoints::{SHUT, login, started};
use crate::harness::{Gateway, Tokens, Upstream, eventually, forge};

/// 100 connections ask with the session while it is ended: once `end` has returned, none gets another answer.
fn raced(gateway: &Gateway, tokens: &Tokens, end: impl FnOnce()) {
    let client = gateway.client();
    let (answered, late, before) =
        (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| {
                let mut connection = client.connect();
                for after in 0..20 {
                    // What starts after the answer must fail; what started before may do either.
                    let gone = answered.load(Ordering::SeqCst);
                    let response = client.get("/x").bearer(&tokens.access).send_on(&mut connection);
                    match (response.status, gone) {
                        (200, true) => drop(late.fetch_add(1, Ordering::SeqCst)),
                        (200, false) => drop(before.fetch_add(1, Ordering::SeqCst)),
                        _ => assert_eq!(response.code(), "token-revoked"),
                    }
                    if gone && after > 5 {
                        break;
                    }
                    if after == 3 {
                        eventually("the logout", || answered.load(Ordering::SeqCst).then_some(()));
                    }
                }
            });
        }
        eventually("requests that pass", || (before.load(Ordering::SeqCst) > 50).then_some(()));
        end();
        answered.store(true, Ordering::SeqCst);
    });
    assert_eq!(late.load(Ordering::SeqCst), 0, "successes after it was ended");
}

// Holds: CVE-2024-21492, L5, L6
#[test]
fn after_an_end_of_any_kind_no_connection_gets_another_answer() {
    let upstream = Upstream::echo();
    let gateway = started(&upstream, SHUT);
    let client = gateway.client();
    let (here, there) = (login(&gateway), login(&gateway));
    let sid = |tokens: &Tokens| {
        forge::payload(&tokens.access)["sid"].as_str().expect("a session").to_owned()
    };
    raced(&gateway, &there, || {
        let one = client.request("DELETE", &format!("/auth/sessions/{}", sid(&there)));
        one.bearer(&here.access).send().expect(204);
    });
    client.get("/x").bearer(&here.access).send().expect(200);
    raced(&gateway, &here, || {
        client.request("DELETE", "/auth/sessions").bearer(&here.access).send().expect(204);
    });
    let next = login(&gateway);
    raced(&gateway, &next, || {
        gateway.cli(&["session", "revoke", "--session", &sid(&next)], "").succeeded();
    });
    let last = login(&gateway);
    raced(&gateway, &last, || {
        gateway.cli(&["session", "revoke", "--user", "ada"], "").succeeded();
    });
    login(&gateway);
}

// Holds: CVE-2024-21492, L5
#[test]
fn after_logout_no_connection_gets_another_answer_with_the_session() {
    let upstream = Upstream::echo();
    let gateway = started(&upstream, SHUT);
    let client = gateway.client();
    let tokens = login(&gateway);
    raced(&gateway, &tokens, || {
        client.post("/auth/logout").bearer(&tokens.access).send().expect(204);
    });
    client.post("/auth/refresh").bearer(&tokens.refresh).send().refused(401, "token-revoked");
    client.get("/refresh").bearer(&tokens.refresh).send().refused(401, "token-revoked");
    client.get("/auth/me").bearer(&tokens.access).send().refused(401, "token-revoked");
    client.post("/auth/logout").bearer(&tokens.access).send().refused(401, "token-revoked");
}

// Holds: CVE-2024-21492
#[test]
fn logout_with_the_refresh_token_ends_the_session_too() {
    let gateway = started(&Upstream::echo(), SHUT);
    let tokens = login(&gateway);
    let client = gateway.client();
    let stale =
        Tokens::of(&client.post("/auth/refresh").bearer(&tokens.refresh).send().expect(200));
    client.post("/auth/logout").bearer(&tokens.refresh).send().expect(204);
    for token in [&tokens.access, &stale.access] {
        client.get("/x").bearer(token).send().refused(401, "token-revoked");
    }
}

// Holds: CVE-2024-39315
#[test]
fn me_says_who_is_asking_and_never_shows_a_token() {
    let gateway = started(&Upstream::echo(), SHUT);
    let tokens = login(&gateway);
    let response = gateway.client().get("/auth/me").bearer(&tokens.access).send().expect(200);
    let me = response.json();
    let said = forge::payload(&tokens.access);
    assert_eq!(
        (&me["sub"], &me["fresh"], &me["expires_at"]),
        (&json!("ada"), &json!(true), &said["exp"])
    );
    assert_eq!(me["claims"], json!({"roles": ["admin", "user"], "team": "red"}));
    assert_eq!(response.header("cache-control"), Some("no-store"));
    assert!(!response.text().contains(tokens.access.rsplit('.').next().expect("a signature")));
}

// Holds: CVE-2024-39315
// Every answer of ours, and that of the built-in backend, which shows the request that it received.
#[test]
fn no_page_shows_the_token_that_asked_for_it() {
    let toml = format!(
        "upstream = \"builtin:whoami\"\n{SHUT}\"/api/**\" = {{ policy = \"access-required\", forward_token = true }}\n\
         \"/no\" = {{ policy = \"access-required\", claims = {{ roles = \"none\" }} }}\n{}",
        forge::KEY
    );
    let gateway = crate::harness::Setup::new(&toml).env("SHARED", forge::SECRET).start();
    let client = gateway.client();
    let (access, refresh) = (forge::fresh("ada"), forge::refresh("ada"));
    let ended = forge::fresh("ada");
    client.post("/auth/logout").bearer(&ended).send().expect(204);
    let expired = forge::with("ada", json!({"exp": 1}));
    for (method, path) in [
        ("GET", "/x"),
        ("GET", "/public"),
        ("GET", "/fresh"),
        ("GET", "/refresh"),
        ("GET", "/api/x"),
        ("GET", "/no"),
        ("GET", "/a//b"),
        ("GET", "/auth/me"),
        ("GET", "/auth/login"),
        ("POST", "/auth/refresh"),
        ("POST", "/auth/reauth"),
        ("GET", "/.well-known/jwks.json"),
        ("DELETE", "/auth/logout"),
    ] {
        for token in [&access, &refresh, &ended, &expired] {
            for accept in ["application/json", "text/html"] {
                let request = client.request(method, path).header("Accept", accept);
                let request = request.header("Cookie", &format!("token={token}"));
                let raw = request.bearer(token).send().message.raw.clone();
                let text = String::from_utf8_lossy(&raw);
                let signature = token.rsplit('.').next().expect("three parts");
                assert!(!text.contains(signature), "{method} {path}:\n{text}");
            }
        }
    }
}

// Holds: CVE-2024-21492
// A session that ended stays so whatever is presented again, and its tokens are not renewed.
#[test]
fn an_ended_session_gives_no_token_of_any_kind() {
    let gateway: Gateway = started(&Upstream::echo(), SHUT);
    let client = gateway.client();
    let tokens = login(&gateway);
    client.post("/auth/logout").bearer(&tokens.access).send().expect(204);
    for _ in 0..3 {
        client.post("/auth/refresh").bearer(&tokens.refresh).send().refused(401, "token-revoked");
        let reauth = client.post("/auth/reauth").json(&json!({"password": "correct horse"}));
        reauth.bearer(&tokens.access).send().refused(401, "token-revoked");
        client.post("/auth/logout").bearer(&tokens.refresh).send().refused(401, "token-revoked");
    }
}
