//! Keys of another issuer at a URL, live: before they come, when they change, when the issuer is away.

use std::fs;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::{KEYCLOAK, ROUTES, keycloak_table};
use crate::harness::issuer::Issuer;
use crate::harness::{Gateway, Setup, Upstream, eventually};

/// A server of keys that gives out what it is told to; with nothing it answers 503.
struct Server {
    upstream: Upstream,
    set: Arc<Mutex<String>>,
}

impl Server {
    fn of(text: &str) -> Server {
        let set = Arc::new(Mutex::new(text.to_owned()));
        let shared = Arc::clone(&set);
        let upstream = Upstream::custom(move |exchange| {
            exchange.read_body()?;
            let text = shared.lock().expect("no panic").clone();
            let status = if text.is_empty() { "503 Away" } else { "200 OK" };
            exchange.answer(status, "application/json", text.as_bytes())
        });
        Server { upstream, set }
    }

    fn gives(&self, text: &str) {
        text.clone_into(&mut self.set.lock().expect("no panic"));
    }

    fn toml(&self, more: &str) -> String {
        let keys =
            format!("jwks = \"{}/keys\"\nallow_private = [\"127.0.0.1\"]\n{more}", self.upstream);
        let table = keycloak_table("").replace("keys = \"keycloak.json\"", &keys);
        format!("upstream = \"builtin:whoami\"\n{table}{ROUTES}")
    }
}

fn claims() -> Value {
    json!({"sub": "ada", "aud": "our-api"})
}

fn status(gateway: &Gateway, token: &str) -> u16 {
    let response = gateway.client().get("/any").bearer(token).send();
    assert!(response.status == 200 || response.code() == "token-invalid", "{}", response.text());
    response.status
}

#[track_caller]
fn comes(gateway: &Gateway, token: &str, wanted: u16) {
    eventually("the keys", || (status(gateway, token) == wanted).then_some(()));
}

fn readiness(gateway: &Gateway) -> Value {
    gateway.admin().get("/readyz").send().expect(200).json()
}

fn fetches(gateway: &Gateway, result: &str) -> u64 {
    gateway.metric(&format!(
        "freshgate_issuer_fetches_total{{issuer=\"{KEYCLOAK}\",result=\"{result}\"}}"
    ))
}

#[test]
fn the_gateway_serves_while_the_issuer_is_away_and_takes_its_keys_when_they_come() {
    let (server, keycloak) = (Server::of(""), Issuer::rsa(KEYCLOAK, "k1"));
    let gateway = Setup::new(&server.toml("")).start();
    let (own, theirs) = (gateway.login_first().access, keycloak.token(&claims()));
    gateway.client().get("/any").bearer(&own).send().expect(200);
    assert_eq!(status(&gateway, &theirs), 401);
    let told = readiness(&gateway);
    assert_eq!(told["status"], "degraded");
    assert_eq!(told["away"], json!([format!("keys of {KEYCLOAK}")]));
    assert_eq!(told["issuers"][0]["keys"], "none");
    eventually("a failure", || (fetches(&gateway, "failed") > 0).then_some(()));
    assert!(readiness(&gateway)["issuers"][0]["fault"].to_string().contains("503"));
    for bad in ["<html>", "{\"keys\":[]}", "{}"] {
        server.gives(bad);
        assert_eq!(status(&gateway, &theirs), 401);
    }
    server.gives(&keycloak.jwks());
    comes(&gateway, &theirs, 200);
    gateway.client().get("/any").bearer(&own).send().expect(200);
    let told = readiness(&gateway);
    assert_eq!((&told["status"], &told["issuers"][0]["keys"]), (&json!("ready"), &json!("fresh")));
    assert_eq!(fetches(&gateway, "ok"), 1);
    let metrics = gateway.admin().get("/metrics").send().expect(200).text();
    assert!(metrics.contains("freshgate_issuer_keys_age_seconds{"), "{metrics}");
}

#[test]
fn a_kid_that_is_not_known_fetches_once_and_nobody_waits_for_it() {
    let [old, new] = ["old", "new"].map(|kid| Issuer::rsa(KEYCLOAK, kid));
    let server = Server::of(&old.jwks());
    let gateway = Setup::new(&server.toml("refetch_min = \"1s\"")).start();
    let (before, after) = (old.token(&claims()), new.token(&claims()));
    comes(&gateway, &before, 200);
    server.gives(&json!({"keys": [old.jwk(), new.jwk()]}).to_string());
    assert_eq!(status(&gateway, &after), 401, "at once");
    comes(&gateway, &after, 200);
    assert_eq!(status(&gateway, &before), 200);
    // A key that is gone is dead, also where its tokens were remembered.
    server.gives(&new.jwks());
    let unknown = Issuer::rsa(KEYCLOAK, "unknown");
    assert_eq!(status(&gateway, &unknown.token(&claims())), 401);
    comes(&gateway, &before, 401);
    assert_eq!(status(&gateway, &after), 200);
}

#[test]
fn a_flood_of_unknown_kids_is_no_flood_of_fetches() {
    let keycloak = Issuer::p256(KEYCLOAK, "k1");
    let server = Server::of(&keycloak.jwks());
    let toml = server.toml("refetch_min = \"1h\"").replace("RS256", "ES256");
    let gateway = Setup::new(&toml).start();
    let good = keycloak.token(&claims());
    comes(&gateway, &good, 200);
    let mut payload = claims();
    payload["iss"] = json!(KEYCLOAK);
    for kid in 0..100 {
        let header = json!({"alg": "ES256", "kid": format!("k{kid}x")});
        assert_eq!(status(&gateway, &keycloak.sign(&header, &payload)), 401);
    }
    assert_eq!(server.upstream.count(), 1);
    assert_eq!(status(&gateway, &good), 200);
}

#[test]
fn a_reload_keeps_the_keys_of_an_issuer_that_is_the_same_and_asks_where_it_is_not() {
    let keycloak = Issuer::rsa(KEYCLOAK, "k1");
    let (server, other) = (Server::of(&keycloak.jwks()), Server::of(""));
    let gateway = Setup::new(&server.toml("")).start();
    let token = keycloak.token(&claims());
    comes(&gateway, &token, 200);
    server.gives("");
    let file = gateway.path("gateway.toml");
    let text = fs::read_to_string(&file).expect("readable");
    fs::write(&file, text.replace("\"kc:\"", "\"sso:\"")).expect("written");
    gateway.admin().post("/reload").send().expect(200);
    let me = gateway.client().get("/auth/me").bearer(&token).send().expect(200).json();
    assert_eq!(me["sub"], "sso:ada");
    assert_eq!(server.upstream.count(), 1);
    // Another place: its keys alone count, and it has none.
    let moved = text.replace(&server.upstream.to_string(), &other.upstream.to_string());
    fs::write(&file, moved).expect("written");
    gateway.admin().post("/reload").send().expect(200);
    assert_eq!(status(&gateway, &token), 401);
    other.gives(&keycloak.jwks());
    comes(&gateway, &token, 200);
}

#[test]
fn keys_that_cannot_be_fetched_again_serve_for_stale_max_and_no_longer() {
    let (server, keycloak) = (Server::of(""), Issuer::rsa(KEYCLOAK, "k1"));
    server.gives(&keycloak.jwks());
    let gateway = Setup::new(&server.toml("refresh = \"1s\"\nstale_max = \"4s\"")).start();
    let token = keycloak.token(&claims());
    comes(&gateway, &token, 200);
    server.gives("");
    eventually("a failure", || (fetches(&gateway, "failed") > 0).then_some(()));
    assert_eq!(status(&gateway, &token), 200);
    comes(&gateway, &token, 401);
    gateway.logged("issuer_keys_expired");
    let told = readiness(&gateway);
    assert_eq!(
        (&told["status"], &told["issuers"][0]["keys"]),
        (&json!("degraded"), &json!("expired"))
    );
    server.gives(&keycloak.jwks());
    comes(&gateway, &token, 200);
}
