//! Tokens of other issuers: good under their own name, keys and audience, as access tokens, and nowhere else.

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::issuer::Issuer;
use crate::harness::{Gateway, Setup, forge};

const A: &str = "https://a.example";
const B: &str = "https://b.example";

fn table(issuer: &str, file: &str) -> String {
    format!(
        "[[tokens.trust]]\nissuer = \"{issuer}\"\naudience = \"api\"\nalgorithms = [\"ES256\"]\nsubject_prefix = \"{file}:\"\n\
         keys = \"{file}.json\"\nclaims = {{ roles = \"realm.roles\" }}\n"
    )
}

/// A gateway that believes two issuers whose keys have one name.
fn believing(a: &Issuer, b: &Issuer, more: &str) -> Gateway {
    let toml = format!(
        "upstream = \"builtin:whoami\"\n{more}{}{}{}[routes]\n\"/any\" = \"access-required\"\n\"/optional\" = \"optional\"\n\
         \"/fresh\" = \"fresh-required\"\n\"/refresh\" = \"refresh-only\"\n\"/admin\" = {{ policy = \"access-required\", claims = {{ roles = \"admin\" }} }}\n",
        table(A, "a"),
        table(B, "b") + "auth_time = \"auth_time\"\n",
        forge::KEY
    );
    let setup = Setup::new(&toml).env("SHARED", forge::SECRET);
    setup.file("a.json", &a.jwks()).file("b.json", &b.jwks()).start()
}

fn claims(more: &Value) -> Value {
    let mut all = json!({"sub": "ada", "aud": "api", "jti": "one"});
    for (name, value) in more.as_object().expect("an object") {
        all[name] = value.clone();
    }
    all
}

fn pair() -> (Issuer, Issuer) {
    (Issuer::p256(A, "k"), Issuer::p256(B, "k"))
}

// Holds: T1, T3, T9, CVE-2025-46647, CVE-2026-39999
#[test]
fn a_token_is_good_under_the_name_and_the_keys_of_one_issuer_alone() {
    let (a, b) = pair();
    let gateway = believing(&a, &b, "");
    let get = |token: &str| gateway.client().get("/optional").bearer(token).send();
    for issuer in [&a, &b] {
        get(&issuer.token(&claims(&json!({})))).expect(200);
        get(&issuer.token(&claims(&json!({"aud": ["other", "api"]})))).expect(200);
    }
    let none = json!(null);
    let payloads = [
        json!({"iss": B}),
        json!({"iss": [A]}),
        json!({"iss": format!("{A}/")}),
        json!({"iss": "HTTPS://a.example"}),
        json!({"iss": {}}),
        json!({"iss": none}),
        json!({"iss": ""}),
        json!({"aud": "API"}),
        json!({"aud": "api2"}),
        json!({"aud": []}),
        json!({"aud": none}),
        json!({"aud": {"api": 1}}),
        json!({"aud": ["api", 1]}),
        json!({"exp": (forge::now() + 60).to_string()}),
        json!({"exp": none}),
        json!({"iat": none}),
        json!({"sub": ""}),
        json!({"sub": 7}),
        json!({"jti": ""}),
        json!({"jti": 7}),
        json!({"realm": "admin"}),
        json!({"realm": ["admin"]}),
    ];
    for payload in payloads {
        let token = a.token(&claims(&payload));
        let answer = get(&token);
        assert_eq!(answer.status, 401, "{payload}: {}", answer.text());
    }
    let payload = claims(&json!({"iss": A, "iat": forge::now(), "exp": forge::now() + 60}));
    let jwk = b.jwk();
    let headers = [
        json!({"alg": "ES256", "kid": "k", "jwk": jwk}),
        json!({"alg": "ES256", "jwk": jwk}),
        json!({"alg": "ES256", "kid": "k", "jku": "https://b.example/keys", "x5u": "https://b.example", "x5c": ["AA"]}),
        json!({"alg": "ES256", "kid": "../b.json"}),
        json!({"alg": "ES256", "kid": "k' OR 1=1"}),
    ];
    for header in headers {
        get(&b.sign(&header, &payload)).refused(401, "token-invalid");
    }
    for alg in ["none", "None", "HS256", "ES384", "RS256", "es256", ""] {
        get(&a.sign(&json!({"alg": alg, "kid": "k"}), &payload)).refused(401, "token-invalid");
    }
    let secret = a.pem();
    let header = br#"{"alg":"HS256","kid":"k"}"#;
    get(&forge::sign(&secret, header, payload.to_string().as_bytes()))
        .refused(401, "token-invalid");
    // Ours is no way to speak for them, nor theirs for us.
    get(&forge::with("a:ada", json!({}))).refused(401, "token-invalid");
    get(&forge::with("ada", json!({"iss": A, "aud": "api"}))).refused(401, "token-invalid");
}

// Holds: T10
#[test]
fn no_other_kind_of_token_of_another_issuer_opens_anything() {
    let (a, b) = pair();
    let gateway = believing(&a, &b, "");
    let client = gateway.client();
    let kinds = [
        json!({"typ": "ID"}),
        json!({"typ": "Refresh"}),
        json!({"typ": "Offline"}),
        json!({"typ": "Logout"}),
        json!({"type": "refresh"}),
        json!({"typ": 1}),
        json!({"type": null}),
        json!({"token_use": "id"}),
        json!({"at_hash": "x"}),
        json!({"c_hash": "x"}),
        json!({"events": {}}),
        json!({"cnf": {"jkt": "x"}}),
    ];
    for kind in kinds {
        let token = a.token(&claims(&kind));
        for path in ["/any", "/optional", "/fresh", "/refresh", "/auth/me", "/auth/sessions"] {
            client.get(path).bearer(&token).send().refused(401, "token-invalid");
        }
        client.post("/auth/refresh").bearer(&token).send().refused(401, "token-invalid");
    }
    let header = json!({"alg": "ES256", "kid": "k", "typ": "secevent+jwt"});
    let payload = claims(&json!({"iss": A, "iat": forge::now(), "exp": forge::now() + 60}));
    client.get("/any").bearer(&a.sign(&header, &payload)).send().refused(401, "token-invalid");
    // What they call theirs means nothing here: rights, freshness, session.
    let more = json!({"roles": ["admin"], "fresh": true, "auth_time": forge::now(), "sid": "s"});
    let good = a.token(&claims(&more));
    client.get("/any").bearer(&good).send().expect(200);
    client.get("/admin").bearer(&good).send().refused(403, "claims-refused");
    client.get("/fresh").bearer(&good).send().refused(401, "token-not-fresh");
    for path in ["/refresh", "/auth/sessions"] {
        client.get(path).bearer(&good).send().refused(401, "token-wrong-type");
    }
    client.post("/auth/refresh").bearer(&good).send().refused(401, "token-wrong-type");
    // Fresh, which ending sessions wants, and still no user of ours.
    let fresh = b.token(&claims(&more));
    client.get("/fresh").bearer(&fresh).send().expect(200);
    for path in ["/auth/sessions", "/auth/sessions/s"] {
        client.request("DELETE", path).bearer(&fresh).send().refused(401, "token-wrong-type");
    }
    client.get("/any").bearer(&good).send().expect(200);
}

/// Until when it is remembered that everything of this user was revoked.
fn remembered(data: &Path, user: &str) -> i64 {
    let open = rusqlite::Connection::open(data.join("state.db")).expect("the state file");
    let query = "SELECT expires_at FROM subject_revocations WHERE subject = ?1";
    open.query_row(query, [user], |row| row.get(0)).expect("a row")
}

// Holds: L6
#[test]
fn a_revoked_user_of_another_issuer_stays_so_however_long_the_token_lives() {
    let (a, b) = pair();
    // No token of ours lives longer than some seconds; theirs live for years.
    let short = "[tokens]\naccess_ttl = \"1s\"\nrefresh_ttl = \"2s\"\n";
    let mut gateway = believing(&a, &b, short);
    let end = forge::now() + 10 * 365 * 24 * 3600;
    let token = a.token(&claims(&json!({"exp": end})));
    let get = |gateway: &Gateway| gateway.client().get("/any").bearer(&token).send();
    get(&gateway).expect(200);
    gateway.cli(&["session", "revoke", "--user", "a:ada"], "").succeeded();
    get(&gateway).refused(401, "token-revoked");
    gateway.terminate();
    let until = remembered(&gateway.path("data"), "a:ada");
    assert!(
        until > i64::try_from(end).expect("a time"),
        "forgotten before the token ends: {until}"
    );
    gateway.restart();
    get(&gateway).refused(401, "token-revoked");
}

// Holds: L5
#[test]
fn the_operator_ends_a_token_of_another_issuer_and_no_other() {
    let (a, b) = pair();
    let mut gateway = believing(&a, &b, "");
    let [one, two, three] = ["1", "2", "3"].map(|jti| a.token(&claims(&json!({"jti": jti}))));
    let namesake = b.token(&claims(&json!({"jti": "1"})));
    let get = |gateway: &Gateway, token: &str| gateway.client().get("/any").bearer(token).send();
    let revoke =
        |gateway: &Gateway, token: &str| gateway.cli(&["session", "revoke", "--token", "-"], token);
    let said = revoke(&gateway, &one).succeeded().stdout;
    assert!(said.contains("of a:ada"), "{said}");
    get(&gateway, &one).refused(401, "token-revoked");
    gateway.terminate();
    revoke(&gateway, &two).succeeded();
    gateway.restart();
    get(&gateway, &two).refused(401, "token-revoked");
    get(&gateway, &three).expect(200);
    get(&gateway, &namesake).expect(200);
    let forged = Issuer::p256(A, "k").token(&claims(&json!({})));
    assert!(revoke(&gateway, &forged).stderr.contains("nobody here believes it"));
}
