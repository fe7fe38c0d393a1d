//! What a token must be to be believed, one fact a test. `now` is an argument everywhere.

use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::keys::{Algorithm, Key, KeyMaterial, KeyRing, KeySpec, Life};
use super::mint::Mint;
use super::verify::{TOKEN_BYTES_MAX, TokenRules, read};
use super::{Secret, Standing, TokenFault, TokenKind, UnixTime, jwks};

const NOW: UnixTime = UnixTime(1_800_000_000);
const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

fn rules() -> TokenRules {
    TokenRules {
        issuer: None,
        audience: None,
        access_ttl: Duration::from_secs(900),
        refresh_ttl: Duration::from_secs(86_400),
        leeway: Duration::ZERO,
        csrf: false,
        identity_claim: "sub".to_owned(),
        others: false,
    }
}

fn hs256(id: &str, secret: &[u8]) -> Key {
    let material = KeyMaterial::Secret(Secret::new(secret));
    Key::parse(&KeySpec { id: id.to_owned(), algorithm: Algorithm::Hs256, material })
        .expect("a long enough secret")
}

fn es256(id: &str) -> Key {
    let pair = aws_lc_rs::signature::EcdsaKeyPair::generate(
        &aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING,
    )
    .expect("the system's randomness");
    let der = pair.to_pkcs8v1().expect("a generated key has a PKCS#8 form");
    let body = base64::engine::general_purpose::STANDARD.encode(der.as_ref());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
    let material = KeyMaterial::Private(Secret::new(pem));
    Key::parse(&KeySpec { id: id.to_owned(), algorithm: Algorithm::Es256, material })
        .expect("a key just made")
}

fn ring() -> KeyRing {
    KeyRing::new(vec![hs256("k1", SECRET)])
}

/// A token with any header and payload, well signed.
fn signed(header: &str, payload: &str) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let signature = hs256("k1", SECRET).sign(message.as_bytes()).expect("a shared secret signs");
    let signature = URL_SAFE_NO_PAD.encode(signature);
    format!("{message}.{signature}")
}

fn payload(change: impl FnOnce(&mut Map<String, Value>)) -> String {
    let Value::Object(mut all) = json!({
        "sub": "alice", "type": "access", "jti": "j", "iat": NOW.0, "exp": NOW.0 + 60, "fresh": true,
    }) else {
        unreachable!("an object")
    };
    change(&mut all);
    Value::Object(all).to_string()
}

const HEADER: &str = r#"{"alg":"HS256","typ":"JWT","kid":"k1"}"#;

fn verdict(token: &str, rules: &TokenRules, now: UnixTime) -> Result<(), TokenFault> {
    match read(token, &ring(), rules)?.standing(rules, now) {
        Standing::Unproven(fault) => Err(fault),
        _ => Ok(()),
    }
}

#[track_caller]
fn check_claim(name: &str, value: Value, expected: Result<(), TokenFault>) {
    let text = payload(|all| {
        all.insert(name.to_owned(), value);
    });
    assert_eq!(verdict(&signed(HEADER, &text), &rules(), NOW), expected, "{text}");
}

#[track_caller]
fn check_header(header: &str, expected: Result<(), TokenFault>) {
    let token = signed(header, &payload(|_| {}));
    assert_eq!(verdict(&token, &rules(), NOW), expected, "{header}");
}

#[test]
fn a_token_of_ours_says_what_was_minted() {
    let Value::Object(claims) = json!({"roles": ["admin"], "sub": "mallory", "exp": 1}) else {
        unreachable!("an object")
    };
    for ring in [ring(), KeyRing::new(vec![es256("e1")])] {
        let mint = Mint {
            subject: "alice",
            kind: TokenKind::Refresh,
            fresh: false,
            auth_time: Some(NOW),
            session: Some("s1"),
            claims: &claims,
            ttl: Duration::from_secs(60),
        };
        let minted = mint.sign(&ring, &rules(), NOW).expect("the ring signs");
        let read = read(&minted.token, &ring, &rules()).expect("its own token");
        let says = read.claims();
        assert_eq!(says.subject, "alice", "a user's claim never replaces a reserved one");
        assert_eq!((says.kind, says.id.as_str()), (TokenKind::Refresh, minted.id.as_str()));
        assert_eq!((says.expires_at, says.auth_time), (NOW.plus(mint.ttl), Some(NOW)));
        assert_eq!(says.session.as_deref(), Some("s1"));
        assert_eq!(says.all["roles"], json!(["admin"]));
        assert!(matches!(read.standing(&rules(), NOW), Standing::Refresh(_)));
    }
}

#[test]
fn required_claims_are_required_and_typed() {
    for name in ["sub", "jti", "type", "iat", "exp"] {
        let text = payload(|all| {
            all.remove(name);
        });
        assert_eq!(
            verdict(&signed(HEADER, &text), &rules(), NOW),
            Err(TokenFault::Invalid),
            "without {name}"
        );
        for wrong in [json!(null), json!(true), json!([]), json!({})] {
            check_claim(name, wrong, Err(TokenFault::Invalid));
        }
    }
    for name in ["exp", "iat", "nbf", "auth_time"] {
        for wrong in [json!("9999999999"), json!(-1), json!(1e300), json!([NOW.0])] {
            check_claim(name, wrong, Err(TokenFault::Invalid));
        }
    }
    for name in ["sub", "jti", "sid", "iss"] {
        check_claim(name, json!(42), Err(TokenFault::Invalid));
    }
    for kind in ["id", "REFRESH", "Access", ""] {
        check_claim("type", json!(kind), Err(TokenFault::Invalid));
    }
    check_claim("fresh", json!("yes"), Err(TokenFault::Invalid));
    check_claim("aud", json!([1]), Err(TokenFault::Invalid));
    check_claim("sub", json!(""), Err(TokenFault::Invalid));
}

#[test]
fn times_are_judged_to_the_second() {
    check_claim("exp", json!(NOW.0 + 1), Ok(()));
    check_claim("exp", json!(NOW.0), Err(TokenFault::Expired));
    check_claim("exp", json!(NOW.0 as f64 + 0.9), Err(TokenFault::Expired));
    check_claim("iat", json!(NOW.0), Ok(()));
    check_claim("iat", json!(NOW.0 + 1), Err(TokenFault::NotYetValid));
    check_claim("nbf", json!(NOW.0 + 1), Err(TokenFault::NotYetValid));
    check_claim("nbf", json!(NOW.0), Ok(()));
    check_claim("auth_time", json!(NOW.0), Ok(()));
    check_claim("auth_time", json!(NOW.0 + 1), Err(TokenFault::NotYetValid));
    let lenient = TokenRules { leeway: Duration::from_secs(5), ..rules() };
    let token = signed(HEADER, &payload(|_| {}));
    let end = NOW.plus(Duration::from_secs(60));
    assert_eq!(verdict(&token, &lenient, end.plus(Duration::from_secs(4))), Ok(()));
    assert_eq!(
        verdict(&token, &lenient, end.plus(Duration::from_secs(5))),
        Err(TokenFault::Expired)
    );
    assert_eq!(verdict(&token, &lenient, UnixTime(NOW.0 - 5)), Ok(()));
    assert_eq!(verdict(&token, &lenient, UnixTime(NOW.0 - 6)), Err(TokenFault::NotYetValid));
}

#[test]
fn issuer_and_audience_are_exact_when_configured() {
    let strict =
        TokenRules { issuer: Some("us".to_owned()), audience: Some("app".to_owned()), ..rules() };
    let cases = [
        (json!("us"), json!("app"), Ok(())),
        (json!("us"), json!(["x", "app"]), Ok(())),
        (json!("them"), json!("app"), Err(TokenFault::Invalid)),
        (json!(["us"]), json!("app"), Err(TokenFault::Invalid)),
        (json!("us"), json!("application"), Err(TokenFault::Invalid)),
        (json!("us"), json!([]), Err(TokenFault::Invalid)),
    ];
    for (iss, aud, expected) in cases {
        let text = payload(|all| {
            all.insert("iss".to_owned(), iss);
            all.insert("aud".to_owned(), aud);
        });
        assert_eq!(verdict(&signed(HEADER, &text), &strict, NOW), expected, "{text}");
    }
    let neither = signed(HEADER, &payload(|_| {}));
    assert_eq!(verdict(&neither, &strict, NOW), Err(TokenFault::Invalid));
    check_claim("aud", json!("anybody"), Ok(()));
    check_claim("iss", json!("anybody"), Ok(()));
}

#[test]
fn the_algorithm_is_the_keys_and_never_the_tokens() {
    check_header(r#"{"alg":"HS256"}"#, Ok(()));
    for alg in ["none", "None", "nOnE", "hs256", "HS512", "ES256", "RS256", ""] {
        check_header(&format!(r#"{{"alg":"{alg}","kid":"k1"}}"#), Err(TokenFault::Invalid));
    }
    check_header(r#"{"typ":"JWT"}"#, Err(TokenFault::Invalid));
    check_header(r#"{"alg":["HS256"]}"#, Err(TokenFault::Invalid));
    // The public key as an HMAC secret (CVE-2015-9235).
    let key = es256("e1");
    let pem = serde_json::to_vec(key.public().expect("a public half")).expect("JSON");
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","kid":"e1"}"#);
    let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(payload(|_| {})));
    let secret = hmac::Key::new(hmac::HMAC_SHA256, &pem);
    let forged = URL_SAFE_NO_PAD.encode(hmac::sign(&secret, message.as_bytes()));
    let ring = KeyRing::new(vec![key]);
    let refused = read(&format!("{message}.{forged}"), &ring, &rules()).map(|_| ());
    assert_eq!(refused, Err(TokenFault::Invalid));
}

#[test]
fn kid_is_a_plain_lookup() {
    check_header(r#"{"alg":"HS256","kid":"k2"}"#, Err(TokenFault::Invalid));
    check_header(r#"{"alg":"HS256","kid":"../../dev/null"}"#, Err(TokenFault::Invalid));
    check_header(r#"{"alg":"HS256","kid":7}"#, Err(TokenFault::Malformed));
    let two = KeyRing::new(vec![es256("e"), hs256("new", &[7; 32]), hs256("old", SECRET)]);
    let header = r#"{"alg":"HS256"}"#;
    assert!(
        read(&signed(header, &payload(|_| {})), &two, &rules()).is_ok(),
        "without kid all are tried"
    );
}

#[test]
fn extensions_and_embedded_keys_are_never_followed() {
    for extra in [
        r#""crit":["exp"],"exp":1"#,
        r#""crit":[]"#,
        r#""crit":["b64"],"b64":false"#,
        r#""b64":false"#,
        r#""zip":"DEF""#,
        r#""enc":"A256GCM""#,
    ] {
        check_header(&format!(r#"{{"alg":"HS256",{extra}}}"#), Err(TokenFault::Invalid));
    }
    let own =
        r#"{"alg":"HS256","jwk":{"kty":"oct","k":"AAAA"},"jku":"http://127.0.0.1/","x5u":"x"}"#;
    check_header(own, Ok(()));
}

#[test]
fn what_is_not_one_compact_jws_is_malformed() {
    let good = signed(HEADER, &payload(|_| {}));
    let (message, signature) = good.rsplit_once('.').expect("three parts");
    let padded = format!("{message}.{signature}=");
    let spaced = format!("{message}. {signature}");
    let four = format!("{good}.x");
    let bad = [
        "",
        ".",
        "..",
        "...",
        "a",
        "a.b",
        &padded,
        &spaced,
        &four,
        message,
        &good.replace('.', ""),
    ];
    for token in bad {
        assert_eq!(verdict(token, &rules(), NOW), Err(TokenFault::Malformed), "{token}");
    }
    let twice = signed(r#"{"alg":"HS256","alg":"HS256"}"#, &payload(|_| {}));
    assert_eq!(verdict(&twice, &rules(), NOW), Err(TokenFault::Malformed));
    let twice = signed(HEADER, r#"{"sub":"a","sub":"b"}"#);
    assert_eq!(verdict(&twice, &rules(), NOW), Err(TokenFault::Malformed));
    let long = payload(|all| {
        all.insert("pad".to_owned(), json!("x".repeat(TOKEN_BYTES_MAX)));
    });
    assert_eq!(verdict(&signed(HEADER, &long), &rules(), NOW), Err(TokenFault::Malformed));
}

#[test]
fn any_flipped_bit_of_the_signature_is_refused() {
    for ring in [ring(), KeyRing::new(vec![es256("k1")])] {
        let mint = Mint {
            subject: "a",
            kind: TokenKind::Access,
            fresh: true,
            auth_time: None,
            session: None,
            claims: &Map::new(),
            ttl: Duration::from_secs(60),
        };
        let token = mint.sign(&ring, &rules(), NOW).expect("the ring signs").token;
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).expect("still ASCII");
            if changed != token {
                assert!(read(&changed, &ring, &rules()).is_err(), "byte {at} of {token}");
            }
        }
    }
}

#[test]
fn timed_freshness_ends_at_its_second() {
    let text = payload(|all| {
        all.insert("fresh".to_owned(), json!(NOW.0 as f64 + 0.5));
    });
    let signed = read(&signed(HEADER, &text), &ring(), &rules()).expect("a good token");
    assert!(signed.claims().is_fresh(NOW));
    assert!(!signed.claims().is_fresh(NOW.plus(Duration::from_secs(1))));
}

#[test]
fn weak_and_wrong_keys_are_refused_when_loaded() {
    let spec = |algorithm, material| KeySpec { id: "k".to_owned(), algorithm, material };
    let short = KeyMaterial::Secret(Secret::new(&SECRET[1..]));
    assert!(Key::parse(&spec(Algorithm::Hs256, short)).is_err());
    let pem = KeyMaterial::Private(Secret::new(
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    ));
    assert!(Key::parse(&spec(Algorithm::Es256, pem.clone())).is_err());
    assert!(Key::parse(&spec(Algorithm::Hs256, pem)).is_err());
    assert!(Key::parse(&spec(Algorithm::Es256, KeyMaterial::Public(Secret::new("x")))).is_err());
}

#[test]
fn the_jwk_set_holds_public_halves_only() {
    let text = jwks::document(&KeyRing::new(vec![hs256("h", SECRET), es256("e")]), NOW);
    let set: Value = serde_json::from_str(&text).expect("JSON");
    let keys = set["keys"].as_array().expect("a list");
    assert_eq!(keys.len(), 1);
    assert_eq!(keys[0]["kid"], "e");
    assert_eq!(keys[0]["use"], "sig");
    assert!(keys[0].get("d").is_none() && keys[0].get("k").is_none(), "{text}");
}

#[test]
fn a_key_that_has_ended_verifies_and_signs_nothing() {
    let life = |signs_from, retires_at| Life { signs_from: Some(signs_from), retires_at };
    const MINUTE: Duration = Duration::from_secs(60);
    const HOUR: Duration = Duration::from_secs(3600);
    let end = NOW.plus(HOUR);
    let old = hs256("old", &[7; 32]).living(life(UnixTime(0), Some(end)));
    let ring = KeyRing::new(vec![old, hs256("new", SECRET).living(life(NOW.plus(MINUTE), None))]);
    let signer = |now| ring.signer(now).map(Key::id);
    assert_eq!((signer(NOW), signer(NOW.plus(MINUTE))), (Some("old"), Some("new")));
    let none = Map::new();
    let mint = Mint {
        subject: "ada",
        kind: TokenKind::Access,
        fresh: true,
        auth_time: None,
        session: None,
        claims: &none,
        ttl: 10 * HOUR,
    };
    let token = mint.sign(&ring, &rules(), NOW).unwrap().token;
    // Remembered while the key lived, as the threads' caches do.
    let signed = read(&token, &ring, &rules()).unwrap();
    let good = |now| matches!(signed.standing(&rules(), now), Standing::Access(_));
    assert!(good(NOW) && good(UnixTime(end.0 - 1)));
    assert!(matches!(signed.standing(&rules(), end), Standing::Unproven(TokenFault::Invalid)));
    assert_eq!(signer(end), Some("new"));
    // Other times make another ring.
    let same = |end| {
        let old = hs256("old", &[7; 32]).living(life(UnixTime(0), end));
        KeyRing::new(vec![old, hs256("new", SECRET).living(life(NOW.plus(MINUTE), None))])
            .fingerprint()
            == ring.fingerprint()
    };
    assert!(same(Some(end)) && !same(None) && !same(Some(NOW)));
}

#[test]
fn another_identity_claim_says_who_and_sub_is_what_it_says() {
    let rules = TokenRules { identity_claim: "identity".to_owned(), ..rules() };
    let who = |change: fn(&mut Map<String, Value>)| {
        let signed = read(&signed(HEADER, &payload(change)), &ring(), &rules)?;
        let claims = signed.claims();
        assert_eq!(claims.all["sub"], claims.subject, "headers and revocation say the same");
        Ok(claims.subject.clone())
    };
    let set = |all: &mut Map<String, Value>| {
        all.insert("identity".to_owned(), json!("bob"));
    };
    assert_eq!(who(set), Ok("bob".to_owned()));
    assert_eq!(who(|_| {}), Err(TokenFault::Invalid), "`sub` alone names nobody");
    for bad in [json!(1), json!(""), json!(null)] {
        let text = payload(|all| drop(all.insert("identity".to_owned(), bad.clone())));
        assert!(read(&signed(HEADER, &text), &ring(), &rules).is_err(), "{bad}");
    }
    let claims = Map::from_iter([("identity".to_owned(), json!("mallory"))]);
    let mint = Mint {
        subject: "alice",
        kind: TokenKind::Access,
        fresh: true,
        auth_time: None,
        session: None,
        claims: &claims,
        ttl: Duration::from_secs(60),
    };
    let minted = mint.sign(&ring(), &rules, NOW).expect("a shared secret signs");
    let read = read(&minted.token, &ring(), &rules).expect("its own token");
    assert_eq!(read.claims().subject, "alice", "a user's claim does not say who");
}
