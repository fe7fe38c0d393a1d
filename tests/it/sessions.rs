//! Sessions under pressure: a logout that nobody outruns, logins that tell nothing and stall nobody.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use serde_json::{Value, json};

use crate::endpoints::{SHUT, login, started, status};
use crate::harness::{Response, Tokens, Upstream, eventually};

#[test]
fn after_logout_no_connection_gets_another_answer_with_the_session() {
    let upstream = Upstream::echo();
    let gateway = started(&upstream, SHUT);
    let client = gateway.client();
    let tokens = login(&gateway);
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
        client.post("/auth/logout").bearer(&tokens.access).send().expect(204);
        answered.store(true, Ordering::SeqCst);
    });
    assert_eq!(late.load(Ordering::SeqCst), 0, "successes after the logout was answered");
    client.post("/auth/refresh").bearer(&tokens.refresh).send().refused(401, "token-revoked");
    client.get("/refresh").bearer(&tokens.refresh).send().refused(401, "token-revoked");
    client.get("/auth/me").bearer(&tokens.access).send().refused(401, "token-revoked");
    client.post("/auth/logout").bearer(&tokens.access).send().refused(401, "token-revoked");
}

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

#[test]
fn a_minted_token_without_a_session_dies_alone() {
    let upstream = Upstream::echo();
    let gateway = started(&upstream, SHUT);
    let (one, two) = (gateway.mint(&["--sub", "ada"]), gateway.mint(&["--sub", "ada"]));
    gateway.client().post("/auth/logout").bearer(&one).send().expect(204);
    assert_eq!(
        (status(gateway.client(), "/x", &one), status(gateway.client(), "/x", &two)),
        (401, 200)
    );
}

/// What tells two answers apart, without what differs in every answer.
fn shape(response: &Response) -> (u16, Vec<(String, String)>, Value) {
    let mut body = response.json();
    body["request_id"] = json!("ID");
    let mut headers = response.headers.clone();
    headers.retain(|(name, _)| !matches!(&*name.to_lowercase(), "x-request-id" | "date"));
    (response.status, headers, body)
}

#[test]
fn unknown_user_and_wrong_password_are_alike_in_answer_and_time() {
    let gateway = started(&Upstream::echo(), SHUT);
    let mut times = [Vec::new(), Vec::new()];
    let mut connection = gateway.client().connect();
    for round in 0..21 {
        let mut shapes = Vec::new();
        for (index, user) in ["ada", "nobody"].iter().enumerate() {
            let body = json!({"username": user, "password": format!("wrong {round}")});
            let start = Instant::now();
            let response =
                gateway.client().post("/auth/login").json(&body).send_on(&mut connection);
            times[index].push(start.elapsed());
            assert_eq!(response.code(), "credentials-invalid");
            shapes.push(shape(&response));
        }
        assert_eq!(shapes[0], shapes[1]);
    }
    let [known, unknown] = times.map(|mut list| {
        list.sort();
        list[list.len() / 2].as_secs_f64()
    });
    let ratio = known / unknown;
    assert!((0.5..2.0).contains(&ratio), "known {known} s, unknown {unknown} s");
}
