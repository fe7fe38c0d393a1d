//! The configuration: every mistake is told with its place, nothing is open by default, a secret that is missing
//! stops everything.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::harness::{Gateway, Setup, Upstream, forge, says};

const WHOAMI: &str = "upstream = \"builtin:whoami\"\n[routes]\n\"/**\" = \"public\"\n";

// Holds: K1
#[test]
fn an_unknown_key_is_an_error_with_did_you_mean() {
    for (toml, meant) in [
        ("upsteam = \"builtin:whoami\"\n[routes]\n\"/\" = \"public\"\n", "upstream"),
        (
            "upstream = \"builtin:whoami\"\n[limits]\nbody_mx = \"1MiB\"\n[routes]\n\"/\" = \"public\"\n",
            "body_max",
        ),
        ("upstream = \"builtin:whoami\"\n[rotes]\n\"/\" = \"public\"\n", "routes"),
        ("upstream = \"builtin:whoami\"\n[routes]\n\"/\" = \"publik\"\n", "public"),
        (
            "upstream = \"builtin:whoami\"\n[routes]\n\"/\" = { policy = \"public\", clams = {} }\n",
            "claims",
        ),
    ] {
        says(&Setup::new(toml).fails(), &["did you mean", meant]);
    }
}

// Holds: K1
#[test]
fn check_reports_all_mistakes_at_once_with_places_and_exits_1() {
    let toml = "upstream = \"nonsense\"\nlisen = \"127.0.0.1:1\"\n[limits]\nbody_max = 5\nheader_timeout = \"soon\"\n\
        [routes]\n\"/a\" = \"acces-required\"\n\"b\" = \"public\"\n\"/c/**/d\" = \"public\"\n\
        \"/e\" = { policy = \"public\", max_age = \"5m\" }\n\"/f\" = { policy = \"public\", upstream = \"none\" }\n\
        \"/g\" = { polcy = \"public\" }\n";
    let output = Setup::new(toml).cli(&["check"], "");
    assert_eq!(output.code, Some(1));
    let said = &output.stderr;
    // The harness writes `listen` and `admin` before ours: each line is two further down.
    for line in [3, 4, 6, 7, 9, 10, 11, 12, 13, 14] {
        assert!(
            said.contains(&format!("gateway.toml:{line}:")),
            "nothing about line {line}:\n{said}"
        );
    }
    for part in ["did you mean", "`listen`", "access-required", "`policy`", "KiB"] {
        assert!(said.contains(part), "no {part:?}:\n{said}");
    }
    assert!(output.stdout.is_empty(), "{}", output.stdout);
}

/// Every documented key, as the schema for editors has it: where it is written, with `KEY` for the key and its value.
fn documented() -> Vec<(String, String)> {
    let schema = include_str!("../../../docs/gateway.schema.json");
    let schema: Value = serde_json::from_str(schema).expect("JSON");
    let mut found = Vec::new();
    walk(&schema, "", "\nKEY\n", &mut found);
    found
}

/// `place` is where a key of this node is written: below a heading, or between braces.
fn walk(node: &Value, path: &str, place: &str, found: &mut Vec<(String, String)>) {
    let Some(keys) = node["properties"].as_object() else { return };
    for (key, inner) in keys {
        found.push((place.to_owned(), key.clone()));
        let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        // What is inside a list of tables has no heading of its own.
        let inline = place.starts_with("[[");
        let table = match inline {
            true => place.replace("KEY", &format!("{key} = {{ KEY }}")),
            false => format!("[{below}]\nKEY\n"),
        };
        walk(inner, &below, &table, found);
        walk(&inner["items"], &below, &format!("[[{below}]]\nKEY\n"), found);
        let name = if key == "routes" { "\"/x\"" } else { "x" };
        let named = format!("{below}.{name}");
        let named_table = format!("[{named}]\nKEY\n");
        walk(&inner["additionalProperties"], &named, &named_table, found);
        // A route is a word or a table.
        for one in inner["additionalProperties"]["anyOf"].as_array().into_iter().flatten() {
            walk(one, &named, &named_table, found);
        }
    }
}

/// Writes each key with this change as a file of its own and checks it: it is refused, at its line, by its name.
#[track_caller]
fn every_key_refused(change: impl Fn(&str) -> (String, &'static str)) {
    let keys = documented();
    assert!(keys.len() > 60, "only {} keys are documented", keys.len());
    let setup = Setup::new("");
    let mut missed = Vec::new();
    for (place, key) in &keys {
        let (name, value) = change(key);
        let written = place.replace("KEY", &format!("{name} = {value}"));
        std::fs::write(setup.dir().join("one.toml"), &written).expect("written");
        let said = setup.cli(&["check", "--config", "one.toml"], "");
        let told = said.stderr.contains("one.toml:2:") && said.stderr.contains(&name);
        if said.code != Some(1) || !told || said.stderr.contains("panicked") {
            missed.push(format!("{written}{:?}\n{}", said.code, said.stderr));
        }
    }
    assert!(missed.is_empty(), "{} of {}:\n{}", missed.len(), keys.len(), missed.join("\n"));
}

// Holds: K1
#[test]
fn every_documented_key_is_refused_when_misspelt() {
    every_key_refused(|key| (format!("{key}_x"), "true"));
}

// Holds: K1
// No key takes a date.
#[test]
fn every_documented_key_is_refused_with_a_value_of_another_type() {
    every_key_refused(|key| (key.to_owned(), "1979-05-27"));
}

// Holds: K2
#[test]
fn without_a_route_nothing_passes() {
    let upstream = Upstream::echo();
    for toml in ["[routes]\n", "[login]\nenabled = false\n[routes]\n"] {
        let setup = Setup::new(&format!("upstream = \"{upstream}\"\n{toml}"));
        if setup.cli(&["check"], "").code != Some(0) {
            continue;
        }
        let gateway = setup.start();
        for path in [
            "/",
            "/admin",
            "/index.html",
            "/auth",
            "/metrics",
            "/reload",
            "/.well-known/x",
            "/favicon.ico",
        ] {
            for method in ["GET", "POST", "OPTIONS", "DELETE"] {
                gateway.client().request(method, path).send().refused(404, "no-route");
            }
        }
    }
    assert_eq!(upstream.count(), 0);
}

// Holds: K3
#[test]
fn patterns_that_tie_are_an_error_that_names_both_lines() {
    for (one, two) in [
        ("/a/*", "/a/{x}"),
        ("/a/{x}", "/a/{y}"),
        ("/caf%c3%a9", "/caf%C3%A9"),
        ("GET /a", "GET,POST /a"),
        ("App.example/a", "app.example/a"),
    ] {
        let toml = format!(
            "upstream = \"builtin:whoami\"\n[routes]\n\"{one}\" = \"public\"\n\"{two}\" = \"deny\"\n"
        );
        let output = Setup::new(&toml).args(&["check"]).fails();
        assert_eq!(output.code, Some(1));
        // The harness writes two lines before ours.
        for line in ["5", "6"] {
            assert!(output.stderr.contains(line), "{one} and {two}:\n{}", output.stderr);
        }
        assert!(output.stderr.contains(one) && output.stderr.contains(two), "{}", output.stderr);
    }
}

// Holds: K3
#[test]
fn a_route_that_can_never_win_is_told() {
    let toml = "upstream = \"builtin:whoami\"\n[routes]\n\"GET,HEAD /a\" = \"public\"\n\"GET /a/\" = \"deny\"\n";
    let said = Setup::new(toml).cli(&["check"], "");
    assert!(said.stderr.contains("gateway.toml:6:"), "{said:?}");
}

// Holds: K2, CVE-2026-54762
#[test]
fn a_missing_secret_is_named_and_nothing_starts() {
    let key = |secret: &str| {
        format!("{WHOAMI}[[tokens.key]]\nid = \"k\"\nalg = \"HS256\"\nsecret = {secret}\n")
    };
    says(&Setup::new(&key("{ env = \"NOT_SET_ANYWHERE\" }")).fails(), &["NOT_SET_ANYWHERE"]);
    says(&Setup::new(&key("{ file = \"none.key\" }")).fails(), &["none.key"]);
    says(
        &Setup::new(&key("\"written-right-here-in-the-file-32-bytes\"")).fails(),
        &["env", "file"],
    );
    let empty = Setup::new(&key("{ file = \"empty.key\" }")).file("empty.key", "");
    says(&empty.fails(), &["empty.key"]);
    let open = Setup::new(&key("{ file = \"open.key\" }")).file("open.key", forge::SECRET);
    let path = open.dir().join("open.key");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("ours");
    says(&open.fails(), &["open.key", "600"]);
    let pem = format!(
        "{WHOAMI}[[tokens.key]]\nid = \"k\"\nalg = \"ES256\"\nprivate = {{ file = \"k.pem\" }}\n"
    );
    let pem = Setup::new(&pem).file("k.pem", "not a key at all, canary");
    let path = pem.dir().join("k.pem");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("ours");
    let said = pem.fails();
    says(&said, &["k"]);
    assert!(!said.stderr.contains("canary"), "{}", said.stderr);
}

// Holds: K2
#[test]
fn the_key_of_the_first_run_is_refused_once_others_can_read_it() {
    let mut gateway = Gateway::start(WHOAMI);
    let token = gateway.mint(&["--sub", "ada"]);
    gateway.terminate();
    let path = gateway.path("data/keys/signing.pem");
    let set = |mode: u32| {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("ours");
    };
    for mode in [0o644, 0o640, 0o604, 0o666] {
        set(mode);
        says(&gateway.cli(&["run"], ""), &["signing.pem", "chmod 600"]);
    }
    set(0o600);
    gateway.restart();
    gateway.client().get("/auth/me").bearer(&token).send().expect(200);
}

// Holds: CVE-2026-54762
// A secret that cannot be read any more: what serves goes on with the key it has, and a restart starts nothing.
#[test]
fn a_key_file_that_is_gone_never_switches_checking_off() {
    let upstream = Upstream::echo();
    let toml = format!(
        "upstream = \"{upstream}\"\n[routes]\n\"/x\" = \"access-required\"\n\"/o\" = \"optional\"\n\
         [[tokens.key]]\nid = \"k\"\nalg = \"HS256\"\nsecret = {{ file = \"k.key\" }}\n"
    );
    let setup = Setup::new(&toml).file("k.key", forge::SECRET);
    let path = setup.dir().join("k.key");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("ours");
    let mut gateway = setup.start();
    let good = forge::stale("ada");
    let forged = forge::hs256("", &forge::claims("root"));
    for damage in ["", "short", "gone"] {
        match damage {
            "gone" => std::fs::remove_file(&path).expect("removed"),
            text => std::fs::write(&path, text).expect("written"),
        }
        let refused = gateway.admin().post("/reload").send().expect(422);
        assert!(refused.text().contains("k.key"), "{}", refused.text());
        gateway.client().get("/x").send().refused(401, "token-missing");
        for route in ["/x", "/o"] {
            gateway.client().get(route).bearer(&forged).send().expect(401);
            gateway.client().get(route).bearer(&good).send().expect(200);
        }
    }
    gateway.terminate();
    says(&gateway.cli(&["run"], ""), &["k.key"]);
}

// Holds: K9
#[test]
fn a_second_gateway_on_the_same_state_is_refused_and_the_first_goes_on() {
    let upstream = Upstream::echo();
    let toml = "[routes]\n\"/**\" = \"public\"\n\"/shut\" = \"access-required\"\n";
    let mut gateway = Gateway::in_front_of(&upstream, toml);
    let tokens = gateway.login_first();
    let said = gateway.cli(&["run"], "");
    says(&said, &["data", "another"]);
    assert!(!said.stderr.contains("password:"));
    gateway.client().get("/shut").bearer(&tokens.access).send().expect(200);
    gateway.client().post("/auth/logout").bearer(&tokens.access).send().expect(204);
    // The lock goes with the process, however it ended.
    gateway.kill();
    gateway.restart();
    gateway.client().get("/shut").bearer(&tokens.access).send().refused(401, "token-revoked");
}
