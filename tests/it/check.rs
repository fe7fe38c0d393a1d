//! `freshgate check` in both formats, the tests inside the file, and files that are no configuration.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Output, Setup, Upstream};

const TESTED: &str = r#"upstream = "builtin:whoami"
[upstreams.api]
url = "http://127.0.0.1:9000"
[routes]
"/account/**" = "access-required"
"POST /account/password" = "fresh-required"
"/admin/**" = { policy = "fresh-required", max_age = "5m", claims = { roles = "admin" } }
"/u/{who}/**" = { policy = "access-required", claims = { sub = "{who}" }, upstream = "api", rewrite = "/v2/{who}/**" }
"/renew" = "refresh-only"
"app.example/x" = "public"
"/x" = "deny"
"/cors" = { policy = "access-required", preflight = true }
"#;

/// A `[[test]]` that holds.
const HOLD: &str = r#"
[[test]]
request = "GET /account/a?b=c"
expect = "token-missing"
[[test]]
request = "POST /account/password"
as = { sub = "u1", fresh = false }
expect = "token-not-fresh"
[[test]]
request = "GET /admin"
as = { auth_age = "6m", claims = { roles = ["admin"] } }
expect = "token-not-fresh"
[[test]]
request = "GET /admin"
as = { auth_age = "4m", claims = { roles = ["admin"] } }
expect = "pass"
upstream = "default"
path = "/admin"
[[test]]
request = "GET /admin"
as = { claims = { roles = ["editor"] } }
expect = "claims-refused"
[[test]]
request = "GET /u/ada/b/c"
as = { sub = "ada" }
expect = "pass"
upstream = "api"
path = "/v2/ada/b/c"
[[test]]
request = "POST /renew"
as = { type = "refresh" }
expect = "pass"
[[test]]
request = "GET /account"
as = { type = "refresh" }
expect = "token-wrong-type"
[[test]]
request = "GET http://APP.example/x"
expect = "pass"
[[test]]
request = "GET http://other.example/x"
expect = "no-route"
[[test]]
request = "GET /account/..%2Fx"
expect = "bad-path"
[[test]]
request = "OPTIONS /cors"
headers = { Origin = "https://a.example", Access-Control-Request-Method = "PUT" }
expect = "pass"
[[test]]
request = "GET /account"
as = {}
headers = { Authorization = "Bearer another" }
expect = "token-duplicated"
[[test]]
request = "GET /account"
headers = { Authorization = "Bearer nobodys" }
expect = "token-invalid"
"#;

fn check(toml: &str, args: &[&str]) -> Output {
    Setup::new(toml).cli(&[&["check"], args].concat(), "")
}

fn json(toml: &str) -> (Option<i32>, Vec<Value>) {
    let output = check(toml, &["--format", "json"]);
    assert!(output.stderr.is_empty(), "{}", output.stderr);
    let all: Vec<Value> = serde_json::from_str(&output.stdout).expect("an array of objects");
    (output.code, all)
}

#[test]
fn tests_of_the_file_that_hold_are_counted() {
    let output = check(&format!("{TESTED}{HOLD}"), &[]).succeeded();
    let first = output.stdout.lines().next().unwrap_or_default();
    assert!(first.ends_with(", 14 tests passed"), "{}", output.stdout);
    assert!(output.stderr.is_empty(), "{}", output.stderr);
}

#[test]
fn a_test_that_fails_shows_what_was_expected_what_came_and_which_route_won() {
    for (test, wanted) in [
        (
            "request = \"GET /account\"\nexpect = \"pass\"",
            ["expected pass, got token-missing", "\"/account/**\" = ", "this route decides"],
        ),
        (
            "request = \"GET /nowhere\"\nexpect = \"pass\"",
            ["expected pass, got no-route", "expect = \"pass\"", "no pattern matches"],
        ),
        (
            "request = \"POST /auth/login\"\nexpect = \"no-route\"",
            ["expected no-route, got pass", "expect = \"no-route\"", "`POST /auth/login`"],
        ),
        (
            "request = \"GET /u/a/b\"\nas = { sub = \"a\" }\nexpect = \"pass\"\nupstream = \"default\"",
            [
                "expected the upstream `default`, got the upstream `api`",
                "upstream = \"default\"",
                "`/u/{who}/**`",
            ],
        ),
        (
            "request = \"GET /u/a/b\"\nas = { sub = \"a\" }\nexpect = \"pass\"\npath = \"/b\"",
            [
                "expected the path `/b`, got the path `/v2/a/b`",
                "path = \"/b\"",
                "this route decides",
            ],
        ),
    ] {
        let toml = format!("{TESTED}{HOLD}\n[[test]]\n{test}\n");
        let output = check(&toml, &[]);
        assert_eq!(output.code, Some(1), "{test}");
        for part in wanted {
            assert!(output.stderr.contains(part), "no {part:?}:\n{}", output.stderr);
        }
        assert_eq!(output.stderr.matches("error[test-failed]").count(), 1, "{}", output.stderr);
        let (code, all) = json(&toml);
        assert_eq!((code, all.len()), (Some(1), 1));
        assert_eq!(all[0]["code"], "test-failed");
    }
}

#[test]
fn json_says_where_and_what_to_do() {
    let (code, all) = json(
        "# é\nupstream = \"builtin:whoami\"\n[routes]\n\"/é/*\" = \"public\"\n\"/é/{x}\" = \"deny\"\n\"/b\" = \"publik\"\n",
    );
    assert_eq!(code, Some(1));
    let [tie, policy] = all.as_slice() else { panic!("two mistakes: {all:?}") };
    assert_eq!((&tie["severity"], &tie["code"]), (&"error".into(), &"tie".into()));
    // The harness writes `listen` and `admin` before ours: each line is two further down.
    assert_eq!((&tie["line"], &tie["column"]), (&7.into(), &1.into()));
    assert_eq!((&tie["end_line"], &tie["end_column"]), (&7.into(), &9.into()));
    assert_eq!(tie["related"][0]["line"], 6);
    assert!(tie["file"].as_str().is_some_and(|name| name.ends_with("gateway.toml")), "{tie}");
    assert_eq!((&policy["line"], &policy["column"]), (&8.into(), &8.into()));
    assert!(policy["help"].as_str().is_some_and(|help| help.contains("\"public\"")), "{policy}");
    let members = [
        "severity",
        "code",
        "message",
        "label",
        "file",
        "line",
        "column",
        "end_line",
        "end_column",
        "help",
        "related",
    ];
    for one in &all {
        assert_eq!(one.as_object().expect("an object").len(), members.len());
        assert!(members.iter().all(|member| one.get(member).is_some()), "{one}");
    }
}

#[test]
fn json_of_a_good_file_has_its_warnings_and_exits_0() {
    let (code, all) = json("upstream = \"builtin:whoami\"\n[routes]\n\"/\" = \"public\"\n");
    assert_eq!((code, all.len()), (Some(0), 0));
    let (code, all) = json(
        "upstream = \"builtin:whoami\"\n[routes]\n\"/a/**\" = \"access-required\"\n\"/a/b\" = \"public\"\n",
    );
    assert_eq!((code, all.len()), (Some(0), 1));
    assert_eq!((&all[0]["severity"], &all[0]["code"]), (&"warning".into(), &"opened".into()));
}

#[test]
fn what_is_no_configuration_is_said_in_json_too() {
    let setup = Setup::new("");
    std::fs::write(setup.dir().join("latin1.toml"), b"# \xe9\n").expect("written");
    std::fs::create_dir(setup.dir().join("folder.toml")).expect("made");
    for (file, line, why) in [
        ("latin1.toml", Value::from(1), "is not UTF-8"),
        ("folder.toml", Value::Null, "is a directory"),
        ("none.toml", Value::Null, "there is no file"),
    ] {
        let output = setup.cli(&["check", "--config", file, "--format", "json"], "");
        assert_eq!(output.code, Some(1), "{file}");
        let all: Value = serde_json::from_str(&output.stdout).expect("an array");
        assert_eq!((&all[0]["code"], &all[0]["line"]), (&"unreadable-file".into(), &line));
        assert!(all[0]["message"].as_str().is_some_and(|told| told.contains(why)), "{all}");
    }
}

#[test]
fn a_file_of_ten_megabytes_is_told_in_good_time() {
    // Built without optimisation; a release build takes a tenth.
    const LONGEST: Duration = Duration::from_secs(60);
    let lines = |line: &dyn Fn(usize) -> String| -> String {
        (0..)
            .map(line)
            .scan(0, |size, line| {
                *size += line.len();
                (*size < 9_900_000).then_some(line)
            })
            .collect()
    };
    let head = "upstream = \"builtin:whoami\"\n[routes]\n";
    for (what, text) in [
        ("ties", head.to_owned() + &lines(&|n| format!("\"/a/{{x{n}}}\" = \"public\"\n"))),
        (
            "methods",
            head.to_owned()
                + "\"/a\" = { policy = \"deny\", methods = ["
                + &lines(&|n| format!("\"A{n}\","))
                + "] }",
        ),
        (
            "keys",
            lines(&|n| format!("[[tokens.key]]\nid = \"{n}\"\nalg = \"HS256\"\nsecret = \"x\"\n")),
        ),
        ("garbage", "[[[]]] = {{ \" ' \n".repeat(500_000)),
        (
            "upstreams",
            lines(&|n| format!("[upstreams.u{n}]\nurl = \"http://h\"\n"))
                + "[routes]\n\"/a\" = { policy = \"public\", upstream = \"v\" }",
        ),
    ] {
        let setup = Setup::new("");
        std::fs::write(setup.dir().join("big.toml"), text).expect("written");
        for format in ["text", "json"] {
            let started = Instant::now();
            let output = setup.cli(&["check", "--config", "big.toml", "--format", format], "");
            assert_eq!(output.code, Some(1), "{what}");
            assert!(output.stdout.len() + output.stderr.len() < 4_000_000, "{what}");
            assert!(started.elapsed() < LONGEST, "{what}: {:?}", started.elapsed());
        }
    }
}

#[test]
fn thousands_of_tests_and_routes_are_checked_in_good_time() {
    let mut toml = String::from("upstream = \"builtin:whoami\"\n[routes]\n");
    for n in 0..10_000 {
        toml += &format!("\"/r{n}/{{id}}/**\" = \"access-required\"\n");
    }
    for n in 0..2_000 {
        toml += &format!("[[test]]\nrequest = \"GET /r{n}/1\"\nexpect = \"token-missing\"\n");
    }
    let output = check(&toml, &[]).succeeded();
    assert!(output.stdout.contains("2000 tests passed") && output.stderr.is_empty());
}

#[test]
fn init_writes_a_file_that_check_has_nothing_to_say_of() {
    let upstream = Upstream::echo();
    let backend = upstream.to_string();
    for users in [None, Some("people.toml")] {
        let setup = Setup::new("");
        std::fs::remove_file(setup.dir().join("gateway.toml")).expect("removed");
        let mut args = vec!["init", "--backend", &backend];
        args.extend(users.iter().flat_map(|users| ["--users", *users]));
        let output = setup.cli(&args, "").succeeded();
        assert!(output.stdout.starts_with("wrote gateway.toml"), "{}", output.stdout);
        let output = setup.cli(&["check", "--format", "json"], "").succeeded();
        assert_eq!(output.stdout, "[]\n");
        if users.is_some() {
            setup
                .cli(&["user", "add", "ada", "--password-stdin"], "a good long password\n")
                .succeeded();
        }
        // Never over another file, unless told to.
        let before = std::fs::read(setup.dir().join("gateway.toml")).expect("readable");
        let output = setup.cli(&["init", "--backend", "builtin:whoami"], "");
        assert_eq!(output.code, Some(1));
        assert!(output.stderr.contains("--force"), "{}", output.stderr);
        assert_eq!(std::fs::read(setup.dir().join("gateway.toml")).expect("readable"), before);
        setup.cli(&["init", "--backend", "builtin:whoami", "--force"], "").succeeded();
        assert_ne!(std::fs::read(setup.dir().join("gateway.toml")).expect("readable"), before);
    }
}

#[test]
fn init_writes_nothing_that_check_would_refuse() {
    let setup = Setup::new("");
    for (args, told) in [
        (&["init", "--backend", "nonsense", "--output", "new.toml"][..], "is not an http URL"),
        (&["init", "--output", "new.toml"][..], "--backend"),
        (&["init", "--backend", "http://h:1\"\nx = \"", "--output", "new.toml"][..], "error["),
        (
            &["init", "--backend", "http://h:1", "--users", "no/folder", "--output", "new.toml"][..],
            "cannot be made",
        ),
    ] {
        let output = setup.cli(args, "");
        assert_eq!(output.code, Some(1), "{args:?}");
        assert!(output.stderr.contains(told), "{args:?}: {}", output.stderr);
        assert!(!setup.dir().join("new.toml").exists(), "{args:?}");
    }
}
