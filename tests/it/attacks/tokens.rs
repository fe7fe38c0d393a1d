//! Tokens: what is verified, every check of a token that nobody honest would send.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::harness::{Gateway, Setup, Upstream, forge};

/// A route for each kind of token.
pub const SHUT: &str = "[routes]\n\"/fresh\" = \"fresh-required\"\n\"/refresh\" = \"refresh-only\"\n\"/**\" = \"access-required\"\n";

/// Status and code of a GET with this token.
pub fn ask(gateway: &Gateway, path: &str, token: &str) -> (u16, String) {
    let response = gateway.client().get(path).bearer(token).send();
    (response.status, response.code())
}

#[track_caller]
fn refused(gateway: &Gateway, token: &str, code: &str, why: &str) {
    assert_eq!(ask(gateway, "/", token), (401, code.to_owned()), "{why}");
}

// Holds: T1, T2, T4, T14, CVE-2026-39999
#[test]
fn the_algorithm_comes_from_the_key_never_from_the_token() {
    let upstream = Upstream::echo();
    let gateway = Gateway::sharing(&upstream, SHUT);
    let payload = forge::claims("root").to_string();
    let sign = |header: &str| forge::sign(forge::SECRET, header.as_bytes(), payload.as_bytes());
    assert_eq!(ask(&gateway, "/", &sign(r#"{"alg":"HS256","typ":"JWT","kid":"shared"}"#)).0, 200);
    for header in [
        r#"{"alg":"none"}"#,
        r#"{"alg":"None"}"#,
        r#"{"alg":"NONE"}"#,
        r#"{"typ":"JWT"}"#,
        r#"{"alg":null}"#,
        r#"{"alg":"HS384"}"#,
        r#"{"alg":"hs256"}"#,
        r#"{"alg":"RS256"}"#,
        r#"{"alg":"ES256"}"#,
        r#"{"alg":["HS256"]}"#,
        r#"{"alg":"HS256","kid":"other"}"#,
        r#"{"alg":"HS256","crit":["exp"],"exp":1}"#,
        r#"{"alg":"HS256","crit":["x"],"x":1}"#,
        r#"{"alg":"HS256","zip":"DEF"}"#,
        r#"{"alg":"HS256","enc":"A128GCM"}"#,
        r#"{"alg":"HS256","b64":false}"#,
    ] {
        refused(&gateway, &sign(header), "token-invalid", header);
        let unsigned = sign(header);
        let unsigned = &unsigned[..=unsigned.rfind('.').expect("three parts")];
        assert_eq!(ask(&gateway, "/", unsigned).0, 401, "unsigned {header}");
    }
    for header in
        [r#"{"alg":"HS256","alg":"HS256"}"#, r#"{"alg":"HS256","kid":7}"#, "[]", "{", "\"x\"", ""]
    {
        refused(&gateway, &sign(header), "token-malformed", header);
    }
    assert_eq!(upstream.count(), 1);
}

// Holds: T1, T3, CVE-2026-39999
#[test]
fn the_public_key_of_es256_is_no_hs256_secret() {
    let upstream = Upstream::echo();
    let gateway = Gateway::in_front_of(&upstream, SHUT);
    let jwks = gateway.client().get("/.well-known/jwks.json").send().expect(200);
    let key = jwks.json()["keys"][0].clone();
    let kid = key["kid"].as_str().expect("a kid").to_owned();
    let claims = forge::claims("root").to_string();
    for secret in [jwks.text(), key.to_string(), key["x"].as_str().expect("x").to_owned()] {
        for header in
            [format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#), r#"{"alg":"HS256"}"#.to_owned()]
        {
            refused(
                &gateway,
                &forge::sign(&secret, header.as_bytes(), claims.as_bytes()),
                "token-invalid",
                &header,
            );
        }
    }
    // A key that the token brings along, or says where to fetch, is never looked at.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("a socket");
    let url = format!("http://{}/keys", listener.local_addr().expect("bound"));
    for header in [
        json!({"alg": "ES256", "jwk": key}),
        json!({"alg": "HS256", "jku": url}),
        json!({"alg": "ES256", "x5u": url}),
        json!({"alg": "ES256", "x5c": ["MIIB"]}),
    ] {
        let token = forge::sign(forge::SECRET, header.to_string().as_bytes(), claims.as_bytes());
        refused(&gateway, &token, "token-invalid", &header.to_string());
    }
    assert!(listener.accept().is_err(), "somebody fetched a key");
}

// Holds: T4, T8, CVE-2026-25537
#[test]
fn claims_that_are_required_are_required_and_typed() {
    let gateway = Gateway::sharing(&Upstream::echo(), SHUT);
    for name in ["exp", "iat", "sub", "jti", "type"] {
        let mut claims = forge::claims("ada");
        claims.as_object_mut().expect("an object").remove(name);
        refused(
            &gateway,
            &forge::hs256(forge::SECRET, &claims),
            "token-invalid",
            &format!("no {name}"),
        );
    }
    let late = forge::now() + 3600;
    for more in [
        json!({"exp": late.to_string()}),
        json!({"exp": null}),
        json!({"exp": [late]}),
        json!({"exp": -1}),
        json!({"exp": true}),
        json!({"iat": "now"}),
        json!({"nbf": "soon"}),
        json!({"nbf": null}),
        json!({"sub": 7}),
        json!({"sub": ""}),
        json!({"jti": 1}),
        json!({"type": "id"}),
        json!({"type": null}),
        json!({"type": "Access"}),
        json!({"fresh": "true"}),
        json!({"fresh": {}}),
        json!({"auth_time": "x"}),
    ] {
        let (status, _) = ask(&gateway, "/", &forge::with("ada", more.clone()));
        assert_eq!(status, 401, "{more}");
    }
    let huge = forge::claims("ada").to_string().replace("\"exp\":", "\"exp\":1e400,\"x\":");
    let header = br#"{"alg":"HS256"}"#;
    assert_eq!(ask(&gateway, "/", &forge::sign(forge::SECRET, header, huge.as_bytes())).0, 401);
    let twice = forge::claims("ada").to_string().replacen('{', "{\"sub\":\"root\",", 1);
    refused(
        &gateway,
        &forge::sign(forge::SECRET, header, twice.as_bytes()),
        "token-malformed",
        "sub twice",
    );
}

// Holds: T8
#[test]
fn times_are_exact_without_a_leeway_and_forgiving_with_one() {
    let upstream = Upstream::echo();
    let exact = Gateway::sharing(&upstream, SHUT);
    let lenient = Gateway::sharing(&upstream, &format!("[tokens]\nleeway = \"1m\"\n{SHUT}"));
    let now = forge::now();
    for (more, code, forgiven) in [
        (json!({"exp": now}), "token-expired", true),
        (json!({"exp": now - 30}), "token-expired", true),
        // A fraction is legal (RFC 7519 §2) and dropped, so it never makes a token live longer.
        (json!({"exp": now as f64 + 0.9}), "token-expired", true),
        (json!({"exp": now - 90}), "token-expired", false),
        (json!({"nbf": now + 30}), "token-not-yet-valid", true),
        (json!({"nbf": now + 120}), "token-not-yet-valid", false),
        (json!({"iat": now + 30}), "token-not-yet-valid", true),
        (json!({"iat": now + 120}), "token-not-yet-valid", false),
    ] {
        let token = forge::with("ada", more.clone());
        refused(&exact, &token, code, &more.to_string());
        assert_eq!(ask(&lenient, "/", &token).0 == 200, forgiven, "{more}");
    }
}

// Holds: T9, CVE-2025-46647
#[test]
fn issuer_and_audience_are_checked_where_they_are_configured() {
    let gateway = Gateway::sharing(
        &Upstream::echo(),
        &format!("[tokens]\nissuer = \"us\"\naudience = \"app\"\n{SHUT}"),
    );
    let status = |iss: Value, aud: Value| {
        ask(&gateway, "/", &forge::with("ada", json!({"iss": iss, "aud": aud}))).0
    };
    // 502: it passed, and the backend is gone.
    assert_eq!(status(json!("us"), json!("app")), 502);
    assert_eq!(status(json!("us"), json!(["other", "app"])), 502);
    for (iss, aud) in [
        (json!("them"), json!("app")),
        (json!(null), json!("app")),
        (json!(["us"]), json!("app")),
        (json!("US"), json!("app")),
        (json!("us"), json!("other")),
        (json!("us"), json!(null)),
        (json!("us"), json!([])),
        (json!("us"), json!("ap")),
        (json!("us"), json!({"app": 1})),
    ] {
        assert_eq!(status(iss.clone(), aud.clone()), 401, "{iss} {aud}");
    }
}

// Holds: T11
#[test]
fn fresh_may_be_the_second_until_which_it_is_so() {
    let upstream = Upstream::echo();
    let gateway = Gateway::sharing(&upstream, SHUT);
    let status =
        |fresh: Value| ask(&gateway, "/fresh", &forge::with("ada", json!({"fresh": fresh}))).0;
    assert_eq!(status(json!(forge::now() + 60)), 200);
    assert_eq!(status(json!(forge::now() - 1)), 401);
    assert_eq!(status(json!(false)), 401);
}

// Holds: T7
#[test]
fn a_token_that_was_tampered_with_proves_nothing() {
    let upstream = Upstream::echo();
    for key in ["", forge::KEY] {
        let toml = format!("upstream = \"{upstream}\"\n{SHUT}{key}");
        let gateway = Setup::new(&toml).env("SHARED", forge::SECRET).start();
        let token = gateway.mint(&["--sub", "ada"]);
        assert_eq!(ask(&gateway, "/", &token).0, 200);
        let parts: Vec<&str> = token.split('.').collect();
        let other =
            URL_SAFE_NO_PAD.encode(forge::payload(&token).to_string().replace("ada", "eve"));
        let mut flipped = token.clone().into_bytes();
        let middle = parts[0].len() + parts[1].len() + 8;
        flipped[middle] = if flipped[middle] == b'A' { b'B' } else { b'A' };
        let flipped = String::from_utf8(flipped).expect("ASCII");
        for (bad, why) in [
            (format!("{}.{other}.{}", parts[0], parts[2]), "another payload"),
            (flipped, "a flipped sign"),
            (format!("{}.{}.", parts[0], parts[1]), "no signature"),
            (format!("{}.{}", parts[0], parts[1]), "two parts"),
            (format!("{token}."), "four parts"),
            (format!("{token}="), "padding"),
            (format!("{token}=="), "padding"),
            (format!(".{token}"), "a dot before"),
            (token[..token.len() - 1].to_owned(), "cut short"),
            (format!("{token}A"), "a sign more"),
        ] {
            assert_eq!(ask(&gateway, "/", &bad).0, 401, "{why}");
        }
        assert_eq!(ask(&gateway, "/", &token).0, 200);
    }
}

// Holds: T12, CVE-2026-26308
#[test]
fn two_credentials_in_one_request_are_refused_on_every_route() {
    let upstream = Upstream::echo();
    let toml = format!("{SHUT}\"/public\" = \"public\"\n\"/optional\" = \"optional\"\n");
    let gateway = Gateway::sharing(&upstream, &toml);
    let token = forge::fresh("ada");
    for path in ["/public", "/optional", "/", "/fresh", "/refresh"] {
        let twice = gateway.client().get(path).bearer(&token).bearer(&token);
        twice.send().refused(400, "token-duplicated");
        let mixed = gateway.client().get(path).header("Authorization", "Basic YTpi").bearer(&token);
        mixed.send().refused(400, "token-duplicated");
    }
    let list = format!("Bearer {token}, Bearer {token}");
    gateway
        .client()
        .get("/")
        .header("Authorization", &list)
        .send()
        .refused(400, "token-duplicated");
    assert_eq!(upstream.count(), 0);
}

// Holds: T12
#[test]
fn only_authorization_bearer_is_looked_at() {
    let upstream = Upstream::echo();
    let gateway = Gateway::sharing(&upstream, SHUT);
    let token = forge::fresh("ada");
    gateway.client().get(&format!("/?access_token={token}")).send().refused(401, "token-missing");
    let cookie =
        gateway.client().get("/").header("Cookie", &format!("access_token={token}; token={token}"));
    cookie.send().refused(401, "token-missing");
    gateway.client().get("/").header("Authorization", &token).send().refused(401, "token-missing");
    for scheme in ["bearer", "BEARER", "Bearer ", "Bearer\t"] {
        gateway
            .client()
            .get("/")
            .header("Authorization", &format!("{scheme} {token}"))
            .send()
            .expect(200);
    }
    for value in ["Bearer", "Bearer ", "Bearer a b", "Bearer \"x\""] {
        gateway
            .client()
            .get("/")
            .header("Authorization", value)
            .send()
            .refused(401, "token-malformed");
    }
}

// Holds: CVE-2021-32701, CVE-2026-33496
#[test]
fn the_same_token_is_judged_anew_on_every_route() {
    let upstream = Upstream::echo();
    let gateway = Gateway::sharing(
        &upstream,
        &format!(
            "{SHUT}\"/adm\" = {{ policy = \"access-required\", claims = {{ roles = \"x\" }} }}\n"
        ),
    );
    let mut connection = gateway.client().connect();
    let (stale, end) = (forge::stale("ada"), forge::with("ada", json!({"exp": forge::now() + 2})));
    for _ in 0..3 {
        let mut status =
            |path: &str| gateway.client().get(path).bearer(&stale).send_on(&mut connection).status;
        assert_eq!(
            [status("/"), status("/fresh"), status("/adm"), status("/refresh")],
            [200, 401, 403, 401]
        );
    }
    // A token remembered as good still expires on time.
    crate::harness::eventually("the token to expire", || {
        let response = gateway.client().get("/").bearer(&end).send_on(&mut connection);
        (response.code() == "token-expired").then_some(())
    });
    assert!(forge::now() >= forge::payload(&end)["exp"].as_u64().expect("a number"));
}

// Holds: T14, CVE-2026-50285
#[test]
fn a_token_of_a_megabyte_is_refused_quickly_and_without_being_kept() {
    let upstream = Upstream::echo();
    let gateway = Gateway::sharing(&upstream, SHUT);
    let nine = forge::with("ada", json!({"x": "y".repeat(9 * 1024)}));
    refused(&gateway, &nine, "token-malformed", "larger than 8 KiB");
    let large = forge::with("ada", json!({"x": "y".repeat(1024 * 1024)}));
    let before = gateway.peak_memory_kib();
    for _ in 0..20 {
        let response = gateway.client().get("/").bearer(&large).send();
        assert_eq!(response.status, 431);
    }
    assert!(gateway.peak_memory_kib() - before < 16 * 1024);
    let deep = format!("{}{}", "[".repeat(3000), "]".repeat(3000));
    let deep = forge::claims("ada").to_string().replacen('{', &format!("{{\"x\":{deep},"), 1);
    assert_eq!(
        ask(&gateway, "/", &forge::sign(forge::SECRET, br#"{"alg":"HS256"}"#, deep.as_bytes())).0,
        401
    );
    assert_eq!(ask(&gateway, "/", &forge::stale("ada")).0, 200);
}
