//! The six policies, live: every policy against every kind of token, claim rules, and which pattern wins.

use std::sync::LazyLock;

use serde_json::json;

use crate::harness::{Gateway, Setup, Upstream, forge};

const ROUTES: &str = "[routes]\n\
    \"/public\" = \"public\"\n\"/optional\" = \"optional\"\n\"/access\" = \"access-required\"\n\
    \"/fresh\" = \"fresh-required\"\n\"/recent\" = { policy = \"fresh-required\", max_age = \"5m\" }\n\
    \"/refresh\" = \"refresh-only\"\n\"/deny\" = \"deny\"\n";

const PASS: (u16, &str) = (200, "");
const MISSING: (u16, &str) = (401, "token-missing");
const WRONG: (u16, &str) = (401, "token-wrong-type");
const STALE: (u16, &str) = (401, "token-not-fresh");
const NOTHING: (u16, &str) = (404, "no-route");

/// Sends every kind of token to one route; `bad` is for tokens that prove nothing (`None`: never looked at).
#[track_caller]
fn row(route: &str, none: (u16, &str), bad: Option<(u16, &str)>, good: [(u16, &str); 4]) {
    static UPSTREAM: LazyLock<Upstream> = LazyLock::new(Upstream::echo);
    let gateway = Gateway::sharing(&UPSTREAM, ROUTES);
    let now = forge::now();
    let expired = forge::with("ada", json!({"fresh": true, "exp": now - 1, "iat": now - 9}));
    let early = forge::with("ada", json!({"fresh": true, "nbf": now + 100}));
    let old = json!({"fresh": true, "auth_time": now - 301, "iat": now - 301});
    let foreign = forge::hs256("another secret, also of 32 bytes", &forge::claims("ada"));
    let revoked = forge::fresh("ada");
    gateway.client().post("/auth/logout").bearer(&revoked).send().expect(204);
    let [refresh, stale, fresh, old_fresh] = good;
    for (name, token, expected) in [
        ("none", None, none),
        ("expired", Some(expired), bad.unwrap_or((401, "token-expired"))),
        ("revoked", Some(revoked), bad.unwrap_or((401, "token-revoked"))),
        ("early", Some(early), bad.unwrap_or((401, "token-not-yet-valid"))),
        ("malformed", Some("not-a-token".into()), bad.unwrap_or((401, "token-malformed"))),
        ("another key", Some(foreign), bad.unwrap_or((401, "token-invalid"))),
        ("refresh", Some(forge::refresh("ada")), refresh),
        ("stale", Some(forge::stale("ada")), stale),
        ("fresh", Some(forge::fresh("ada")), fresh),
        ("fresh 301 s ago", Some(forge::with("ada", old)), old_fresh),
    ] {
        let mut request = gateway.client().get(route);
        if let Some(token) = token {
            request = request.bearer(&token);
        }
        let response = request.send();
        assert_eq!((response.status, &*response.code()), expected, "{route} with {name}");
    }
}

#[test]
fn public_passes_everybody_and_never_looks_at_the_token() {
    row("/public", PASS, Some(PASS), [PASS; 4]);
}

#[test]
fn optional_passes_nobody_in_particular_and_good_access_tokens_only() {
    row("/optional", PASS, None, [WRONG, PASS, PASS, PASS]);
}

#[test]
fn access_required_passes_access_tokens_only() {
    row("/access", MISSING, None, [WRONG, PASS, PASS, PASS]);
}

#[test]
fn fresh_required_passes_fresh_access_tokens_only() {
    row("/fresh", MISSING, None, [WRONG, STALE, PASS, PASS]);
}

#[test]
fn fresh_required_with_max_age_passes_what_was_proved_recently() {
    row("/recent", MISSING, None, [WRONG, STALE, PASS, STALE]);
}

#[test]
fn refresh_only_passes_refresh_tokens_only() {
    row("/refresh", MISSING, None, [PASS, WRONG, WRONG, WRONG]);
}

#[test]
fn deny_passes_nobody_and_looks_like_nothing() {
    row("/deny", NOTHING, Some(NOTHING), [NOTHING; 4]);
    let upstream = Upstream::echo();
    let client = Gateway::sharing(&upstream, ROUTES);
    let client = client.client();
    let (deny, none) = (client.get("/deny").send(), client.get("/none").send());
    let but_id = |text: String, id: &str| text.replace(id, "ID");
    let id = |response: &crate::harness::Response| {
        response.header("x-request-id").unwrap_or("-").to_owned()
    };
    assert_eq!(but_id(deny.text(), &id(&deny)), but_id(none.text(), &id(&none)));
    assert_eq!(upstream.count(), 0);
}

#[test]
fn nothing_is_open_by_omission() {
    let upstream = Upstream::echo();
    let gateway =
        Gateway::sharing(&upstream, "[routes]\n\"/a/b\" = \"public\"\n\"GET /get\" = \"public\"\n");
    let fresh = forge::fresh("root");
    for path in
        ["/", "/a", "/a/", "/a/b/c", "/a/b./", "/a/bc", "/A/b", "/get/x", "/metrics", "/healthz"]
    {
        gateway.client().get(path).send().refused(404, "no-route");
        gateway.client().get(path).bearer(&fresh).send().refused(404, "no-route");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND"] {
        gateway.client().request(method, "/get").send().refused(404, "no-route");
    }
    let empty = Gateway::in_front_of(&upstream, "");
    empty.client().get("/").send().refused(404, "no-route");
    assert_eq!(upstream.count(), 0);
}

#[test]
fn a_query_never_decides() {
    let upstream = Upstream::echo();
    let gateway = Gateway::in_front_of(
        &upstream,
        "[routes]\n\"/open\" = \"public\"\n\"/shut/**\" = \"access-required\"\n",
    );
    for target in ["/shut?/open", "/shut/x?y=/open", "/shut/?../open", "/shut?x=%2Fopen"] {
        gateway.client().get(target).send().refused(401, "token-missing");
    }
    gateway.client().get("/open?/shut/../x=%2e%2e//;a").send().expect(200);
}

/// Claim rules on a few routes, asked with these claims.
#[track_caller]
fn claims(rules: &str, path: &str, more: serde_json::Value, status: u16) {
    let upstream = Upstream::echo();
    let toml = format!(
        "[routes]\n\"/u/{{who}}/**\" = {{ policy = \"access-required\", claims = {{ {rules} }} }}\n"
    );
    let gateway = Gateway::sharing(&upstream, &toml);
    let token = forge::with("ada", more.clone());
    let response = gateway.client().get(path).bearer(&token).send();
    assert_eq!(response.status, status, "{rules} with {more}");
    if status == 403 {
        assert_eq!(response.code(), "claims-refused");
        assert_eq!(upstream.count(), 0);
    }
}

#[test]
fn a_claim_must_be_one_of_the_wanted_values_or_have_it_as_an_element() {
    let one = "roles = \"admin\"";
    claims(one, "/u/1", json!({"roles": "admin"}), 200);
    claims(one, "/u/1", json!({"roles": ["user", "admin"]}), 200);
    claims(one, "/u/1", json!({"roles": ["administrator"]}), 403);
    claims(one, "/u/1", json!({"roles": "Admin"}), 403);
    claims(one, "/u/1", json!({"roles": {"admin": true}}), 403);
    claims(one, "/u/1", json!({"roles": [["admin"]]}), 403);
    claims(one, "/u/1", json!({"roles": null}), 403);
    claims(one, "/u/1", json!({}), 403);
    let two = "roles = [\"admin\", \"staff\"]";
    claims(two, "/u/1", json!({"roles": "staff"}), 200);
    claims(two, "/u/1", json!({"roles": "guest"}), 403);
}

#[test]
fn every_claim_named_must_hold_with_its_type() {
    let both = "roles = \"admin\", level = 3, staff = true";
    claims(both, "/u/1", json!({"roles": "admin", "level": 3, "staff": true}), 200);
    claims(both, "/u/1", json!({"roles": "admin", "level": 3}), 403);
    claims(both, "/u/1", json!({"roles": "admin", "level": "3", "staff": true}), 403);
    claims(both, "/u/1", json!({"roles": "admin", "level": 3, "staff": "true"}), 403);
}

#[test]
fn a_capture_stands_for_its_segment() {
    claims("sub = \"{who}\"", "/u/ada/x", json!({}), 200);
    claims("sub = \"{who}\"", "/u/bob/x", json!({}), 403);
    claims("sub = \"{who}\"", "/u/Ada/x", json!({}), 403);
    claims("name = \"{who}\"", "/u/a%20b", json!({"name": "a b"}), 200);
    claims("name = \"{who}\"", "/u/a%20b", json!({"name": "a%20b"}), 403);
    claims("teams = [\"{who}\", \"all\"]", "/u/red", json!({"teams": ["red"]}), 200);
    claims("teams = [\"{who}\", \"all\"]", "/u/red", json!({"teams": ["all"]}), 200);
    claims("teams = [\"{who}\", \"all\"]", "/u/red", json!({"teams": ["blue"]}), 403);
}

#[test]
fn the_requirement_is_judged_before_the_claims() {
    let upstream = Upstream::echo();
    let toml = "[routes]\n\"/x\" = { policy = \"fresh-required\", claims = { roles = \"admin\" } }\n\
                \"/o\" = { policy = \"optional\", claims = { roles = \"admin\" } }\n";
    let gateway = Gateway::sharing(&upstream, toml);
    let ask = |path: &str, token: &str| gateway.client().get(path).bearer(token).send();
    gateway.client().get("/x").send().refused(401, "token-missing");
    ask("/x", &forge::stale("ada")).refused(401, "token-not-fresh");
    ask("/x", &forge::fresh("ada")).refused(403, "claims-refused");
    ask("/x", &forge::with("ada", json!({"fresh": true, "roles": "admin"}))).expect(200);
    // A rule on an optional route cannot hold for nobody.
    gateway.client().get("/o").send().refused(401, "token-missing");
    ask("/o", &forge::stale("ada")).refused(403, "claims-refused");
}

#[test]
fn a_refusal_is_a_problem_document_that_nobody_may_cache() {
    let gateway = Gateway::in_front_of(&Upstream::echo(), ROUTES);
    let response = gateway.client().get("/access").send().expect(401);
    assert_eq!(response.header("content-type"), Some("application/problem+json"));
    assert_eq!(response.header("cache-control"), Some("no-store"));
    let problem = response.json();
    assert_eq!((&problem["status"], &problem["code"]), (&json!(401), &json!("token-missing")));
    assert_eq!(problem["title"], "A token is required.");
    assert_eq!(problem["request_id"].as_str(), response.header("x-request-id"));
    assert!(
        problem["type"].as_str().is_some_and(|uri| uri.ends_with("token-missing")),
        "{problem}"
    );
}

#[test]
fn a_preflight_passes_without_a_token_only_where_the_route_says_so() {
    let upstream = Upstream::echo();
    let toml = "[routes]\n\"/api/**\" = { policy = \"access-required\", preflight = true }\n\
                \"/shut/**\" = \"access-required\"\n\"/deny\" = { policy = \"deny\", preflight = true }\n";
    let setup = Setup::sharing(&upstream, toml);
    let gateway = setup.start();
    let preflight = |path: &str| {
        let request = gateway.client().request("OPTIONS", path);
        request
            .header("Origin", "https://app.example")
            .header("Access-Control-Request-Method", "PUT")
    };
    preflight("/api/x").send().expect(200);
    assert_eq!(upstream.last().header("origin"), Some("https://app.example"));
    preflight("/shut/x").send().refused(401, "token-missing");
    preflight("/deny").send().refused(404, "no-route");
    // Not preflights: no Origin, no asked method, another method.
    gateway.client().request("OPTIONS", "/api/x").send().refused(401, "token-missing");
    let no_method = gateway.client().request("OPTIONS", "/api/x").header("Origin", "https://a");
    no_method.send().refused(401, "token-missing");
    let put = gateway.client().request("PUT", "/api/x").header("Origin", "https://a");
    put.header("Access-Control-Request-Method", "PUT").send().refused(401, "token-missing");
    // A preflight passes as nobody, whatever it carries.
    preflight("/api/x").bearer(&forge::fresh("ada")).send().expect(200);
    assert!(!upstream.last().has("x-user-id") && !upstream.last().has("authorization"));
}
