//! Users, sessions and revocations: what was acknowledged is kept, whatever happens to the process.

use std::os::unix::fs::PermissionsExt as _;

use crate::harness::{Gateway, Tokens, Upstream, eventually, forge};

const SHUT: &str = "[routes]\n\"/refresh\" = \"refresh-only\"\n\"/**\" = \"access-required\"\n";

fn code(gateway: &Gateway, token: &str) -> (u16, String) {
    let response = gateway.client().get("/x").bearer(token).send();
    (response.status, response.code())
}

/// Logs two sessions in, one out, ends the process as told, and looks at both after a restart.
#[track_caller]
fn survives(end: impl Fn(&mut Gateway)) {
    let upstream = Upstream::echo();
    let mut gateway = Gateway::in_front_of(&upstream, SHUT);
    let password = gateway.first_password();
    let (kept, ended) = (gateway.login("admin", &password), gateway.login("admin", &password));
    let minted = gateway.mint(&["--sub", "x"]);
    gateway.client().post("/auth/logout").bearer(&minted).send().expect(204);
    gateway.client().post("/auth/logout").bearer(&ended.access).send().expect(204);
    end(&mut gateway);
    gateway.restart();
    let revoked = (401, "token-revoked".to_owned());
    assert_eq!(code(&gateway, &ended.access), revoked);
    assert_eq!(code(&gateway, &minted), revoked);
    gateway
        .client()
        .post("/auth/refresh")
        .bearer(&ended.refresh)
        .send()
        .refused(401, "token-revoked");
    assert_eq!(code(&gateway, &kept.access).0, 200);
    let refreshed = gateway.client().post("/auth/refresh").bearer(&kept.refresh).send().expect(200);
    assert_eq!(code(&gateway, &Tokens::of(&refreshed).access).0, 200);
    gateway.login("admin", &password);
    assert!(!gateway.stdout().contains("first user"), "the first user is made once");
}

// Holds: K8
#[test]
fn logins_and_logouts_survive_a_restart() {
    survives(|gateway| assert_eq!(gateway.terminate().code(), Some(0)));
}

// Holds: K8
#[test]
fn logins_and_logouts_survive_kill_minus_nine() {
    survives(Gateway::kill);
}

// Holds: K8
#[test]
fn every_logout_that_was_answered_survives_a_kill_under_load() {
    let upstream = Upstream::echo();
    let mut gateway = Gateway::sharing(&upstream, SHUT);
    let client = gateway.client();
    let answered = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let token = forge::stale("ada");
                    let mut connection = match std::net::TcpStream::connect(client.address) {
                        Ok(_) => client.connect(),
                        Err(_) => return,
                    };
                    connection.write(client.post("/auth/logout").bearer(&token).bytes());
                    if !connection.rest().starts_with(b"HTTP/1.1 204") {
                        return;
                    }
                    answered.lock().expect("not poisoned").push(token);
                }
            });
        }
        eventually("some logouts", || {
            (answered.lock().expect("not poisoned").len() >= 16).then_some(())
        });
        gateway.kill();
    });
    gateway.restart();
    let answered = answered.into_inner().expect("not poisoned");
    for token in &answered {
        assert_eq!(
            code(&gateway, token),
            (401, "token-revoked".to_owned()),
            "one of {}",
            answered.len()
        );
    }
    assert_eq!(code(&gateway, &forge::stale("ada")).0, 200);
}

// Holds: K2
#[test]
fn the_first_user_has_a_random_password_printed_once_and_kept_as_argon2id() {
    let upstream = Upstream::echo();
    let (one, two) = (Gateway::in_front_of(&upstream, SHUT), Gateway::in_front_of(&upstream, SHUT));
    let password = one.first_password();
    assert_ne!(password, two.first_password());
    assert!(password.len() >= 20, "{password}");
    let users = std::fs::read_to_string(one.path("data/users.toml")).expect("users");
    assert!(users.contains("$argon2id$") && !users.contains(&password), "{users}");
    let mode = std::fs::metadata(one.path("data/users.toml")).expect("a file").permissions().mode();
    assert_eq!(mode & 0o077, 0, "only its owner");
    assert!(!one.log().contains(&password));
    one.login("admin", &password);
}

// Holds: CVE-2024-39315, L7
#[test]
fn the_state_file_holds_no_token() {
    let upstream = Upstream::echo();
    let mut gateway = Gateway::in_front_of(&upstream, SHUT);
    let tokens = gateway.login_first();
    let refresh = gateway.client().post("/auth/refresh").bearer(&tokens.refresh);
    let given = Tokens::of(&refresh.send().expect(200));
    let all = [&tokens.access, &tokens.refresh, &given.access, &given.refresh];
    no_token_in(&gateway, all);
    gateway.terminate();
    no_token_in(&gateway, all);
}

#[track_caller]
fn no_token_in(gateway: &Gateway, tokens: [&String; 4]) {
    for entry in std::fs::read_dir(gateway.path("data")).expect("a directory").flatten() {
        let Ok(bytes) = std::fs::read(entry.path()) else { continue };
        let text = String::from_utf8_lossy(&bytes);
        for token in tokens {
            let signature = token.rsplit('.').next().expect("a signature");
            assert!(!text.contains(signature), "{:?}", entry.path());
        }
        let mode = entry.metadata().expect("a file").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{:?} is for its owner only", entry.path());
    }
}

// Holds: K8
#[test]
fn a_state_file_that_is_not_one_is_refused_and_left_alone() {
    let upstream = Upstream::echo();
    let mut gateway = Gateway::in_front_of(&upstream, SHUT);
    gateway.login_first();
    gateway.terminate();
    let path = gateway.path("data/state.db");
    let junk = b"this is not a database, and it must not be overwritten".repeat(100);
    std::fs::write(&path, &junk).expect("written");
    for beside in ["data/state.db-wal", "data/state.db-shm"] {
        let _none = std::fs::remove_file(gateway.path(beside));
    }
    refused(&gateway, &["state.db"]);
    assert_eq!(std::fs::read(&path).expect("still there"), junk);
}

/// The gateway does not start, and says these words.
#[track_caller]
fn refused(gateway: &Gateway, words: &[&str]) {
    let said = gateway.cli(&["run"], "");
    assert_eq!(said.code, Some(1), "{said:?}");
    for word in words {
        assert!(said.stderr.contains(word), "no {word:?} in {}", said.stderr);
    }
}

// Holds: K8
// A state file that was cut, or overwritten in its middle, is refused whole: what is missing may be what was revoked.
#[test]
fn a_state_file_that_is_damaged_is_refused_and_a_backup_is_taken() {
    let upstream = Upstream::echo();
    let mut gateway = Gateway::sharing(&upstream, SHUT);
    let ended = forge::stale("ada");
    gateway.client().post("/auth/logout").bearer(&ended).send().expect(204);
    gateway.terminate();
    let path = gateway.path("data/state.db");
    assert!(!gateway.path("data/state.db-wal").exists(), "a clean stop closes the file");
    let whole = std::fs::read(&path).expect("a file");
    let mut middle = whole.clone();
    let at = middle.len() / 2 / 4096 * 4096;
    middle[at..at + 700].fill(0xa5);
    for damaged in [&whole[..whole.len() / 2], &whole[..10], &[], &middle] {
        std::fs::write(&path, damaged).expect("written");
        refused(&gateway, &["state.db", "damaged", "backup"]);
        assert_eq!(std::fs::read(&path).expect("left alone"), damaged);
    }
    std::fs::write(&path, &whole).expect("written");
    gateway.restart();
    assert_eq!(code(&gateway, &ended), (401, "token-revoked".to_owned()));
}

// Holds: K8
// The log beside the file holds what was answered last: one that is broken, cut or gone is refused, and left alone.
#[test]
fn a_log_that_is_broken_or_cut_is_refused() {
    let mut gateway = Gateway::sharing(&Upstream::echo(), SHUT);
    let ended = ["ada", "bob", "cid", "dan", "eve", "fay"].map(forge::stale);
    for token in &ended {
        gateway.client().post("/auth/logout").bearer(token).send().expect(204);
    }
    gateway.kill();
    let path = gateway.path("data/state.db-wal");
    let whole = std::fs::read(&path).expect("a log");
    let database = std::fs::read(gateway.path("data/state.db")).expect("a file");
    for at in [0, 100, whole.len() / 2] {
        let mut broken = whole.clone();
        broken[at] ^= 1;
        std::fs::write(&path, &broken).expect("written");
        refused(&gateway, &["state.db", "damaged", "log", "backup"]);
        assert_eq!(std::fs::read(&path).expect("left alone"), broken);
    }
    assert_eq!(std::fs::read(gateway.path("data/state.db")).expect("left alone"), database);
    for length in [whole.len() - 1, whole.len() - 4120, whole.len() / 2, 32, 0] {
        std::fs::write(&path, &whole[..length]).expect("written");
        refused(&gateway, &["state.db", "damaged", "log", "backup"]);
        let checked = gateway.cli(&["state", "check"], "");
        assert!(checked.code == Some(1) && checked.stderr.contains("damaged"), "{checked:?}");
        assert_eq!(std::fs::read(&path).expect("left alone"), &whole[..length]);
    }
    std::fs::remove_file(&path).expect("a log");
    refused(&gateway, &["state.db", "damaged", "log", "backup"]);
    std::fs::write(&path, &whole).expect("written");
    gateway.restart();
    for token in &ended {
        assert_eq!(code(&gateway, token), (401, "token-revoked".to_owned()));
    }
}

// Holds: K11
#[test]
fn a_state_file_of_a_newer_freshgate_or_of_another_program_is_refused() {
    let mut gateway = Gateway::sharing(&Upstream::echo(), SHUT);
    gateway.terminate();
    let path = gateway.path("data/state.db");
    let set = |name: &str, value: i64| {
        let sql = rusqlite::Connection::open(&path).expect("SQLite");
        sql.pragma_update(None, name, value).expect("a pragma");
    };
    let ours: i64 = rusqlite::Connection::open(&path)
        .and_then(|sql| sql.query_row("PRAGMA user_version", [], |row| row.get(0)))
        .expect("a version");
    set("user_version", ours + 1);
    refused(&gateway, &["newer freshgate", "backup"]);
    set("user_version", ours);
    set("application_id", 7);
    refused(&gateway, &["another program"]);
}

// Holds: L8
#[test]
fn what_expired_leaves_the_file_and_the_file_does_not_grow() {
    let upstream = Upstream::echo();
    let mut gateway = Gateway::in_front_of(&upstream, SHUT);
    let tokens = gateway.login_first();
    gateway.client().post("/auth/logout").bearer(&tokens.access).send().expect(204);
    let file = gateway.path("data/state.db");
    let open = || rusqlite::Connection::open(&file).expect("the state file");
    let rows = |table: &str| -> i64 {
        let sql = format!("SELECT count(*) FROM {table} WHERE id LIKE 'old-%'");
        open().query_row(&sql, [], |row| row.get(0)).expect("a count")
    };
    let mut sizes = Vec::new();
    for round in 0..5 {
        assert_eq!(gateway.terminate().code(), Some(0));
        let mut sql = open();
        let batch = sql.transaction().expect("a transaction");
        for n in 0..4000 {
            let id = format!("old-{round}-{n}");
            for row in [
                "INSERT INTO revocations VALUES ('session', ?1, 1000)",
                "INSERT INTO subject_revocations VALUES (?1, 900, 1000)",
                "INSERT INTO sessions (id, subject, started_at, auth_time, expires_at, tokens_until) \
                 VALUES (?1, 'x', 1, 1, 1000, 1000)",
            ] {
                batch.prepare_cached(row).and_then(|mut row| row.execute([&id])).expect("a row");
            }
        }
        batch.commit().expect("a commit");
        drop(sql);
        sizes.push(std::fs::metadata(&file).expect("the state file").len());
        gateway.restart();
        eventually("the expired rows to go", || {
            let left = rows("sessions") + rows("revocations");
            let sql = "SELECT count(*) FROM subject_revocations";
            let subjects: i64 = open().query_row(sql, [], |row| row.get(0)).expect("a count");
            (left + subjects == 0).then_some(())
        });
        assert_eq!(code(&gateway, &tokens.access), (401, "token-revoked".to_owned()));
    }
    assert!(sizes[4] <= sizes[0] * 11 / 10, "the room of what went is used again: {sizes:?}");
}
