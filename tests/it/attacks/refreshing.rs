//! Refresh tokens: one lives in each session, a stolen one is noticed, and no session goes on for ever.

use std::fs;
use std::sync::Barrier;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::clock::{faked, set_off};
use crate::endpoints::{SHUT, login, started};
use crate::harness::{Gateway, Response, Tokens, Upstream, eventually, forge};

/// How many ask at once, and how often.
const ASKING: usize = 50;
const ROUNDS: usize = 100;

fn refresh(gateway: &Gateway, token: &str) -> Response {
    gateway.client().post("/auth/refresh").bearer(token).send()
}

/// The next refresh token; there must be one.
#[track_caller]
fn next(gateway: &Gateway, token: &str) -> String {
    let given = Tokens::of(&refresh(gateway, token).expect(200)).refresh;
    assert!(!given.is_empty(), "no refresh token");
    given
}

/// Changes `gateway.toml` and has it read.
#[track_caller]
fn change(gateway: &Gateway, from: &str, to: &str) {
    let path = gateway.path("gateway.toml");
    let text = fs::read_to_string(&path).expect("a file");
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replace(from, to)).expect("written");
    gateway.admin().post("/reload").send().expect(200);
}

fn with_window(window: &str) -> Gateway {
    started(&Upstream::echo(), &format!("[tokens]\nreuse_window = \"{window}\"\n{SHUT}"))
}

/// Every token of the session is refused everywhere, by the next request.
#[track_caller]
fn dead(gateway: &Gateway, tokens: &[&str]) {
    for token in tokens {
        let path = if forge::payload(token)["type"] == "refresh" { "/refresh" } else { "/x" };
        gateway.client().get(path).bearer(token).send().refused(401, "token-revoked");
        refresh(gateway, token).refused(401, "token-revoked");
    }
}

// Holds: L1, L3
#[test]
fn fifty_refreshes_at_once_give_one_next_token_a_hundred_times_over() {
    let gateway = with_window("60s");
    let client = gateway.client();
    let first = login(&gateway);
    let barrier = Barrier::new(ASKING);
    let mut living = first.refresh.clone();
    let mut stale = String::new();
    let mut seen = vec![living.clone()];
    let mut connections: Vec<_> = (0..ASKING).map(|_| client.connect()).collect();
    for round in 0..ROUNDS {
        let asked = &living;
        let ask = |connection| {
            barrier.wait();
            client.post("/auth/refresh").bearer(asked).send_on(connection)
        };
        let answers: Vec<Response> = std::thread::scope(|scope| {
            let asking: Vec<_> =
                connections.iter_mut().map(|one| scope.spawn(|| ask(one))).collect();
            asking.into_iter().map(|one| one.join().expect("an answer")).collect()
        });
        let answers: Vec<Tokens> =
            answers.into_iter().map(|one| Tokens::of(&one.expect(200))).collect();
        let one = &answers[0].refresh;
        assert!(answers.iter().all(|answer| answer.refresh == *one), "round {round}");
        assert!(!one.is_empty() && !seen.contains(one), "round {round}");
        seen.push(one.clone());
        (living, stale) = (one.clone(), answers[0].access.clone());
    }
    assert_eq!(forge::payload(&living)["sid"], forge::payload(&first.refresh)["sid"]);
    client.get("/auth/me").bearer(&stale).send().expect(200);
    // One lives: the one before it ends the session, when the window is over.
    change(&gateway, "\"60s\"", "\"0s\"");
    refresh(&gateway, &seen[ROUNDS - 1]).refused(401, "token-revoked");
    dead(&gateway, &[&living, &stale, &first.access]);
}

// Holds: L1, L2
#[test]
fn a_replaced_token_that_comes_back_after_the_window_ends_its_session_and_is_told() {
    let gateway = with_window("1s");
    let (stolen, other) = (login(&gateway), login(&gateway));
    let owner = Tokens::of(&refresh(&gateway, &stolen.refresh).expect(200));
    // Inside the window it gives the very same, and never anything else.
    eventually("the end of the window", || {
        let answer = refresh(&gateway, &stolen.refresh);
        if answer.status == 200 {
            assert_eq!(Tokens::of(&answer).refresh, owner.refresh);
            return None;
        }
        answer.refused(401, "token-revoked");
        Some(())
    });
    dead(&gateway, &[&stolen.access, &stolen.refresh, &owner.access, &owner.refresh]);
    let line = gateway.logged("\"reuse\"");
    let sid = forge::payload(&stolen.access)["sid"].as_str().expect("a session").to_owned();
    let line: Value = serde_json::from_str(&line).expect("a line of JSON");
    let text = |name: &str| {
        let field = line.get(name).or_else(|| line["fields"].get(name));
        field.and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    assert_eq!((text("event"), text("subject")), ("reuse".into(), "ada".into()), "{line}");
    assert_eq!((text("sid"), text("address")), (sid, "127.0.0.1".into()), "{line}");
    assert!(!text("request_id").is_empty() && text("level") == "WARN", "{line}");
    assert_eq!(gateway.metric("freshgate_refresh_reuse_total"), 1);
    // Another session of the same user is not meant.
    gateway.client().get("/auth/me").bearer(&other.access).send().expect(200);
    next(&gateway, &other.refresh);
}

// Holds: L3
#[test]
fn an_answer_that_did_not_arrive_is_asked_for_again() {
    let gateway = with_window("60s");
    let client = gateway.client();
    let mut token = login(&gateway).refresh;
    for _ in 0..20 {
        let mut connection = client.connect();
        connection.write(client.post("/auth/refresh").bearer(&token).bytes());
        drop(connection);
        let given = next(&gateway, &token);
        assert_eq!(next(&gateway, &token), given);
        token = given;
    }
}

// Holds: L1, L2, K8
#[test]
fn a_rotation_that_was_answered_survives_kill_minus_nine() {
    let mut gateway = with_window("60s");
    let mut token = login(&gateway).refresh;
    let mut replaced = String::new();
    for _ in 0..5 {
        let given = next(&gateway, &token);
        gateway.kill();
        gateway.restart();
        // Also the answer itself: the client may not have read it.
        assert_eq!(next(&gateway, &token), given);
        (replaced, token) = (token, given);
    }
    change(&gateway, "\"60s\"", "\"0s\"");
    refresh(&gateway, &replaced).refused(401, "token-revoked");
    gateway.kill();
    gateway.restart();
    dead(&gateway, &[&token, &replaced]);
}

// Holds: L4
#[test]
fn a_session_ends_when_it_is_not_used_and_at_the_latest_when_it_should() {
    const LIVES: &str =
        "[tokens]\nrefresh_ttl = \"30d\"\nrefresh_idle = \"8h\"\nsession_max = \"2d\"\n";
    const HOUR: i64 = 3600;
    let setup = faked(&Upstream::echo(), &format!("{LIVES}{SHUT}"));
    setup.cli(&["user", "add", "ada", "--password-stdin"], "correct horse\n").succeeded();
    let gateway = setup.start();
    let (used, unused) = (login(&gateway), login(&gateway));
    let ends = forge::payload(&used.refresh)["exp"].clone();
    let mut token = used.refresh;
    for hours in [7, 14, 21, 28, 35, 42, 47] {
        set_off(gateway.dir(), hours * HOUR);
        token = next(&gateway, &token);
        assert_eq!(forge::payload(&token)["exp"], ends, "the end moved");
        if hours > 8 {
            refresh(&gateway, &unused.refresh).refused(401, "token-revoked");
        }
    }
    set_off(gateway.dir(), 48 * HOUR);
    refresh(&gateway, &token).refused(401, "token-expired");
}

// Holds: L7
#[test]
fn ids_are_random_and_no_answer_with_a_token_is_kept_by_anybody() {
    let gateway = with_window("60s");
    let mut token = login(&gateway).refresh;
    let mut ids = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let answer = refresh(&gateway, &token).expect(200);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let given = Tokens::of(&answer);
        for one in [&given.access, &given.refresh] {
            let id = forge::payload(one)["jti"].as_str().expect("an id").to_owned();
            // RFC 9562 §5.4: 122 random bits; the version and the variant are the rest.
            assert!(id.len() == 36 && id.as_bytes()[14] == b'4', "{id}");
            assert!(ids.insert(id));
        }
        token = given.refresh;
    }
}

// Holds: L3
// A thief who guesses the id of a session or of a token has no token.
#[test]
fn a_refresh_token_of_another_session_or_of_none_changes_no_session() {
    let upstream = Upstream::echo();
    let gateway = Gateway::sharing(&upstream, SHUT);
    gateway.user("ada", "correct horse", "{}");
    let tokens = eventually("ada's login", || {
        let body = json!({"username": "ada", "password": "correct horse"});
        let answer = gateway.client().post("/auth/login").json(&body).send();
        (answer.status == 200).then(|| Tokens::of(&answer))
    });
    // Minted by hand: nobody told its holder of another one, so it stays as it is.
    let own = forge::refresh("ada");
    for _ in 0..3 {
        assert_eq!(Tokens::of(&refresh(&gateway, &own).expect(200)).refresh, "");
    }
    // Somebody else's, with the id of ada's session.
    let sid = forge::payload(&tokens.refresh)["sid"].clone();
    let others = forge::with("eve", json!({"type": "refresh", "sid": sid}));
    refresh(&gateway, &others).refused(401, "token-revoked");
    let unknown = forge::with("ada", json!({"type": "refresh", "sid": "no such session"}));
    refresh(&gateway, &unknown).refused(401, "token-revoked");
    next(&gateway, &tokens.refresh);
    assert_eq!(gateway.metric("freshgate_refresh_reuse_total"), 0);
}

/// The same token under the other signature that ECDSA has for it: `(r, n - s)`.
fn in_another_form(token: &str) -> String {
    const N: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
        0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let (message, signature) = token.rsplit_once('.').expect("a signature");
    let mut bytes = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
    assert_eq!(bytes.len(), 64, "the first key is for ES256");
    let mut borrow = 0;
    for (n, s) in N.iter().zip(&mut bytes[32..]).rev() {
        let left = i16::from(*n) - i16::from(*s) - borrow;
        borrow = i16::from(left < 0);
        *s = left.rem_euclid(256) as u8;
    }
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(bytes))
}

// Holds: L1
#[test]
fn a_token_under_another_form_of_its_signature_is_no_second_token_and_no_500() {
    let gateway = with_window("60s");
    let tokens = login(&gateway);
    let other = in_another_form(&tokens.refresh);
    let given = next(&gateway, &tokens.refresh);
    refresh(&gateway, &other).refused(401, "token-invalid");
    assert_eq!(next(&gateway, &tokens.refresh), given);
    // Nor does it outlive the session.
    let access = in_another_form(&tokens.access);
    gateway.client().get("/auth/me").bearer(&access).send().expect(200);
    gateway.client().post("/auth/logout").bearer(&given).send().expect(204);
    dead(&gateway, &[&tokens.access, &access, &other, &given]);
}
