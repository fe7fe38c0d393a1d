//! Keys: weak ones never load, `kid` is a name and nothing else, a signature has one form, rotation loses nobody.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{self, EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;

use super::tokens::{SHUT, ask};
use crate::harness::{Gateway, Setup, Upstream, forge};

fn pem(kind: &str, der: &[u8]) -> String {
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", STANDARD.encode(der))
}

/// A new key on a curve: its private and its public half, in PEM.
fn pair(curve: &'static EcdsaSigningAlgorithm) -> (String, String) {
    let pair = EcdsaKeyPair::generate(curve).expect("the system's randomness");
    let private = pair.to_pkcs8v1().expect("PKCS#8");
    let public: PublicKeyX509Der = pair.public_key().as_der().expect("SPKI");
    (pem("PRIVATE KEY", private.as_ref()), pem("PUBLIC KEY", public.as_ref()))
}

fn write_private(path: &Path, text: &str) {
    std::fs::write(path, text).expect("written");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("ours");
}

/// A gateway that is to start with this key, `private` or `public`.
fn with_key(half: &str, text: &str) -> Setup {
    let toml = format!(
        "upstream = \"builtin:whoami\"\n{SHUT}[login]\nenabled = false\n\
         [[tokens.key]]\nid = \"k\"\nalg = \"ES256\"\n{half} = {{ file = \"k.pem\" }}\n"
    );
    let setup = Setup::new(&toml);
    write_private(&setup.dir().join("k.pem"), text);
    setup
}

// Holds: T5, K2
#[test]
fn a_secret_shorter_than_32_bytes_is_refused_at_start() {
    let toml = format!("upstream = \"builtin:whoami\"\n{SHUT}{}", forge::KEY);
    let said = Setup::new(&toml).env("SHARED", "canary_canary_canary_canary_can").fails();
    assert_eq!(said.code, Some(1));
    assert!(said.stderr.contains("32"), "{}", said.stderr);
    assert!(!said.stderr.contains("canary"), "the secret is told: {}", said.stderr);
    Setup::new(&toml).env("SHARED", "J7c0mVhY2sXq9LrT4uWbZ8eKfNaPdGi3").start();
}

// Holds: T5
#[test]
fn a_key_on_another_curve_or_on_none_is_refused_at_start() {
    let (private, public) = pair(&signature::ECDSA_P256_SHA256_FIXED_SIGNING);
    with_key("private", &private).start();
    with_key("public", &public).start();
    let mut bad = vec![("private", public.clone()), ("public", private.clone())];
    for curve in [
        &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
        &signature::ECDSA_P521_SHA512_FIXED_SIGNING,
        // Its points are as long as those of P-256.
        &signature::ECDSA_P256K1_SHA256_FIXED_SIGNING,
    ] {
        let (private, public) = pair(curve);
        bad.extend([("private", private), ("public", public)]);
    }
    // The last sign of the point changed: no point of the curve.
    let body: String = public.lines().filter(|line| !line.starts_with('-')).collect();
    let mut der = STANDARD.decode(body).expect("PEM");
    *der.last_mut().expect("a point") ^= 1;
    bad.push(("public", pem("PUBLIC KEY", &der)));
    for (half, text) in bad {
        let said = with_key(half, &text).fails();
        assert!(said.stderr.contains("cannot be used"), "{half}\n{text}\n{}", said.stderr);
        let body: Vec<&str> = text.lines().filter(|line| !line.starts_with('-')).collect();
        assert!(!said.stderr.contains(&body[0][10..40]), "the key is told: {}", said.stderr);
    }
}

// Holds: T1, T5
// Two keys of one name would leave to chance which of two algorithms a token is checked with.
#[test]
fn two_keys_of_one_name_and_keys_for_another_algorithm_are_refused_at_start() {
    let (private, _) = pair(&signature::ECDSA_P256_SHA256_FIXED_SIGNING);
    let key = |id: &str, alg: &str, half: &str, file: &str| {
        format!(
            "[[tokens.key]]\nid = \"{id}\"\nalg = \"{alg}\"\n{half} = {{ file = \"{file}\" }}\n"
        )
    };
    let hs = key("one", "HS256", "secret", "secret");
    let es = key("one", "ES256", "private", "k.pem");
    for (keys, words) in [
        (format!("{hs}{es}"), "`one`"),
        (format!("{hs}{hs}"), "`one`"),
        (key("one", "ES256", "secret", "secret"), "secret"),
        (key("one", "HS256", "private", "k.pem"), "private"),
        (key("one", "none", "secret", "secret"), "none"),
        (key("one", "RS256", "public", "k.pem"), "`one`"),
    ] {
        let setup = Setup::new(&format!("upstream = \"builtin:whoami\"\n{SHUT}{keys}"));
        write_private(&setup.dir().join("secret"), forge::SECRET);
        write_private(&setup.dir().join("k.pem"), &private);
        let said = setup.fails();
        assert!(said.stderr.contains(words), "{keys}\n{}", said.stderr);
        assert!(!said.stderr.contains(forge::SECRET), "{}", said.stderr);
    }
}

// Holds: T3, CVE-2026-39999
#[test]
fn kid_is_a_name_and_never_a_file_an_address_or_a_query() {
    let upstream = Upstream::echo();
    let gateway = Gateway::sharing(&upstream, SHUT);
    // A file that holds the secret, where a `kid` that is a path would find it.
    std::fs::write(gateway.path("shared"), forge::SECRET).expect("written");
    std::fs::write(gateway.path("empty"), "").expect("written");
    let claims = forge::claims("root").to_string();
    let absolute = gateway.path("empty").display().to_string();
    for kid in [
        "empty",
        "./shared",
        "../../dev/null",
        "/dev/null",
        &absolute,
        "file:///dev/null",
        "http://127.0.0.1:1/keys",
        "shared' OR '1'='1",
        "shared\0",
        "SHARED",
        " shared",
        "shared ",
        "",
        "*",
        &"k".repeat(4000),
    ] {
        let header = json!({"alg": "HS256", "kid": kid}).to_string();
        for secret in [forge::SECRET, ""] {
            let token = forge::sign(secret, header.as_bytes(), claims.as_bytes());
            assert_eq!(ask(&gateway, "/", &token), (401, "token-invalid".to_owned()), "{kid}");
        }
    }
    let right = json!({"alg": "HS256", "kid": "shared"}).to_string();
    let token = forge::sign(forge::SECRET, right.as_bytes(), claims.as_bytes());
    assert_eq!(ask(&gateway, "/", &token).0, 200);
}

// Holds: T1, CVE-2026-39999
// The published half of a key is everybody's: as it lies in its file, in its other forms, and as the JWK set says it.
#[test]
fn no_public_key_of_any_kind_is_a_shared_secret() {
    let upstream = Upstream::echo();
    let pair = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).expect("the system's randomness");
    let private: Pkcs8V1Der = pair.as_der().expect("PKCS#8");
    let public: PublicKeyX509Der = pair.public_key().as_der().expect("SPKI");
    let toml = format!(
        "upstream = \"{upstream}\"\n{SHUT}[[tokens.key]]\nid = \"rs\"\nalg = \"RS256\"\nprivate = {{ file = \"k.pem\" }}\n\
         {}",
        forge::KEY
    );
    let setup = Setup::new(&toml).env("SHARED", forge::SECRET);
    write_private(&setup.dir().join("k.pem"), &pem("PRIVATE KEY", private.as_ref()));
    let gateway = setup.start();
    let minted = gateway.mint(&["--sub", "ada"]);
    assert_eq!(ask(&gateway, "/", &minted).0, 200);
    let jwks = gateway.client().get("/.well-known/jwks.json").send().expect(200);
    let jwk = jwks.json()["keys"][0].clone();
    let claims = forge::claims("root").to_string();
    let text = pem("PUBLIC KEY", public.as_ref());
    let n = jwk["n"].as_str().expect("a modulus").to_owned();
    for secret in [
        text.clone(),
        text.trim_end().to_owned(),
        text.replace('\n', "\r\n"),
        STANDARD.encode(public.as_ref()),
        n,
        jwk.to_string(),
        jwks.text(),
    ] {
        for header in [
            r#"{"alg":"HS256","kid":"rs"}"#,
            r#"{"alg":"RS256","kid":"rs"}"#,
            r#"{"alg":"RS256","kid":"shared"}"#,
            r#"{"alg":"HS256"}"#,
            r#"{"alg":"none","kid":"rs"}"#,
            r#"{"alg":"HS512","kid":"rs"}"#,
        ] {
            let token = forge::sign(&secret, header.as_bytes(), claims.as_bytes());
            assert_eq!(ask(&gateway, "/", &token), (401, "token-invalid".to_owned()), "{header}");
        }
    }
    // The good signature under the other names.
    let (message, signature) = minted.rsplit_once('.').expect("three parts");
    let payload = message.split_once('.').expect("two parts").1;
    for header in [
        r#"{"alg":"PS256","kid":"rs"}"#,
        r#"{"alg":"RS256","kid":"shared"}"#,
        r#"{"alg":"rs256","kid":"rs"}"#,
    ] {
        let token = format!("{}.{payload}.{signature}", URL_SAFE_NO_PAD.encode(header));
        assert_eq!(ask(&gateway, "/", &token).0, 401, "{header}");
    }
    assert_eq!(upstream.count(), 1);
}

// Holds: T6, CVE-2022-21449
#[test]
fn an_es256_signature_is_two_numbers_of_32_bytes_in_range() {
    let upstream = Upstream::echo();
    let gateway = Gateway::in_front_of(&upstream, SHUT);
    let token = gateway.mint(&["--sub", "ada"]);
    assert_eq!(ask(&gateway, "/", &token).0, 200);
    let (message, good) = token.rsplit_once('.').expect("three parts");
    let good = URL_SAFE_NO_PAD.decode(good).expect("base64url");
    let (r, s) = good.split_at(32);
    // The order of P-256 (SEC 2 §2.4.2).
    let order: Vec<u8> = (0..64)
        .step_by(2)
        .map(|at| u8::from_str_radix(&ORDER[at..at + 2], 16).expect("hexadecimal"))
        .collect();
    let zero = [0; 32];
    let mut one = zero;
    one[31] = 1;
    let der = [&[0x30, 68, 2, 32][..], r, &[2, 32], s].concat();
    let der_padded = [&[0x30, 70, 2, 33, 0][..], r, &[2, 33, 0], s].concat();
    for bad in [
        [&zero[..], &zero].concat(),
        [r, &zero].concat(),
        [&zero, s].concat(),
        [&one[..], &one].concat(),
        [&order[..], &order].concat(),
        [&order[..], s].concat(),
        [r, &order].concat(),
        [&[0xff; 32][..], s].concat(),
        [&[0][..], r, &[0], s].concat(),
        [&[0][..], &good].concat(),
        [&good[..], &[0]].concat(),
        good[..63].to_vec(),
        good[1..].to_vec(),
        [s, r].concat(),
        [&good[..], &good].concat(),
        der,
        der_padded,
        Vec::new(),
    ] {
        let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(&bad));
        assert_eq!(ask(&gateway, "/", &token), (401, "token-invalid".to_owned()), "{bad:02x?}");
    }
    assert_eq!(upstream.count(), 1);
}

const ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";

// Holds: T15
#[test]
fn a_new_key_signs_the_old_one_still_verifies_and_a_removed_one_is_dead_at_once() {
    let upstream = Upstream::echo();
    let key = |id: &str| {
        format!(
            "[[tokens.key]]\nid = \"{id}\"\nalg = \"ES256\"\nprivate = {{ file = \"{id}.pem\" }}\n"
        )
    };
    let toml = format!("upstream = \"{upstream}\"\n{SHUT}");
    let setup = Setup::new(&format!("{toml}{}", key("old")));
    for id in ["old", "new"] {
        let (private, _) = pair(&signature::ECDSA_P256_SHA256_FIXED_SIGNING);
        write_private(&setup.dir().join(format!("{id}.pem")), &private);
    }
    let gateway = setup.start();
    let text = std::fs::read_to_string(gateway.path("gateway.toml")).expect("a file");
    let now_with = |keys: &str| {
        std::fs::write(gateway.path("gateway.toml"), text.replace(&key("old"), keys))
            .expect("written");
        gateway.admin().post("/reload").send().expect(200);
    };
    let mut connection = gateway.client().connect();
    let mut status =
        |token: &str| gateway.client().get("/").bearer(token).send_on(&mut connection).status;
    let old = gateway.mint(&["--sub", "ada"]);
    assert_eq!(status(&old), 200);
    now_with(&format!("{}{}", key("new"), key("old")));
    let new = gateway.mint(&["--sub", "ada"]);
    let header =
        URL_SAFE_NO_PAD.decode(new.split('.').next().expect("a header")).expect("base64url");
    assert!(String::from_utf8_lossy(&header).contains("\"new\""), "the first key signs");
    assert_eq!((status(&old), status(&new)), (200, 200));
    // On the same connection, and though the old one is remembered as verified.
    now_with(&key("new"));
    assert_eq!((status(&old), status(&new)), (401, 200));
    now_with(&format!("{}{}", key("old"), key("new")));
    assert_eq!((status(&old), status(&new)), (200, 200));
}
