//! What a token proves and what a refusal tells: kinds never stand in for each other, a bad token is never no token,
//! and nobody learns why.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::tokens::{SHUT, ask};
use crate::harness::{Gateway, Response, Upstream, forge};

const ROUTES: &str = "[routes]\n\
    \"/public\" = \"public\"\n\"/optional\" = \"optional\"\n\"/access\" = \"access-required\"\n\
    \"/fresh\" = \"fresh-required\"\n\"/recent\" = { policy = \"fresh-required\", max_age = \"5m\" }\n\
    \"/refresh\" = \"refresh-only\"\n\"/deny\" = \"deny\"\n";

// Holds: T10
// Four kinds of token and four policies; the header's `typ` changes nothing, the claim decides.
#[test]
fn no_kind_of_token_stands_in_for_another() {
    let upstream = Upstream::echo();
    let gateway = Gateway::sharing(&upstream, ROUTES);
    let signed = |header: &str, kind: &Value, fresh: bool| {
        let mut claims = forge::claims("ada");
        claims["type"] = kind.clone();
        claims["fresh"] = json!(fresh);
        forge::sign(forge::SECRET, header.as_bytes(), claims.to_string().as_bytes())
    };
    let routes = ["/optional", "/access", "/fresh", "/refresh"];
    let kinds = [
        (json!("access"), false, [200, 200, 401, 401]),
        (json!("access"), true, [200, 200, 200, 401]),
        (json!("refresh"), false, [401, 401, 401, 200]),
        // A refresh token that calls itself fresh is one all the same.
        (json!("refresh"), true, [401, 401, 401, 200]),
        (json!("id"), true, [401; 4]),
        (Value::Null, true, [401; 4]),
    ];
    for header in [
        r#"{"alg":"HS256"}"#,
        r#"{"alg":"HS256","typ":"JWT"}"#,
        r#"{"alg":"HS256","typ":"at+jwt"}"#,
        r#"{"alg":"HS256","typ":"refresh+jwt","type":"refresh"}"#,
    ] {
        for (kind, fresh, expected) in &kinds {
            let token = signed(header, kind, *fresh);
            let got = routes.map(|route| ask(&gateway, route, &token).0);
            assert_eq!(got, *expected, "{header} {kind} {fresh}");
        }
    }
}

// Holds: CVE-2021-21378, CVE-2025-46647
#[test]
fn optional_means_no_token_or_a_good_one() {
    let upstream = Upstream::echo();
    let toml = format!("[tokens]\nissuer = \"us\"\n{ROUTES}");
    let gateway = Gateway::sharing(&upstream, &toml);
    gateway.client().get("/optional").send().expect(200);
    assert!(!upstream.last().has("x-user-id"));
    let now = forge::now();
    let ours = forge::with("ada", json!({"iss": "us"}));
    for bad in [
        "garbage".to_owned(),
        "a.b.c".to_owned(),
        format!("{ours}x"),
        forge::stale("ada"),
        forge::with("ada", json!({"iss": "them"})),
        forge::with("ada", json!({"iss": ["us"]})),
        forge::with("ada", json!({"iss": "us", "exp": now - 1})),
        forge::with("ada", json!({"iss": "us", "nbf": now + 100})),
        forge::with("ada", json!({"iss": "us", "type": "refresh"})),
        forge::hs256("another secret, also of 32 bytes", &json!({"iss": "us"})),
    ] {
        assert_eq!(ask(&gateway, "/optional", &bad).0, 401, "{bad}");
    }
    assert_eq!(upstream.count(), 1);
    assert_eq!(ask(&gateway, "/optional", &ours).0, 200);
}

// Holds: T7, T14
// A token has one spelling; JSON forms (RFC 7515 §7.2), encryption and other alphabets are no spelling of it.
#[test]
fn a_token_has_one_form() {
    let upstream = Upstream::echo();
    let gateway = Gateway::sharing(&upstream, SHUT);
    let good = forge::stale("ada");
    let parts: Vec<&str> = good.split('.').collect();
    let [header, payload, signature] = parts[..] else { panic!("three parts") };
    let general =
        json!({"payload": payload, "signatures": [{"protected": header, "signature": signature}]});
    let flat = json!({"payload": payload, "protected": header, "signature": signature});
    let standard = |part: &str| STANDARD.encode(URL_SAFE_NO_PAD.decode(part).expect("base64url"));
    // The last sign carries four bits of 43 that mean nothing: each other spelling of the same bytes.
    let last = signature.as_bytes()[signature.len() - 1];
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let at = alphabet.iter().position(|&sign| sign == last).expect("a sign of base64url");
    let stray = |bits: usize| format!("{}{}", &good[..good.len() - 1], alphabet[at | bits] as char);
    for bad in [
        general.to_string(),
        flat.to_string(),
        format!("{header}.{payload}.{}", standard(signature)),
        format!("{}.{payload}.{signature}", standard(header)),
        format!("{header}=.{payload}.{signature}"),
        format!("{header}.{payload}=.{signature}"),
        format!("{header}.{payload}.{signature}="),
        format!("{header}.{payload}.{signature}.x"),
        format!("{header}.{payload}.{signature}.x.y"),
        format!("{header}..{payload}.{signature}"),
        format!("{header}. {payload}.{signature}"),
        format!("{header}.{payload}.{signature}%3D"),
        stray(1),
        stray(2),
        stray(3),
    ] {
        // Without a sign that differs, the alphabets are one.
        if bad == good {
            continue;
        }
        let (status, code) = ask(&gateway, "/", &bad);
        assert!(
            status == 401 && matches!(&*code, "token-malformed" | "token-invalid"),
            "{bad}: {status} {code}"
        );
    }
    assert_eq!(upstream.count(), 0);
    assert_eq!(ask(&gateway, "/", &good).0, 200);
}

// Holds: T11, T13
#[test]
fn the_challenge_says_what_is_missing() {
    let upstream = Upstream::echo();
    let toml = format!(
        "{ROUTES}\"/role\" = {{ policy = \"access-required\", claims = {{ roles = \"admin\" }} }}\n"
    );
    let gateway = Gateway::sharing(&upstream, &toml);
    let challenge = |path: &str, token: Option<&str>| {
        let request = gateway.client().get(path);
        let response = token.map_or(request.clone(), |token| request.bearer(token)).send();
        response.header("www-authenticate").unwrap_or("-").to_owned()
    };
    let stale = forge::stale("ada");
    let bearer = "Bearer realm=\"freshgate\"";
    assert_eq!(challenge("/access", None), bearer);
    assert_eq!(
        challenge("/access", Some("x")),
        format!(
            "{bearer}, error=\"invalid_token\", error_description=\"What was presented is not a token.\""
        )
    );
    assert_eq!(
        challenge("/fresh", Some(&stale)),
        format!(
            "{bearer}, error=\"insufficient_user_authentication\", error_description=\"Prove again that it is you.\""
        )
    );
    assert_eq!(
        challenge("/recent", Some(&stale)),
        format!(
            "{bearer}, error=\"insufficient_user_authentication\", \
             error_description=\"Prove again that it is you.\", max_age=\"300\""
        )
    );
    assert_eq!(
        challenge("/role", Some(&stale)),
        format!(
            "{bearer}, error=\"insufficient_scope\", error_description=\"The token does not grant this.\""
        )
    );
    assert_eq!(challenge("/deny", None), "-");
    assert_eq!(challenge("/nothing", None), "-");
}

// Holds: T13
// RFC 6750 §3.1: no error without a credential, 400 for two of them, 401 for a bad one, 403 for one too weak.
#[test]
fn each_mistake_has_its_status_and_its_error() {
    let upstream = Upstream::echo();
    let toml = format!(
        "{ROUTES}\"/role\" = {{ policy = \"access-required\", claims = {{ roles = \"admin\" }} }}\n"
    );
    let gateway = Gateway::sharing(&upstream, &toml);
    let get = |path: &str| gateway.client().get(path);
    let stale = forge::stale("ada");
    for (response, status, error) in [
        (get("/access").send(), 401, None),
        (get("/access").header("Authorization", "Basic YTpi").send(), 401, None),
        (get("/access").bearer(&stale).bearer(&stale).send(), 400, Some("invalid_request")),
        (get("/access").bearer("x").send(), 401, Some("invalid_token")),
        (get("/access").bearer(&forge::refresh("ada")).send(), 401, Some("invalid_token")),
        (get("/role").bearer(&stale).send(), 403, Some("insufficient_scope")),
        (get("/recent").bearer(&stale).send(), 401, Some("insufficient_user_authentication")),
    ] {
        let response = response.expect(status);
        let challenge = response.header("www-authenticate").expect("a challenge");
        assert!(challenge.starts_with("Bearer realm="), "{challenge}");
        let told = challenge.split("error=\"").nth(1).and_then(|rest| rest.split('"').next());
        assert_eq!(told, error, "{challenge}");
        assert_eq!(response.message.all("www-authenticate").len(), 1);
    }
}

/// What a refusal says, without what differs in every answer.
fn said(response: &Response) -> (u16, Vec<(String, String)>, Value) {
    let mut body = response.json();
    body["request_id"] = json!("ID");
    let mut headers = response.headers.clone();
    headers.retain(|(name, _)| !matches!(&*name.to_lowercase(), "x-request-id" | "date"));
    (response.status, headers, body)
}

// Holds: T16
// Which check failed is the attacker's compass: signature, key, algorithm, issuer, audience and types are told alike.
#[test]
fn every_token_that_proves_nothing_is_refused_in_the_same_words() {
    let toml = format!("[tokens]\nissuer = \"us\"\naudience = \"app\"\n{SHUT}");
    let gateway = Gateway::sharing(&Upstream::echo(), &toml);
    let good = json!({"iss": "us", "aud": "app"});
    let with = |more: Value| {
        let mut all = good.clone();
        all.as_object_mut()
            .expect("an object")
            .extend(more.as_object().expect("an object").clone());
        forge::with("ada", all)
    };
    let header = |header: &str| {
        let mut claims = forge::claims("ada");
        claims["iss"] = json!("us");
        claims["aud"] = json!("app");
        forge::sign(forge::SECRET, header.as_bytes(), claims.to_string().as_bytes())
    };
    let foreign =
        forge::hs256("another secret, also of 32 bytes", &forge::payload(&with(json!({}))));
    let mut words = Vec::new();
    for token in [
        foreign,
        header(r#"{"alg":"none"}"#),
        header(r#"{"alg":"ES256"}"#),
        header(r#"{"alg":"HS256","kid":"other"}"#),
        header(r#"{"alg":"HS256","crit":["x"],"x":1}"#),
        with(json!({"iss": "them"})),
        with(json!({"aud": "other"})),
        with(json!({"exp": "soon"})),
        with(json!({"sub": 7})),
    ] {
        words.push(said(&gateway.client().get("/").bearer(&token).send()));
    }
    assert!(words.iter().all(|one| *one == words[0]), "{words:#?}");
    assert_eq!((words[0].0, &words[0].2["code"]), (401, &json!("token-invalid")));
}

// Holds: CVE-2026-40574
// A claim is compared whole: nothing of it is split at `@`, and no part of it is a rule of its own.
#[test]
fn a_mail_address_with_two_domains_is_neither_of_them() {
    let upstream = Upstream::echo();
    let toml = "[routes]\n\"/mail\" = { policy = \"access-required\", claims = { email = \"ada@corp.example\" } }\n\
                \"/domain\" = { policy = \"access-required\", claims = { hd = \"corp.example\" } }\n";
    let gateway = Gateway::sharing(&upstream, toml);
    let status = |path: &str, claims: Value| ask(&gateway, path, &forge::with("ada", claims)).0;
    assert_eq!(status("/mail", json!({"email": "ada@corp.example"})), 200);
    for email in [
        "ada@evil.example@corp.example",
        "ada@corp.example@evil.example",
        "\"ada@corp.example\"@evil.example",
        "ada@corp.example,eve@evil.example",
        "ada@corp.example ",
        "ADA@corp.example",
        "ada@corp.example\u{0}",
        "ada@corp\u{2024}example",
    ] {
        assert_eq!(status("/mail", json!({"email": email})), 403, "{email}");
        assert_eq!(status("/domain", json!({"email": email})), 403, "{email}");
    }
}
