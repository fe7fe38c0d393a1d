//! Tokens that we make: their claims, their keys, and where they pass.

use std::os::unix::fs::PermissionsExt as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::attacks::tokens::{SHUT, ask};
use crate::harness::{Gateway, Setup, Upstream, forge};

#[test]
fn the_key_of_the_first_run_is_es256_for_its_owner_only_and_survives() {
    let upstream = Upstream::echo();
    let mut gateway = Gateway::in_front_of(&upstream, SHUT);
    let keys: Vec<_> =
        std::fs::read_dir(gateway.path("data/keys")).expect("keys").flatten().collect();
    assert!(!keys.is_empty());
    for key in keys {
        let mode = key.metadata().expect("a file").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", key.path());
    }
    let dir = std::fs::metadata(gateway.path("data")).expect("a directory").permissions().mode();
    assert_eq!(dir & 0o077, 0, "only its owner");
    let token = gateway.mint(&["--sub", "ada"]);
    assert_eq!(header(&token)["alg"], "ES256");
    assert_eq!(ask(&gateway, "/", &token).0, 200);
    gateway.restart();
    assert_eq!(ask(&gateway, "/", &token).0, 200);
}

fn header(token: &str) -> Value {
    let part = token.split('.').next().expect("a first part");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("JSON")
}

#[test]
fn minted_tokens_say_what_was_asked_and_pass_where_they_should() {
    let upstream = Upstream::echo();
    for key in ["", forge::KEY] {
        let toml = format!(
            "upstream = \"{upstream}\"\n[tokens]\nissuer = \"us\"\naudience = \"app\"\n{SHUT}{key}"
        );
        let gateway = Setup::new(&toml).env("SHARED", forge::SECRET).start();
        let before = forge::now();
        let fresh =
            gateway.mint(&["--sub", "ada", "--ttl", "1h", "--claims", r#"{"roles":["a"]}"#]);
        let said = forge::payload(&fresh);
        assert_eq!(
            (&said["sub"], &said["type"], &said["fresh"]),
            (&json!("ada"), &json!("access"), &json!(true))
        );
        assert_eq!(
            (&said["iss"], &said["aud"], &said["roles"]),
            (&json!("us"), &json!("app"), &json!(["a"]))
        );
        let iat = said["iat"].as_u64().expect("whole seconds");
        assert!(iat >= before && iat <= forge::now());
        assert_eq!(said["exp"].as_u64(), Some(iat + 3600));
        assert!(
            said["nbf"].as_u64() <= Some(iat)
                && said["jti"].as_str().is_some_and(|id| id.len() >= 22)
        );
        assert!(said["auth_time"].as_u64() == Some(iat));
        let stale = gateway.mint(&["--sub", "ada", "--stale"]);
        let refresh = gateway.mint(&["--sub", "ada", "--refresh"]);
        assert_eq!(forge::payload(&stale)["fresh"], false);
        assert_eq!(forge::payload(&refresh)["type"], "refresh");
        let statuses =
            |path: &str| [&fresh, &stale, &refresh].map(|token| ask(&gateway, path, token).0);
        assert_eq!(statuses("/"), [200, 200, 401]);
        assert_eq!(statuses("/fresh"), [200, 401, 401]);
        assert_eq!(statuses("/refresh"), [401, 401, 200]);
    }
}
