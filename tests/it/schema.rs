//! The JSON Schema for editors, judged by a validator that is not ours.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::harness::{Setup, tools};

/// What the validator says of each file.
#[track_caller]
fn validated(files: &[PathBuf]) -> Vec<String> {
    let mut command = Command::new(tools::python());
    command.arg(tools::root().join("tests/interop/schema_check.py"));
    command.arg(tools::root().join("docs/gateway.schema.json")).args(files);
    let output = command.output().expect("python");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn the_command_prints_the_committed_schema() {
    let output = Setup::new("").cli(&["schema"], "").succeeded();
    let committed = fs::read_to_string(tools::root().join("docs/gateway.schema.json"));
    assert_eq!(output.stdout, committed.expect("docs/gateway.schema.json"));
}

#[test]
fn what_the_gateway_takes_is_good_for_the_schema() {
    let root = tools::root();
    let mut files: Vec<PathBuf> = [
        "gateway.toml",
        "docs/container/gateway.toml",
        "docs/try/flask.toml",
        "docs/try/wiki.toml",
    ]
    .map(|name| root.join(name))
    .to_vec();
    // Bad files whose mistakes are of meaning, not of form.
    let invalid = root.join("tests/data/config/invalid");
    for name in [
        "opened_doors",
        "weaker_methods",
        "unreachable_routes",
        "report_mode",
        "ties",
        "secrets_in_comments",
    ] {
        files.push(invalid.join(format!("{name}.toml")));
    }
    let dir = tempfile::tempdir().expect("a directory");
    let full = dir.path().join("full.toml");
    fs::write(&full, FULL).expect("written");
    files.push(full);
    for (file, said) in files.iter().zip(validated(&files)) {
        assert_eq!(said, "good", "{}", file.display());
    }
}

#[test]
fn bad_files_are_bad_for_the_schema_at_the_right_place() {
    let invalid = tools::root().join("tests/data/config/invalid");
    let wanted = [
        ("unknown_keys", "additionalProperties"),
        ("unknown_policies", "routes./"),
        ("wrong_types", "type"),
        ("missing_units", "type"),
        ("bad_durations", "pattern"),
        ("bad_sizes", "pattern"),
        ("secrets_in_the_file", "tokens.key.0.secret"),
        ("file_test_once", "test:type"),
        ("report_mode_of_nothing", "routes./b/**:anyOf"),
    ];
    let files: Vec<PathBuf> =
        wanted.iter().map(|(name, _)| invalid.join(format!("{name}.toml"))).collect();
    for ((name, part), said) in wanted.iter().zip(validated(&files)) {
        assert!(said != "good" && said.contains(part), "{name}: {said}");
    }
}

/// Something of everything.
const FULL: &str = r#"
listen = "127.0.0.1:8080"
trusted_proxies = ["10.0.0.0/8"]
plaintext = true
[upstreams.app]
url = "http://127.0.0.1:9000"
timeout_idle = "1h 30m"
keep_alive = "1.5 min"
idle_max = 0
[tokens]
leeway = "0s"
[[tokens.key]]
id = "k1"
alg = "HS256"
secret = { env = "SECRET_1" }
[login]
users = { file = "users.toml" }
[identity]
X-User-Id = "sub"
[routes]
"GET,POST app.example/a/{b}/**" = { policy = "optional", claims = { a = [1, "{b}", true] }, mode = "report", timeout = "2s", body_max = "1.5 MiB" }
"/" = "public"
[limits]
body_max = "10mb"
[log]
format = "json"
[[test]]
request = "GET /"
expect = "pass"
headers = { Origin = "https://a.example" }
as = { sub = "u1", type = "access", fresh = false, auth_age = "6m", claims = { roles = ["a"], deep = { er = 1 } } }
"#;
