//! What the command line says of other issuers, beside the live gateway.

use std::fs;

use serde_json::{Value, json};

use super::{KEYCLOAK, KEYCLOAK_MAP, ROUTES, keycloak_claims, keycloak_table};
use crate::harness::issuer::Issuer;
use crate::harness::{Setup, forge};

fn setup(table: &str, issuer: &Issuer) -> Setup {
    let toml = format!("upstream = \"builtin:whoami\"\n{table}{ROUTES}");
    Setup::new(&toml).file("keycloak.json", &issuer.jwks())
}

#[track_caller]
fn inspect(setup: &Setup, more: &[&str], token: &str) -> Value {
    let args = [&["token", "inspect", "--json"], more].concat();
    let output = setup.cli(&args, token);
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[test]
fn inspect_and_verify_judge_as_the_gateway_does_and_say_what_a_token_means_here() {
    let keycloak = Issuer::rsa(KEYCLOAK, "k1");
    let gateway = setup(&keycloak_table(KEYCLOAK_MAP), &keycloak).start();
    let but = |name: &str, value: Value| {
        let mut claims = keycloak_claims();
        claims[name] = value;
        keycloak.token(&claims)
    };
    let stranger = Issuer::rsa(KEYCLOAK, "k1");
    let renamed = Issuer::rsa(KEYCLOAK, "k2");
    let psigned = {
        let mut claims = keycloak_claims();
        claims["iss"] = json!(KEYCLOAK);
        keycloak.sign(&json!({"alg": "PS256", "kid": "k1"}), &claims)
    };
    let now = forge::now();
    for (token, because) in [
        (keycloak.token(&keycloak_claims()), ""),
        (but("aud", json!("account")), "`aud` is [\"account\"], here it is one of [\"our-api\"]"),
        (but("typ", json!("ID")), "`typ` is \"ID\": it is no access token"),
        (but("cnf", json!({"jkt": "x"})), "it has `cnf`"),
        (but("preferred_username", json!(7)), "`preferred_username`, the subject, is no text"),
        (but("realm_access", json!("x")), "`realm_access.roles` leads through what is no object"),
        (but("auth_time", json!("x")), "`auth_time` is no time in seconds"),
        (but("jti", json!(7)), "`jti` is no text"),
        (but("exp", json!(now - 90)), "it expired: `exp` is"),
        (but("iat", json!(now + 600)), "it is not good yet: `iat` is"),
        (stranger.token(&keycloak_claims()), "no signature of a key of https://sso"),
        (renamed.token(&keycloak_claims()), "has no key \"k2\" here; there are: `k1` (RS256)"),
        (psigned, "`alg` is \"PS256\", which `algorithms` of"),
    ] {
        let live = gateway.client().get("/any").bearer(&token).send();
        let facts = inspect_live(&gateway, &token);
        assert_eq!(facts["good"], json!(live.status == 200), "{because}: {facts:#}");
        let said = facts["because"].to_string().replace("\\\"", "\"");
        assert!(said.contains(because), "{because}: {said}");
        let verified = gateway.cli(&["token", "verify"], &token);
        assert_eq!(verified.code == Some(0), live.status == 200, "{because}");
    }
    let facts = inspect_live(&gateway, &keycloak.token(&keycloak_claims()));
    assert_eq!(facts["means"]["sub"], json!("kc:ada"));
    assert_eq!(facts["means"]["roles"], json!(["offline_access", "admin"]));
    assert_eq!(facts["key"]["id"], json!("k1"));
    let raw = gateway.cli(&["token", "verify", "--raw"], &but("typ", json!("ID"))).succeeded();
    assert!(raw.stdout.contains("\"typ\":\"ID\""));
}

#[track_caller]
fn inspect_live(gateway: &crate::harness::Gateway, token: &str) -> Value {
    let output = gateway.cli(&["token", "inspect", "--json"], token);
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[test]
fn inspect_takes_the_keys_of_a_url_from_a_file() {
    let keycloak = Issuer::rsa(KEYCLOAK, "k1");
    let url = "jwks = \"https://sso.example.org/keys\"";
    let table = keycloak_table("").replace("keys = \"keycloak.json\"", url);
    let setup = setup(&table, &keycloak);
    let token = keycloak.token(&json!({"sub": "ada", "aud": "our-api"}));
    let facts = inspect(&setup, &[], &token);
    assert_eq!(facts["good"], json!(false));
    assert!(facts["because"].to_string().contains("the running gateway fetches the keys of"));
    let told = setup.cli(&["explain", "GET", "/any", "--token", &token], "").succeeded().stdout;
    assert!(told.contains("because   the running gateway fetches the keys of"), "{told}");
    let file = setup.dir().join("keycloak.json").display().to_string();
    let facts = inspect(&setup, &["--jwk", &file], &token);
    assert_eq!((&facts["good"], &facts["means"]["sub"]), (&json!(true), &json!("kc:ada")));
    let ours = setup.cli(&["token", "inspect", "--jwk", &file], &forge::stale("ada"));
    assert!(ours.stderr.contains("the token names none of [[tokens.trust]]"), "{ours:?}");
}

#[test]
fn explain_judges_a_token_of_another_issuer() {
    let keycloak = Issuer::rsa(KEYCLOAK, "k1");
    let setup = setup(&keycloak_table(KEYCLOAK_MAP), &keycloak);
    let explain = |path: &str, token: &str| {
        setup.cli(&["explain", "GET", path, "--token", token, "--format", "json"], "").succeeded()
    };
    let token = keycloak.token(&keycloak_claims());
    let told = explain("/admin", &token).stdout;
    assert!(told.contains("kc:ada"), "{told}");
    let told = explain("/users/ada", &token).stdout;
    assert!(told.contains("claims-refused"), "{told}");
    let told = explain("/any", &Issuer::rsa(KEYCLOAK, "k1").token(&keycloak_claims())).stdout;
    assert!(told.contains("token-invalid"), "{told}");
}

#[test]
fn diff_says_that_an_issuer_more_is_weaker_without_reading_its_keys() {
    let keycloak = Issuer::rsa(KEYCLOAK, "k1");
    let setup = setup(&keycloak_table(KEYCLOAK_MAP), &keycloak);
    let new = setup.dir().join("gateway.toml");
    let old = setup.dir().join("old.toml");
    let text = fs::read_to_string(&new).expect("readable");
    fs::write(&old, text.replace(&keycloak_table(KEYCLOAK_MAP), "")).expect("written");
    fs::remove_file(setup.dir().join("keycloak.json")).expect("removed");
    let (old, new) = (old.display().to_string(), new.display().to_string());
    let weaker = setup.cli(&["diff", &old, &new], "").stdout;
    let line = |text: &str| {
        let at = format!("[[tokens.trust]] {KEYCLOAK}");
        text.lines().find(|line| line.contains(&at)).map(str::to_owned).unwrap_or_default()
    };
    assert!(line(&weaker).contains("WEAKER"), "{weaker}");
    assert!(line(&weaker).contains("subject_prefix kc:"), "{weaker}");
    let stricter = setup.cli(&["diff", &new, &old], "").stdout;
    assert!(line(&stricter).contains("stricter"), "{stricter}");
}

#[test]
fn inspect_has_a_reason_for_every_token_that_is_refused() {
    let keycloak = Issuer::rsa(KEYCLOAK, "k1");
    let table = format!("{}{}", keycloak_table(KEYCLOAK_MAP), forge::KEY);
    let toml = format!("upstream = \"builtin:whoami\"\n{table}{ROUTES}");
    let setup = Setup::new(&toml).env("SHARED", forge::SECRET);
    let gateway = setup.file("keycloak.json", &keycloak.jwks()).start();
    let but = |name: &str, value: Value| {
        let mut claims = keycloak_claims();
        claims[name] = value;
        keycloak.token(&claims)
    };
    let headed = |name: &str, value: Value| {
        let mut claims = keycloak_claims();
        claims["iss"] = json!(KEYCLOAK);
        claims["iat"] = json!(forge::now());
        claims["exp"] = json!(forge::now() + 60);
        let mut header = json!({"alg": "RS256", "kid": "k1"});
        header[name] = value;
        keycloak.sign(&header, &claims)
    };
    for (token, because) in [
        (headed("typ", json!("secevent+jwt")), "`typ` of the header is \"secevent+jwt\""),
        (headed("crit", json!(["x"])), "`crit`"),
        (but("jti", json!(7)), "`jti` is no text"),
        (but("aud", json!(["our-api", 1])), "`aud` is neither a text nor a list of texts"),
        (
            but("realm_access", json!("admin")),
            "`realm_access.roles` leads through what is no object",
        ),
        (but("auth_time", json!("now")), "`auth_time` is no time in seconds"),
        (but("auth_time", json!(forge::now() + 600)), "it is not good yet: `auth_time`"),
        (forge::stale("kc:ada"), "only https://sso.example.org/realms/main may say `kc:ada`"),
    ] {
        gateway.client().get("/any").bearer(&token).send().expect(401);
        let facts = inspect_live(&gateway, &token);
        let said = facts["because"].to_string().replace("\\\"", "\"");
        assert!(said.contains(because), "{because}: {facts:#}");
    }
}
