//! The lines: each kind, with what it says; and that messages say the same.

use serde_json::{Map, Value, json};

use super::{SHUT, fail, line, lines, messages, taking, telling};
use crate::harness::{Gateway, Setup, Tokens, eventually, forge};

fn sid(tokens: &Tokens) -> String {
    forge::payload(&tokens.access)["sid"].as_str().expect("a session").to_owned()
}

/// Does everything that can happen to a login; every token and password it used.
#[track_caller]
fn live(gateway: &Gateway) -> Vec<String> {
    gateway.user("ada", "canary-password", "{}");
    eventually("ada", || {
        let login = json!({"username": "ada", "password": "canary-password"});
        (gateway.client().post("/auth/login").json(&login).send().status == 200).then_some(())
    });
    let login = || gateway.login("ada", "canary-password");
    let (client, mut secrets) = (gateway.client(), Vec::new());
    let mut used =
        |tokens: &Tokens| secrets.extend([tokens.access.clone(), tokens.refresh.clone()]);
    let first = login();
    used(&first);
    fail(gateway, "ada");
    let refreshed =
        Tokens::of(&client.post("/auth/refresh").bearer(&first.refresh).send().expect(200));
    used(&refreshed);
    let reauth = json!({"password": "canary-password"});
    let stepped = client.post("/auth/reauth").bearer(&first.access).json(&reauth).send();
    stepped.expect(200);
    client.post("/auth/refresh").bearer(&first.refresh).send().refused(401, "token-revoked");
    let second = login();
    used(&second);
    client.post("/auth/logout").bearer(&second.access).send().expect(204);
    let (third, fourth, fifth) = (login(), login(), login());
    [&third, &fourth, &fifth].into_iter().for_each(&mut used);
    let end = |path: &str, by: &Tokens| {
        client.request("DELETE", path).bearer(&by.access).send().expect(204);
    };
    end(&format!("/auth/sessions/{}", sid(&third)), &fourth);
    gateway.cli(&["session", "revoke", "--token", "-"], &fifth.access).succeeded();
    gateway.cli(&["session", "revoke", "--session", &sid(&fifth)], "").succeeded();
    end("/auth/sessions", &fourth);
    let last = login();
    used(&last);
    gateway.cli(&["session", "revoke", "--user", "ada"], "").succeeded();
    let left = login();
    used(&left);
    gateway.cli(&["user", "remove", "ada"], "").succeeded();
    secrets.extend(["canary-password", "canary-wrong", "canary-path"].map(str::to_owned));
    let by_users = |line: &Value| line["by"] == "users" && line["subject"] == "ada";
    line(gateway, "the user who left", by_users);
    // The last: whoever guesses on.
    let body = json!({"username": "eve\n", "password": "canary-wrong"});
    eventually("a throttled guess", || {
        (client.post("/auth/login").json(&body).send().status == 429).then_some(())
    });
    line(gateway, "the throttled guess", |line| line["event"] == "throttle");
    // What the canary of each line would be found by.
    assert!(lines(gateway).iter().any(|line| line["sid"] == json!(sid(&left))));
    secrets
}

#[test]
fn whatever_happens_to_a_login_is_one_line_and_one_message_that_says_the_same() {
    let receiver = taking();
    let gateway = telling(&receiver, "[tokens]\nreuse_window = \"0s\"\n[limits]\nthreads = 1\n");
    let secrets = live(&gateway);
    let all = lines(&gateway);
    let of = |event: &str| all.iter().filter(|line| line["event"] == event).collect::<Vec<_>>();
    let has = |line: &Value, fields: &[&str]| {
        for field in fields {
            assert!(line[*field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {line}");
        }
    };
    for line in &all {
        has(line, &["id", "time", "event"]);
    }
    for (event, level) in [
        ("login", "INFO"),
        ("refresh", "INFO"),
        ("step_up", "INFO"),
        ("logout", "INFO"),
        ("reuse", "WARN"),
    ] {
        let found = of(event);
        assert!(!found.is_empty(), "no {event}: {all:#?}");
        for line in found {
            has(line, &["subject", "sid", "request_id", "endpoint"]);
            assert_eq!((&line["level"], &line["address"]), (&json!(level), &json!("127.0.0.1")));
        }
    }
    assert_eq!(of("reuse").len(), 1);
    assert!(of("login").iter().all(|line| line["user"] == "ada" && line["account"] == "ada"));
    let failed = of("failure");
    let reasons: Vec<&str> = failed.iter().filter_map(|line| line["reason"].as_str()).collect();
    assert!(reasons.contains(&"credentials-invalid") && reasons.contains(&"token-revoked"));
    // Ada may have been throttled too, before the gateway knew her.
    let throttled = of("throttle");
    let throttled = throttled.iter().find(|line| line["user"] == "eve\\n").expect("the guesses");
    assert_eq!(throttled["reason"], "login-throttled");
    assert!(throttled["retry_after_s"].as_u64() >= Some(1) && throttled["level"] == "WARN");
    let mut ended: Vec<(&str, &str)> = of("revocation")
        .iter()
        .map(|line| (line["by"].as_str().unwrap_or(""), line["scope"].as_str().unwrap_or("")))
        .collect();
    ended.sort_unstable();
    ended.dedup();
    let wanted = [
        ("operator", "session"),
        ("operator", "token"),
        ("operator", "user"),
        ("user", "session"),
        ("user", "user"),
        ("users", "user"),
    ];
    assert_eq!(ended, wanted);
    assert!(of("revocation").iter().all(|line| line["subject"] == "ada"));

    eventually("as many messages", || (messages(&receiver).len() >= all.len()).then_some(()));
    let told = messages(&receiver);
    assert_eq!(told.len(), all.len());
    for line in &all {
        let (_, message) = told.iter().find(|(id, _)| line["id"] == json!(id)).expect("a message");
        assert_eq!((&message["type"], &message["timestamp"]), (&line["event"], &line["time"]));
        let mut said: Map<String, Value> = line.as_object().expect("an object").clone();
        for own in ["timestamp", "level", "target", "message", "event", "id", "time"] {
            said.remove(own).expect("a field of every line");
        }
        assert_eq!(message["data"], Value::Object(said));
    }
    let events =
        |event: &str| gateway.metric(&format!("freshgate_events_total{{event=\"{event}\"}}"));
    assert_eq!((events("reuse"), events("login")), (1, of("login").len() as u64));
    let bodies: String = receiver.requests().iter().map(|one| one.text()).collect();
    let metrics = gateway.admin().get("/metrics").send().expect(200).text();
    for secret in secrets {
        for text in [&gateway.log(), &bodies, &metrics, &gateway.stdout()] {
            assert!(!text.contains(&secret), "{secret} in {text}");
        }
    }
}

#[test]
fn a_wrong_password_and_an_unknown_user_differ_in_the_name_alone() {
    let receiver = taking();
    let gateway = telling(&receiver, "");
    let known = gateway.login_first();
    assert!(!known.access.is_empty());
    for name in ["admin", "nobody"] {
        fail(&gateway, name);
    }
    let of = |name: &str| {
        let is = |line: &Value| line["event"] == "failure" && line["user"] == name;
        let mut line = line(&gateway, name, is);
        for own in ["id", "time", "timestamp", "request_id", "user", "account"] {
            assert!(line[own].is_string(), "{own}: {line}");
            line[own] = Value::Null;
        }
        line
    };
    assert_eq!(of("admin"), of("nobody"));
}

#[test]
fn names_that_failed_are_hashed_where_asked() {
    let receiver = taking();
    let gateway = telling(&receiver, "[events]\nfailed_names = \"hashed\"\n");
    gateway.login_first();
    for name in ["my-canary-password", "My-Canary-Password ", "other"] {
        fail(&gateway, name);
    }
    eventually("three", || (messages(&receiver).len() == 4).then_some(()));
    let accounts: Vec<Value> = lines(&gateway)
        .into_iter()
        .filter(|line| line["event"] == "failure")
        .map(|line| {
            assert!(line["user"].is_null(), "{line}");
            line["account"].clone()
        })
        .collect();
    assert_eq!(accounts.len(), 3);
    assert!(accounts[0] == accounts[1] && accounts[0] != accounts[2], "{accounts:?}");
    assert!(accounts[0].as_str().is_some_and(|text| text.starts_with("hash:")), "{accounts:?}");
    // Who got in is named.
    assert!(lines(&gateway).iter().any(|line| line["event"] == "login" && line["user"] == "admin"));
    let bodies: String = receiver.requests().iter().map(|one| one.text()).collect();
    for text in [gateway.log(), bodies] {
        assert!(!text.to_lowercase().contains("canary-password"), "{text}");
    }
}

#[test]
fn lines_can_be_kept_where_the_rest_is_not() {
    let receiver = taking();
    let gateway = telling(&receiver, "[log]\nlevel = \"error,freshgate::audit=info\"\n");
    gateway.login_first();
    line(&gateway, "the login", |line| line["event"] == "login");
    fail(&gateway, "eve");
    line(&gateway, "the failure", |line| line["event"] == "failure");
    assert_eq!(gateway.log().lines().count(), 2, "{}", gateway.log());
}

#[test]
fn a_command_that_revokes_by_itself_writes_the_line_and_tells_the_webhook() {
    let receiver = taking();
    let mut gateway = telling(&receiver, "");
    let tokens = gateway.login_first();
    gateway.terminate();
    let said = gateway.cli(&["session", "revoke", "--session", &sid(&tokens)], "").succeeded();
    let line: Value = serde_json::from_str(said.stderr.trim()).expect("one line of JSON");
    assert_eq!((&line["event"], &line["by"]), (&json!("revocation"), &json!("operator")), "{line}");
    assert_eq!((&line["subject"], &line["sid"]), (&json!("admin"), &json!(sid(&tokens))));
    let (id, message) = messages(&receiver).pop().expect("a message");
    assert_eq!((json!(id), &message["data"]["sid"]), (line["id"].clone(), &json!(sid(&tokens))));
    // Without anything to tell, nothing is said.
    let listed = gateway.cli(&["session", "list"], "").succeeded();
    assert_eq!(listed.stderr, "");
}

#[test]
fn users_who_left_while_no_gateway_ran_are_told_of_too() {
    let receiver = taking();
    let mut gateway = telling(&receiver, "");
    gateway.user("ada", "canary-password", "{}");
    eventually("ada", || {
        let login = json!({"username": "ada", "password": "canary-password"});
        (gateway.client().post("/auth/login").json(&login).send().status == 200).then_some(())
    });
    gateway.terminate();
    gateway.cli(&["user", "remove", "ada"], "").succeeded();
    gateway.restart();
    let is = |message: &Value| message["type"] == "revocation" && message["data"]["by"] == "users";
    eventually("the message", || messages(&receiver).into_iter().find(|(_, one)| is(one)));
}

#[test]
fn mistakes_of_a_webhook_are_told_without_its_secrets() {
    let check = |url: &str, secret: &str| {
        let toml = format!("upstream = \"builtin:whoami\"\n{SHUT}");
        let setup = Setup::new(&toml).env("HOOK", url).env("SECRET", secret);
        setup.cli(&["check"], "")
    };
    for (url, secret, wanted) in [
        ("https://example.org/canary", "canary-hunter2", "is not `whsec_` and base64"),
        ("https://example.org/canary", "whsec_Y2FuYXJ5", "has 6 bytes; it needs 24 to 64"),
        ("https://example.org/canary", "whsec_canary!", "is not `whsec_` and base64"),
        ("http://example.org/canary", super::SECRET, "without TLS"),
        ("http://192.0.2.1/canary", super::SECRET, "without TLS"),
        ("ftp://example.org/canary", super::SECRET, "not an https URL"),
        ("https://canary@example.org/", super::SECRET, "user name"),
        ("canary", super::SECRET, "not a whole URL"),
    ] {
        let said = check(url, secret);
        assert_ne!(said.code, Some(0), "{url} {secret}");
        let text = format!("{}{}", said.stdout, said.stderr);
        assert!(text.contains(wanted) && !text.contains("canary"), "{url} {secret}:\n{text}");
    }
    check("https://example.org/canary", super::SECRET).succeeded();
    check("http://127.0.0.1:1/canary", super::SECRET).succeeded();
    let toml = format!("upstream = \"builtin:whoami\"\n{SHUT}").replace("127.0.0.1", "10.0.0.0/8");
    let setup =
        Setup::new(&toml).env("HOOK", "http://10.1.2.3/canary").env("SECRET", super::SECRET);
    let said = setup.cli(&["check"], "");
    let text = format!("{}{}", said.stdout, said.stderr);
    assert!(text.contains("webhook-without-tls") && !text.contains("canary"), "{text}");
    let missing = Setup::new(
        "upstream = \"builtin:whoami\"\n[routes]\n\"/\" = \"public\"\n[events.webhook]\n",
    );
    let said = missing.cli(&["check"], "");
    let text = format!("{}{}", said.stdout, said.stderr);
    assert!(text.contains("`url`") && text.contains("`secret`"), "{text}");
}
