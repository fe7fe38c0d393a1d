//! Keys that are fetched from elsewhere: where the gateway never goes, and what it never reads to the end.

use std::io::Write as _;

use serde_json::json;

use crate::harness::issuer::Issuer;
use crate::harness::{Gateway, Setup, Upstream, eventually};

const ISSUER: &str = "https://sso.example.org";

fn start(keys: &str) -> Gateway {
    let toml = format!(
        "upstream = \"builtin:whoami\"\n[routes]\n\"/any\" = \"access-required\"\n[[tokens.trust]]\nissuer = \"{ISSUER}\"\n\
         audience = \"api\"\nalgorithms = [\"ES256\"]\nsubject_prefix = \"\"\n{keys}\n"
    );
    Setup::new(&toml).start()
}

fn failed(gateway: &Gateway) -> u64 {
    let labels = format!("issuer=\"{ISSUER}\",result=\"failed\"");
    gateway.metric(&format!("freshgate_issuer_fetches_total{{{labels}}}"))
}

#[track_caller]
fn fails(gateway: &Gateway, why: &str) {
    eventually("a failure", || (failed(gateway) > 0).then_some(()));
    let told = gateway.admin().get("/readyz").send().expect(200).json();
    let fault = told["issuers"][0]["fault"].to_string();
    assert!(fault.contains(why), "{fault}");
}

// Holds: CVE-2026-41413
#[test]
fn keys_are_fetched_from_the_address_in_the_file_alone() {
    let issuer = Issuer::p256(ISSUER, "k1");
    let set = issuer.jwks();
    let inside = Upstream::custom(move |exchange| {
        exchange.read_body()?;
        exchange.answer("200 OK", "application/json", set.as_bytes())
    });
    let location = format!("{inside}/keys");
    let redirects = Upstream::custom({
        let location = location.clone();
        move |exchange| {
            exchange.read_body()?;
            let head = "HTTP/1.1 302 Found\r\ncontent-length: 0\r\nlocation: ";
            write!(exchange.wire.stream, "{head}{location}\r\n\r\n")
        }
    });
    let gateway = start(&format!("jwks = \"{redirects}/keys\"\nallow_private = [\"127.0.0.1\"]"));
    fails(&gateway, "no redirect is followed");
    // Nor because a token says so.
    let header =
        json!({"alg": "ES256", "kid": "new", "jku": location, "x5u": location, "iss": location});
    let payload =
        json!({"iss": ISSUER, "aud": "api", "sub": "ada", "iat": 1, "exp": 4102444800_u64});
    let token = issuer.sign(&header, &payload);
    gateway.client().get("/any").bearer(&token).send().refused(401, "token-invalid");
    let mut payload = payload;
    payload["iss"] = json!(location);
    let token = issuer.sign(&header, &payload);
    gateway.client().get("/any").bearer(&token).send().refused(401, "token-invalid");
    // Nor by a name that leads to this machine, where that is not listed.
    let port = inside.to_string().rsplit(':').next().expect("a port").to_owned();
    for host in ["localhost", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254"] {
        fails(&start(&format!("jwks = \"https://{host}:{port}/keys\"")), "allow_private");
    }
    assert_eq!(inside.count(), 0);
}

// Holds: CVE-2026-50285
#[test]
fn a_key_set_without_end_is_cut_and_costs_no_memory() {
    let endless = Upstream::custom(|exchange| {
        exchange.read_body()?;
        let stream = &mut exchange.wire.stream;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"keys\":[")?;
        let piece = "{\"kty\":\"EC\"},".repeat(64 * 1024);
        for _ in 0..1200 {
            stream.write_all(piece.as_bytes())?;
        }
        Ok(())
    });
    let gateway = start(&format!("jwks = \"{endless}/keys\"\nallow_private = [\"127.0.0.1\"]"));
    let before = gateway.peak_memory_kib();
    fails(&gateway, "");
    let more = gateway.peak_memory_kib().saturating_sub(before);
    assert!(more < 8 * 1024, "{more} KiB");
    gateway.client().get("/any").send().refused(401, "token-missing");
}
