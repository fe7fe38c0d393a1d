//! Keys of every algorithm: what is read, what signs, what is refused.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pem::Pem;
use serde_json::{Value, json};

use super::*;

fn spec(algorithm: Algorithm, material: KeyMaterial) -> KeySpec {
    KeySpec { id: "k".to_owned(), algorithm, material }
}

fn private(algorithm: Algorithm, text: impl Into<Vec<u8>>) -> Result<Key, KeyFault> {
    Key::parse(&spec(algorithm, KeyMaterial::Private(Secret::new(text))))
}

fn public(algorithm: Algorithm, text: impl Into<Vec<u8>>) -> Result<Key, KeyFault> {
    Key::parse(&spec(algorithm, KeyMaterial::Public(Secret::new(text))))
}

fn secret(algorithm: Algorithm, text: impl Into<Vec<u8>>) -> Result<Key, KeyFault> {
    Key::parse(&spec(algorithm, KeyMaterial::Secret(Secret::new(text))))
}

fn pem(tag: &str, der: &[u8]) -> String {
    pem::encode(&Pem::new(tag, der))
}

/// A new private key for the algorithm, in PEM.
fn made(algorithm: Algorithm) -> String {
    match generate(algorithm).unwrap() {
        KeyMaterial::Private(text) => String::from_utf8(text.expose().to_vec()).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn key(algorithm: Algorithm) -> Key {
    Key::parse(&spec(algorithm, generate(algorithm).unwrap())).unwrap()
}

#[test]
fn every_algorithm_signs_and_only_its_own_key_checks() {
    for algorithm in Algorithm::ALL {
        let (one, other) = (key(algorithm), secret(Algorithm::Hs256, [9; 64]).unwrap());
        let signature = one.sign(b"message").unwrap();
        assert!(one.verifies(b"message", &signature), "{}", algorithm.name());
        assert!(!one.verifies(b"massage", &signature), "{}", algorithm.name());
        assert!(!other.verifies(b"message", &signature), "{}", algorithm.name());
        for at in [0, signature.len() - 1] {
            let mut flipped = signature.clone();
            flipped[at] ^= 1;
            assert!(!one.verifies(b"message", &flipped), "{}", algorithm.name());
        }
        assert!(!one.verifies(b"message", &signature[1..]));
        assert!(!one.verifies(b"message", &[]));
        assert!(!one.verifies(b"message", &vec![0; signature.len()]));
    }
}

#[test]
fn a_key_of_one_algorithm_is_no_key_of_another() {
    for algorithm in Algorithm::ALL.into_iter().filter(|one| !one.is_symmetric()) {
        let text = made(algorithm);
        for other in Algorithm::ALL {
            let fits = other.family() == algorithm.family();
            assert_eq!(private(other, text.clone()).is_ok(), fits, "{algorithm:?} {other:?}");
        }
    }
    // The same RSA key, and still no signature of one algorithm is one of another.
    let text = made(Algorithm::Rs256);
    let rsa: Vec<Algorithm> =
        Algorithm::ALL.into_iter().filter(|one| one.family() == Family::Rsa).collect();
    for one in &rsa {
        let signature = private(*one, text.clone()).unwrap().sign(b"m").unwrap();
        for other in &rsa {
            let checks = private(*other, text.clone()).unwrap().verifies(b"m", &signature);
            assert_eq!(checks, one == other, "{one:?} {other:?}");
        }
    }
}

#[test]
fn a_public_half_written_as_jwk_checks_what_the_key_signs() {
    for algorithm in Algorithm::ALL.into_iter().filter(|one| !one.is_symmetric()) {
        let key = key(algorithm);
        let jwk = serde_json::to_value(key.public().unwrap()).unwrap();
        let said = jwk.get("alg").and_then(Value::as_str).unwrap_or("ES512");
        assert_eq!(said, algorithm.name());
        assert_eq!(jwk["use"], "sig");
        assert_eq!(jwk["kid"], "k");
        assert_eq!(jwk.get("d"), None);
        let signature = key.sign(b"message").unwrap();
        let read = public(algorithm, jwk.to_string()).unwrap();
        assert!(read.verifies(b"message", &signature) && !read.signs());
        let ring =
            KeyRing::from_jwks(json!({ "keys": [jwk] }).to_string().as_bytes(), None).unwrap();
        assert!(ring.find("k").unwrap().verifies(b"message", &signature));
        assert!(private(algorithm, jwk.to_string()).is_err(), "only the public half");
    }
}

#[test]
fn secrets_are_as_long_as_the_hash() {
    for (algorithm, least) in
        [(Algorithm::Hs256, 32), (Algorithm::Hs384, 48), (Algorithm::Hs512, 64)]
    {
        assert!(secret(algorithm, vec![1; least]).is_ok());
        assert!(secret(algorithm, vec![1; least - 1]).is_err());
        let jwk = |bytes: usize| {
            json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode(vec![1; bytes])}).to_string()
        };
        assert!(secret(algorithm, jwk(least)).is_ok());
        assert!(secret(algorithm, jwk(least - 1)).is_err());
        let (plain, json) = (secret(algorithm, vec![1; least]), secret(algorithm, jwk(least)));
        let signature = plain.unwrap().sign(b"m").unwrap();
        assert!(json.unwrap().verifies(b"m", &signature));
    }
}

#[test]
fn what_others_may_read_is_no_secret() {
    let key = key(Algorithm::Es256);
    let jwk = serde_json::to_string(key.public().unwrap()).unwrap();
    assert!(secret(Algorithm::Hs256, jwk).is_err());
    assert!(secret(Algorithm::Hs256, pem("PUBLIC KEY", &[0; 91])).is_err());
}

#[test]
fn a_private_jwk_signs() {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let point = pair.public_key().as_ref();
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let d =
        aws_lc_rs::encoding::AsBigEndian::<aws_lc_rs::encoding::EcPrivateKeyBin<'_>>::as_be_bytes(
            &pair.private_key(),
        )
        .unwrap();
    let jwk = json!({
        "kty": "EC", "crv": "P-256", "x": encode(&point[1..33]), "y": encode(&point[33..]),
        "d": encode(d.as_ref()),
    });
    let key = private(Algorithm::Es256, jwk.to_string()).unwrap();
    let signature = key.sign(b"m").unwrap();
    assert!(key.verifies(b"m", &signature));
    assert!(public(Algorithm::Es256, jwk.to_string()).is_err(), "a private key as a public one");
    let mut other = jwk.clone();
    other["d"] = json!(encode(&[1; 32]));
    assert!(private(Algorithm::Es256, other.to_string()).is_err(), "the halves differ");

    let pair = Ed25519KeyPair::generate().unwrap();
    let seed = aws_lc_rs::encoding::AsBigEndian::<
        aws_lc_rs::encoding::Curve25519SeedBin<'_>,
    >::as_be_bytes(&pair.seed().unwrap())
    .unwrap();
    let jwk = json!({
        "kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key().as_ref()), "d": encode(seed.as_ref()),
    });
    let key = private(Algorithm::EdDsa, jwk.to_string()).unwrap();
    assert!(key.verifies(b"m", &key.sign(b"m").unwrap()));
}

#[test]
fn a_jwk_that_is_for_something_else_is_refused() {
    let good = serde_json::to_value(key(Algorithm::Es256).public().unwrap()).unwrap();
    let with = |change: fn(&mut Value)| {
        let mut jwk = good.clone();
        change(&mut jwk);
        jwk.to_string()
    };
    assert!(public(Algorithm::Es256, with(|_| ())).is_ok());
    assert!(public(Algorithm::Es256, with(|jwk| jwk["key_ops"] = json!(["verify"]))).is_ok());
    let changes: [fn(&mut Value); 13] = [
        |jwk| jwk["use"] = json!("enc"),
        |jwk| jwk["use"] = json!(["sig"]),
        |jwk| jwk["key_ops"] = json!(["encrypt"]),
        |jwk| jwk["key_ops"] = json!([]),
        |jwk| jwk["key_ops"] = json!("verify"),
        |jwk| jwk["alg"] = json!("ES384"),
        |jwk| jwk["alg"] = json!("RSA-OAEP"),
        |jwk| jwk["alg"] = json!(null),
        |jwk| jwk["crv"] = json!("P-384"),
        |jwk| jwk["crv"] = json!("secp256k1"),
        |jwk| jwk["kty"] = json!("RSA"),
        |jwk| jwk["x"] = json!("AAAA"),
        |jwk| jwk["y"] = jwk["x"].clone(),
    ];
    for (at, change) in changes.into_iter().enumerate() {
        assert!(public(Algorithm::Es256, with(change)).is_err(), "change {at}");
        let set = format!("{{\"keys\": [{}]}}", with(change));
        assert!(KeyRing::from_jwks(set.as_bytes(), None).is_err(), "change {at} in a set");
    }
    let twice = good.to_string().replacen('{', "{\"kty\":\"EC\",", 1);
    assert!(public(Algorithm::Es256, twice).is_err());
}

#[test]
fn a_set_names_each_key_once_and_holds_one_kind() {
    let jwk = |algorithm, id: &str| {
        let mut jwk = serde_json::to_value(key(algorithm).public().unwrap()).unwrap();
        jwk["kid"] = json!(id);
        jwk
    };
    let set =
        |keys: &[Value]| KeyRing::from_jwks(json!({ "keys": keys }).to_string().as_bytes(), None);
    let (one, two) = (jwk(Algorithm::Es256, "a"), jwk(Algorithm::EdDsa, "b"));
    assert_eq!(set(&[one.clone(), two.clone()]).unwrap().keys().len(), 2);
    assert!(set(&[one.clone(), jwk(Algorithm::Es256, "a")]).is_err());
    let oct =
        json!({"kty": "oct", "alg": "HS256", "kid": "c", "k": URL_SAFE_NO_PAD.encode([1; 32])});
    assert!(set(std::slice::from_ref(&oct)).is_ok());
    assert!(set(&[one, oct]).is_err());
    let many: Vec<Value> = (0..=jwk::SET_KEYS_MAX).map(|_| two.clone()).collect();
    assert!(set(&many).is_err());
    for text in ["", "[]", "{}", "{\"keys\":{}}", "{\"keys\":[1]}", "<html>"] {
        assert!(KeyRing::from_jwks(text.as_bytes(), None).is_err(), "{text}");
    }
}

#[test]
fn pem_that_is_no_one_key_is_refused_without_its_bytes() {
    let text = made(Algorithm::Es256);
    for bad in [
        "",
        "x",
        &format!("{text}{text}"),
        &text.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"),
        &text.replace("PRIVATE KEY", "CERTIFICATE"),
        &text.replace("PRIVATE KEY", "EC PUBLIC KEY"),
        &text[..text.len() / 2],
    ] {
        assert!(private(Algorithm::Es256, bad).is_err());
        assert!(public(Algorithm::Es256, bad).is_err());
    }
    let key = private(Algorithm::Es256, text).unwrap();
    assert_eq!(format!("{key:?}"), "Key(k, ES256)");
}
