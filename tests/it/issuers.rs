//! Tokens of other issuers, their keys in files: shapes as the great ones have them, made from keys of the test.

use serde_json::json;

use crate::harness::issuer::Issuer;
use crate::harness::{Gateway, Setup, Upstream, forge};

/// Keys at a URL.
mod fetched;
/// What bad files, bad configurations and reloads do.
mod files;
/// What `inspect`, `verify`, `explain` and `diff` say.
mod told;

const ROUTES: &str = "\n[routes]\n\
    \"/public\" = \"public\"\n\"/any\" = \"access-required\"\n\"/fresh\" = \"fresh-required\"\n\
    \"/recent\" = { policy = \"fresh-required\", max_age = \"5m\" }\n\"/refresh\" = \"refresh-only\"\n\
    \"/admin\" = { policy = \"access-required\", claims = { roles = \"admin\" } }\n\
    \"/users/{id}\" = { policy = \"access-required\", claims = { sub = \"{id}\" } }\n\
    [identity]\nX-User-Id = \"sub\"\nX-User-Roles = \"roles\"\nX-User-Email = \"email\"\nX-User-Fresh = \"fresh\"\n";

const KEYCLOAK: &str = "https://sso.example.org/realms/main";

/// The table of a Keycloak realm whose keys are in `keycloak.json`.
fn keycloak_table(more: &str) -> String {
    format!(
        "\n[[tokens.trust]]\nissuer = \"{KEYCLOAK}\"\naudience = \"our-api\"\nalgorithms = [\"RS256\"]\n\
         keys = \"keycloak.json\"\nsubject_prefix = \"kc:\"\n{more}\n"
    )
}

const KEYCLOAK_MAP: &str = "claims = { sub = \"preferred_username\", roles = \"realm_access.roles\", email = \"email\" }\n\
     auth_time = \"auth_time\"\nfresh_for = \"10m\"";

/// An access token as Keycloak 26 writes one.
fn keycloak_claims() -> serde_json::Value {
    json!({
        "auth_time": forge::now() - 60, "jti": "onrtac:0fbb8c0e-6c31-4e2c", "aud": ["our-api", "account"],
        "sub": "3a0f2a65-43f8-4d4f-8f6c-7a2f0b1d8a11", "typ": "Bearer", "azp": "web", "sid": "0a1b2c3d",
        "acr": "1", "realm_access": {"roles": ["offline_access", "admin"]},
        "resource_access": {"account": {"roles": ["manage-account"]}}, "scope": "openid email",
        "email_verified": true, "preferred_username": "ada", "email": "ada@example.org",
    })
}

fn start(upstream: &Upstream, tables: &str, files: &[(&str, &str)]) -> Gateway {
    let toml = format!("upstream = \"{upstream}\"\n{tables}{ROUTES}");
    let setup = Setup::new(&toml);
    files.iter().fold(setup, |setup, (name, text)| setup.file(name, text)).start()
}

#[test]
fn a_keycloak_token_opens_routes_with_what_was_mapped_of_it() {
    let (upstream, keycloak) = (Upstream::echo(), Issuer::rsa(KEYCLOAK, "k1"));
    let files = [("keycloak.json", &*keycloak.jwks())];
    let gateway = start(&upstream, &keycloak_table(KEYCLOAK_MAP), &files);
    let token = keycloak.token(&keycloak_claims());
    let get = |path: &str| gateway.client().get(path).bearer(&token).send();
    get("/admin").expect(200);
    let seen = upstream.last();
    assert_eq!(seen.header("x-user-id"), Some("kc:ada"));
    assert_eq!(seen.header("x-user-roles"), Some("offline_access,admin"));
    assert_eq!(seen.header("x-user-email"), Some("ada@example.org"));
    assert!(!seen.has("authorization"));
    get("/users/kc:ada").expect(200);
    get("/users/ada").refused(403, "claims-refused");
    get("/fresh").expect(200);
    get("/recent").expect(200);
    get("/refresh").refused(401, "token-wrong-type");
    let me = get("/auth/me").expect(200).json();
    assert_eq!((&me["sub"], &me["session"]), (&json!("kc:ada"), &json!(null)));
    // The password was asked for longer ago than the route, and then than the issuer's table allows.
    let old = |seconds: u64| {
        let mut claims = keycloak_claims();
        claims["auth_time"] = json!(forge::now() - seconds);
        keycloak.token(&claims)
    };
    let fresh = |path: &str, token: &str| gateway.client().get(path).bearer(token).send();
    fresh("/recent", &old(302)).refused(401, "token-not-fresh");
    fresh("/fresh", &old(302)).expect(200);
    fresh("/fresh", &old(602)).refused(401, "token-not-fresh");
    assert_eq!(upstream.last().header("x-user-fresh"), Some("true"));
    fresh("/any", &old(602)).expect(200);
    assert_eq!(upstream.last().header("x-user-fresh"), Some("false"));
    // Its ID and refresh tokens are for the same audience and by the same key.
    for typ in ["ID", "Refresh", "Offline"] {
        let mut claims = keycloak_claims();
        claims["typ"] = json!(typ);
        for path in ["/any", "/refresh"] {
            fresh(path, &keycloak.token(&claims)).refused(401, "token-invalid");
        }
    }
}

#[test]
fn an_auth0_token_with_claims_that_are_urls() {
    const AUTH0: &str = "https://tenant.eu.auth0.example/";
    let (upstream, auth0) =
        (Upstream::echo(), Issuer::rsa(AUTH0, "NjVBRjY5MDlCMUIwNzU4RTA2QzZFMDQ4"));
    let table = format!(
        "\n[[tokens.trust]]\nissuer = \"{AUTH0}\"\naudience = [\"https://api.example.org\", \"https://api.example.com\"]\n\
         algorithms = [\"RS256\"]\nkeys = \"auth0.json\"\nsubject_prefix = \"\"\n\
         claims = {{ roles = [\"https://example.org/roles\"], email = \"permissions\" }}\n"
    );
    let gateway = start(&upstream, &table, &[("auth0.json", &auth0.jwks())]);
    let claims = json!({
        "sub": "auth0|64f1c2a9", "aud": ["https://api.example.org", "https://tenant.eu.auth0.example/userinfo"],
        "azp": "cl13ntid", "scope": "openid profile read:reports", "permissions": ["read:reports"],
        "https://example.org/roles": ["admin"], "gty": "password",
    });
    let token = auth0.token(&claims);
    let get = |path: &str, token: &str| gateway.client().get(path).bearer(token).send();
    get("/admin", &token).expect(200);
    let seen = upstream.last();
    assert_eq!(seen.header("x-user-id"), Some("auth0|64f1c2a9"));
    assert_eq!(seen.header("x-user-roles"), Some("admin"));
    assert_eq!(seen.header("x-user-email"), Some("read:reports"));
    // Nothing says when the password was checked: never fresh.
    get("/fresh", &token).refused(401, "token-not-fresh");
    // Its ID token is for the client, not for us.
    let id = json!({"sub": "auth0|64f1c2a9", "aud": "cl13ntid", "nonce": "n", "sid": "s"});
    get("/any", &auth0.token(&id)).refused(401, "token-invalid");
    // Without `jti` a logout is for exactly this token.
    gateway.client().post("/auth/logout").bearer(&token).send().expect(204);
    get("/any", &token).refused(401, "token-revoked");
    let mut other = claims;
    other["exp"] = json!(forge::now() + 1800);
    get("/any", &auth0.token(&other)).expect(200);
}

#[test]
fn an_entra_token_of_its_second_version() {
    const ENTRA: &str =
        "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0";
    let (upstream, entra) = (Upstream::echo(), Issuer::rsa(ENTRA, "nOo3ZDrODXEK1jKWhXslHR_KXEg"));
    let table = format!(
        "\n[[tokens.trust]]\nissuer = \"{ENTRA}\"\naudience = \"6e74172b-be56-4843-9ff4-e66a39bb12e3\"\n\
         algorithms = [\"RS256\"]\nkeys = \"entra.json\"\nsubject_prefix = \"entra:\"\n\
         claims = {{ sub = \"oid\", roles = \"roles\", email = \"tid\" }}\n"
    );
    // Its keys do not say their algorithm, and have members that nobody here knows.
    let mut jwk = entra.jwk();
    jwk.as_object_mut().expect("an object").remove("alg");
    jwk["x5t"] = json!("nOo3ZDrODXEK1jKWhXslHR_KXEg");
    jwk["issuer"] = json!(ENTRA);
    let keys = json!({"keys": [jwk]}).to_string();
    let gateway = start(&upstream, &table, &[("entra.json", &keys)]);
    let claims = json!({
        "aud": "6e74172b-be56-4843-9ff4-e66a39bb12e3", "azp": "6e74172b", "azpacr": "0", "nbf": forge::now(),
        "oid": "690222be-ff1a-4d56-abd1-7e4f7d38e474", "sub": "HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ",
        "tid": "9188040d-6c67-4c5b-b112-36a304b66dad", "roles": ["admin"], "scp": "access_as_user",
        "uti": "fqiBqXLPj0eQa82S-IYFAA", "ver": "2.0", "rh": "0.AXQ",
    });
    let get = |path: &str, token: &str| gateway.client().get(path).bearer(token).send();
    let token = entra.token(&claims);
    get("/admin", &token).expect(200);
    assert_eq!(
        upstream.last().header("x-user-id"),
        Some("entra:690222be-ff1a-4d56-abd1-7e4f7d38e474")
    );
    // Another tenant has another issuer, though the same keys sign for it.
    let mut elsewhere = claims;
    elsewhere["iss"] = json!("https://login.microsoftonline.com/other/v2.0");
    get("/any", &entra.token(&elsewhere)).refused(401, "token-invalid");
}

#[test]
fn two_issuers_and_we_ourselves_have_a_key_of_one_name() {
    const PARTNER: &str = "https://partner.example.net";
    let (keycloak, partner) = (Issuer::rsa(KEYCLOAK, "shared"), Issuer::rsa(PARTNER, "shared"));
    let upstream = Upstream::echo();
    let table = format!(
        "{}\n[[tokens.trust]]\nissuer = \"{PARTNER}\"\naudience = \"our-api\"\nalgorithms = [\"RS256\"]\n\
         keys = \"partner.pem\"\nsubject_prefix = \"partner:\"\n{}",
        keycloak_table(""),
        forge::KEY
    );
    let toml = format!("upstream = \"{upstream}\"\n{table}{ROUTES}");
    let setup = Setup::new(&toml).env("SHARED", forge::SECRET);
    let setup = setup.file("keycloak.json", &keycloak.jwks()).file("partner.pem", &partner.pem());
    let gateway = setup.start();
    let get = |token: &str| gateway.client().get("/any").bearer(token).send();
    let claims = json!({"sub": "ada", "aud": "our-api"});
    for (issuer, who) in [(&keycloak, "kc:ada"), (&partner, "partner:ada")] {
        get(&issuer.token(&claims)).expect(200);
        assert_eq!(upstream.last().header("x-user-id"), Some(who));
    }
    get(&forge::stale("ada")).expect(200);
    assert_eq!(upstream.last().header("x-user-id"), Some("ada"));
    let as_other = json!({"sub": "ada", "aud": "our-api", "iss": PARTNER});
    get(&keycloak.token(&as_other)).refused(401, "token-invalid");
    // With our own secret under their name, and with their public key as a secret.
    for (secret, issuer) in
        [(forge::SECRET, KEYCLOAK), (forge::SECRET, PARTNER), (&*partner.pem(), PARTNER)]
    {
        let mut posing = forge::claims("ada");
        posing["iss"] = json!(issuer);
        posing["aud"] = json!("our-api");
        let header = br#"{"alg":"HS256","kid":"shared"}"#;
        let token = forge::sign(secret, header, posing.to_string().as_bytes());
        get(&token).refused(401, "token-invalid");
    }
    // What we publish is ours alone: here a secret, so nothing.
    let jwks = gateway.client().get("/.well-known/jwks.json").send().expect(200).json();
    assert_eq!(jwks, json!({"keys": []}));
}

#[test]
fn no_endpoint_takes_a_token_of_another_issuer_for_a_user_of_ours() {
    let (upstream, keycloak) = (Upstream::echo(), Issuer::rsa(KEYCLOAK, "k1"));
    let table = keycloak_table("").replace("\"kc:\"", "\"\"");
    let gateway = start(&upstream, &table, &[("keycloak.json", &keycloak.jwks())]);
    let password = gateway.first_password();
    let own = gateway.login_first();
    let own_session = forge::payload(&own.access)["sid"].clone();
    let own_id = forge::payload(&own.access)["jti"].clone();
    // All that can be made equal is: name, session, token id.
    let theirs = json!({"sub": "admin", "aud": "our-api", "sid": own_session, "jti": own_id, "fresh": true, "type": "access"});
    let token = keycloak.token(&theirs);
    let post = |path: &str, token: &str| {
        gateway.client().post(path).bearer(token).json(&json!({ "password": password })).send()
    };
    gateway.client().get("/any").bearer(&token).send().expect(200);
    post("/auth/reauth", &token).refused(401, "token-wrong-type");
    post("/auth/refresh", &token).refused(401, "token-wrong-type");
    let mut refresh = theirs;
    refresh["type"] = json!("refresh");
    post("/auth/refresh", &keycloak.token(&refresh)).refused(401, "token-invalid");
    // Logging it out ends neither our session nor our token of that name.
    post("/auth/logout", &token).expect(204);
    gateway.client().get("/any").bearer(&token).send().refused(401, "token-revoked");
    gateway.client().get("/any").bearer(&own.access).send().expect(200);
    post("/auth/refresh", &own.refresh).expect(200);
    // Nor the other way round.
    let other = json!({"sub": "admin", "aud": "our-api", "sid": own_session});
    let other = keycloak.token(&other);
    post("/auth/logout", &own.access).expect(204);
    gateway.client().get("/any").bearer(&other).send().expect(200);
}
