//! Key sets of other issuers: what is kept, what is passed over, what is bad, what fails as a whole.

use serde_json::{Value, json};

use super::*;

fn public(id: &str, algorithm: Algorithm) -> Value {
    let material = generate(algorithm).expect("a key");
    let key = Key::parse(&KeySpec { id: id.to_owned(), algorithm, material }).expect("a good key");
    serde_json::to_value(key.public().expect("not HMAC")).expect("JSON")
}

fn without(mut key: Value, name: &str) -> Value {
    key.as_object_mut().expect("an object").remove(name);
    key
}

fn and(mut key: Value, name: &str, value: impl Into<Value>) -> Value {
    key[name] = value.into();
    key
}

fn read(keys: &[&Value], algorithms: &[Algorithm]) -> Result<RemoteSet, KeyFault> {
    RemoteSet::read(json!({ "keys": keys, "more": 1 }).to_string().as_bytes(), algorithms)
}

fn ids(set: &RemoteSet) -> Vec<&str> {
    set.ring.keys().iter().map(Key::id).collect()
}

use Algorithm::{EdDsa, Es256, Es384, Hs256, Ps256, Rs256, Rs512};

#[test]
fn keys_for_the_accepted_algorithms_are_kept_and_others_passed_over() {
    let (rsa, ec, ed) = (public("r", Rs256), public("e", Es256), public("d", EdDsa));
    let set = read(&[&rsa, &ec, &ed], &[Rs256, Es256]).expect("a set");
    assert_eq!(ids(&set), ["e", "r"]);
    assert_eq!(set.bad, []);
    assert!(set.ring.keys().iter().all(|key| !key.signs()));
    let encrypts = and(public("x", Es256), "use", "enc");
    let wraps = and(public("y", Es256), "key_ops", json!(["wrapKey"]));
    let oaep = and(and(rsa.clone(), "alg", "RSA-OAEP"), "use", "enc");
    let set = read(&[&encrypts, &wraps, &oaep, &ec], &[Rs256, Es256]).expect("a set");
    assert_eq!((ids(&set), set.bad.len()), (vec!["e"], 0));
}

#[test]
fn a_key_that_does_not_say_its_algorithm_takes_the_first_that_fits() {
    let algorithm = |key: &Value, accepted: &[Algorithm]| {
        let set = read(&[key], accepted).ok()?;
        Some(set.ring.keys()[0].algorithm())
    };
    let rsa = without(public("r", Rs256), "alg");
    assert_eq!(algorithm(&rsa, &[Es256, Ps256, Rs256]), Some(Ps256));
    assert_eq!(algorithm(&rsa, &[Rs512]), Some(Rs512));
    assert_eq!(algorithm(&rsa, &[Es256]), None);
    let ec = without(public("e", Es384), "alg");
    assert_eq!(algorithm(&ec, &[Rs256, Es384]), Some(Es384));
    assert_eq!(algorithm(&ec, &[Es256]), None, "the curve says it");
    assert_eq!(algorithm(&public("r", Rs256), &[Ps256]), None, "`alg` says it");
}

#[test]
fn a_bad_key_is_named_and_the_good_ones_are_kept() {
    let good = public("good", Es256);
    let weak = json!({ "kty": "RSA", "kid": "weak", "n": "AQAB", "e": "AQAB" });
    let number = json!(7);
    let off = and(public("off", Es256), "x", "AAAA");
    let odd = json!({ "kty": "OKP", "crv": "X25519", "kid": "odd", "x": "AA" });
    let set = read(&[&weak, &good, &number, &off, &odd], &[Rs256, Es256]).expect("a set");
    assert_eq!(ids(&set), ["good"]);
    let bad: Vec<_> = set.bad.iter().map(|key| (key.place, key.id.as_deref())).collect();
    assert_eq!(bad, [(1, Some("weak")), (3, None), (4, Some("off")), (5, Some("odd"))]);
    assert_eq!(set.bad[0].why.0, "the RSA key has fewer than 2048 bits");
}

/// HMAC is not used even by who accepts it, and neither is a key whose private half everybody knows.
#[test]
fn secrets_and_private_keys_are_never_used() {
    let secret = json!({ "kty": "oct", "kid": "s", "alg": "HS256", "k": "A".repeat(64) });
    let fault = read(&[&secret], &[Hs256]).expect_err("a fault");
    assert_eq!(fault.0, "a shared secret that everybody can fetch is none");
    let good = public("good", Es256);
    let set = read(&[&secret, &good], &[Hs256, Es256]).expect("a set");
    assert_eq!((ids(&set), set.bad.len()), (vec!["good"], 1));
    for name in ["d", "p", "q", "dp", "dq", "qi", "oth"] {
        for key in [public("k", Es256), public("k", EdDsa), public("k", Rs256)] {
            let fault = read(&[&and(key, name, "AAAA")], &[Es256, EdDsa, Rs256]);
            let fault = fault.expect_err(name).0;
            assert_eq!(fault, "the issuer gives out the private half of this key", "{name}");
        }
    }
}

#[test]
fn what_is_no_set_with_a_usable_key_fails_as_a_whole() {
    let fault = |text: &str| RemoteSet::read(text.as_bytes(), &[Es256]).expect_err(text).0;
    for text in ["", "<html>", "[]", "{\"keys\":[]", "{\"keys\":[],\"keys\":[]}", "{} {}"] {
        assert_eq!(fault(text), "the key set is not a JSON object", "{text}");
    }
    for text in ["{}", "{\"keys\":{}}", &public("k", Es256).to_string()] {
        assert_eq!(fault(text), "the key set has no list `keys`", "{text}");
    }
    assert!(fault("{\"keys\":[]}").starts_with("no key of the set"));
    assert!(fault(&json!({ "keys": [public("k", EdDsa)] }).to_string()).starts_with("no key"));
    let many = json!({ "keys": vec![public("k", Es256); 101] });
    assert_eq!(fault(&many.to_string()), "the key set has more than 100 keys");
    assert_eq!(fault("{\"keys\":[7]}"), "a key of the set is not an object");
    let twice = read(&[&public("k", Es256), &public("k", EdDsa)], &[Es256, EdDsa]);
    assert_eq!(twice.expect_err("a fault").0, "two keys of the set have the same `kid`");
    // One of them is for something else: then the name leads to one key.
    assert!(read(&[&public("k", Es256), &public("k", EdDsa)], &[Es256]).is_ok());
}

#[test]
fn a_key_without_a_name_gets_one_of_its_own() {
    let (one, other) = (without(public("", Es256), "kid"), without(public("", Es256), "kid"));
    let set = read(&[&one, &other], &[Es256]).expect("a set");
    assert_eq!(set.ring.keys().len(), 2);
    for key in set.ring.keys() {
        assert_eq!(key.thumbprint().as_deref(), Some(key.id()));
    }
    assert!(read(&[&one, &one], &[Es256]).is_err(), "the same key twice");
}

#[test]
fn sets_that_say_the_same_are_equal_and_others_are_not() {
    let (one, other) = (public("one", Es256), public("other", Es256));
    let print = |text: String| {
        RemoteSet::read(text.as_bytes(), &[Es256]).expect("a set").ring.fingerprint()
    };
    let set = print(json!({ "keys": [one, other] }).to_string());
    let more = and(one.clone(), "x5t", "hint");
    assert_eq!(set, print(format!("{:#}", json!({ "keys": [other, more], "more": true }))));
    assert_ne!(set, print(json!({ "keys": [one] }).to_string()));
    assert_ne!(set, print(json!({ "keys": [one, public("other", Es256)] }).to_string()));
    let renamed = and(other.clone(), "kid", "another");
    assert_ne!(set, print(json!({ "keys": [one, renamed] }).to_string()));
}
