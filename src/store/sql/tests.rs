//! The store on files of SQLite, which need no server: who is found, who is nobody, what takes too long.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::json;

use super::*;
use crate::config::database::{ClaimColumn, Columns, Database, Engine, Reading};
use crate::config::query::Query;
use crate::store::password::Pool;

/// Of the password `right`, at a cost for tests.
fn cheap() -> String {
    static HASH: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
        let params = argon2::Params::new(64, 1, 1, Some(32)).unwrap();
        let mut output = [0; 32];
        argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params)
            .hash_password_into(b"right", b"saltsaltsaltsalt", &mut output)
            .unwrap();
        use base64::Engine as _;
        let code = |bytes: &[u8]| base64::engine::general_purpose::STANDARD_NO_PAD.encode(bytes);
        format!("$argon2id$v=19$m=64,t=1,p=1${}${}", code(b"saltsaltsaltsalt"), code(&output))
    });
    HASH.clone()
}

const BY_NAME: &str = "SELECT * FROM users WHERE login = :name OR mail = :name";
const BY_SUBJECT: &str = "SELECT * FROM users WHERE id = :subject";

fn settings(file: &Path, by_name: &str, by_subject: &str) -> Settings {
    Settings {
        database: Database::Sqlite(file.to_owned()),
        origin: "env DATABASE".into(),
        by_name: Query::parse(by_name, Engine::Sqlite, "name").unwrap(),
        by_subject: Some(Query::parse(by_subject, Engine::Sqlite, "subject").unwrap()),
        columns: Columns {
            subject: "id".into(),
            names: vec!["login".into(), "mail".into()],
            password: "pass".into(),
            enabled: Some("active".into()),
            claims: vec![ClaimColumn {
                claim: "roles".into(),
                column: "roles".into(),
                reading: Reading::Split(",".into()),
            }],
        },
        ca: None,
        timeout: Duration::from_secs(3),
        connections_max: 2,
    }
}

struct World {
    dir: tempfile::TempDir,
    users: SqlUsers,
}

impl World {
    fn new() -> World {
        World::asking(BY_NAME, Duration::from_secs(3))
    }

    fn asking(by_name: &str, timeout: Duration) -> World {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("app.db");
        let table = "PRAGMA journal_mode=WAL; CREATE TABLE users (id INTEGER PRIMARY KEY, login TEXT COLLATE NOCASE,
            mail TEXT, pass TEXT, active INTEGER, roles TEXT);";
        let app = Connection::open(&file).unwrap();
        app.execute_batch(table).unwrap();
        let settings = Settings { timeout, ..settings(&file, by_name, BY_SUBJECT) };
        let pool = Pool::start_with(2, 100).unwrap();
        let world = World { dir, users: SqlUsers::start(&settings, pool, 16).unwrap() };
        world.add(17, "Ada", "ada@example.org", Some(&cheap()), 1);
        world
    }

    fn app(&self) -> Connection {
        Connection::open(self.dir.path().join("app.db")).unwrap()
    }

    fn add(&self, id: i64, login: &str, mail: &str, pass: Option<&str>, active: i64) {
        let values = (id, login, mail, pass, active, "admin, staff");
        self.app().execute("INSERT INTO users VALUES (?1, ?2, ?3, ?4, ?5, ?6)", values).unwrap();
    }

    async fn login(&self, name: &str, password: &str) -> Result<Authenticated, CheckFault> {
        self.users.check(Attempt::unthrottled(name), Secret::new(password)).await
    }

    async fn is_invalid(&self, name: &str) -> bool {
        matches!(self.login(name, "right").await, Err(CheckFault::Invalid))
    }
}

#[tokio::test]
async fn user_of_a_table_logs_in_by_name_and_by_address() {
    let world = World::new();
    for name in ["Ada", "ada", " ADA ", "ada@example.org"] {
        let user = world.login(name, "right").await.unwrap();
        assert_eq!(user.subject(), "17");
        assert_eq!(user.claims()["roles"], json!(["admin", "staff"]));
    }
    assert!(matches!(world.login("ada", "wrong").await, Err(CheckFault::Invalid)));
    assert!(world.is_invalid("bob").await);
    assert_eq!(world.users.claims_of("17", None).await.unwrap().unwrap()["roles"][0], "admin");
    assert_eq!(world.users.name_of("17", None).await.unwrap().as_deref(), Some("Ada"));
}

#[tokio::test]
async fn whoever_cannot_log_in_is_told_the_same() {
    let world = World::new();
    world.add(2, "off", "off@x", Some(&cheap()), 0);
    world.add(3, "null", "null@x", None, 1);
    world.add(4, "plain", "plain@x", Some("right"), 1);
    world.add(5, "empty", "empty@x", Some(""), 1);
    for name in
        ["off", "null", "plain", "empty", "nobody", "", "a\0b", "' OR 1=1 --", &"x".repeat(10_000)]
    {
        assert!(world.is_invalid(name).await, "{name:.20}");
    }
    for gone in ["2", "99", "17 ", "017", "Ada", "", "a\nb"] {
        assert_eq!(world.users.claims_of(gone, None).await.unwrap(), None, "{gone:?}");
        assert_eq!(world.users.name_of(gone, None).await.unwrap(), None, "{gone:?}");
    }
}

#[tokio::test]
async fn two_rows_of_one_name_are_nobody() {
    let world = World::new();
    // Whoever takes another's address for a name cannot become that user, nor keep the name's guesses going.
    world.add(2, "ada@example.org", "eve@x", Some(&cheap()), 1);
    assert!(world.is_invalid("ada@example.org").await);
    assert_eq!(world.login("Ada", "right").await.unwrap().subject(), "17");
    assert_eq!(world.login("eve@x", "right").await.unwrap().subject(), "2");
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_nobody_to_strangers_and_a_fault_to_its_user() {
    let world = World::new();
    for odd in [
        "pass = x'ff'",
        "roles = x'ff'",
        "roles = replace(hex(zeroblob(5000)), '0', 'x')",
        "mail = x'ff'",
        "pass = replace(hex(zeroblob(1000000)), '0', 'x')",
    ] {
        world.app().execute(&format!("UPDATE users SET {odd}"), ()).unwrap();
        assert!(world.is_invalid("Ada").await, "{odd}");
        let fault = world.users.claims_of("17", None).await.unwrap_err();
        // It blocks, and never on a runtime.
        let tried = || world.users.try_name("Ada").unwrap_err();
        let why = std::thread::scope(|scope| scope.spawn(tried).join().unwrap());
        assert_eq!(fault.0, why.0, "{odd}");
        assert!(!why.0.contains("xxx"), "{why}");
        world.app().execute("DELETE FROM users", ()).unwrap();
        world.add(17, "Ada", "ada@example.org", Some(&cheap()), 1);
    }
    world.login("Ada", "right").await.unwrap();
}

#[tokio::test]
async fn a_column_that_is_gone_is_a_fault_whoever_is_asked_for() {
    let world = World::asking("SELECT * FROM users WHERE login = :name", Duration::from_secs(3));
    world.app().execute("ALTER TABLE users RENAME COLUMN roles TO role", ()).unwrap();
    for name in ["Ada", "nobody"] {
        let fault = world.login(name, "right").await.unwrap_err();
        assert!(matches!(&fault, CheckFault::Away(why) if why.0.contains("`roles`")), "{fault:?}");
    }
}

#[tokio::test]
async fn what_the_database_takes_for_the_same_name_is_not_unless_we_do() {
    // As a collation that knows no accents would.
    let alike = "SELECT * FROM users WHERE login = replace(:name, 'ä', 'a')";
    let world = World::asking(alike, Duration::from_secs(3));
    assert_eq!(world.login("ada", "right").await.unwrap().subject(), "17");
    for name in ["äda", "adä", "\u{430}da"] {
        assert!(world.is_invalid(name).await, "{name}");
    }
}

#[tokio::test]
async fn a_user_disabled_or_removed_is_gone_at_the_next_look() {
    let world = World::new();
    assert!(world.users.claims_of("17", None).await.unwrap().is_some());
    world.app().execute("UPDATE users SET active = 0", ()).unwrap();
    assert!(world.users.claims_of("17", None).await.unwrap().is_none());
    assert!(world.is_invalid("ada").await);
    world.app().execute("UPDATE users SET active = 1, roles = 'guest'", ()).unwrap();
    let claims = world.users.claims_of("17", None).await.unwrap().unwrap();
    assert_eq!(claims["roles"], json!(["guest"]));
    world.app().execute("DELETE FROM users", ()).unwrap();
    assert!(world.users.claims_of("17", None).await.unwrap().is_none());
    assert!(world.is_invalid("ada").await);
}

#[tokio::test]
async fn another_password_is_another_mark() {
    let world = World::new();
    let mark = world.login("ada", "right").await.unwrap().mark().unwrap().to_owned();
    assert_eq!(world.users.mark_of("17").await.unwrap(), Some(mark.clone()));
    let pool = Pool::start_with(1, 1).unwrap();
    let restarted = SqlUsers::start(world.users.settings(), pool, 1).unwrap();
    assert_eq!(restarted.mark_of("17").await.unwrap(), Some(mark.clone()));
    world.app().execute("UPDATE users SET pass = 'x'", ()).unwrap();
    assert_ne!(world.users.mark_of("17").await.unwrap(), Some(mark));
    world.app().execute("DELETE FROM users", ()).unwrap();
    assert_eq!(world.users.mark_of("17").await.unwrap(), None);
}

#[tokio::test]
async fn a_query_without_end_is_ended() {
    const ENDLESS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
        SELECT users.* FROM users, n WHERE login = :name AND i < 0";
    let world = World::asking(ENDLESS, Duration::from_millis(300));
    // More than there are places: each is freed when its time is over.
    for _ in 0..4 {
        let begun = Instant::now();
        let fault = world.login("ada", "right").await.unwrap_err();
        assert!(matches!(&fault, CheckFault::Away(why) if why.0.contains("300ms")), "{fault:?}");
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    }
    // A refresh asks the other query, on the places that are free again.
    assert!(world.users.claims_of("17", None).await.unwrap().is_some());
}

#[tokio::test]
async fn more_look_ups_than_the_queue_takes_are_turned_away() {
    let world = Arc::new(World::asking(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
         SELECT users.* FROM users, n WHERE login = :name AND i < 0",
        Duration::from_secs(2),
    ));
    let tasks: Vec<_> = (0..60)
        .map(|_| {
            let world = Arc::clone(&world);
            tokio::spawn(async move { world.login("ada", "right").await.unwrap_err() })
        })
        .collect();
    let mut turned_away = 0;
    for task in tasks {
        turned_away += usize::from(matches!(task.await.unwrap(), CheckFault::Overloaded));
    }
    // Two are asked, one is on its way from the queue of 16.
    assert!((60 - 16 - 3..=60 - 16).contains(&turned_away), "{turned_away}");
}

#[tokio::test]
async fn a_missing_file_is_away_and_comes_back() {
    let world = World::new();
    let file = world.dir.path().join("app.db");
    let aside = world.dir.path().join("aside.db");
    std::fs::rename(&file, &aside).unwrap();
    let fault = world.login("ada", "right").await.unwrap_err();
    assert!(matches!(&fault, CheckFault::Away(why) if why.0.contains("app.db")), "{fault:?}");
    world.users.claims_of("17", None).await.unwrap_err();
    assert!(!file.exists(), "a look-up never makes a file");
    std::fs::rename(&aside, &file).unwrap();
    world.login("ada", "right").await.unwrap();
}

#[test]
fn probe_says_what_the_database_thinks_of_the_queries() {
    let world = World::new();
    assert!(matches!(world.users.probe(), Probe::Ready));
    let probe = |by_name: &str, by_subject: &str| {
        let settings = settings(&world.dir.path().join("app.db"), by_name, by_subject);
        let pool = Pool::start_with(1, 1).unwrap();
        match SqlUsers::start(&settings, pool, 1).unwrap().probe() {
            Probe::Refused(why) => why,
            other => panic!("{by_name}: {other:?}"),
        }
    };
    for (by_name, part) in [
        (
            "SELECT id, login, mail, active, roles FROM users WHERE login = :name",
            "no column `pass`: it gives `id`",
        ),
        ("SELECT *, id FROM users WHERE login = :name", "two columns `id`"),
        ("SELECT * FROM user WHERE login = :name", "no such table: user"),
        ("WITH x AS (SELECT 1) INSERT INTO users (login) SELECT :name FROM x RETURNING *", "write"),
        ("WITH x AS (SELECT 1) DELETE FROM users WHERE login = :name", "write"),
    ] {
        let why = probe(by_name, BY_SUBJECT);
        assert!(why.starts_with("`query`") && why.contains(part), "{why}");
    }
    let why = probe(BY_NAME, "SELECT id, login FROM users WHERE id = :subject");
    assert!(why.starts_with("`refresh_query`") && why.contains("no column `mail`"), "{why}");
    assert_eq!(
        world
            .app()
            .query_row("SELECT count(*) FROM users", (), |row| row.get::<_, i64>(0))
            .unwrap(),
        1
    );
}

#[test]
fn name_is_tried_without_a_password() {
    let world = World::new();
    world.add(2, "off", "off@x", Some(&cheap()), 0);
    world.add(3, "plain", "plain@x", Some("right"), 1);
    world.add(4, "null", "null@x", None, 1);
    let tried = world.users.try_name("ADA").unwrap().unwrap();
    assert_eq!((tried.subject.as_str(), tried.obstacle), ("17", None));
    let obstacle = |name| world.users.try_name(name).unwrap().unwrap().obstacle.unwrap();
    assert!(obstacle("off").contains("disabled"));
    assert!(obstacle("null").contains("NULL"));
    let plain = obstacle("plain");
    assert!(plain.contains("not") && !plain.contains("right"), "{plain}");
    assert!(world.users.try_name("nobody").unwrap().is_none());
    world.add(5, "ada@example.org", "eve@x", Some(&cheap()), 1);
    let several = world.users.try_name("ada@example.org").unwrap_err().0;
    assert!(several.contains("more than one row"), "{several}");
}

#[tokio::test]
async fn unknown_users_take_the_time_of_those_that_are_there() {
    let world = World::new();
    // Before anybody was found it is as dear as ours.
    assert!(world.is_invalid("nobody").await);
    assert_eq!(world.users.dummy.load().scheme(), "argon2id");
    let bcrypt = "$2y$10$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234";
    world.add(2, "bob", "bob@x", Some(bcrypt), 1);
    assert!(world.is_invalid("bob").await);
    let dummy = world.users.dummy.load_full();
    assert_eq!(dummy.scheme(), "bcrypt");
    assert_eq!(dummy.microseconds(), StoredHash::parse(bcrypt).unwrap().microseconds());
}
