//! Users in a database, here a file of SQLite: what is typed is never SQL, a name is one name, two rows are nobody's.

use std::time::Instant;

use rusqlite::Connection;
use serde_json::json;

use crate::harness::{Gateway, Response, Setup, Tokens, UNTHROTTLED, forge};

/// A cheap argon2id hash of `password`.
const HASH: &str =
    "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";

/// A collation that takes `ä` for `a`, as MySQL's do.
const TOML: &str = r#"
upstream = "builtin:whoami"
[login.users.sql]
url = "sqlite:app.db"
query = "SELECT * FROM users WHERE login = replace(:name, 'ä', 'a') COLLATE NOCASE"
refresh_query = "SELECT * FROM users WHERE id = :subject"
name = "login"
subject = "id"
password = "pass"
[routes]
"/**" = "access-required"
"#;

fn gateway(limits: &str) -> (Connection, Gateway) {
    let setup = Setup::new(&format!("{TOML}{limits}"));
    let table = Connection::open(setup.dir().join("app.db")).expect("a file");
    table.execute_batch("CREATE TABLE users (id TEXT, login TEXT, pass TEXT)").expect("a table");
    for (id, login, pass) in
        [("1", "ada", Some(HASH)), ("2", "empty", None), ("3", "odd", Some("x"))]
    {
        table.execute("INSERT INTO users VALUES (?1, ?2, ?3)", (id, login, pass)).expect("a row");
    }
    (table, setup.start())
}

fn login(gateway: &Gateway, name: &str, password: &str) -> Response {
    let body = json!({"username": name, "password": password});
    gateway.client().post("/auth/login").json(&body).send()
}

fn rows(table: &Connection) -> i64 {
    table.query_row("SELECT count(*) FROM users", (), |row| row.get(0)).expect("a table")
}

// Holds: DB1.
#[test]
fn a_name_that_is_sql_is_a_name() {
    let (table, gateway) = gateway(UNTHROTTLED);
    for name in [
        "' OR '1'='1",
        "ada' --",
        "ada'; DROP TABLE users; --",
        "\" OR 1=1 --",
        "ada' UNION SELECT 1,'ada','x' --",
        "?1",
        ":name",
        "$1",
        "\\",
        "\\' OR 1=1 #",
        "ada/**/",
        "%",
        "_da",
        "ada\u{2019} OR 1=1",
        "0x616461",
        "ada;",
    ] {
        login(&gateway, name, "password").refused(401, "credentials-invalid");
        login(&gateway, name, name).refused(401, "credentials-invalid");
    }
    assert_eq!(rows(&table), 3);
    // A user whose name is one is a user, and the subject of a token is no SQL either.
    let odd = "o' OR '1'='1";
    table.execute("INSERT INTO users VALUES (?1, ?1, ?2)", (odd, HASH)).expect("a row");
    let tokens = gateway.login(odd, "password");
    assert_eq!(forge::payload(&tokens.access)["sub"], odd);
    let refresh = || gateway.client().post("/auth/refresh").bearer(&tokens.refresh).send();
    let renewed = Tokens::of(&refresh().expect(200));
    assert_eq!(forge::payload(&renewed.access)["sub"], odd);
    let body = json!({"password": "password"});
    gateway.client().post("/auth/reauth").bearer(&tokens.access).json(&body).send().expect(200);
}

// Holds: DB2.
#[test]
fn one_account_is_not_guessed_at_under_many_names() {
    let (table, gateway) = gateway("[limits]\nlogin_failures_account = 4\n");
    let found = "SELECT count(*) FROM users WHERE login = replace('ädä', 'ä', 'a') COLLATE NOCASE";
    let found: i64 = table.query_row(found, (), |row| row.get(0)).expect("a table");
    assert_eq!(found, 1);
    for name in ["äda", "adä", "ädä"] {
        login(&gateway, name, "password").refused(401, "credentials-invalid");
    }
    for name in ["ada", "ADA", " ada", "ａｄａ"] {
        login(&gateway, name, "wrong").refused(401, "credentials-invalid");
    }
    login(&gateway, "Ada", "password").refused(429, "login-throttled");
}

// Holds: DB3.
#[test]
fn a_name_that_two_rows_have_is_nobodys() {
    let (table, gateway) = gateway(UNTHROTTLED);
    let tokens = gateway.login("ada", "password");
    table.execute("INSERT INTO users VALUES ('9', 'ADA', ?1)", [HASH]).expect("a row");
    login(&gateway, "ada", "password").refused(401, "credentials-invalid");
    login(&gateway, "ADA", "password").refused(401, "credentials-invalid");
    // Who is in already has a subject, and that is one.
    gateway.client().post("/auth/refresh").bearer(&tokens.refresh).send().expect(200);
    table.execute("UPDATE users SET id = '1' WHERE id = '9'", ()).expect("a row");
    gateway
        .client()
        .post("/auth/refresh")
        .bearer(&tokens.refresh)
        .send()
        .refused(401, "token-revoked");
}

// Holds: DB4.
#[test]
fn who_is_in_the_table_is_told_neither_by_answer_nor_by_time() {
    let (_table, gateway) = gateway(UNTHROTTLED);
    // The hash that is found sets the time for those that are not.
    login(&gateway, "ada", "wrong").expect(401);
    let mut connection = gateway.client().connect();
    let names = ["ada", "nobody", "empty", "odd", "äda"];
    let mut took: [Vec<f64>; 5] = Default::default();
    // In turn, so that whatever else the machine does meets all of them alike.
    for round in 0..60 {
        for (name, took) in names.iter().zip(&mut took) {
            let body = json!({"username": name, "password": format!("wrong {round}")});
            let from = Instant::now();
            let request = gateway.client().post("/auth/login").json(&body);
            request.send_on(&mut connection).refused(401, "credentials-invalid");
            took.push(from.elapsed().as_secs_f64());
        }
    }
    let medians = took.map(|mut took| {
        took.sort_by(f64::total_cmp);
        took[took.len() / 2]
    });
    // A hash takes more than 20 milliseconds: who cost none, or two, would be far off.
    for median in &medians {
        assert!((0.6..1.6).contains(&(median / medians[0])), "{medians:?}");
    }
}
