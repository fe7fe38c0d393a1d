//! The key folder of a running gateway: what is put there, rotated, removed, broken; and nobody is logged out by it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::harness::{Gateway, Setup, Tokens, Upstream, eventually, forge};

const SHUT: &str = "[routes]\n\"/**\" = \"access-required\"\n";
const JWKS: &str = "/.well-known/jwks.json";

fn started() -> Gateway {
    Gateway::in_front_of(&Upstream::echo(), SHUT)
}

fn status(gateway: &Gateway, token: &str) -> u16 {
    // The backend may be gone: what the gateway forwards is then a 502, and no 401.
    gateway.client().get("/x").bearer(token).send().status
}

fn passes(gateway: &Gateway, token: &str) -> bool {
    status(gateway, token) != 401
}

/// The header of a token says which key signed it.
fn kid(token: &str) -> String {
    use base64::Engine as _;
    let header = token.split('.').next().expect("a first part");
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(header).expect("base64url");
    let header: Value = serde_json::from_slice(&bytes).expect("JSON");
    header["kid"].as_str().expect("a kid").to_owned()
}

/// The ids of the JWK set.
fn published(gateway: &Gateway) -> Vec<String> {
    let set = gateway.client().get(JWKS).send().expect(200).json();
    let keys = set["keys"].as_array().expect("keys").iter();
    keys.map(|key| key["kid"].as_str().expect("a kid").to_owned()).collect()
}

#[track_caller]
fn key(gateway: &Gateway, args: &[&str]) -> String {
    gateway.cli(&[&["key"], args].concat(), "").succeeded().stdout
}

/// A file for its owner only, as `cp` and `chmod 600` make it.
fn put(gateway: &Gateway, name: &str, text: &[u8]) {
    let path = gateway.path("data/keys").join(name);
    fs::write(&path, text).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("our own file");
}

/// Lets time pass: every time in `ring.toml` under this name becomes `time`.
pub fn set_time(gateway: &Gateway, name: &str, time: &str) {
    let path = gateway.path("data/keys/ring.toml");
    let text = fs::read_to_string(&path).expect("records");
    let start = format!("{name} = ");
    let line = |line: &str| match line.starts_with(&start) {
        true => format!("{start}{time}\n"),
        false => format!("{line}\n"),
    };
    let text: String = text.lines().map(line).collect();
    fs::write(gateway.path("data/next"), text).expect("written");
    fs::rename(gateway.path("data/next"), path).expect("renamed");
}

fn refreshed(gateway: &Gateway, tokens: &Tokens) -> Tokens {
    Tokens::of(&gateway.client().post("/auth/refresh").bearer(&tokens.refresh).send().expect(200))
}

#[test]
fn nobody_is_logged_out_by_a_rotation() {
    let gateway = started();
    let before = gateway.login_first();
    let old = kid(&before.access);
    assert_eq!(published(&gateway), std::slice::from_ref(&old));
    // Published: in the set, and the old key signs on.
    let said = key(&gateway, &["rotate"]);
    assert!(said.contains("max-age") && said.contains("verifies until"), "{said}");
    eventually("two keys in the set", || (published(&gateway).len() == 2).then_some(()));
    let new = published(&gateway).into_iter().find(|id| *id != old).expect("a new key");
    assert_eq!(kid(&gateway.login_first().access), old);
    // Signs: new sessions and refreshed ones, while every token of the old key is good.
    set_time(&gateway, "signs_from", "2020-01-01T00:00:00Z");
    let after = eventually("the new key signs", || {
        let tokens = gateway.login_first();
        (kid(&tokens.access) == new).then_some(tokens)
    });
    assert!(passes(&gateway, &before.access) && passes(&gateway, &after.access));
    let refreshed_now = refreshed(&gateway, &before);
    assert_eq!(kid(&refreshed_now.access), new);
    assert!(passes(&gateway, &refreshed_now.access));
    assert_eq!(published(&gateway).len(), 2);
    // Retired: the old key is out of the set and its tokens are dead, the session's newer ones are not.
    set_time(&gateway, "retires_at", "2020-01-02T00:00:00Z");
    eventually("the old key is dead", || (!passes(&gateway, &before.access)).then_some(()));
    assert_eq!(published(&gateway), std::slice::from_ref(&new));
    assert!(passes(&gateway, &refreshed_now.access) && passes(&gateway, &after.access));
    gateway
        .client()
        .post("/auth/refresh")
        .bearer(&before.refresh)
        .send()
        .refused(401, "token-invalid");
    let said = key(&gateway, &["retire", &old]);
    assert!(said.contains("signing.pem is removed"), "{said}");
    assert!(key(&gateway, &["list"]).lines().all(|line| line.starts_with(&new)));
}

#[test]
fn a_rotation_goes_on_over_a_restart() {
    let mut gateway = started();
    let before = gateway.login_first();
    key(&gateway, &["rotate", "--now", "--alg", "EdDSA"]);
    gateway.restart();
    let renewed = refreshed(&gateway, &before);
    assert_ne!(kid(&renewed.access), kid(&before.access));
    assert!(passes(&gateway, &before.access) && passes(&gateway, &renewed.access));
}

#[test]
fn a_generated_key_is_published_and_does_not_sign() {
    let gateway = started();
    let old = kid(&gateway.mint(&["--sub", "ada"]));
    key(&gateway, &["generate", "--alg", "ES384", "--id", "k2"]);
    key(&gateway, &["generate", "--alg", "HS256", "--id", "secret"]);
    eventually("k2 in the set", || published(&gateway).contains(&"k2".to_owned()).then_some(()));
    assert!(published(&gateway).contains(&old));
    let token = gateway.mint(&["--sub", "ada", "--key", "secret"]);
    eventually("the secret verifies", || passes(&gateway, &token).then_some(()));
    assert_eq!(kid(&gateway.mint(&["--sub", "ada"])), old);
    let list = key(&gateway, &["list"]);
    let line =
        |id: &str| list.lines().find(|line| line.starts_with(id)).expect("a line").to_owned();
    assert!(line(&old).contains("  signs  "), "{list}");
    assert!(line("k2").contains("ES384  published  "), "{list}");
    let set: Value = serde_json::from_str(&key(&gateway, &["jwks"])).expect("JSON");
    assert_eq!(set, gateway.client().get(JWKS).send().json());
    assert!(!set.to_string().contains("\"d\"") && !set.to_string().contains("\"k\""), "{set}");
}

#[test]
fn the_key_set_is_kept_for_five_minutes_and_asked_for_by_its_tag() {
    let gateway = started();
    let first = gateway.client().get(JWKS).send().expect(200);
    assert_eq!(first.header("cache-control"), Some("public, max-age=300"));
    let tag = first.header("etag").expect("a tag").to_owned();
    assert!(tag.starts_with('"') && tag.ends_with('"'), "{tag}");
    let ask = |tags: &str| gateway.client().get(JWKS).header("If-None-Match", tags).send();
    for tags in [tag.clone(), format!("W/{tag}"), format!("\"a\", {tag}"), "*".to_owned()] {
        let same = ask(&tags).expect(304);
        assert_eq!(same.header("etag"), Some(tag.as_str()));
        assert_eq!(same.header("cache-control"), Some("public, max-age=300"));
        assert!(same.body.is_empty());
    }
    ask("\"another\"").expect(200);
    key(&gateway, &["generate"]);
    eventually("another tag", || (ask(&tag).status == 200).then_some(()));
}

#[test]
fn a_key_put_there_by_hand_verifies_and_one_that_is_removed_is_dead() {
    let gateway = started();
    let theirs = Setup::new("upstream = \"builtin:whoami\"");
    let made = theirs.cli(&["key", "generate", "--alg", "RS256", "--id", "theirs"], "").succeeded();
    assert!(made.stdout.contains("theirs.pem"), "{}", made.stdout);
    let text = fs::read(theirs.dir().join("data/keys/theirs.pem")).expect("a key");
    let mint = ["token", "mint", "--sub", "ada", "--key", "theirs"];
    let token = theirs.cli(&mint, "").succeeded().stdout.trim().to_owned();
    assert!(!passes(&gateway, &token));
    put(&gateway, "theirs.pem", &text);
    eventually("the key is taken up", || passes(&gateway, &token).then_some(()));
    assert!(published(&gateway).contains(&"theirs".to_owned()));
    gateway.logged("keys_changed");
    // Removed: dead with the answer of the reload, also where its tokens were remembered.
    fs::remove_file(gateway.path("data/keys/theirs.pem")).expect("removed");
    gateway.admin().post("/reload").send().expect(200);
    gateway.client().get("/x").bearer(&token).send().refused(401, "token-invalid");
    assert!(!published(&gateway).contains(&"theirs".to_owned()));
}

#[test]
fn removing_the_key_that_signs_ends_its_tokens_and_logins_go_on() {
    let gateway = started();
    let tokens = gateway.login_first();
    fs::remove_file(gateway.path("data/keys/signing.pem")).expect("removed");
    gateway.signal("HUP");
    eventually("the key is dead", || (!passes(&gateway, &tokens.access)).then_some(()));
    let again = gateway.login_first();
    assert_ne!(kid(&again.access), kid(&tokens.access));
    assert!(passes(&gateway, &again.access));
}

#[test]
fn a_broken_key_stops_the_start_and_leaves_a_running_ring_alone() {
    let mut gateway = started();
    let token = gateway.mint(&["--sub", "ada"]);
    put(&gateway, "broken.pem", b"-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n");
    let logged = gateway.logged("reload_refused");
    assert!(gateway.log().contains("broken.pem"), "{logged}");
    assert!(passes(&gateway, &token));
    let refused = gateway.admin().post("/reload").send().expect(422).text();
    assert!(refused.contains("broken.pem"), "{refused}");
    let list = gateway.cli(&["key", "list"], "");
    assert!(list.code == Some(1) && list.stderr.contains("broken.pem"), "{list:?}");
    gateway.kill();
    let start = gateway.cli(&["run"], "");
    assert!(start.code == Some(1) && start.stderr.contains("broken.pem"), "{start:?}");
    // Mended, all is as it was; one that others can read is refused too.
    fs::remove_file(gateway.path("data/keys/broken.pem")).expect("removed");
    gateway.restart();
    assert!(passes(&gateway, &token));
    put(&gateway, "k2.jwk", b"{}");
    fs::set_permissions(gateway.path("data/keys/k2.jwk"), fs::Permissions::from_mode(0o644))
        .expect("our own file");
    let refused = gateway.admin().post("/reload").send().expect(422).text();
    assert!(refused.contains("chmod 600"), "{refused}");
    assert!(passes(&gateway, &token));
}

#[test]
fn a_key_that_is_still_needed_is_retired_only_at_once() {
    let gateway = started();
    let token = gateway.mint(&["--sub", "ada"]);
    let old = kid(&token);
    let refuse = |args: &[&str]| {
        let output = gateway.cli(&[&["key", "retire"], args].concat(), "");
        assert_eq!(output.code, Some(1), "{output:?}");
        output.stderr
    };
    assert!(refuse(&[&old, "--now"]).contains("key rotate"));
    assert!(refuse(&["nobody"]).contains(&old));
    key(&gateway, &["rotate", "--now"]);
    let records = fs::read_to_string(gateway.path("data/keys/ring.toml")).expect("records");
    let end = records.lines().find_map(|line| line.strip_prefix("retires_at = ")).expect("an end");
    assert!(refuse(&[&old]).contains(end), "{end}");
    assert!(key(&gateway, &["list"]).contains(&format!("verifies until {end}")));
    assert!(passes(&gateway, &token));
    key(&gateway, &["retire", &old, "--now"]);
    eventually("the stolen key is dead", || (!passes(&gateway, &token)).then_some(()));
}

#[test]
fn keys_of_the_configuration_are_the_ring_and_the_commands_say_so() {
    let toml = format!("upstream = \"builtin:whoami\"\n{SHUT}{}", forge::KEY);
    let setup = Setup::new(&toml).env("SHARED", forge::SECRET);
    for args in [&["generate"][..], &["rotate"], &["retire", "shared"]] {
        let output = setup.cli(&[&["key"], args].concat(), "");
        assert_eq!(output.code, Some(1), "{output:?}");
        assert!(output.stderr.contains("[[tokens.key]]") && output.stderr.contains("not read"));
    }
    let list = setup.cli(&["key", "list"], "").succeeded().stdout;
    assert!(list.starts_with("shared  HS256  signs  -  gateway.toml\n"), "{list}");
    assert_eq!(setup.cli(&["key", "jwks"], "").succeeded().stdout, "{\"keys\":[]}\n");
    assert!(!setup.dir().join("data/keys").exists());
}

#[test]
fn of_two_rotations_at_once_one_wins_and_the_other_says_so() {
    let gateway = started();
    let outputs: Vec<_> = thread::scope(|scope| {
        let one = || scope.spawn(|| gateway.cli(&["key", "rotate"], ""));
        let all = [one(), one(), one()];
        all.into_iter().map(|run| run.join().expect("an output")).collect()
    });
    let lost: Vec<_> = outputs.iter().filter(|output| output.code != Some(0)).collect();
    assert_eq!(lost.len(), 2, "{outputs:?}");
    assert!(lost.iter().all(|output| output.stderr.contains("a rotation is under way")));
    eventually("one new key", || (published(&gateway).len() == 2).then_some(()));
}

#[test]
fn a_killed_change_leaves_a_folder_that_works() {
    let gateway = started();
    let token = gateway.mint(&["--sub", "ada"]);
    for delay in 0..24 {
        // `--now` changes the folder every time; some die before, some within, some after.
        let mut command = Command::new(env!("CARGO_BIN_EXE_freshgate"));
        let command = command.args(["key", "rotate", "--now", "--alg", "ES256"]);
        let command = command.current_dir(gateway.dir()).stdout(Stdio::null());
        let mut child = command.stderr(Stdio::null()).spawn().expect("runs");
        thread::sleep(Duration::from_millis(delay));
        child.kill().expect("a child");
        child.wait().expect("a child");
        let list = key(&gateway, &["list"]);
        assert_eq!(list.matches("  signs  ").count(), 1, "{list}");
    }
    key(&gateway, &["rotate", "--now"]);
    let names = fs::read_dir(gateway.path("data/keys")).expect("keys").flatten();
    let names: Vec<_> = names.map(|one| one.file_name().to_string_lossy().into_owned()).collect();
    assert!(!names.iter().any(|name| name.starts_with(".new-")), "{names:?}");
    gateway.admin().post("/reload").send().expect(200);
    assert!(passes(&gateway, &token));
    assert!(passes(&gateway, &gateway.mint(&["--sub", "ada"])));
}

#[test]
fn each_step_comes_by_itself_at_its_second() {
    let gateway = started();
    let before = gateway.login_first();
    key(&gateway, &["rotate"]);
    let path = gateway.path("data/keys/ring.toml");
    let records = fs::read_to_string(&path).expect("records");
    // Of two times the later one is the new key's.
    let last = |name: &str| {
        let times = records.lines().filter(|line| line.starts_with(name));
        times.max().expect("a time").to_owned()
    };
    let soon = |seconds| {
        let moment = std::time::UNIX_EPOCH + Duration::from_secs(forge::now() + seconds);
        humantime::format_rfc3339_seconds(moment).to_string()
    };
    let hurried = records
        .replace(&last("signs_from"), &format!("signs_from = {}", soon(2)))
        .replace(&last("retires_at"), &format!("retires_at = {}", soon(6)));
    fs::write(&path, hurried).expect("written");
    gateway.admin().post("/reload").send().expect(200);
    let after = eventually("the new key signs", || {
        let tokens = gateway.login_first();
        (kid(&tokens.access) != kid(&before.access)).then_some(tokens)
    });
    eventually("the old key is dead", || (!passes(&gateway, &before.access)).then_some(()));
    assert!(passes(&gateway, &after.access));
    assert_eq!(published(&gateway), [kid(&after.access)]);
}

/// A pipe, for its owner only.
fn pipe(path: &std::path::Path) {
    let made = Command::new("mkfifo").args(["-m", "600"]).arg(path).status();
    assert!(made.expect("mkfifo").success());
}

#[test]
fn a_pipe_among_the_keys_is_refused_and_holds_nobody_up() {
    let setup = Setup::new(&format!("upstream = \"builtin:whoami\"\n{SHUT}"));
    fs::create_dir_all(setup.dir().join("data/keys")).expect("a directory of ours");
    pipe(&setup.dir().join("data/keys/k.pem"));
    let listed = setup.cli(&["key", "list"], "");
    assert!(listed.stderr.contains("k.pem: not a regular file"), "{}", listed.stderr);
    let said = setup.fails().stderr;
    assert!(said.contains("k.pem: not a regular file"), "{said}");

    let gateway = started();
    let token = gateway.login_first().access;
    pipe(&gateway.path("data/keys/k.pem"));
    gateway.logged("not a regular file");
    assert!(passes(&gateway, &token), "the old ring serves on");

    let key = "[[tokens.key]]\nid = \"k\"\nalg = \"ES256\"\nprivate = { file = \"k.pem\" }\n";
    let setup = Setup::new(&format!("upstream = \"builtin:whoami\"\n{SHUT}{key}"));
    pipe(&setup.dir().join("k.pem"));
    let said = setup.fails().stderr;
    assert!(said.contains("k.pem is not a regular file"), "{said}");
}

#[test]
fn the_list_of_keys_is_told_to_programs() {
    let gateway = started();
    let listed = |gateway: &Gateway| -> Value {
        serde_json::from_str(&key(gateway, &["list", "--json"])).expect("JSON")
    };
    let all = listed(&gateway);
    let first = &all["keys"][0];
    assert_eq!(
        (&first["alg"], &first["state"], &first["at"]),
        (&"ES256".into(), &"signs".into(), &Value::Null)
    );
    assert_eq!(first["file"], "data/keys/signing.pem");
    assert_eq!(first["thumbprint"].as_str().map(str::len), Some(43));
    assert_eq!(published(&gateway), [first["id"].as_str().expect("an id")]);
    key(&gateway, &["generate", "--alg", "HS256", "--id", "shared"]);
    key(&gateway, &["rotate", "--alg", "EdDSA"]);
    let all = listed(&gateway);
    let of = |state: &str| {
        let keys = all["keys"].as_array().expect("a list").iter();
        keys.filter(|key| key["state"] == state).cloned().collect::<Vec<Value>>()
    };
    assert_eq!(of("published").len() + of("signs-from").len(), 1, "{all}");
    assert!(of("signs-from").iter().all(|key| key["at"].as_u64() > Some(forge::now())), "{all}");
    assert_eq!(of("signs").len(), 1, "until then: {all}");
    fs::remove_file(gateway.path("data/keys/signing.pem")).expect("it was there");
    assert_eq!(listed(&gateway)["missing"], serde_json::json!(["data/keys/signing.pem"]));
}
