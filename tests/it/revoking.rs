//! Sessions listed and ended: by their owner, by the operator on the command line, and with their user.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};

use serde_json::{Value, json};

use crate::endpoints::{SHUT, login, started};
use crate::harness::process::says;
use crate::harness::{Gateway, Setup, Tokens, UNTHROTTLED, Upstream, eventually, forge};

fn sid(tokens: &Tokens) -> String {
    forge::payload(&tokens.access)["sid"].as_str().expect("a session").to_owned()
}

/// The living sessions as the owner of this token sees them.
#[track_caller]
fn mine(gateway: &Gateway, token: &str) -> Vec<Value> {
    let answer = gateway.client().get("/auth/sessions").bearer(token).send().expect(200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    answer.json()["sessions"].as_array().expect("a list").clone()
}

/// The living sessions as the operator sees them.
#[track_caller]
fn all(gateway: &Gateway, args: &[&str]) -> Vec<Value> {
    let args = [&["session", "list", "--json"], args].concat();
    let said = gateway.cli(&args, "").succeeded().stdout;
    let said: Value = serde_json::from_str(&said).expect("JSON");
    said["sessions"].as_array().expect("a list").clone()
}

#[track_caller]
fn dead(gateway: &Gateway, tokens: &Tokens) {
    let client = gateway.client();
    client.get("/x").bearer(&tokens.access).send().refused(401, "token-revoked");
    client.post("/auth/refresh").bearer(&tokens.refresh).send().refused(401, "token-revoked");
}

#[test]
fn devices_are_listed_and_logged_out_one_by_one_and_all_at_once() {
    let upstream = Upstream::echo();
    let gateway = started(&upstream, SHUT);
    gateway.user("bob", "his password", "{}");
    let bob = eventually("bob", || {
        let body = json!({"username": "bob", "password": "his password"});
        let answer = gateway.client().post("/auth/login").json(&body).send();
        (answer.status == 200).then(|| Tokens::of(&answer))
    });
    let (phone, desk) = (login(&gateway), login(&gateway));
    let listed = mine(&gateway, &desk.access);
    assert!(listed.len() >= 2 && listed.iter().all(|one| one["sid"] != json!(sid(&bob))));
    let this = listed.iter().find(|one| one["current"] == true).expect("this one");
    assert_eq!((&this["sid"], &this["address"]), (&json!(sid(&desk)), &json!("127.0.0.1")));
    assert!(this["created"].as_u64() <= this["last_used"].as_u64());
    assert!(this["last_used"].as_u64() < this["expires"].as_u64());
    let end =
        |path: &str, token: &str| gateway.client().request("DELETE", path).bearer(token).send();
    let one = |tokens: &Tokens| format!("/auth/sessions/{}", sid(tokens));
    // Not with a refreshed token, nor without one; not that of another.
    let stale = gateway.client().post("/auth/refresh").bearer(&desk.refresh).send().expect(200);
    let stale = Tokens::of(&stale).access;
    mine(&gateway, &stale);
    end(&one(&phone), &stale).refused(401, "token-not-fresh");
    end("/auth/sessions", &stale).refused(401, "token-not-fresh");
    gateway.client().get("/auth/sessions").send().refused(401, "token-missing");
    let of_bob = end(&one(&bob), &desk.access).refused(404, "no-route").json();
    let of_nobody = end("/auth/sessions/nobody", &desk.access).refused(404, "no-route").json();
    let words = |answer: &Value| (answer["title"].clone(), answer["detail"].clone());
    assert_eq!(words(&of_bob), words(&of_nobody));
    gateway.client().get("/x").bearer(&bob.access).send().expect(200);
    end(&one(&phone), &desk.access).expect(204);
    dead(&gateway, &phone);
    gateway.client().get("/x").bearer(&desk.access).send().expect(200);
    end("/auth/sessions", &desk.access).expect(204);
    for token in [&desk.access, &stale] {
        gateway.client().get("/x").bearer(token).send().refused(401, "token-revoked");
    }
    gateway.client().get("/x").bearer(&bob.access).send().expect(200);
    // The same second, or the next.
    let again = login(&gateway);
    gateway.client().get("/x").bearer(&again.access).send().expect(200);
    assert_eq!(mine(&gateway, &again.access).len(), 1);
}

#[test]
fn sessions_end_for_good_over_kill_and_restart() {
    let upstream = Upstream::echo();
    let mut gateway = started(&upstream, SHUT);
    let (first, second) = (login(&gateway), login(&gateway));
    let minted = gateway.mint(&["--sub", "ada"]);
    gateway.client().get("/x").bearer(&minted).send().expect(200);
    let everything = gateway.client().request("DELETE", "/auth/sessions");
    everything.bearer(&first.access).send().expect(204);
    gateway.kill();
    gateway.restart();
    for tokens in [&first, &second] {
        dead(&gateway, tokens);
    }
    gateway.client().get("/x").bearer(&minted).send().refused(401, "token-revoked");
    assert!(all(&gateway, &[]).is_empty());
}

#[test]
fn cookies_of_another_site_end_no_session() {
    let toml = format!("[tokens]\naccept = [\"header\", \"cookie\"]\n{SHUT}");
    let upstream = Upstream::echo();
    let gateway = started(&upstream, &toml);
    let tokens = login(&gateway);
    let cookie = format!("access_token={}", tokens.access);
    let asked = |site: &str| {
        let request = gateway.client().request("DELETE", "/auth/sessions");
        request.header("Cookie", &cookie).header("Sec-Fetch-Site", site).send()
    };
    asked("cross-site").refused(403, "cross-site");
    gateway.client().get("/x").bearer(&tokens.access).send().expect(200);
    asked("same-origin").expect(204);
    dead(&gateway, &tokens);
}

#[test]
fn without_login_there_are_no_sessions_to_ask_for() {
    let toml = "[login]\nenabled = false\n[routes]\n\"/x\" = \"access-required\"\n";
    let gateway = Gateway::sharing(&Upstream::echo(), toml);
    let token = forge::fresh("ada");
    for (method, path) in
        [("GET", "/auth/sessions"), ("DELETE", "/auth/sessions"), ("DELETE", "/auth/sessions/x")]
    {
        gateway.client().request(method, path).bearer(&token).send().refused(404, "no-route");
    }
}

#[test]
fn operator_lists_and_revokes_while_the_gateway_runs() {
    let upstream = Upstream::echo();
    let gateway = started(&upstream, SHUT);
    let (one, two) = (login(&gateway), login(&gateway));
    let listed = all(&gateway, &["--user", "ADA"]);
    assert!(listed.iter().any(|session| session["sid"] == json!(sid(&one))));
    assert!(listed.iter().all(|session| session["user"] == "ada"));
    assert!(all(&gateway, &["--user", "bob"]).is_empty());
    let table = gateway.cli(&["session", "list"], "").succeeded().stdout;
    for part in ["SESSION", "LAST USED", "ADDRESS", &sid(&one), "ada", "127.0.0.1"] {
        assert!(table.contains(part), "{table}");
    }
    let revoke =
        |args: &[&str], stdin: &str| gateway.cli(&[&["session", "revoke"], args].concat(), stdin);
    let said = revoke(&["--session", &sid(&one)], "").succeeded().stdout;
    assert_eq!(said, "revoked 1 session of ada\n");
    dead(&gateway, &one);
    let again = revoke(&["--session", &sid(&one)], "");
    assert_eq!(again.code, Some(1));
    says(&again, &["no session", &sid(&one), "freshgate session list"]);
    // One token, and the session goes on.
    let said = revoke(&["--token", "-"], &format!("{}\n", two.access)).succeeded().stdout;
    assert!(said.contains("revoked the access token") && said.contains("of ada"), "{said}");
    gateway.client().get("/x").bearer(&two.access).send().refused(401, "token-revoked");
    let next = gateway.client().post("/auth/refresh").bearer(&two.refresh).send().expect(200);
    let next = Tokens::of(&next);
    let minted = gateway.mint(&["--sub", "ada"]);
    let said = revoke(&["--user", "Ada"], "").succeeded().stdout;
    assert!(said.contains("ada") && said.contains("every token up to now"), "{said}");
    for token in [&next.access, &minted] {
        gateway.client().get("/x").bearer(token).send().refused(401, "token-revoked");
    }
    assert!(all(&gateway, &[]).is_empty());
    assert_eq!(gateway.cli(&["session", "list"], "").succeeded().stdout, "no living sessions\n");
    login(&gateway);
}

#[test]
fn bad_questions_about_sessions_are_answered_in_words() {
    let upstream = Upstream::echo();
    let gateway = started(&upstream, SHUT);
    let refused = |args: &[&str], stdin: &str, words: &[&str]| {
        let output = gateway.cli(&[&["session", "revoke"], args].concat(), stdin);
        assert_ne!(output.code, Some(0), "{output:?}");
        says(&output, words);
    };
    refused(&["--token", "-"], "nonsense", &["not a token"]);
    refused(&["--token", "-"], &forge::fresh("ada"), &["no key of this gateway signed"]);
    refused(&["--token", "no-such-file"], "", &["no-such-file", "cannot be read"]);
    refused(&["--token", "-"], &"x".repeat(100_000), &["not a token"]);
    refused(&["--user", ""], "", &["empty"]);
    refused(&["--user", "a\nb"], "", &["control character"]);
    let typo = gateway.cli(&["session", "revoke", "--user", "adda"], "").succeeded().stdout;
    assert!(typo.starts_with("no session lives of adda"), "{typo}");
    for (args, words) in [
        (&["session", "revoke"][..], "--session <SID>|--user <NAME>|--token <FILE>"),
        (&["session", "revoke", "--user", "a", "--session", "b"], "cannot be used with"),
    ] {
        let output = gateway.cli(args, "");
        assert_eq!(output.code, Some(2));
        assert!(output.stderr.contains(words), "{output:?}");
    }
    gateway.client().get("/x").bearer(&login(&gateway).access).send().expect(200);
}

#[test]
fn operator_lists_and_revokes_while_no_gateway_runs() {
    let upstream = Upstream::echo();
    let mut gateway = started(&upstream, SHUT);
    let (one, two) = (login(&gateway), login(&gateway));
    gateway.terminate();
    assert!(!gateway.path("data/control.sock").exists(), "a clean end takes its socket away");
    assert!(all(&gateway, &["--user", "ada"]).len() >= 2);
    gateway.cli(&["session", "revoke", "--session", &sid(&one)], "").succeeded();
    gateway.restart();
    dead(&gateway, &one);
    gateway.client().get("/x").bearer(&two.access).send().expect(200);
    // Killed, it leaves the socket; nobody answers there.
    gateway.kill();
    assert!(gateway.path("data/control.sock").exists());
    gateway.cli(&["session", "revoke", "--user", "ada"], "").succeeded();
    gateway.restart();
    dead(&gateway, &two);
    all(&gateway, &[]);
    let empty =
        Setup::new(&format!("upstream = \"builtin:whoami\"\n{SHUT}")).cli(&["session", "list"], "");
    assert_eq!(empty.code, Some(1));
    says(&empty, &["holds no state"]);
}

#[test]
fn control_socket_is_for_the_owner_of_the_state_alone() {
    let setup = Setup::new(&format!("upstream = \"builtin:whoami\"\n{SHUT}{UNTHROTTLED}"));
    std::fs::create_dir(setup.dir().join("data")).expect("a directory");
    // One that another process left, and what it may have left half made.
    drop(UnixListener::bind(setup.dir().join("data/control.sock")).expect("a socket"));
    std::fs::write(setup.dir().join("data/control.new"), "").expect("a file");
    let gateway = setup.start();
    all(&gateway, &[]);
    let socket = std::fs::metadata(gateway.path("data/control.sock")).expect("the socket");
    assert!(socket.file_type().is_socket());
    assert_eq!(socket.permissions().mode() & 0o777, 0o600);
    assert!(!gateway.path("data/control.new").exists());
}

#[test]
fn control_socket_answers_bad_questions_and_serves_on() {
    let gateway = Gateway::start(&format!("upstream = \"builtin:whoami\"\n{SHUT}"));
    let ask = |text: &str| {
        let mut socket =
            UnixStream::connect(gateway.path("data/control.sock")).expect("the socket");
        socket.write_all(text.as_bytes()).expect("a question");
        let mut answer = String::new();
        // A connection that is cut may be so by a reset.
        let _ = socket.read_to_string(&mut answer);
        answer
    };
    let post = |length: usize, body: &str| {
        ask(&format!(
            "POST /sessions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
    };
    assert!(
        ask("GET /sessions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .starts_with("HTTP/1.1 404 ")
    );
    assert!(post(8, "{\"no\":1}").starts_with("HTTP/1.1 400 "));
    assert!(post(100_000, &" ".repeat(100_000)).starts_with("HTTP/1.1 400 "));
    assert!(!ask("nonsense\r\n\r\n").starts_with("HTTP/1.1 200 "));
    // More at once than it serves: the rest is cut off, and later it serves again.
    let held: Vec<UnixStream> = (0..40)
        .map(|_| UnixStream::connect(gateway.path("data/control.sock")).expect("the socket"))
        .collect();
    drop(held);
    eventually("the operator to be answered", || {
        (gateway.cli(&["session", "list"], "").code == Some(0)).then_some(())
    });
}

#[test]
fn state_directory_with_a_long_name_has_a_control_socket_too() {
    let long = format!("{}/{}", "d".repeat(120), "e".repeat(120));
    let toml =
        format!("upstream = \"builtin:whoami\"\n{SHUT}[state]\ndir = \"{long}\"\n{UNTHROTTLED}");
    let mut gateway = Gateway::start(&toml);
    let tokens = gateway.login_first();
    assert_eq!(all(&gateway, &[]).len(), 1);
    gateway.cli(&["session", "revoke", "--user", "admin"], "").succeeded();
    dead(&gateway, &tokens);
    gateway.terminate();
    assert!(!gateway.path(&long).join("control.sock").exists());
}
