//! Keys of other issuers in files: what is wrong is said with its place, and stops a start or leaves the old world on.

use std::fs;

use serde_json::json;

use super::{KEYCLOAK, ROUTES, keycloak_table};
use crate::harness::Setup;
use crate::harness::issuer::Issuer;

fn toml(table: &str) -> String {
    format!("upstream = \"builtin:whoami\"\n{table}{ROUTES}")
}

#[test]
fn a_reload_takes_their_new_keys_and_a_broken_file_leaves_the_old_ones() {
    let [old, new] = ["old", "new"].map(|kid| Issuer::p256(KEYCLOAK, kid));
    let table = keycloak_table("").replace("RS256", "ES256");
    let setup = Setup::new(&toml(&table)).file("keycloak.json", &old.jwks());
    let gateway = setup.start();
    let claims = json!({"sub": "ada", "aud": "our-api"});
    let get = |issuer: &Issuer| gateway.client().get("/any").bearer(&issuer.token(&claims)).send();
    let held = old.token(&claims);
    let get_held = || gateway.client().get("/any").bearer(&held).send();
    let reload = || gateway.admin().post("/reload").send();
    get_held().expect(200);
    get(&new).refused(401, "token-invalid");

    let both = json!({"keys": [old.jwk(), {"kty": "unheard-of"}, new.jwk()]}).to_string();
    fs::write(gateway.path("keycloak.json"), both).expect("written");
    reload().expect(200);
    get(&new).expect(200);
    get_held().expect(200);

    for broken in ["", "<html>", "{\"keys\":[]}", "{\"keys\":[{\"kty\":\"EC\"}]}"] {
        fs::write(gateway.path("keycloak.json"), broken).expect("written");
        let said = reload().expect(422).text();
        assert!(said.contains("the keys in keycloak.json cannot be used"), "{said}");
        get(&new).expect(200);
    }
    fs::remove_file(gateway.path("keycloak.json")).expect("removed");
    reload().expect(422);
    get_held().expect(200);

    // A key that is gone is dead with the answer, also where its tokens were remembered.
    fs::write(gateway.path("keycloak.json"), new.jwks()).expect("written");
    reload().expect(200);
    get_held().refused(401, "token-invalid");
    get(&new).expect(200);
}

#[test]
fn a_broken_key_file_stops_the_start() {
    let good = Issuer::rsa(KEYCLOAK, "k");
    let private = json!({"keys": [good.jwk(), {"kty": "oct", "k": "c2VjcmV0", "kid": "s"}]});
    for (text, why) in [
        (String::new(), "cannot be used"),
        ("no keys".to_owned(), "cannot be used"),
        (private.to_string(), "a private key or a secret is in it"),
        (Issuer::p256(KEYCLOAK, "k").jwks(), "no key of the set is for signatures"),
        ("x".repeat(1024 * 1024 + 1), "is larger than 1 MiB"),
    ] {
        let setup = Setup::new(&toml(&keycloak_table(""))).file("keycloak.json", &text);
        let output = setup.fails();
        assert!(output.stderr.contains(why), "{why}: {}", output.stderr);
        assert!(output.stderr.contains("keys = \"keycloak.json\""), "{}", output.stderr);
    }
    let output = Setup::new(&toml(&keycloak_table(""))).fails();
    assert!(output.stderr.contains("keycloak.json cannot be read: it does not exist"));
}

/// A table with one line changed.
fn with(from: &str, to: &str) -> String {
    let table = keycloak_table("");
    assert!(table.contains(from), "{from}");
    table.replace(from, to)
}

#[test]
fn every_mistake_in_the_table_is_said_with_its_remedy() {
    let keys = "keys = \"keycloak.json\"";
    let prefix = "subject_prefix = \"kc:\"";
    let cases = [
        (with(&format!("issuer = \"{KEYCLOAK}\"\n"), ""), "`tokens.trust` has no `issuer`"),
        (with("audience = \"our-api\"\n", ""), "`tokens.trust` has no `audience`"),
        (with("algorithms = [\"RS256\"]\n", ""), "`tokens.trust` has no `algorithms`"),
        (with("subject_prefix = \"kc:\"\n", ""), "equal names are the same people"),
        (with("\"our-api\"", "[]"), "`tokens.trust.audience` is empty"),
        (with("\"our-api\"", "[\"a\", \"\"]"), "`tokens.trust.audience` is empty"),
        (with("\"our-api\"", "7"), "a list in brackets"),
        (with("[\"RS256\"]", "[]"), "`tokens.trust.algorithms` is empty"),
        (with("[\"RS256\"]", "[\"HS256\"]"), "who can check such a token can mint it"),
        (with("[\"RS256\"]", "[\"none\"]"), "RS256"),
        (with(keys, ""), "keys from exactly one place"),
        (
            with(keys, &format!("{keys}\njwks = \"https://x.example/k\"")),
            "keys from exactly one place",
        ),
        (with(keys, &format!("{keys}\nrefresh = \"1m\"")), "`refresh` is about fetching keys"),
        (with(keys, "jwks = \"http://sso.example.org/k\""), "without TLS"),
        (with(keys, "jwks = \"http://127.0.0.1/k\""), "without TLS"),
        (with(keys, "jwks = \"ftp://sso.example.org/k\""), "not an https URL"),
        (with(keys, "jwks = \"https://me:pw@sso.example.org/k\""), "has a user name or a `#`"),
        (with(keys, "jwks = \"/keys\""), "not a whole URL"),
        (
            with(keys, "jwks = \"https://x.example/k\"\nca = \"gone.pem\""),
            "gone.pem cannot be read",
        ),
        (
            with(keys, "jwks = \"https://x.example/k\"\nca = \"keycloak.json\""),
            "no certificates in PEM",
        ),
        (with(keys, "jwks = \"https://x.example/k\"\nallow_private = [\"ten\"]"), "`ten`"),
        (
            with(prefix, &format!("{prefix}\nclaims = {{ exp = \"x\" }}")),
            "`exp` is written by the gateway",
        ),
        (with(prefix, &format!("{prefix}\nclaims = {{ auth_time = \"x\" }}")), "beside `claims`"),
        (
            with(prefix, &format!("{prefix}\nclaims = {{ roles = \"a..b\" }}")),
            "does not say where a claim is",
        ),
        (
            with(prefix, &format!("{prefix}\nclaims = {{ roles = [] }}")),
            "does not say where a claim is",
        ),
        (with(prefix, &format!("{prefix}\nfresh_for = \"5m\"")), "counts from `auth_time`"),
        (format!("{0}{0}", keycloak_table("")), "is there twice"),
        (
            format!("\n[tokens]\nissuer = \"{KEYCLOAK}\"\n{}", keycloak_table("")),
            "of this gateway itself",
        ),
        (
            keycloak_table("")
                + &keycloak_table("").replace(KEYCLOAK, "other").replace("\"kc:\"", "\"kc:x:\""),
            "one `subject_prefix` begins another",
        ),
    ];
    let keys = Issuer::rsa(KEYCLOAK, "k").jwks();
    for (table, said) in cases {
        let setup = Setup::new(&toml(&table)).file("keycloak.json", &keys);
        let output = setup.cli(&["check"], "");
        let text = format!("{}{}", output.stdout, output.stderr);
        assert!(text.contains(said), "{table}\nwanted {said:?} in:\n{text}");
        assert!(text.contains("gateway.toml:"), "{text}");
    }
    let good = Setup::new(&toml(&keycloak_table(""))).file("keycloak.json", &keys);
    good.cli(&["check"], "").succeeded();
}
