//! What others test signatures with, from the folder that `FRESHGATE_VECTORS` names: each vector goes through
//! `freshgate token verify`, which is the code that the gateway runs. Without the folder it says so.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::harness::Setup;

/// The folder of this name among the vectors.
fn folder(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("FRESHGATE_VECTORS").map(|all| PathBuf::from(all).join(name));
    if folder.is_none() {
        println!("skipped: FRESHGATE_VECTORS names no folder with {name}");
    }
    folder
}

fn read(path: PathBuf) -> Value {
    let text = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Whether the token is good for the key.
fn is_good(key: &Value, token: &str, more: &[&str]) -> bool {
    let setup = Setup::new("").file("key.json", &key.to_string());
    let arguments = [&["token", "verify", "--raw", "--jwk", "key.json"], more].concat();
    setup.cli(&arguments, token).code == Some(0)
}

/// 346 and 350 hold a PS384 signature under a key that says PS256; 372 and 373 hold a byte that is no base64url and
/// are called valid. 367 and 370 are called invalid, and are byte for byte 357, which is called valid.
const CONTESTED: [u64; 6] = [346, 350, 367, 370, 372, 373];

// Holds: T1, T5, T6, T7, CVE-2022-21449
#[test]
fn every_wycheproof_vector_that_can_be_right_is() {
    let Some(folder) = folder("wycheproof") else { return };
    let mut right = 0;
    let mut wrong = Vec::new();
    for name in ["json_web_signature_test.json", "json_web_key_test.json"] {
        let all = read(folder.join(name));
        for group in all["testGroups"].as_array().expect("groups") {
            let key = if group["public"].is_null() { &group["private"] } else { &group["public"] };
            for test in group["tests"].as_array().expect("tests") {
                let token =
                    test["jws"].as_str().map_or_else(|| test["jws"].to_string(), str::to_owned);
                match is_good(key, &token, &[]) == (test["result"] == "valid") {
                    true => right += 1,
                    false => wrong.push((name, test["tcId"].as_u64().expect("a number"))),
                }
            }
        }
    }
    let numbers: Vec<u64> = wrong.iter().map(|(_, number)| *number).collect();
    assert_eq!(numbers, CONTESTED, "{wrong:?}");
    assert_eq!(right, 421);
}

// Holds: T7
#[test]
fn every_example_of_rfc_7520_in_compact_form_verifies() {
    let Some(folder) = folder("rfc7520") else { return };
    let mut seen = 0;
    let names = std::fs::read_dir(folder.join("jws")).expect("examples");
    for name in names.map(|entry| entry.expect("an example").path()) {
        let example = read(name.clone());
        let Some(token) = example["output"]["compact"].as_str() else { continue };
        // 4.5 sends the payload beside the token.
        let payload = example["output"]["json"]["payload"].as_str();
        let detached = example["input"]["payload"].as_str().filter(|_| token.contains(".."));
        let token = match detached {
            None => token.to_owned(),
            Some(text) => token.replace("..", &format!(".{}.", encode(text))),
        };
        assert!(payload.is_none_or(|payload| token.contains(payload)), "{}", name.display());
        let (key, alg) = (&example["input"]["key"], &example["input"]["alg"]);
        let alg = alg.as_str().expect("an algorithm");
        assert!(is_good(key, &token, &["--alg", alg]), "{}", name.display());
        let mut other = key.clone();
        other["kid"] = json!("another");
        assert!(!is_good(&other, &token, &["--alg", alg]), "{}", name.display());
        seen += 1;
    }
    assert!(seen >= 5, "{seen}");
}

fn encode(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text)
}
