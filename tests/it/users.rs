//! `users.toml`: who may log in, edited by hand or by `freshgate user`, reread when it changes.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::harness::{Gateway, Response, Setup, Tokens, UNTHROTTLED, Upstream, eventually, forge};

const TOML: &str =
    "[login]\nusers = { file = \"users.toml\" }\n[routes]\n\"/**\" = \"access-required\"\n";

/// With the first user, made by the gateway.
const SHUT: &str = "[routes]\n\"/refresh\" = \"refresh-only\"\n\"/**\" = \"access-required\"\n";

fn try_login(gateway: &Gateway, name: &str, password: &str) -> Response {
    gateway
        .client()
        .post("/auth/login")
        .json(&json!({"username": name, "password": password}))
        .send()
}

#[track_caller]
fn can_soon(gateway: &Gateway, name: &str, password: &str, status: u16) -> Response {
    eventually(&format!("{name} to get {status}"), || {
        Some(try_login(gateway, name, password)).filter(|response| response.status == status)
    })
}

fn setup(upstream: &Upstream) -> Setup {
    Setup::new(&format!("upstream = \"{upstream}\"\n{TOML}{UNTHROTTLED}"))
}

#[track_caller]
fn add(setup: &Setup, name: &str, password: &str, more: &[&str]) {
    let args = [&["user", "add", name, "--password-stdin"], more].concat();
    setup.cli(&args, &format!("{password}\n")).succeeded();
}

#[test]
fn users_are_added_listed_changed_and_removed_on_the_command_line() {
    let setup = setup(&Upstream::echo());
    add(
        &setup,
        "ada",
        "first password",
        &["--role", "admin", "--role", "staff", "--claims", r#"{"team":"red","level":3}"#],
    );
    add(&setup, "bob", "second password", &[]);
    let gateway = setup.start();
    let said = forge::payload(&gateway.login("ada", "first password").access);
    assert_eq!(
        (&said["roles"], &said["team"], &said["level"]),
        (&json!(["admin", "staff"]), &json!("red"), &json!(3))
    );
    let list = gateway.cli(&["user", "list"], "").succeeded().stdout;
    assert!(list.contains("ada") && list.contains("bob") && list.contains("red"), "{list}");
    assert!(!list.contains("argon2"), "{list}");

    gateway.cli(&["user", "password", "ada", "--password-stdin"], "third password\n").succeeded();
    can_soon(&gateway, "ada", "third password", 200);
    try_login(&gateway, "ada", "first password").refused(401, "credentials-invalid");
    gateway.cli(&["user", "remove", "bob"], "").succeeded();
    can_soon(&gateway, "bob", "second password", 401);
    let list = gateway.cli(&["user", "list"], "").succeeded().stdout;
    assert!(list.contains("ada") && !list.contains("bob"), "{list}");
}

#[test]
fn mistakes_with_users_change_nothing_and_say_why() {
    let setup = setup(&Upstream::echo());
    add(&setup, "ada", "first password", &[]);
    let before = std::fs::read(setup.dir().join("users.toml")).expect("users");
    for (args, stdin) in [
        (&["user", "add", "ada", "--password-stdin"][..], "x password\n"),
        (&["user", "add", "eve", "--password-stdin"], ""),
        (&["user", "add", "eve", "--password-stdin"], "\n"),
        (&["user", "add", "eve", "--password-stdin"], "two\nlines\n"),
        (&["user", "add", "eve", "--password-stdin", "--claims", "[]"], "password\n"),
        (
            &["user", "add", "eve", "--password-stdin", "--claims", r#"{"sub":"root"}"#],
            "password\n",
        ),
        (
            &["user", "add", "eve", "--password-stdin", "--claims", r#"{"type":"refresh"}"#],
            "password\n",
        ),
        (&["user", "add", "", "--password-stdin"], "password\n"),
        (&["user", "remove", "eve"], ""),
        (&["user", "password", "eve", "--password-stdin"], "password\n"),
        (&["user", "add", "eve", "--password", "on-the-command-line"], ""),
    ] {
        let output = setup.cli(args, stdin);
        assert_ne!(output.code, Some(0), "{args:?}");
        assert!(!output.stderr.trim().is_empty(), "{args:?} says nothing");
        assert_eq!(
            std::fs::read(setup.dir().join("users.toml")).expect("users"),
            before,
            "{args:?}"
        );
    }
}

#[test]
fn user_can_be_added_before_the_first_run_and_is_then_the_only_one() {
    let setup =
        Setup::new("upstream = \"builtin:whoami\"\n[routes]\n\"/**\" = \"access-required\"\n");
    let missing = setup.cli(&["user", "remove", "ada"], "");
    assert!(missing.stderr.contains("`freshgate user add NAME` makes it"), "{}", missing.stderr);
    assert!(!setup.dir().join("data").exists());
    add(&setup, "ada", "first", &[]);
    let mode = std::fs::metadata(setup.dir().join("data")).expect("made").permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o700);
    let gateway = setup.start();
    assert!(!gateway.stdout().contains("first user"), "{}", gateway.stdout());
    let answer = try_login(&gateway, "ada", "first").expect(200);
    assert!(answer.body.ends_with(b"}\n"), "no final newline");
}

#[test]
fn a_file_edited_by_hand_is_reread_and_comments_survive_the_command_line() {
    let setup = setup(&Upstream::echo());
    add(&setup, "ada", "first password", &[]);
    let path = setup.dir().join("users.toml");
    let text = std::fs::read_to_string(&path).expect("users");
    std::fs::write(&path, format!("# kept by hand\n{text}")).expect("written");
    add(&setup, "bob", "second password", &[]);
    let gateway = setup.start();
    gateway.login("ada", "first password");
    let text = std::fs::read_to_string(&path).expect("users");
    assert!(text.contains("# kept by hand"), "{text}");
    // By hand: bob becomes carol, through a new file that takes the place of the old one, as editors do.
    let next = path.with_extension("tmp");
    std::fs::write(&next, text.replace("bob", "carol")).expect("written");
    std::fs::rename(&next, &path).expect("renamed");
    can_soon(&gateway, "carol", "second password", 200);
    try_login(&gateway, "bob", "second password").expect(401);
}

#[test]
fn a_broken_users_file_leaves_the_old_users_and_says_so() {
    let setup = setup(&Upstream::echo());
    add(&setup, "ada", "first password", &[]);
    let gateway = setup.start();
    let path = gateway.path("users.toml");
    let text = std::fs::read_to_string(&path).expect("users");
    std::fs::write(&path, "users = [[[").expect("written");
    gateway.logged("users.toml");
    gateway.login("ada", "first password");
    std::fs::write(&path, text.replace("ada", "eve")).expect("written");
    can_soon(&gateway, "eve", "first password", 200);
}

/// Answers the prompts of `freshgate user add ada` on a terminal of its own (`script`, of every Debian);
/// what the terminal showed.
fn prompted(setup: &Setup, answers: [&str; 2]) -> String {
    let mut child = Command::new("script")
        .args(["-qec", concat!(env!("CARGO_BIN_EXE_freshgate"), " user add ada"), "/dev/null"])
        .current_dir(setup.dir())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script, of the package bsdutils");
    let mut stdin = child.stdin.take().expect("piped");
    let mut stdout = child.stdout.take().expect("piped");
    let mut shown = String::new();
    for (prompt, answer) in ["New password", "again"].into_iter().zip(answers) {
        while !shown.contains(prompt) {
            let mut piece = [0; 256];
            let count = stdout.read(&mut piece).expect("a terminal");
            assert!(count > 0, "it ended before it asked: {shown}");
            shown += &String::from_utf8_lossy(&piece[..count]);
        }
        // The prompt comes a moment before the terminal stops to show what is typed: no person is as fast as a test.
        eventually("the terminal hides what is typed", || hides(child.id()).then_some(()));
        stdin.write_all(format!("{answer}\n").as_bytes()).expect("a terminal");
    }
    let mut rest = Vec::new();
    let _ended = stdout.read_to_end(&mut rest);
    child.wait().expect("a child");
    shown + &String::from_utf8_lossy(&rest)
}

/// Whether the terminal that `script` made shows nothing of what is typed.
fn hides(script: u32) -> bool {
    let children = std::fs::read_to_string(format!("/proc/{script}/task/{script}/children"));
    let children = children.unwrap_or_default();
    let child = children.split_whitespace().next().unwrap_or_default();
    let Ok(terminal) = std::fs::read_link(format!("/proc/{child}/fd/0")) else { return false };
    let asked = Command::new("stty").arg("-F").arg(terminal).arg("-a").output();
    asked.is_ok_and(|said| String::from_utf8_lossy(&said.stdout).contains("-echo "))
}

#[test]
fn a_password_typed_at_the_prompt_is_asked_twice_and_not_shown() {
    let setup = setup(&Upstream::echo());
    let shown = prompted(&setup, ["typed password", "another password"]);
    assert!(shown.contains("differ"), "{shown}");
    assert!(!setup.dir().join("users.toml").exists(), "two that differ add nobody");
    let shown = prompted(&setup, ["typed password", "typed password"]);
    assert!(!shown.contains("typed password"), "{shown}");
    setup.start().login("ada", "typed password");
}

#[test]
fn claims_of_a_user_are_asked_again_at_each_refresh() {
    let upstream = Upstream::echo();
    let gateway = Gateway::in_front_of(&upstream, SHUT);
    let tokens = gateway.login_first();
    let users = gateway.path("data/users.toml");
    let text = std::fs::read_to_string(&users).expect("the first user's file");
    assert!(text.contains("[\"admin\"]"), "{text}");
    std::fs::write(&users, text.replace("[\"admin\"]", "[\"changed\"]")).expect("a file");
    let mut refresh = tokens.refresh;
    let roles = eventually("the new claims", || {
        let answer = gateway.client().post("/auth/refresh").bearer(&refresh).send().expect(200);
        let next = Tokens::of(&answer);
        refresh = next.refresh;
        Some(forge::payload(&next.access)).filter(|said| said["roles"] == json!(["changed"]))
    });
    assert_eq!(roles["sub"], "admin");
    // Other claims are no other user: what was there before goes on.
    gateway.client().get("/x").bearer(&tokens.access).send().expect(200);
}

#[test]
fn names_of_every_kind_are_somebody_or_nobody() {
    let setup = setup(&Upstream::echo());
    add(&setup, "ada", "secret word", &[]);
    let gateway = setup.start();
    let long = "a".repeat(10 * 1024);
    // Cyrillic, accents that combine, another case of the Turkish, signs that show nothing in between.
    for nobody in [&long, "", " ", "\u{430}da", "a\u{301}da", "\u{e4}da", "ada.", "ada/", "ad"] {
        try_login(&gateway, nobody, "secret word").refused(401, "credentials-invalid");
    }
    // The same name in other signs is one user.
    for ada in ["ada", "ADA", " ada ", "\u{ff41}\u{ff44}\u{ff41}"] {
        let tokens = Tokens::of(&try_login(&gateway, ada, "secret word").expect(200));
        assert_eq!(forge::payload(&tokens.access)["sub"], "ada", "{ada}");
    }
}

#[test]
fn a_user_who_is_removed_gets_no_more_tokens_and_has_none() {
    let upstream = Upstream::echo();
    let gateway = Gateway::in_front_of(&upstream, SHUT);
    let password = gateway.first_password();
    let tokens = gateway.login("admin", &password);
    let mut token = tokens.refresh.clone();
    gateway.cli(&["user", "remove", "admin"], "").succeeded();
    eventually("the removal", || {
        let answer = gateway.client().post("/auth/refresh").bearer(&token).send();
        if answer.status == 200 {
            token = Tokens::of(&answer).refresh;
        }
        (answer.status == 401).then_some(())
    });
    let body = json!({"username": "admin", "password": password});
    gateway.client().post("/auth/login").json(&body).send().refused(401, "credentials-invalid");
    let reauth = gateway
        .client()
        .post("/auth/reauth")
        .bearer(&tokens.access)
        .json(&json!({"password": password}));
    reauth.send().refused(401, "token-revoked");
    gateway.client().get("/x").bearer(&tokens.access).send().refused(401, "token-revoked");
}
