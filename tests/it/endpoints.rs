//! The gateway's own endpoints: login, refresh, reauth, logout, me and the public keys.

use serde_json::json;

use crate::harness::{Client, Gateway, Tokens, UNTHROTTLED, Upstream, eventually, forge};

/// A route for each kind of token.
pub const SHUT: &str = "[routes]\n\"/fresh\" = \"fresh-required\"\n\"/refresh\" = \"refresh-only\"\n\
    \"/public\" = \"public\"\n\"/**\" = \"access-required\"\n";

/// A gateway with the user `ada`, whose password is `correct horse`; it throttles no login.
pub fn started(upstream: &Upstream, toml: &str) -> Gateway {
    let gateway = Gateway::in_front_of(upstream, &format!("{toml}\n{UNTHROTTLED}"));
    gateway.user("ada", "correct horse", r#"{"roles":["admin","user"],"team":"red"}"#);
    eventually("the gateway to know ada", || {
        let body = json!({"username": "ada", "password": "correct horse"});
        (gateway.client().post("/auth/login").json(&body).send().status == 200).then_some(())
    });
    gateway
}

/// Logs `ada` in.
pub fn login(gateway: &Gateway) -> Tokens {
    gateway.login("ada", "correct horse")
}

/// The status of a GET with this token.
pub fn status(client: Client, path: &str, token: &str) -> u16 {
    client.get(path).bearer(token).send().status
}

#[test]
fn login_gives_a_fresh_access_token_and_a_refresh_token() {
    let upstream = Upstream::echo();
    let gateway = started(&upstream, SHUT);
    let by_json = gateway.client().post("/auth/login");
    let by_json = by_json.json(&json!({"username": "ada", "password": "correct horse"}));
    let by_form = gateway.client().post("/auth/login");
    let by_form = by_form.form(&[("username", "ada"), ("password", "correct horse")]);
    for request in [by_json, by_form] {
        let response = request.send().expect(200);
        assert_eq!(response.header("cache-control"), Some("no-store"));
        assert_eq!(response.header("content-type"), Some("application/json"));
        let answer = response.json();
        assert_eq!(
            (&answer["token_type"], &answer["expires_in"], &answer["fresh"]),
            (&json!("Bearer"), &json!(900), &json!(true))
        );
        let tokens = Tokens::of(&response);
        let (access, refresh) = (forge::payload(&tokens.access), forge::payload(&tokens.refresh));
        assert_eq!(
            (&access["sub"], &access["team"], &access["roles"]),
            (&json!("ada"), &json!("red"), &json!(["admin", "user"]))
        );
        assert_eq!(
            (&access["type"], &access["fresh"], &refresh["type"], &refresh["fresh"]),
            (&json!("access"), &json!(true), &json!("refresh"), &json!(false))
        );
        assert_eq!(access["sid"], refresh["sid"]);
        assert_ne!(access["jti"], refresh["jti"]);
        assert!(access["sid"].as_str().is_some_and(|sid| sid.len() >= 22));
        assert_eq!(
            refresh["exp"].as_u64().expect("a number") - refresh["iat"].as_u64().expect("a number"),
            30 * 86400
        );
        let client = gateway.client();
        assert_eq!(
            [
                status(client, "/fresh", &tokens.access),
                status(client, "/x", &tokens.access),
                status(client, "/refresh", &tokens.refresh)
            ],
            [200; 3]
        );
        assert_eq!(
            [status(client, "/x", &tokens.refresh), status(client, "/refresh", &tokens.access)],
            [401; 2]
        );
    }
    gateway.client().get("/x").bearer(&login(&gateway).access).send().expect(200);
    assert_eq!(upstream.last().header("x-user-id"), Some("ada"));
}

#[test]
fn refresh_gives_a_stale_token_and_reauth_a_fresh_one_in_the_same_session() {
    let upstream = Upstream::echo();
    let gateway = started(&upstream, SHUT);
    let client = gateway.client();
    let tokens = login(&gateway);
    let answer = client.post("/auth/refresh").bearer(&tokens.refresh).send().expect(200);
    assert_eq!(
        (answer.json()["fresh"].clone(), answer.header("cache-control")),
        (json!(false), Some("no-store"))
    );
    let stale = Tokens::of(&answer).access;
    let said = forge::payload(&stale);
    let first = forge::payload(&tokens.access);
    assert_eq!(
        (&said["fresh"], &said["sid"], &said["auth_time"]),
        (&json!(false), &first["sid"], &first["auth_time"])
    );
    assert_eq!((status(client, "/x", &stale), status(client, "/fresh", &stale)), (200, 401));

    let reauth = |token: &str, password: &str| {
        client.post("/auth/reauth").bearer(token).json(&json!({"password": password})).send()
    };
    reauth(&stale, "wrong").refused(401, "credentials-invalid");
    let answer = reauth(&stale, "correct horse").expect(200);
    assert_eq!(answer.json()["fresh"], true);
    let fresh = Tokens::of(&answer).access;
    assert_eq!(forge::payload(&fresh)["sid"], first["sid"]);
    assert_eq!(status(client, "/fresh", &fresh), 200);
    // The stale one has not become fresh.
    assert_eq!(status(client, "/fresh", &stale), 401);
    // A form does as well.
    client
        .post("/auth/reauth")
        .bearer(&stale)
        .form(&[("password", "correct horse")])
        .send()
        .expect(200);
}

#[test]
fn a_refresh_gives_the_next_refresh_token_unless_rotation_is_off() {
    let upstream = Upstream::echo();
    let gateway = started(&upstream, SHUT);
    let client = gateway.client();
    let refresh = |token: &str| client.post("/auth/refresh").bearer(token).send().expect(200);
    let tokens = login(&gateway);
    let answer = refresh(&tokens.refresh).json();
    let mut members: Vec<_> = answer.as_object().expect("an object").keys().collect();
    members.sort();
    let wanted = ["access_token", "expires_in", "fresh", "refresh_token", "token_type"];
    assert_eq!(members, wanted);
    let next = answer["refresh_token"].as_str().expect("a token").to_owned();
    let (first, second) = (forge::payload(&tokens.refresh), forge::payload(&next));
    assert_eq!((&first["sid"], &first["auth_time"]), (&second["sid"], &second["auth_time"]));
    assert_ne!(first["jti"], second["jti"]);

    // A backend's own route asks no store, so it does not know which one lives.
    for token in [&tokens.refresh, &next] {
        assert_eq!(status(client, "/refresh", token), 200);
    }

    // By reload, under living sessions: the living token stays, and is replaced again when it is on again.
    for (rotation, replaces) in [("off", false), ("off", false), ("on", true)] {
        let path = gateway.path("gateway.toml");
        let text = std::fs::read_to_string(&path).expect("a file");
        let end = text.find("[tokens]").unwrap_or(text.len());
        let text = format!("{}[tokens]\nrotation = \"{rotation}\"\n", &text[..end]);
        std::fs::write(path, text).expect("written");
        gateway.admin().post("/reload").send().expect(200);
        let answer = refresh(&next).json();
        assert_eq!(answer.get("refresh_token").is_some(), replaces, "{rotation}: {answer}");
    }
}

#[test]
fn each_endpoint_takes_only_its_own_kind_of_token() {
    let gateway = started(&Upstream::echo(), SHUT);
    let client = gateway.client();
    let tokens = login(&gateway);
    for (request, right, wrong) in [
        (client.post("/auth/refresh"), None, Some(&tokens.access)),
        (
            client.post("/auth/reauth").json(&json!({"password": "correct horse"})),
            None,
            Some(&tokens.refresh),
        ),
        (client.get("/auth/me"), None::<&String>, Some(&tokens.refresh)),
        (client.post("/auth/logout"), None, None),
    ] {
        assert!(right.is_none());
        request.clone().send().refused(401, "token-missing");
        request.clone().bearer("junk").send().refused(401, "token-malformed");
        if let Some(wrong) = wrong {
            request.bearer(wrong).send().refused(401, "token-wrong-type");
        }
    }
    // Only POST, and nothing beside them is there.
    for (method, path) in [
        ("GET", "/auth/refresh"),
        ("PUT", "/auth/login"),
        ("GET", "/auth/logout"),
        ("POST", "/auth/me"),
    ] {
        let status = client.request(method, path).send().status;
        assert!(matches!(status, 401 | 404), "{method} {path}: {status}");
    }
}

#[test]
fn the_public_keys_check_our_tokens_and_hold_nothing_private() {
    let upstream = Upstream::echo();
    let gateway = Gateway::in_front_of(&upstream, SHUT);
    let keys = gateway.client().get("/.well-known/jwks.json").send().expect(200).json();
    let key = &keys["keys"][0];
    assert_eq!(
        (&key["kty"], &key["crv"], &key["alg"]),
        (&json!("EC"), &json!("P-256"), &json!("ES256"))
    );
    assert!(
        key.get("d").is_none()
            && key["kid"].is_string()
            && key["x"].is_string()
            && key["y"].is_string()
    );
    // A shared secret is no public key.
    let shared = Gateway::sharing(&upstream, SHUT);
    let keys = shared.client().get("/.well-known/jwks.json").send().expect(200);
    assert_eq!(keys.json(), json!({"keys": []}));
}

#[test]
fn endpoints_move_with_at_and_vanish_with_enabled_false() {
    let upstream = Upstream::echo();
    let moved = Gateway::in_front_of(&upstream, &format!("[login]\nat = \"/_gate\"\n{SHUT}"));
    let body = json!({"username": "admin", "password": moved.first_password()});
    moved.client().post("/_gate/login").json(&body).send().expect(200);
    moved.client().post("/auth/login").json(&body).send().refused(401, "token-missing");
    let off = Gateway::sharing(
        &upstream,
        "[login]\nenabled = false\n[routes]\n\"/public\" = \"public\"\n",
    );
    off.client().post("/auth/login").json(&body).send().refused(404, "no-route");
    off.client().get("/public").send().expect(200);
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
