//! Users as they are read, checked, edited and reread; nothing here needs a network.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::time::{Duration, Instant};

use serde_json::json;

use super::edit::{add, list, remove, set_password};
use super::*;
use crate::store::embedded::Embedded;
use crate::store::events::Events;
use crate::store::password::{Hash, Pool};
use crate::store::{Replacement, StateStore};
use crate::token::UnixTime;

/// A cheap hash of `password`, from the reference implementation's tests.
const CHEAP: &str =
    "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";

fn pool() -> Arc<Pool> {
    Pool::start_with(2, 1000).unwrap()
}

fn with_users(text: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("users.toml");
    fs::write(&path, text.replace("CHEAP", CHEAP)).unwrap();
    (dir, path)
}

const ALICE: &str = "[users.alice]\npassword = \"CHEAP\"\nroles = [\"admin\"]\nlevel = 3\n";

fn secret(text: &str) -> Secret {
    Secret::new(text)
}

#[tokio::test]
async fn right_password_gives_the_claims() {
    let (_dir, path) = with_users(ALICE);
    let users = UsersFile::open(&path, pool()).unwrap();
    let alice = users.check(Attempt::unthrottled("alice"), secret("password")).await.unwrap();
    assert_eq!(alice.subject(), "alice");
    assert_eq!(Value::from(alice.claims().clone()), json!({"roles": ["admin"], "level": 3}));
    assert_eq!(users.claims_of("alice", None).await.unwrap().as_ref(), Some(alice.claims()));
    assert_eq!(users.claims_of("bob", None).await.unwrap(), None);
}

#[tokio::test]
async fn name_may_be_typed_in_any_spelling_and_is_told_as_the_file_spells_it() {
    let (_dir, path) = with_users(&ALICE.replace("alice", "Alice"));
    let users = UsersFile::open(&path, pool()).unwrap();
    for typed in ["Alice", "alice", " ALICE ", "ａｌｉｃｅ", "al\u{200b}ice"] {
        let user = users.check(Attempt::unthrottled(typed), secret("password")).await.unwrap();
        assert_eq!(user.subject(), "Alice", "{typed:?}");
    }
    // What a token says was not typed by anybody.
    assert!(users.claims_of("Alice", None).await.unwrap().is_some());
    assert!(users.claims_of("alice", None).await.unwrap().is_none());
}

#[tokio::test]
async fn wrong_unknown_and_disabled_are_alike() {
    let text = format!("{ALICE}[users.bob]\npassword = \"CHEAP\"\ndisabled = true\n");
    let (_dir, path) = with_users(&text);
    let users = UsersFile::open(&path, pool()).unwrap();
    let long = "p".repeat(5000);
    for (name, password) in [
        ("alice", "Password"),
        ("alice", ""),
        ("alice", "password\0"),
        ("alice", &long),
        ("alíce", "password"),
        ("аlice", "password"),
        ("nobody", "password"),
        ("", "password"),
        ("bob", "password"),
    ] {
        let outcome = users.check(Attempt::unthrottled(name), secret(password)).await;
        assert!(matches!(outcome, Err(CheckFault::Invalid)), "{name} {outcome:?}");
    }
    assert_eq!(users.claims_of("bob", None).await.unwrap(), None);
}

#[tokio::test]
async fn unknown_user_costs_the_same_time() {
    const SAMPLES: usize = 15;
    let hash = Hash::of(&secret("right")).unwrap();
    let (_dir, path) = with_users(&format!("[users.alice]\npassword = \"{hash}\"\n"));
    let users = UsersFile::open(&path, Pool::start_with(1, 1).unwrap()).unwrap();
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..SAMPLES {
        for (index, name) in ["alice", "nobody"].into_iter().enumerate() {
            let begun = Instant::now();
            users.check(Attempt::unthrottled(name), secret("wrong")).await.unwrap_err();
            times[index].push(begun.elapsed());
        }
    }
    let [known, unknown] = times.map(|mut all| {
        all.sort();
        all[SAMPLES / 2]
    });
    println!("medians: known {known:?}, unknown {unknown:?}");
    let ratio = unknown.as_secs_f64() / known.as_secs_f64();
    // Wide, because the machine that runs the tests is busy; without the dummy it would be 0.01.
    assert!((0.5..2.0).contains(&ratio), "known {known:?}, unknown {unknown:?}");
}

/// `weak`, as htpasswd hashes it.
const WEAK: &str = "$apr1$IM2xFPXZ$yg7uSrP4JeX2e93q/kxMp/";

#[tokio::test]
async fn a_weak_hash_is_replaced_once_and_opens_no_more() {
    let state_dir = tempfile::tempdir().unwrap();
    let state = || Arc::new(Embedded::open_at(state_dir.path(), || UnixTime(1000)).unwrap());
    let text = |hash: &str| format!("[users.Alice]\npassword = \"{hash}\"\n");
    let (_dir, path) = with_users(&text(WEAK));
    let kept = state();
    let open = |state: &Arc<Embedded>| {
        let replacing = Arc::clone(state) as Arc<dyn StateStore>;
        UsersFile::open(&path, Checker::new(pool(), Some(replacing))).unwrap()
    };
    let users = open(&kept);
    let right = async |users: &UsersFile, password| {
        users.check(Attempt::unthrottled("alice"), secret(password)).await.is_ok()
    };
    assert!(!right(&users, "wrong").await);
    assert!(kept.replacement("Alice").await.unwrap().is_none());
    assert!(right(&users, "weak").await);
    let new = kept.replacement("Alice").await.unwrap().expect("a hash of ours");
    assert!(new.hash.verify(&secret("weak")));
    // Only ours is asked: with another one of ours in its place, the old password opens no more.
    let of = new.of;
    kept.replace("Alice", Replacement { of, hash: Hash::of(&secret("ours")).unwrap() })
        .await
        .unwrap();
    assert!(right(&users, "ours").await && !right(&users, "weak").await);
    // Over a restart.
    drop((users, kept));
    let kept = state();
    let users = open(&kept);
    assert!(right(&users, "ours").await && !right(&users, "weak").await);
    assert_eq!(fs::read_to_string(&path).unwrap(), text(WEAK));
    // Changed where it is kept: what stood for the old one is void, and a strong one is left alone.
    fs::write(&path, text(&Hash::of(&secret("changed")).unwrap().to_string())).unwrap();
    users.reread().unwrap();
    assert!(right(&users, "changed").await && !right(&users, "ours").await);
    assert_eq!(kept.replacement("Alice").await.unwrap().unwrap().of, of);
    // Who does not say so has the hash of the file.
    fs::write(&path, text(WEAK)).unwrap();
    assert!(right(&UsersFile::open(&path, pool()).unwrap(), "weak").await);
}

#[tokio::test]
async fn a_replaced_hash_opens_nothing_while_the_state_is_away() {
    let state_dir = tempfile::tempdir().unwrap();
    let (_dir, path) = with_users(&format!("[users.alice]\npassword = \"{WEAK}\"\n"));
    let kept = Embedded::open_at(state_dir.path(), || UnixTime(1000)).unwrap();
    drop(rusqlite::Connection::open(state_dir.path().join("state.db")).map(|sql| {
        sql.execute_batch("DROP TABLE password_replacements").unwrap();
    }));
    let users = UsersFile::open(&path, Checker::new(pool(), Some(Arc::new(kept)))).unwrap();
    let fault = users.check(Attempt::unthrottled("alice"), secret("weak")).await.unwrap_err();
    assert!(matches!(fault, CheckFault::Away(_)), "{fault:?}");
}

#[test]
fn dummy_costs_what_most_users_cost() {
    let dear = Hash::dummy().unwrap();
    let text = format!(
        "[users.a]\npassword = \"{CHEAP}\"\n[users.b]\npassword = \"{dear}\"\n[users.c]\npassword = \"{CHEAP}\"\n"
    );
    let users = Users::parse(Path::new("u"), &text).unwrap();
    let cost = |hash: &StoredHash| (hash.scheme(), hash.microseconds());
    let quick = StoredHash::parse(CHEAP).unwrap();
    assert_eq!(cost(&dummy_for(&users).unwrap()), cost(&quick));
    assert!(dummy_for(&users).unwrap().is_weak());
    let ours = StoredHash::from(dear);
    assert_eq!(cost(&dummy_for(&Users::default()).unwrap()), cost(&ours));
}

#[track_caller]
fn mistakes(text: &str, expected: &[&str]) {
    let fault = Users::parse(Path::new("users.toml"), &text.replace("CHEAP", CHEAP)).unwrap_err();
    let told = fault.to_string();
    let lines: Vec<_> = told.lines().collect();
    assert_eq!(lines.len(), expected.len(), "{told}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.starts_with("users.toml") && line.contains(expected), "{told}");
    }
}

#[test]
fn every_mistake_is_told_with_its_line() {
    mistakes("", &["the file is empty"]);
    mistakes(" \n", &["the file is empty"]);
    mistakes("[users.a\n", &[":1: this is not TOML"]);
    mistakes("[users.a]\npassword = \"CHEAP\"\n\n[users.a]\n", &[":4: this is not TOML"]);
    mistakes("user = 1\nusers = 2\n", &[":1: unknown key \"user\"", ":2: `users` must be a table"]);
    mistakes("[users]\na = 1\n", &[":2: user \"a\" must be a table"]);
    mistakes(
        "[users.a]\nroles = []\n\n[users.b]\npassword = \"hunter2\"\n\n[users.c]\npassword = 5\n",
        &[
            ":1: user \"a\" has no `password`",
            ":5: the `password` of user \"b\" is not a password hash that is known here",
            ":8: `password` must be a string",
        ],
    );
    mistakes(
        "[users.a]\npassword = \"CHEAP\"\nsub = \"root\"\ndisable = true\nborn = 1979-05-27\nx = nan\ndisabled = 1\n",
        &[
            ":3: the claim \"sub\" is written by the gateway only",
            ":4: unknown key \"disable\"; did you mean `disabled`?",
            ":5: claim \"born\": JSON has no dates",
            ":6: claim \"x\": JSON has no such number",
            ":7: `disabled` must be true or false",
        ],
    );
    let long = "n".repeat(129);
    let named = |name: &str| format!("[users.\"{name}\"]\npassword = \"CHEAP\"\n");
    mistakes(&named(""), &[":1: the user name is empty"]);
    mistakes(&named(&long), &[":1: the user name is longer than 128 bytes"]);
    mistakes(&named("a\\u0000b"), &[":1: the user name holds a control character"]);
    mistakes(&named("a\\nb"), &[":1: the user name holds a control character"]);
    mistakes(&named(" a"), &[":1: the user name begins or ends with a space"]);
    mistakes(&named("\u{200b}"), &[":1: the user name shows nothing"]);
    let twins = format!("{}\n{}", named("Bob"), named("ｂｏｂ"));
    mistakes(&twins, &[":4: users \"Bob\" and \"ｂｏｂ\" are one account"]);
}

#[test]
fn password_in_the_place_of_its_hash_is_never_repeated() {
    let text = "[users.a]\npassword = \"hunter2-canary\"\n";
    let fault = Users::parse(Path::new("u"), text).unwrap_err();
    assert!(!format!("{fault} {fault:?}").contains("canary"));
}

#[test]
fn missing_file_says_how_to_make_it() {
    let dir = tempfile::tempdir().unwrap();
    let fault = UsersFile::open(&dir.path().join("users.toml"), pool()).unwrap_err().to_string();
    assert!(fault.contains("users.toml") && fault.contains("freshgate user add"), "{fault}");
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn first_run_makes_an_admin_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data/users.toml");
    let (name, password) = first_run(&path).unwrap().unwrap();
    assert_eq!(name, "admin");
    assert_eq!(mode(&path), 0o600);
    assert!(password.expose().len() >= 26);
    let text = fs::read_to_string(&path).unwrap();
    assert!(!text.contains(std::str::from_utf8(password.expose()).unwrap()));
    let users = UsersFile::open(&path, pool()).unwrap();
    let admin = users.check(Attempt::unthrottled("admin"), password).await.unwrap();
    assert_eq!(admin.claims()["roles"], json!(["admin"]));
    assert!(first_run(&path).unwrap().is_none());
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn edits_keep_comments_order_and_mode() {
    let (_dir, path) = with_users(
        "# top\n[users.alice] # who\npassword = \"CHEAP\" # secret\nroles = [\"admin\"]\n\n# bob's\n[users.bob]\npassword = \"CHEAP\"\n",
    );
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let hash = Hash::of(&secret("new")).unwrap();
    set_password(&path, "alice", &hash).unwrap();
    let claims = json!({"roles": ["a", "b"], "org": {"id": 7}, "x.y": 1.5});
    add(&path, "carol d'été", &hash, claims.as_object().unwrap()).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let start = format!(
        "# top\n[users.alice] # who\npassword = \"{hash}\" # secret\nroles = [\"admin\"]\n\n# bob's\n[users.bob]\n"
    );
    assert!(text.starts_with(&start), "{text}");
    assert_eq!(mode(&path), 0o640);
    let all = list(&path).unwrap();
    let names: Vec<_> = all.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["alice", "bob", "carol d'été"]);
    assert_eq!(Value::from(all[2].1.claims.clone()), claims);
    assert!(all[0].1.hash.verify(&secret("new")));
    for name in ["bob", "alice", "carol d'été"] {
        remove(&path, name).unwrap();
    }
    assert!(list(&path).unwrap().is_empty(), "{}", fs::read_to_string(&path).unwrap());
    add(&path, "dave", &hash, &Map::new()).unwrap();
    assert_eq!(list(&path).unwrap().len(), 1);
}

#[test]
fn edits_that_make_no_sense_change_nothing() {
    let (dir, path) = with_users(ALICE);
    let before = fs::read_to_string(&path).unwrap();
    let hash = Hash::of(&secret("new")).unwrap();
    let none = Map::new();
    let claims = |json: Value| json.as_object().unwrap().clone();
    let faults = [
        add(&path, "alice", &hash, &none).unwrap_err(),
        add(&path, "ALICE", &hash, &none).unwrap_err(),
        add(&path, "a\nb", &hash, &none).unwrap_err(),
        add(&path, "bob", &hash, &claims(json!({"sub": "root"}))).unwrap_err(),
        add(&path, "bob", &hash, &claims(json!({"password": "x"}))).unwrap_err(),
        add(&path, "bob", &hash, &claims(json!({"x": null}))).unwrap_err(),
        remove(&path, "bob").unwrap_err(),
        set_password(&path, "bob", &hash).unwrap_err(),
    ];
    let told: Vec<_> = faults.iter().map(ToString::to_string).collect();
    assert!(told[0].contains("already") && told[6].contains("no user"), "{told:#?}");
    assert!(told[1].contains("are one account"), "{told:#?}");
    assert!(told[3].contains("written by the gateway only"), "{told:#?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), before);
    fs::write(&path, "[users.alice\n").unwrap();
    add(&path, "bob", &hash, &none).unwrap_err();
    assert_eq!(fs::read_to_string(&path).unwrap(), "[users.alice\n");
    // Nothing is left lying about but the lock.
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[test]
fn edits_at_the_same_time_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("users.toml");
    let hash = Hash::parse(CHEAP).unwrap();
    std::thread::scope(|scope| {
        for n in 0..8 {
            let (path, hash) = (&path, &hash);
            scope.spawn(move || {
                for m in 0..5 {
                    add(path, &format!("user-{n}-{m}"), hash, &Map::new()).unwrap();
                }
            });
        }
    });
    assert_eq!(list(&path).unwrap().len(), 40);
    assert_eq!(mode(&path), 0o600);
}

#[test]
fn edit_through_a_link_changes_the_file_behind_it() {
    let (dir, path) = with_users(ALICE);
    let link = dir.path().join("link.toml");
    symlink(&path, &link).unwrap();
    remove(&link, "alice").unwrap();
    assert!(link.is_symlink());
    assert!(list(&path).unwrap().is_empty());
}

/// Waits for what a watch will do, at most ten seconds.
#[track_caller]
fn becomes(mut holds: impl FnMut() -> bool) {
    let give_up = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < give_up, "the users were not reread");
        std::thread::sleep(Duration::from_millis(10));
    }
}

const NOBODY: &str = "[users]\n";

fn told() -> Arc<Events> {
    Arc::new(Events::new(Arc::new(crate::telemetry::Metrics::new())))
}

fn leavers(dir: &Path) -> Arc<Leavers> {
    let state = Embedded::open(&dir.join("state")).unwrap();
    Arc::new(Leavers::new(Arc::new(state), Duration::from_secs(60), told()))
}

#[test]
fn file_written_in_place_is_reread() {
    let (dir, path) = with_users(NOBODY);
    let users = Arc::new(UsersFile::open(&path, pool()).unwrap());
    let _watch = users.watch(leavers(dir.path())).unwrap();
    fs::write(&path, ALICE.replace("CHEAP", CHEAP)).unwrap();
    becomes(|| users.len() == 1);
}

#[test]
fn file_replaced_by_a_rename_is_reread_each_time() {
    let (dir, path) = with_users(NOBODY);
    let users = Arc::new(UsersFile::open(&path, pool()).unwrap());
    let _watch = users.watch(leavers(dir.path())).unwrap();
    for (text, count) in [(ALICE, 1), (NOBODY, 0), (ALICE, 1)] {
        let other = dir.path().join("other");
        fs::write(&other, text.replace("CHEAP", CHEAP)).unwrap();
        fs::rename(&other, &path).unwrap();
        becomes(|| users.len() == count);
    }
}

#[test]
fn file_swapped_as_kubernetes_does_is_reread_each_time() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let publish = |version: &str, text: &str| {
        fs::create_dir(at(version)).unwrap();
        fs::write(at(version).join("users.toml"), text.replace("CHEAP", CHEAP)).unwrap();
        symlink(version, at("..data_tmp")).unwrap();
        fs::rename(at("..data_tmp"), at("..data")).unwrap();
    };
    publish("..1", NOBODY);
    symlink("..data/users.toml", at("users.toml")).unwrap();
    let users = Arc::new(UsersFile::open(&at("users.toml"), pool()).unwrap());
    let _watch = users.watch(leavers(dir.path())).unwrap();
    publish("..2", ALICE);
    fs::remove_dir_all(at("..1")).unwrap();
    becomes(|| users.len() == 1);
    publish("..3", NOBODY);
    fs::remove_dir_all(at("..2")).unwrap();
    becomes(|| users.is_empty());
}

#[test]
fn bad_or_missing_file_leaves_the_users_as_they_were() {
    let (_dir, path) = with_users(ALICE);
    let users = Arc::new(UsersFile::open(&path, pool()).unwrap());
    for bad in ["", "[users.alice\n", "[users.bob]\n"] {
        fs::write(&path, bad).unwrap();
        users.reread().unwrap_err();
        assert_eq!(users.len(), 1, "{bad:?}");
    }
    fs::remove_file(&path).unwrap();
    users.reread().unwrap_err();
    assert_eq!(users.len(), 1);
    fs::write(&path, NOBODY).unwrap();
    assert!(users.reread().unwrap());
    assert!(!users.reread().unwrap());
    assert!(users.is_empty());
}
