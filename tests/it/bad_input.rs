//! Bad input gets a clear error and loses nothing.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use serde_json::json;

use crate::harness::{Gateway, Output, Setup, Upstream, says};

const OPEN: &str = "[routes]\n\"/**\" = \"public\"\n";
const WHOAMI: &str = "upstream = \"builtin:whoami\"\n[routes]\n\"/**\" = \"public\"\n";

#[test]
fn broken_toml_is_shown_where_it_breaks() {
    for (toml, line) in [
        ("upstream = \"x\n", 3),
        ("upstream = \"builtin:whoami\"\n[routes\n", 4),
        ("upstream = \n", 3),
        ("[routes]\n\"/\" = \"public\"\n\"/\" = \"deny\"\n", 5),
    ] {
        let setup = Setup::new(toml);
        let said = setup.cli(&["run"], "");
        says(&said, &[&format!("gateway.toml:{line}:"), "error"]);
        assert!(!setup.dir().join("data").exists(), "something was made");
    }
}

#[test]
fn a_missing_users_file_is_named_with_the_remedy() {
    let toml = format!("{WHOAMI}[login]\nusers = {{ file = \"people.toml\" }}\n");
    says(&Setup::new(&toml).fails(), &["people.toml", "freshgate user add"]);
    says(&Setup::new(&toml).file("people.toml", "broken [").fails(), &["people.toml"]);
}

#[test]
fn a_port_in_use_is_named_and_the_one_who_has_it_goes_on() {
    let upstream = Upstream::echo();
    let gateway = Gateway::in_front_of(&upstream, OPEN);
    let address = gateway.client().address;
    for taken in [
        format!("listen = \"{address}\"\nadmin = \"off\"\n{WHOAMI}"),
        format!("listen = \"127.0.0.1:0\"\nadmin = \"{address}\"\n{WHOAMI}"),
    ] {
        let setup =
            Setup::new("").file("taken.toml", &taken).args(&["run", "--config", "taken.toml"]);
        says(&setup.fails(), &[&address.to_string(), "in use"]);
    }
    gateway.client().get("/").send().expect(200);
}

#[test]
fn a_state_directory_that_is_not_writable_is_named() {
    // A file in its place; root may write anywhere, but not into a file.
    let setup = Setup::new(WHOAMI).file("data", "a file");
    says(&setup.fails(), &["data"]);
    let setup = Setup::new(&format!("{WHOAMI}[state]\ndir = \"/proc/freshgate\"\n"));
    says(&setup.fails(), &["/proc/freshgate"]);
    // And a directory that its owner made read-only, for a user whom that binds.
    let setup = Setup::new(WHOAMI);
    let data = setup.dir().join("data");
    std::fs::create_dir(&data).expect("a directory");
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o555)).expect("ours");
    std::fs::set_permissions(setup.dir(), std::fs::Permissions::from_mode(0o755)).expect("ours");
    let nobody = Command::new("setpriv")
        .args([
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            env!("CARGO_BIN_EXE_freshgate"),
            "run",
        ])
        .current_dir(setup.dir())
        .output();
    // Only root can become somebody else; for everybody else the directory binds already.
    let output = match nobody {
        Ok(output) if !String::from_utf8_lossy(&output.stderr).contains("setpriv:") => Output {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        },
        _ => setup.cli(&["run"], ""),
    };
    says(&output, &["data", "ermission denied"]);
}

#[test]
fn a_login_without_users_or_keys_that_sign_is_told_at_start() {
    let first = Gateway::in_front_of(&Upstream::echo(), OPEN);
    let key =
        first.client().get("/.well-known/jwks.json").send().expect(200).json()["keys"][0].clone();
    assert_eq!(key["kty"], json!("EC"));
    // A public key only checks: login could give no token.
    let pem = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEVs/o5+uQbTjL3chynL4wXgUg2R9\n\
               q9UU8I5mEovUf86QZ7kOBIjJwqnzD1omageEHWwHdBO6B+dFabmdT9POxg==\n-----END PUBLIC KEY-----\n";
    let toml = format!(
        "{WHOAMI}[[tokens.key]]\nid = \"k\"\nalg = \"ES256\"\npublic = {{ file = \"k.pem\" }}\n"
    );
    says(&Setup::new(&toml).file("k.pem", pem).fails(), &["sign"]);
    let off = format!("{toml}[login]\nenabled = false\n");
    Setup::new(&off).file("k.pem", pem).start().client().get("/").send().expect(200);
}
