//! Wycheproof's JWS and JWK vectors (Apache-2.0, not copied here) through the code that the gateway runs, for the
//! algorithms that it has. `FRESHGATE_VECTORS` names the folder that holds `wycheproof/`.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;

use super::Secret;
use super::keys::{Algorithm, Key, KeyMaterial, KeyRing, KeySpec};
use super::verify::signed;

/// The test groups of one file; `None`, and said, without the folder.
fn groups(file: &str) -> Option<Vec<Value>> {
    let Ok(folder) = std::env::var("FRESHGATE_VECTORS") else {
        println!("skipped: FRESHGATE_VECTORS names no folder with test vectors");
        return None;
    };
    let path = format!("{folder}/wycheproof/{file}");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let all: Value = serde_json::from_str(&text).expect("vectors are JSON");
    Some(all["testGroups"].as_array().expect("groups").clone())
}

/// A member of a JWK; with stray bits, as one of the vectors has it, it is nobody's key.
fn bytes(jwk: &Value, name: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(jwk[name].as_str().expect("a member")).unwrap_or_default()
}

/// The public key as an operator would have it: SPKI in PEM (RFC 5480), on the curve that the JWK names.
fn pem(jwk: &Value) -> String {
    let oid: &[u8] = match jwk["crv"].as_str() {
        Some("P-256") => &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7],
        Some("P-384") => &[6, 5, 0x2b, 0x81, 4, 0, 0x22],
        other => panic!("a curve of the vectors: {other:?}"),
    };
    let der = |tag: u8, content: &[u8]| {
        [&[tag, u8::try_from(content.len()).expect("short")], content].concat()
    };
    let ec_public_key = [6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
    let algorithm = der(0x30, &[&ec_public_key, oid].concat());
    let point = [&[0, 4][..], &bytes(jwk, "x"), &bytes(jwk, "y")].concat();
    let spki = der(0x30, &[algorithm, der(3, &point)].concat());
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(spki))
}

/// What a configuration can say of a key.
enum Loaded {
    Good(Box<Key>),
    Refused,
    /// `use`, `key_ops`, `kty` and other algorithms have no place in our configuration: nothing can load it.
    NoWords,
}

fn load(jwk: &Value) -> Loaded {
    let known = |name: &str| jwk.get(name).and_then(Value::as_str);
    let signs = known("use").is_none_or(|used| used == "sig") && jwk.get("key_ops").is_none();
    let (algorithm, material) = match (known("alg"), known("kty")) {
        (Some("HS256"), Some("oct")) if signs => {
            (Algorithm::Hs256, KeyMaterial::Secret(Secret::new(bytes(jwk, "k"))))
        }
        (Some("ES256"), Some("EC")) if signs => {
            (Algorithm::Es256, KeyMaterial::Public(Secret::new(pem(jwk))))
        }
        _ => return Loaded::NoWords,
    };
    let id = known("kid").expect("a kid").to_owned();
    match Key::parse(&KeySpec { id, algorithm, material }) {
        Ok(key) => Loaded::Good(Box::new(key)),
        Err(_) => Loaded::Refused,
    }
}

/// The key of a group: the public half where there is one.
fn jwk(group: &Value) -> &Value {
    group.get("public").unwrap_or(&group["private"])
}

#[test]
fn every_jws_vector_is_taken_or_refused_as_it_should_be() {
    let Some(groups) = groups("json_web_signature_test.json") else { return };
    let (mut taken, mut refused, mut contested, mut elsewhere) = (0, 0, 0, 0);
    for group in &groups {
        let tests = group["tests"].as_array().expect("tests");
        let Loaded::Good(key) = load(jwk(group)) else {
            elsewhere += tests.len();
            continue;
        };
        let ring = KeyRing::new(vec![*key]);
        let of = |id: u64| tests.iter().find(|test| test["tcId"] == id).map(|test| &test["jws"]);
        for test in tests {
            // Their authors call two good with a sign outside base64url inside (RFC 7515 §2), and two bad that are
            // sign for sign the good number 357.
            let id = test["tcId"].as_u64();
            let strict = matches!(id, Some(372 | 373));
            let same = matches!(id, Some(367 | 370)) && of(357) == Some(&test["jws"]);
            let good = test["result"] == "valid" && !strict || same;
            let outcome = signed(test["jws"].as_str().expect("a token"), &ring);
            assert_eq!(outcome.is_ok(), good, "{}: {}", test["tcId"], test["comment"]);
            match (strict || same, good) {
                (true, _) => contested += 1,
                (false, true) => taken += 1,
                (false, false) => refused += 1,
            }
        }
    }
    println!(
        "JWS vectors: {taken} taken, {refused} refused, {contested} contested, \
         {elsewhere} with keys that no configuration can name"
    );
    assert!(taken == 10 && refused == 65, "the vectors changed: {taken} and {refused}");
}

#[test]
fn every_jwk_vector_is_loaded_or_refused_as_it_should_be() {
    let Some(groups) = groups("json_web_key_test.json") else { return };
    let (mut taken, mut refused, mut weak, mut elsewhere) = (0, 0, 0, 0);
    for group in &groups {
        let keys = jwk(group)["keys"].as_array().expect("a key set");
        let mut ring = Vec::new();
        let mut weak_here = 0;
        for key in keys {
            match load(key) {
                Loaded::Good(key) => ring.push(*key),
                Loaded::Refused => weak_here += 1,
                Loaded::NoWords => {}
            }
        }
        let tests = group["tests"].as_array().expect("tests");
        let flagged = |test: &Value, flag: &str| {
            test["flags"].as_array().is_some_and(|flags| flags.iter().any(|one| one == flag))
        };
        // Two keys with one id: the configuration refuses them before there is a ring (tests/it/attacks/keys.rs).
        let same_id = tests.iter().any(|test| flagged(test, "DuplicateKid"));
        // Two algorithms in one ring are allowed here: each key is bound to its own, and `kid` names one key.
        let mixed = tests.iter().any(|test| flagged(test, "MixedKeySet"));
        if ring.len() + weak_here < keys.len() || same_id || mixed {
            elsewhere += tests.len();
            continue;
        }
        weak += weak_here;
        let ring = KeyRing::new(ring);
        for test in tests {
            let outcome = signed(test["jws"].as_str().expect("a token"), &ring);
            let good = test["result"] == "valid";
            assert_eq!(outcome.is_ok(), good, "{}: {}", test["tcId"], test["comment"]);
            assert!(!good || weak_here == 0);
            // The token of a bad key must not be what saves us: the key itself may not load.
            let by_key = weak_here == 1 || test["comment"] == "rejectsModifiedSignature";
            assert!(good || by_key, "{}: {} loaded", test["tcId"], test["comment"]);
            if good { taken += 1 } else { refused += 1 }
        }
    }
    println!(
        "JWK vectors: {taken} taken, {refused} refused ({weak} keys did not load), \
         {elsewhere} with key sets that no configuration can name"
    );
    assert!(taken >= 2 && weak >= 4, "the vectors changed: {taken} and {weak}");
}
