//! Keys as other programs write them: made by OpenSSL in every form, signed with here, checked there, and back.

use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::harness::{Setup, Upstream, forge};

const ROUTES: &str = "[routes]\n\"/\" = \"access-required\"\n";

/// Runs OpenSSL in a directory.
#[track_caller]
pub fn openssl(setup: &Setup, line: &str) -> Vec<u8> {
    let mut command = Command::new("openssl");
    let output = command.args(line.split_whitespace()).current_dir(setup.dir()).output();
    let output = output.expect("openssl, a Debian package that tests/run installs");
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// How OpenSSL makes a private key for an algorithm.
pub fn recipe(algorithm: &str) -> &'static str {
    match algorithm {
        "ES256" => "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256",
        "ES384" => "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384",
        "ES512" => "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-521",
        "EdDSA" => "genpkey -algorithm ED25519",
        _ => "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048",
    }
}

const ASYMMETRIC: [&str; 10] =
    ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"];

/// A file with one key, in this form.
fn keyed(upstream: &Upstream, algorithm: &str, kind: &str, file: &str) -> Setup {
    // A gateway that only checks has no login.
    let login = if kind == "public" { "[login]\nenabled = false\n" } else { "" };
    Setup::new(&format!(
        "upstream = \"{upstream}\"\n{login}{ROUTES}[[tokens.key]]\nid = \"k\"\nalg = \"{algorithm}\"\n{kind} = {{ file = \"{file}\" }}\n"
    ))
}

pub fn private(setup: &Setup, file: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    let path = setup.dir().join(file);
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("our own file");
}

#[test]
fn every_algorithm_mints_what_its_public_half_opens() {
    let upstream = Upstream::echo();
    for algorithm in ASYMMETRIC {
        let setup = keyed(&upstream, algorithm, "private", "key.pem");
        openssl(&setup, &format!("{} -out key.pem", recipe(algorithm)));
        private(&setup, "key.pem");
        openssl(&setup, "pkey -in key.pem -pubout -out public.pem");
        let public = std::fs::read(setup.dir().join("public.pem")).expect("a public half");
        let gateway = setup.start();
        let token = gateway.mint(&["--sub", "ada"]);
        assert_eq!(gateway.client().get("/").bearer(&token).send().status, 200, "{algorithm}");

        let set: Value = gateway.client().get("/.well-known/jwks.json").send().json();
        assert_eq!(set["keys"].as_array().map(Vec::len), Some(1));
        assert!(set["keys"][0].get("d").is_none() && set["keys"][0].get("k").is_none());
        let file =
            keyed(&upstream, algorithm, "public", "key.jwk").file("set.json", &set.to_string());
        let checked = file.cli(&["token", "verify", "--jwk", "set.json"], &token);
        assert_eq!(checked.stdout, "good\n", "{algorithm} {}", checked.stderr);
        let file = file.file("key.jwk", &set["keys"][0].to_string());
        let other = file.start();
        assert_eq!(other.client().get("/").bearer(&token).send().status, 200, "{algorithm}");

        let file = keyed(&upstream, algorithm, "public", "public.pem")
            .file("public.pem", std::str::from_utf8(&public).expect("PEM is text"));
        let other = file.start();
        assert_eq!(other.client().get("/").bearer(&token).send().status, 200, "{algorithm}");
        let forged = format!("{}A", &token[..token.len() - 1]);
        let forged =
            if forged == token { format!("{}B", &token[..token.len() - 1]) } else { forged };
        assert_eq!(other.client().get("/").bearer(&forged).send().status, 401, "{algorithm}");
    }
}

#[test]
fn every_form_of_a_private_key_is_read() {
    let upstream = Upstream::echo();
    for (algorithm, lines) in [
        ("RS256", ["genrsa -traditional -out key.pem 2048", "pkey -in key.pem -text -noout"]),
        ("PS512", ["genrsa -traditional -out key.pem 3072", "pkey -in key.pem -text -noout"]),
        ("ES256", ["ecparam -name prime256v1 -genkey -out key.pem", "ec -in key.pem -text -noout"]),
        (
            "ES384",
            ["ecparam -name secp384r1 -genkey -noout -out key.pem", "ec -in key.pem -text -noout"],
        ),
    ] {
        let setup = keyed(&upstream, algorithm, "private", "key.pem");
        lines.iter().for_each(|line| drop(openssl(&setup, line)));
        private(&setup, "key.pem");
        let text = std::fs::read_to_string(setup.dir().join("key.pem")).expect("a key");
        assert!(!text.contains("BEGIN PRIVATE KEY"), "the older form: {text}");
        let gateway = setup.start();
        let token = gateway.mint(&["--sub", "ada"]);
        assert_eq!(gateway.client().get("/").bearer(&token).send().status, 200, "{algorithm}");
    }
}

#[test]
fn what_we_sign_is_good_for_openssl() {
    let upstream = Upstream::echo();
    let setup = keyed(&upstream, "RS256", "private", "key.pem");
    openssl(&setup, &format!("{} -out key.pem", recipe("RS256")));
    private(&setup, "key.pem");
    openssl(&setup, "pkey -in key.pem -pubout -out public.pem");
    let token = setup.cli(&["token", "mint", "--sub", "ada"], "").stdout;
    let (message, signature) = token.trim().rsplit_once('.').expect("three parts");
    let bytes = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
    std::fs::write(setup.dir().join("signature"), bytes).expect("a directory of ours");
    std::fs::write(setup.dir().join("message"), message).expect("a directory of ours");
    let said = openssl(&setup, "dgst -sha256 -verify public.pem -signature signature message");
    assert_eq!(said, b"Verified OK\n");
}

#[test]
fn weak_and_wrong_keys_start_nothing() {
    let upstream = Upstream::echo();
    for (algorithm, line, word) in [
        ("RS256", "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -out key.pem", "key"),
        ("ES256", "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out key.pem", "key"),
        ("ES256", "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:secp256k1 -out key.pem", "key"),
        ("EdDSA", "genpkey -algorithm X25519 -out key.pem", "key"),
        ("RS256", "genpkey -algorithm RSA -aes256 -pass pass:x -out key.pem", "passphrase"),
    ] {
        let setup = keyed(&upstream, algorithm, "private", "key.pem");
        openssl(&setup, line);
        private(&setup, "key.pem");
        let checked = setup.cli(&["check"], "");
        assert_ne!(checked.code, Some(0), "{line}");
        assert!(checked.stderr.contains(word), "{line}: {}", checked.stderr);
        let text = std::fs::read_to_string(setup.dir().join("key.pem")).expect("a key");
        let secret = text.lines().nth(2).expect("a line of base64");
        assert!(!checked.stderr.contains(secret) && !checked.stdout.contains(secret));
    }
}

#[test]
fn tokens_of_each_shared_secret_are_told_apart() {
    let upstream = Upstream::echo();
    let secret = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+/".to_owned();
    let start = |algorithm: &str| {
        Setup::new(&format!(
            "upstream = \"{upstream}\"\n{ROUTES}[[tokens.key]]\nid = \"k\"\nalg = \"{algorithm}\"\nsecret = {{ env = \"SHARED\" }}\n"
        ))
        .env("SHARED", &secret)
        .start()
    };
    let gateways = ["HS256", "HS384", "HS512"].map(start);
    let tokens = gateways.each_ref().map(|gateway| gateway.mint(&["--sub", "ada"]));
    for (at, gateway) in gateways.iter().enumerate() {
        for (of, token) in tokens.iter().enumerate() {
            let status = gateway.client().get("/").bearer(token).send().status;
            assert_eq!(status, if at == of { 200 } else { 401 }, "{at} {of}");
        }
    }
    assert_eq!(forge::payload(&tokens[0])["sub"], "ada");
}
