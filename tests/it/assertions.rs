//! `assertion = true`: a backend knows who asks by our signature, and nobody can do anything else with it.

use std::process::Command;

use serde_json::{Value, json};

use crate::harness::tools::{self, Server};
use crate::harness::{Client, Gateway, Setup, Tokens, Upstream, eventually, forge};
use crate::rotation;

const FIELD: &str = "X-Freshgate-Assertion";

const ROUTES: &str = "[routes]\n\"/public\" = \"public\"\n\"/optional\" = \"optional\"\n\
    \"/access\" = \"access-required\"\n\"/fresh\" = \"fresh-required\"\n\"/refresh\" = \"refresh-only\"\n";

const PATHS: [&str; 5] = ["/public", "/optional", "/access", "/fresh", "/refresh"];

/// A gateway that asserts to this upstream, with the keys of its folder.
fn asserting(upstream: &str, tokens: &str) -> Gateway {
    Gateway::start(&format!(
        "[upstreams.app]\nurl = \"{upstream}\"\nassertion = true\n[limits]\nthreads = 1\n[tokens]\n{tokens}{ROUTES}"
    ))
}

/// The backend that checks with PyJWT, and the gateway in front of it.
fn checked() -> (Server, Gateway) {
    let mut command = Command::new(tools::python());
    let server = Server::announcing(command.arg(tools::root().join("tests/interop/asserted.py")));
    let gateway = asserting(&format!("http://{}", server.address), "issuer = \"us\"\n");
    fetch_keys(&server, &gateway);
    (server, gateway)
}

/// The backend fetches the JWK set for its first request after this.
fn fetch_keys(server: &Server, gateway: &Gateway) {
    let url = format!("http://{}/.well-known/jwks.json", gateway.client().address);
    Client { address: server.address }.post("/keys").body(url).send().expect(200);
}

fn seen(gateway: &Gateway, path: &str, token: &str) -> Value {
    gateway.client().get(path).bearer(token).send().expect(200).json()
}

#[test]
fn a_backend_verifies_who_asks_by_the_jwk_set() {
    let (_server, gateway) = checked();
    gateway.user("ada", "a long password", r#"{"roles":["reader"]}"#);
    let body = json!({"username": "ada", "password": "a long password"});
    let Tokens { access, refresh } = eventually("the new user to be known", || {
        let answer = gateway.client().post("/auth/login").json(&body).send();
        (answer.status == 200).then(|| Tokens::of(&answer))
    });
    let view = seen(&gateway, "/fresh", &access);
    let claims = &view["claims"];
    for (name, value) in [
        ("sub", json!("ada")),
        ("aud", json!("app")),
        ("iss", json!("us")),
        ("type", json!("assertion")),
        ("fresh", json!(true)),
        ("roles", json!(["reader"])),
        ("auth_time", forge::payload(&access)["auth_time"].clone()),
    ] {
        assert_eq!(claims[name], value, "{name}");
    }
    let time = |name: &str| claims[name].as_u64().expect("a time");
    assert_eq!(time("exp"), time("iat") + 60);
    for none in ["sid", "jti", "csrf"] {
        assert_eq!(claims.get(none), None, "{none}");
    }
    assert_eq!(
        (&view["header"]["typ"], &view["header"]["alg"]),
        (&json!("assertion+jwt"), &json!("ES256"))
    );
    let again = seen(&gateway, "/access", &access);
    assert_eq!(again["assertion"], view["assertion"], "signed once for half a minute");
    assert_eq!(seen(&gateway, "/refresh", &refresh)["claims"]["fresh"], false);
}

#[test]
fn who_is_nobody_has_no_assertion_and_cannot_bring_one() {
    let (_server, gateway) = checked();
    let access = gateway.login_first().access;
    let good = seen(&gateway, "/access", &access)["assertion"].as_str().expect("text").to_owned();
    for name in [FIELD, "x_freshgate_assertion", "X.Freshgate-ASSERTION"] {
        for path in ["/public", "/optional"] {
            let answer = gateway.client().get(path).header(name, &good).send().expect(401);
            assert_eq!(answer.json()["why"], "no assertion", "{name} {path}");
        }
    }
    let answer = gateway.client().get("/public").bearer(&access).send().expect(401);
    assert_eq!(answer.json()["why"], "no assertion", "the token is never looked at");
    gateway.client().post("/auth/logout").bearer(&access).send().expect(204);
    gateway.client().get("/optional").bearer(&access).send().refused(401, "token-revoked");
}

#[test]
fn after_a_rotation_the_backend_still_verifies() {
    let (server, gateway) = checked();
    let access = gateway.login_first().access;
    let before = seen(&gateway, "/access", &access);
    gateway.cli(&["key", "rotate"], "").succeeded();
    eventually("the new key to be published", || {
        let set = gateway.client().get("/.well-known/jwks.json").send().expect(200).json();
        set["keys"].as_array().is_some_and(|keys| keys.len() == 2).then_some(())
    });
    // Six minutes go by: what the backend kept of the set has ended, then the new key signs.
    fetch_keys(&server, &gateway);
    rotation::set_time(&gateway, "signs_from", "2020-01-01T00:00:00Z");
    let after = eventually("an assertion of the new key", || {
        let view = seen(&gateway, "/access", &access);
        (view["header"]["kid"] != before["header"]["kid"]).then_some(view)
    });
    assert_eq!(after["claims"]["sub"], before["claims"]["sub"]);
}

#[test]
fn an_upstream_that_asks_for_none_gets_none_whoever_sends_it() {
    let upstream = Upstream::echo();
    let gateway = Gateway::in_front_of(&upstream, ROUTES);
    for path in ["/public", "/optional", "/access"] {
        for name in [FIELD, "x-freshgate_assertion", "X_Freshgate_Assertion"] {
            let request = gateway.client().get(path).bearer(&gateway.mint(&["--sub", "ada"]));
            request.header(name, "forged").header("Connection", name).send().expect(200);
            let last = upstream.last();
            let found =
                last.headers.iter().any(|(name, _)| name.to_lowercase().contains("assertion"));
            assert!(!found, "{path} {name}: {:?}", last.headers);
        }
    }
}

/// The assertion that a backend got for this token.
fn got(upstream: &Upstream, gateway: &Gateway, token: &str) -> String {
    gateway.client().get("/access").bearer(token).send().expect(200);
    upstream.last().header(FIELD).expect("an assertion").to_owned()
}

#[test]
fn an_assertion_is_no_token_here_nor_at_another_gateway_with_the_same_keys() {
    let upstream = Upstream::echo();
    let toml = |audience: &str| {
        format!(
            "[upstreams.app]\nurl = \"{upstream}\"\nassertion = true\n[tokens]\naudience = \"{audience}\"\n{ROUTES}"
        )
    };
    let gateway = Gateway::start(&toml("app"));
    let assertion = got(&upstream, &gateway, &gateway.login_first().access);
    let twin = Setup::new(&toml("app"));
    let keys = twin.dir().join("data/keys");
    std::fs::create_dir_all(&keys).expect("a directory of ours");
    let key = gateway.path("data/keys/signing.pem");
    std::fs::copy(key, keys.join("signing.pem")).expect("the same key");
    let twin = twin.start();
    let access = gateway.mint(&["--sub", "ada"]);
    twin.client().get("/access").bearer(&access).send().expect(200);
    for one in [&gateway, &twin] {
        let client = one.client();
        client.get("/public").bearer(&assertion).send().expect(200);
        for path in &PATHS[1..] {
            client.get(path).bearer(&assertion).send().refused(401, "token-invalid");
        }
        for path in ["/auth/refresh", "/auth/logout"] {
            client.post(path).bearer(&assertion).send().refused(401, "token-invalid");
        }
    }
}

#[test]
fn it_never_outlives_its_token() {
    let upstream = Upstream::echo();
    let gateway = asserting(&upstream.to_string(), "");
    let short = gateway.mint(&["--sub", "ada", "--ttl", "30s"]);
    let assertion = forge::payload(&got(&upstream, &gateway, &short));
    assert_eq!(assertion["exp"], forge::payload(&short)["exp"]);
}

#[test]
fn a_token_with_too_many_claims_is_refused_and_the_log_says_why() {
    let upstream = Upstream::echo();
    let gateway = asserting(&upstream.to_string(), "");
    let claims = json!({"note": "x".repeat(5_850)}).to_string();
    let token = gateway.mint(&["--sub", "ada", "--claims", &claims]);
    gateway.client().get("/access").bearer(&token).send().refused(431, "header-too-large");
    gateway.logged("at most 8000 fit into a field");
    assert_eq!(upstream.count(), 0);
}

#[test]
fn whoami_and_explain_say_that_it_is_there_and_never_its_text() {
    let gateway = asserting("builtin:whoami", "");
    let token = gateway.mint(&["--sub", "ada"]);
    let page = gateway.client().get("/access").bearer(&token).send().expect(200).text();
    let line = page.lines().find(|line| line.contains("x-freshgate-assertion"));
    assert!(line.is_some_and(|line| line.ends_with(" bytes, not shown)")), "{page}");
    assert!(!page.contains("eyJ"), "{page}");
    let told = gateway.cli(&["explain", "GET", "/access", "--as", r#"{"sub":"ada"}"#], "").stdout;
    assert!(told.contains("x-freshgate-assertion: (signed for each request)"), "{told}");
    let told = gateway.cli(&["explain", "GET", "/public"], "").stdout;
    assert!(!told.contains("x-freshgate-assertion"), "{told}");
}

#[test]
fn a_backend_that_sends_it_back_tells_no_client() {
    let upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\nX_Freshgate_Assertion: back\r\nX-Freshgate-Assertion: back\r\nContent-Length: 0\r\n\r\n",
    );
    let gateway = asserting(&upstream.to_string(), "");
    let answer = gateway.client().get("/public").send().expect(200);
    assert!(!answer.headers.iter().any(|(_, value)| value == "back"), "{:?}", answer.headers);
}

#[test]
fn shared_secrets_alone_can_assert_nothing() {
    let table = |more: &str| {
        let toml = format!(
            "[upstreams.app]\nurl = \"builtin:whoami\"\nassertion = true\n{ROUTES}{}{more}",
            forge::KEY
        );
        Setup::new(&toml).env("SHARED", forge::SECRET)
    };
    let said = table("").fails().stderr;
    assert!(
        said.contains("no key can sign an assertion") && said.contains("assertion = true"),
        "{said}"
    );
    let public = "[[tokens.key]]\nid = \"p\"\nalg = \"EdDSA\"\npublic = { file = \"p.pem\" }\n";
    let said = table(public).fails().stderr;
    assert!(said.contains("no key can sign an assertion"), "{said}");

    // The key folder: a secret put there by hand is all there is.
    let toml = format!("[upstreams.app]\nurl = \"builtin:whoami\"\nassertion = true\n{ROUTES}");
    let setup = Setup::new(&toml);
    setup.cli(&["key", "generate", "--alg", "HS256", "--id", "shared"], "").succeeded();
    let output = setup.fails();
    assert!(output.stderr.contains("[upstreams.app]: no key can sign one"), "{}", output.stderr);
}
