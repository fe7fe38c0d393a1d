//! freshgate in front of an unmodified Flask-JWT-Extended application that shares its HS256 secret.
//!
//! What the library thinks of our tokens, what we think of its tokens, and what its views see. The
//! application is `tests/interop/flask_app.py`. The modules compare both, one question at a time, in every algorithm, under
//! many configurations, and with an older line of the library.

mod both_ways;
mod differential;
mod profile;
mod requests;
mod world;

use std::process::Command;

use serde_json::Value;

use crate::harness::forge::SECRET;
use crate::harness::tools::{self, Server};
use crate::harness::{Client, Gateway, Setup};

/// The file of docs/try-real-backends.md, as it is.
const TOML: &str = include_str!("../../docs/try/flask.toml");

/// The application, and a gateway in front of it.
fn flask() -> (Server, Client, Gateway) {
    let mut command = Command::new(tools::python());
    command.arg(tools::root().join("tests/interop/flask_app.py")).env("FLASK_JWT_SECRET", SECRET);
    let server = Server::announcing(&mut command);
    let toml = TOML.replace("127.0.0.1:9000", &server.address.to_string());
    let gateway = Setup::new(&toml).env("FLASK_JWT_SECRET", SECRET).start();
    let direct = Client { address: server.address };
    (server, direct, gateway)
}

/// Tokens that the library minted: `stale`, `fresh` and `refresh`.
fn minted_by_flask(direct: &Client, sub: &str) -> Value {
    direct.post(&format!("/mint?sub={sub}")).send().expect(200).json()
}

#[test]
fn flask_accepts_our_login_token_directly_and_through_the_gateway() {
    let (_server, direct, gateway) = flask();
    let token = gateway.login_first().access;
    for client in [direct, gateway.client()] {
        let view = client.get("/account").bearer(&token).send().expect(200).json();
        assert_eq!((&view["identity"], &view["type"]), (&"admin".into(), &"access".into()));
        assert_eq!(view["fresh"], true);
        assert!(view["jti"].as_str().is_some_and(|jti| !jti.is_empty()), "{view}");
        client.post("/account/password").bearer(&token).send().expect(200);
        client.get("/optional").bearer(&token).send().expect(200);
    }
    direct.get("/optional").send().expect(200);
    let anonymous = gateway.client().get("/optional").send().expect(200).json();
    assert_eq!(anonymous["identity"], Value::Null);
}

#[test]
fn flask_sees_the_identity_headers_of_the_gateway_and_no_others() {
    let (_server, _direct, gateway) = flask();
    let token = gateway.login_first().access;
    let request = gateway.client().get("/account").bearer(&token).header("X-User-Id", "root");
    let view = request.header("X_User_Id", "root").send().expect(200).json();
    assert_eq!(view["headers"]["X-User-Id"], "admin", "{view}");
}

#[test]
fn a_stale_token_is_turned_away_by_flask_and_by_the_gateway() {
    let (_server, direct, gateway) = flask();
    let refresh = gateway.login_first().refresh;
    let refreshed = gateway.client().post("/auth/refresh").bearer(&refresh).send().expect(200);
    let stale = refreshed.json()["access_token"].as_str().expect("a token").to_owned();

    let theirs = direct.post("/account/password").bearer(&stale).send().expect(401);
    assert_eq!(theirs.json()["msg"], "Fresh token required");
    let ours = gateway.client().post("/account/password").bearer(&stale).send();
    let ours = ours.refused(401, "token-not-fresh");
    let challenge = ours.header("www-authenticate").expect("a challenge");
    assert!(challenge.contains("insufficient_user_authentication"), "{challenge}");

    for client in [direct, gateway.client()] {
        let view = client.get("/account").bearer(&stale).send().expect(200).json();
        assert_eq!(view["fresh"], false);
    }
}

#[test]
fn a_refresh_token_opens_the_refresh_view_and_nothing_else() {
    let (_server, direct, gateway) = flask();
    let refresh = gateway.login_first().refresh;
    for client in [direct, gateway.client()] {
        let view = client.post("/session/renew").bearer(&refresh).send().expect(200).json();
        assert_eq!((&view["identity"], &view["type"]), (&"admin".into(), &"refresh".into()));
    }
    direct.get("/account").bearer(&refresh).send().expect(422);
    direct.get("/optional").bearer(&refresh).send().expect(422);
    let client = gateway.client();
    client.get("/account").bearer(&refresh).send().refused(401, "token-wrong-type");
    client.get("/optional").bearer(&refresh).send().refused(401, "token-wrong-type");
}

#[test]
fn after_a_logout_the_gateway_refuses_what_flask_alone_would_still_accept() {
    let (_server, direct, gateway) = flask();
    let token = gateway.login_first().access;
    let client = gateway.client();
    let logout = client.post("/auth/logout").bearer(&token).send();
    assert!(matches!(logout.status, 200 | 204), "{}", logout.status);
    client.get("/account").bearer(&token).send().refused(401, "token-revoked");
    client.get("/optional").bearer(&token).send().refused(401, "token-revoked");
    direct.get("/account").bearer(&token).send().expect(200);
}

#[test]
fn tokens_minted_by_flask_open_the_routes_of_the_gateway() {
    let (_server, direct, gateway) = flask();
    let minted = minted_by_flask(&direct, "ada");
    let token = |name: &str| minted[name].as_str().expect("a token").to_owned();
    let client = gateway.client();
    let view = client.get("/account").bearer(&token("stale")).send().expect(200).json();
    assert_eq!((&view["identity"], &view["headers"]["X-User-Id"]), (&"ada".into(), &"ada".into()));
    client.post("/account/password").bearer(&token("fresh")).send().expect(200);
    let stale = client.post("/account/password").bearer(&token("stale")).send();
    stale.refused(401, "token-not-fresh");
    client.post("/session/renew").bearer(&token("refresh")).send().expect(200);
    client.get("/account").bearer(&token("refresh")).send().refused(401, "token-wrong-type");
}

#[test]
fn a_public_view_gets_whatever_authorization_it_was_sent() {
    let (_server, _direct, gateway) = flask();
    let request = gateway.client().get("/public").header("Authorization", "Basic eDp5");
    let view = request.send().expect(200).json();
    assert_eq!(view["authorization"], "Basic eDp5");
}
