//! Logs: every attempt has its line, nobody writes a line of his own, no secret is in any.

use serde_json::{Value, json};

use crate::harness::{Gateway, Setup, Upstream, eventually, forge};

const SHUT: &str = "[routes]\n\"/open/**\" = \"public\"\n\"/shut/{id}\" = \"access-required\"\n\"/deny\" = \"deny\"\n";

// Holds: U5
#[test]
fn what_clients_write_cannot_forge_a_log_line() {
    let upstream = Upstream::echo();
    let gateway = Gateway::in_front_of(
        &upstream,
        &format!("[log]\nformat = \"text\"\naccess = true\n{SHUT}"),
    );
    let name = "eve\nERROR forged line\r\u{1b}[31m";
    gateway
        .client()
        .post("/auth/login")
        .json(&json!({"username": name, "password": "x"}))
        .send()
        .expect(401);
    gateway.client().get("/open/a%20b").header("X-Request-Id", "x\" forged").send();
    gateway.logged("credentials-invalid");
    let log = gateway.log();
    assert!(!log.lines().any(|line| line.starts_with("ERROR forged")), "{log}");
    assert!(!log.contains('\u{1b}'), "{log}");
}

// Holds: U5, K4, CVE-2025-62232
#[test]
fn secrets_never_print_at_the_most_talkative_level() {
    let upstream = Upstream::echo();
    let secret = "canary-secret-of-32-bytes-or-more";
    let toml = format!(
        "upstream = \"{upstream}\"\n[log]\nlevel = \"trace\"\naccess = true\n{SHUT}{}",
        forge::KEY
    );
    let mut gateway = Setup::new(&toml).env("SHARED", secret).start();
    let first = gateway.first_password();
    gateway.user("ada", "canary-password", "{}");
    eventually("ada", || {
        let login = json!({"username": "ada", "password": "canary-password"});
        (gateway.client().post("/auth/login").json(&login).send().status == 200).then_some(())
    });
    let tokens = gateway.login("ada", "canary-password");
    let client = gateway.client();
    client
        .post("/auth/login")
        .form(&[("username", "ada"), ("password", "canary-wrong")])
        .send()
        .expect(401);
    client
        .post("/auth/login")
        .json(&json!({"username": "ada", "password": "canary-double", "x": {}}))
        .body("{")
        .send();
    client
        .post("/auth/reauth")
        .bearer(&tokens.access)
        .json(&json!({"password": "canary-password"}))
        .send()
        .expect(200);
    client.post("/auth/refresh").bearer(&tokens.refresh).send().expect(200);
    client
        .get("/shut/1?access_token=canary-query")
        .bearer(&tokens.access)
        .header("Cookie", "s=canary-cookie")
        .send()
        .expect(200);
    client.get("/shut/1").bearer("canary.bad.token").send().expect(401);
    client.post("/auth/logout").bearer(&tokens.access).send().expect(204);
    let metrics = gateway.admin().get("/metrics").send().expect(200).text();
    let explained =
        gateway.cli(&["explain", "GET", "/shut/1", "--token", &tokens.access], "").succeeded();
    let mistake = gateway.cli(&["run", "--config", "none.toml"], "");
    gateway.terminate();
    gateway.logged("stopped");
    let log = gateway.log();
    assert!(log.lines().count() > 5, "the level is not in force: {log}");
    let signatures = [&tokens.access, &tokens.refresh]
        .map(|token| token.rsplit('.').next().expect("three parts").to_owned());
    for said in [&log, &metrics, &explained.stdout, &explained.stderr, &mistake.stderr] {
        let canary = said.lines().find(|line| line.contains("canary"));
        assert!(canary.is_none(), "{canary:?}");
        assert!(!said.contains(&first) && signatures.iter().all(|one| !said.contains(one)));
    }
    assert!(!gateway.stdout().contains("canary"));
}

// Holds: U5
#[test]
fn every_login_attempt_is_logged_with_user_address_and_result() {
    let upstream = Upstream::echo();
    let gateway = Gateway::in_front_of(&upstream, SHUT);
    let tokens = gateway.login_first();
    gateway
        .client()
        .post("/auth/login")
        .json(&json!({"username": "eve", "password": "x"}))
        .send()
        .expect(401);
    gateway.client().post("/auth/logout").bearer(&tokens.access).send().expect(204);
    for (event, name, user, reason) in [
        ("login", "user", "admin", Value::Null),
        ("failure", "user", "eve", json!("credentials-invalid")),
        ("logout", "subject", "admin", Value::Null),
    ] {
        eventually(&format!("{event} of {user}"), || {
            let log = gateway.log();
            let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            lines.find(|line| {
                (line["event"] == event && line[name] == user && line["reason"] == reason)
                    && line["address"] == "127.0.0.1"
                    && line["request_id"].is_string()
            })
        });
    }
}

// Holds: U5
// As JSON, the default where there is no terminal: one object a line, whatever a name holds.
#[test]
fn a_name_of_any_signs_is_one_value_in_one_line_of_json() {
    let gateway = Gateway::in_front_of(&Upstream::echo(), SHUT);
    let names = [
        "eve\n{\"event\":\"login\",\"user\":\"admin\"}",
        "eve\",\"event\":\"login",
        "eve\u{2028}forged\u{85}forged",
        "\u{1b}]0;forged\u{7}",
        "\u{202e}nimda",
        &"long ".repeat(400),
    ];
    for name in names {
        let body = json!({"username": name, "password": "canary-password"});
        gateway.client().post("/auth/login").json(&body).send().expect(401);
    }
    eventually("a line for each", || {
        (gateway.log().matches("credentials-invalid").count() >= names.len()).then_some(())
    });
    let log = gateway.log();
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).expect("one object a line");
        assert!(line["event"] != "login", "{line}");
        assert!(line["event"] != "failure" || line["reason"] == "credentials-invalid", "{line}");
        let user = line["user"].as_str().unwrap_or("");
        assert!(user.len() < 1024 && !user.chars().any(char::is_control), "{line}");
    }
    let odd = ['\u{2028}', '\u{85}', '\u{1b}', '\u{202e}'];
    assert!(!log.contains(odd) && !log.contains("canary"), "{log}");
}

// Holds: K4
#[test]
fn a_secret_written_into_the_file_is_refused_and_not_repeated() {
    let secret = "canary-0123456789-0123456789-0123456789";
    for line in [
        format!("secret = \"{secret}\""),
        format!("secret = '{secret}'"),
        format!("secret = {{ value = \"{secret}\" }}"),
        format!("private = \"\"\"-----BEGIN PRIVATE KEY-----\\n{secret}\"\"\""),
    ] {
        let toml = format!(
            "upstream = \"builtin:whoami\"\n[routes]\n\"/\" = \"public\"\n[[tokens.key]]\nid = \"k\"\nalg = \"HS256\"\n{line}\n"
        );
        let setup = Setup::new(&toml);
        for args in [
            &["run"][..],
            &["check"],
            &["check", "--format", "json"],
            &["explain", "GET", "/"],
            &["diff", "gateway.toml", "gateway.toml"],
            &["token", "mint", "--sub", "ada"],
        ] {
            let said = setup.cli(args, "");
            assert_ne!(said.code, Some(0), "{args:?} took {line}");
            for text in [&said.stdout, &said.stderr] {
                assert!(!text.contains("canary"), "{args:?} with {line}:\n{text}");
            }
        }
    }
}

// Holds: U5
// The subject of a token comes from whoever shares a key, the path from anybody: as text for a terminal too.
#[test]
fn no_subject_and_no_path_forges_a_line_of_text() {
    let upstream = Upstream::echo();
    let toml = format!("[log]\nformat = \"text\"\naccess = true\n{SHUT}");
    let gateway = Gateway::sharing(&upstream, &toml);
    let odd =
        "eve\nERROR forged\r\u{1b}[31m\u{9b}31m\u{85}ERROR forged\u{2028}ERROR forged\u{202e}";
    let token = forge::with(odd, json!({"jti": odd, "sid": odd, "roles": odd}));
    let client = gateway.client();
    let line = client.get("/shut/%0AERROR%20forged").bearer(&token).send();
    assert!(line.status == 400 || line.status == 200, "{}", line.status);
    client.get("/shut/%E2%80%A8ERROR%20forged%C2%85").bearer(&token).send();
    client.get("/shut/7").bearer(&token).send().expect(200);
    client.post("/auth/refresh").bearer(&token).send().expect(401);
    let reauth = client.post("/auth/reauth").json(&json!({"password": "x"}));
    reauth.bearer(&token).send().expect(401);
    client.post("/auth/logout").bearer(&token).send().expect(204);
    gateway.logged("logout");
    gateway.logged("/shut/7");
    let log = gateway.log();
    assert!(!log.lines().any(|line| line.starts_with("ERROR forged")), "{log}");
    let raw = ['\u{1b}', '\u{9b}', '\u{85}', '\u{2028}', '\u{202e}', '\r'];
    let found = raw.iter().find(|sign| log.contains(**sign));
    assert!(found.is_none(), "{found:?} in {log}");
}

// Holds: U5, D11
// A full disk under the log, or a reader of it that hangs: an answer that waited for its line, or a panic about it,
// would end the gateway for everybody.
#[test]
fn a_log_that_is_full_or_not_read_neither_stops_nor_ends_the_gateway() {
    let toml =
        "upstream = \"builtin:whoami\"\n[log]\naccess = true\n[routes]\n\"/**\" = \"public\"\n";
    // A pipe holds 64 KiB: less than these lines.
    let long = format!("/{}", "x".repeat(2000));
    for log in ["2>/dev/full", "2<>unread"] {
        let setup = Setup::new(toml).log_to(log);
        let pipe = std::process::Command::new("mkfifo").arg(setup.dir().join("unread")).status();
        assert!(pipe.expect("mkfifo").success());
        let mut gateway = setup.start();
        let mut connection = gateway.client().connect();
        for _ in 0..100 {
            gateway.client().get(&long).send_on(&mut connection).expect(200);
        }
        if log == "2>/dev/full" {
            eventually("lost lines in the metrics", || {
                (gateway.metric("freshgate_log_lines_lost_total") >= 100).then_some(())
            });
        }
        assert_eq!(gateway.terminate().code(), Some(0), "{log}");
    }
}
