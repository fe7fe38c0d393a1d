//! Users in a table that was there before: PostgreSQL and MariaDB as servers, and a file of SQLite.
//!
//! `recipes` has the configurations of docs/users-sql.md, each before the application it is for.

mod recipes;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::databases::{Database, ENGINES, Engine, PASSWORD};
use crate::harness::{
    Client, Gateway, Response, Setup, Tokens, UNTHROTTLED, Upstream, eventually, forge, says,
};

/// A cheap argon2id hash of `password`.
const HASH: &str =
    "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";

const ROUTES: &str = "[routes]\n\"/\" = \"public\"\n\"/account/**\" = \"access-required\"\n";

const SQL: &str = r#"
[login.users.sql]
url = { env = "LEGACY" }
query = "SELECT * FROM people WHERE login = :name OR mail = :name"
refresh_query = "SELECT * FROM people WHERE id = :subject"
name = ["login", "mail"]
subject = "id"
password = "pass"
enabled = "active"
claims = { mail = "mail", roles = "roles", meta = "meta" }
"#;

/// `people` with Ada, who is number 17.
fn table(database: &Database) -> String {
    let name = database.create();
    let (columns, values) = match database.engine {
        Engine::Postgres => (
            "id int PRIMARY KEY, login text UNIQUE, mail varchar(80), pass text, active boolean, roles text[], meta jsonb",
            "true, '{admin,staff}', '{\"level\": [3]}'",
        ),
        Engine::MariaDb => (
            "id int PRIMARY KEY, login varchar(60) UNIQUE, mail varchar(80), pass varchar(255), active tinyint(1), roles text, meta json) COLLATE utf8mb4_general_ci ENGINE=InnoDB -- ",
            "1, 'admin,staff', '{\"level\": [3]}'",
        ),
    };
    database.ask(&name, &format!("CREATE TABLE people ({columns}\n)").replace("-- \n)", ""));
    add(database, &name, 17, "Ada", "ada@example.org", values);
    name
}

fn add(database: &Database, name: &str, id: u32, login: &str, mail: &str, values: &str) {
    let sql = format!("INSERT INTO people VALUES ({id}, '{login}', '{mail}', '{HASH}', {values})");
    database.ask(name, &sql);
}

/// What Ada's claims are, read from text in MariaDB, whose JSON is text.
fn toml(engine: Engine, upstream: &Upstream) -> String {
    let claims = match engine {
        Engine::Postgres => SQL.to_owned(),
        Engine::MariaDb => SQL.replace(
            "roles = \"roles\", meta = \"meta\"",
            "roles = { column = \"roles\", split = \",\" }, meta = { column = \"meta\", as = \"json\" }",
        ),
    };
    format!("upstream = \"{upstream}\"\n{claims}\n{ROUTES}{UNTHROTTLED}")
}

fn setup(database: &Database, name: &str, upstream: &Upstream) -> Setup {
    let url = database.url(name, "127.0.0.1");
    Setup::new(&toml(database.engine, upstream)).env("LEGACY", &url)
}

fn try_login(client: &Client, name: &str, password: &str) -> Response {
    client.post("/auth/login").json(&json!({"username": name, "password": password})).send()
}

fn refresh(gateway: &Gateway, tokens: &Tokens) -> Response {
    gateway.client().post("/auth/refresh").bearer(&tokens.refresh).send()
}

#[test]
fn a_user_of_the_table_logs_in_refreshes_and_steps_up() {
    for engine in ENGINES {
        let database = Database::shared(engine);
        let name = table(database);
        let upstream = Upstream::echo();
        let gateway = setup(database, &name, &upstream).start();
        let tokens = gateway.login("ada@example.org", "password");
        let said = forge::payload(&tokens.access);
        assert_eq!(said["sub"], "17", "{engine:?}");
        assert_eq!(said["roles"], json!(["admin", "staff"]));
        assert_eq!(said["meta"], json!({"level": [3]}));
        gateway.client().get("/account/x").bearer(&tokens.access).send().expect(200);

        // The number is not the name, and what is typed is not the number.
        try_login(&gateway.client(), "17", "password").refused(401, "credentials-invalid");
        let again = gateway.client().post("/auth/reauth").bearer(&tokens.access);
        let fresh = Tokens::of(&again.json(&json!({"password": "password"})).send().expect(200));
        assert_eq!(forge::payload(&fresh.access)["sub"], "17");
        let wrong = gateway.client().post("/auth/reauth").bearer(&tokens.access);
        wrong.json(&json!({"password": "wrong"})).send().refused(401, "credentials-invalid");

        // What the table says today is in the next token.
        database.ask(&name, "UPDATE people SET mail = 'new@example.org'");
        let renewed = Tokens::of(&refresh(&gateway, &tokens).expect(200));
        assert_eq!(forge::payload(&renewed.access)["mail"], "new@example.org");
    }
}

#[test]
fn a_user_changed_disabled_or_removed_between_login_and_refresh_gets_no_token() {
    for engine in ENGINES {
        let database = Database::shared(engine);
        for sql in [
            "UPDATE people SET active = NULL",
            "DELETE FROM people",
            "UPDATE people SET pass = '$2y$10$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234'",
            "UPDATE people SET pass = NULL",
        ] {
            let name = table(database);
            let gateway = setup(database, &name, &Upstream::echo()).start();
            let tokens = gateway.login("Ada", "password");
            database.ask(&name, sql);
            refresh(&gateway, &tokens).refused(401, "token-revoked");
            let again = gateway.client().post("/auth/reauth").bearer(&tokens.access);
            again.json(&json!({"password": "password"})).send().expect(401);
            try_login(&gateway.client(), "Ada", "password").refused(401, "credentials-invalid");
        }
    }
}

#[test]
fn nobodys_names_and_passwords_are_answered_alike() {
    for engine in ENGINES {
        let database = Database::shared(engine);
        let name = table(database);
        let on = if engine == Engine::Postgres { "true, NULL, NULL" } else { "1, NULL, NULL" };
        add(database, &name, 2, "eve", "eve@example.org", on);
        add(database, &name, 3, "nil", "nil@example.org", on);
        database.ask(&name, "UPDATE people SET pass = NULL WHERE id = 3");
        let gateway = setup(database, &name, &Upstream::echo()).start();
        let long = "a".repeat(10_000);
        for nobody in [
            "bob",
            "nil",
            "",
            " ",
            &long,
            "' OR '1'='1",
            "Ada'--",
            "%",
            "\\",
            "Äda",
            "Аda",
            "\u{1F600}",
            "$1",
            ":name",
            "?",
        ] {
            let answer = try_login(&gateway.client(), nobody, "password");
            answer.refused(401, "credentials-invalid");
        }
        // Two rows for one name: nobody, and the operator learns of it.
        database.ask(&name, "UPDATE people SET login = 'ada@example.org' WHERE id = 2");
        try_login(&gateway.client(), "ada@example.org", "password")
            .refused(401, "credentials-invalid");
        try_login(&gateway.client(), "ada@example.org", "password")
            .refused(401, "credentials-invalid");
        gateway.logged("more than one row for one name");
        assert_eq!(gateway.log().matches("user_ambiguous").count(), 1);
        gateway.login("Ada", "password");
        // A hash nobody knows: told to the operator, not to the client, and never shown.
        database.ask(&name, "UPDATE people SET pass = 'plaintext-pass' WHERE id = 17");
        try_login(&gateway.client(), "Ada", "plaintext-pass").refused(401, "credentials-invalid");
        assert!(!gateway.log().contains("plaintext-pass"));
    }
}

#[test]
fn one_name_in_many_spellings_is_guessed_at_as_one() {
    let database = Database::shared(Engine::MariaDb);
    let name = table(database);
    // The collation of the column takes all of these for the same.
    let alike = ["Ada", "ADA", "ada ", "äda", "Ädä"];
    for spelling in alike {
        let count = format!("SELECT count(*) FROM people WHERE login = '{spelling}'");
        assert_eq!(database.ask(&name, &count), "1", "{spelling}");
    }
    let toml = toml(Engine::MariaDb, &Upstream::echo())
        .replace(UNTHROTTLED, "[limits]\nlogin_failures_account = 4\n");
    let url = database.url(&name, "127.0.0.1");
    let gateway = Setup::new(&toml).env("LEGACY", &url).start();
    // What is not the name in our spelling is nobody's, with the right password too.
    for other in ["äda", "Ädä"] {
        try_login(&gateway.client(), other, "password").refused(401, "credentials-invalid");
    }
    for spelling in ["Ada", "ADA", "ada ", " aDa"] {
        try_login(&gateway.client(), spelling, "wrong").refused(401, "credentials-invalid");
    }
    let answer = try_login(&gateway.client(), "ada", "password");
    answer.refused(429, "login-throttled");
    // In a column of Latin-1 no name has such signs: that is no fault of the database.
    database
        .ask(&name, "ALTER TABLE people CONVERT TO CHARACTER SET latin1 COLLATE latin1_swedish_ci");
    for other in ["\u{1F600}", "Ада", "日本"] {
        try_login(&gateway.client(), other, "password").refused(401, "credentials-invalid");
    }
}

#[test]
fn a_query_that_would_write_is_refused_by_the_database() {
    for engine in ENGINES {
        let database = Database::shared(engine);
        let name = table(database);
        database.ask(&name, "CREATE TABLE seen (login varchar(80))");
        let function = match engine {
            Engine::Postgres => {
                "CREATE FUNCTION note(who text) RETURNS boolean LANGUAGE sql AS 'INSERT INTO seen VALUES (who) RETURNING true'"
            }
            Engine::MariaDb => {
                "SET GLOBAL log_bin_trust_function_creators = 1; CREATE FUNCTION note(who text) RETURNS int MODIFIES SQL DATA BEGIN INSERT INTO seen VALUES (who); RETURN 1; END"
            }
        };
        match engine {
            Engine::Postgres => database.ask(&name, function),
            Engine::MariaDb => {
                let (set, create) = function.split_once("; ").expect("two");
                database.ask(&name, set);
                database.ask(&name, &format!("DELIMITER //\n{create}//"))
            }
        };
        let toml = toml(engine, &Upstream::echo()).replace(
            "WHERE login = :name OR",
            "WHERE note(login) IS NOT NULL AND login = :name OR",
        );
        let url = database.url(&name, "127.0.0.1");
        let setup = Setup::new(&toml).env("LEGACY", &url);
        match engine {
            Engine::Postgres => {
                let gateway = setup.start();
                let answer = try_login(&gateway.client(), "Ada", "password");
                answer.refused(503, "store-unavailable");
                gateway.logged("cannot execute INSERT in a read-only transaction");
            }
            // It says so already when the query is prepared.
            Engine::MariaDb => says(&setup.fails(), &["in a READ ONLY transaction"]),
        }
        assert_eq!(database.ask(&name, "SELECT count(*) FROM seen"), "0", "{engine:?}");
        // It is the operator's, and works elsewhere.
        database.ask(&name, "SELECT note('x')");
        assert_eq!(database.ask(&name, "SELECT count(*) FROM seen"), "1");
    }
}

#[test]
fn a_database_that_hangs_costs_logins_and_nothing_else() {
    for engine in ENGINES {
        let database = Database::start(engine);
        let name = table(&database);
        let upstream = Upstream::echo();
        let gateway = setup(&database, &name, &upstream).start();
        let tokens = gateway.login("Ada", "password");
        database.signal_all("STOP");
        let begun = Instant::now();
        std::thread::scope(|scope| {
            let all: Vec<_> = (0..20)
                .map(|_| scope.spawn(|| try_login(&gateway.client(), "Ada", "password").status))
                .collect();
            // Many times, while they wait.
            let mut slowest = Duration::ZERO;
            while begun.elapsed() < Duration::from_secs(2) {
                let from = Instant::now();
                gateway.client().get("/account/x").bearer(&tokens.access).send().expect(200);
                gateway.client().get("/").send().expect(200);
                slowest = slowest.max(from.elapsed());
            }
            assert!(slowest < Duration::from_secs(1), "{slowest:?}");
            for one in all {
                assert_eq!(one.join().expect("an answer"), 503);
            }
        });
        assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
        refresh(&gateway, &tokens).refused(503, "store-unavailable");
        assert!(gateway.log().contains("within 3s"), "{}", gateway.log());
        database.signal_all("CONT");
        eventually("a login", || {
            Some(()).filter(|()| try_login(&gateway.client(), "Ada", "password").status == 200)
        });
        refresh(&gateway, &tokens).expect(200);

        // Away, and back: the connections that were kept are dead, and nobody sees that.
        database.end();
        try_login(&gateway.client(), "Ada", "password").refused(503, "store-unavailable");
        database.run_again();
        for _ in 0..4 {
            try_login(&gateway.client(), "Ada", "password").expect(200);
        }
        for _ in 0..2 {
            database.end();
            database.run_again();
            try_login(&gateway.client(), "Ada", "password").expect(200);
        }
        let said = format!("{}{}", gateway.log(), gateway.stdout());
        assert!(!said.contains(PASSWORD) && !said.contains("hunter2"), "{said}");
    }
}

#[test]
fn a_gateway_starts_without_the_database_and_finds_it_later() {
    let database = Database::start(Engine::Postgres);
    let name = table(&database);
    database.end();
    let upstream = Upstream::echo();
    let gateway = setup(&database, &name, &upstream).start();
    gateway.logged("users_database_away");
    gateway.client().get("/").send().expect(200);
    try_login(&gateway.client(), "Ada", "password").refused(503, "store-unavailable");
    let told = gateway.cli(&["check"], "").succeeded();
    assert!(told.stderr.contains("warning[users-away]"), "{}", told.stderr);
    database.run_again();
    gateway.login("Ada", "password");
}

#[test]
fn check_and_start_say_what_the_database_thinks_of_the_query() {
    for engine in ENGINES {
        let database = Database::shared(engine);
        let name = table(database);
        let good = setup(database, &name, &Upstream::echo());
        let told = good.cli(&["check"], "").succeeded();
        let at = format!("127.0.0.1:{}/{name}: both queries can be asked", database.address.port());
        assert!(told.stdout.contains(&at), "{}", told.stdout);
        assert!(
            told.stdout.contains("columns login, mail, id, pass, active, roles, meta"),
            "{}",
            told.stdout
        );
        let url = database.url(&name, "127.0.0.1");
        for (from, to, part) in [
            (
                "subject = \"id\"",
                "subject = \"number\"",
                "no column `number`: it gives `id`, `login`",
            ),
            (
                "SELECT * FROM people WHERE login",
                "SELECT *, 2 AS id FROM people WHERE login",
                "two columns `id`",
            ),
            ("FROM people WHERE login", "FROM peple WHERE login", "peple"),
            (
                "WHERE login = :name OR mail = :name",
                "WHERE login = :name; DROP TABLE people",
                "more than one statement",
            ),
            ("WHERE login = :name OR mail = :name", "WHERE login = 'Ada'", "does not use `:name`"),
            ("refresh_query", "#", "cannot find a user by `id`"),
        ] {
            let bad = toml(engine, &Upstream::echo()).replace(from, to);
            assert_ne!(bad, toml(engine, &Upstream::echo()), "{from}");
            let checked = Setup::new(&bad).env("LEGACY", &url).cli(&["check"], "");
            says(&checked, &[part]);
            let output = Setup::new(&bad).env("LEGACY", &url).fails();
            says(&output, &[part]);
            assert!(!output.stderr.contains("hunter2"), "{}", output.stderr);
        }
    }
    // A wrong password of the database itself: away, not refused; it may be set right there.
    let database = Database::shared(Engine::Postgres);
    let name = table(database);
    let url = database.url(&name, "127.0.0.1").replace("secret@", "other@");
    let toml = toml(Engine::Postgres, &Upstream::echo());
    let told = Setup::new(&toml).env("LEGACY", &url).cli(&["check"], "").succeeded();
    assert!(
        told.stderr.contains("users-away") && !told.stderr.contains("hunter2"),
        "{}",
        told.stderr
    );
}

#[test]
fn an_operator_tries_a_name_without_its_password() {
    for engine in ENGINES {
        let database = Database::shared(engine);
        let name = table(database);
        let setup = setup(database, &name, &Upstream::echo());
        let told = setup.cli(&["user", "check", "ada@example.org"], "").succeeded();
        assert!(
            told.stdout.contains("subject: 17") && told.stdout.contains("[\"admin\",\"staff\"]"),
            "{}",
            told.stdout
        );
        assert!(!told.stdout.contains("argon2"), "{}", told.stdout);
        says(&setup.cli(&["user", "check", "bob"], ""), &["no user with the name \"bob\""]);
        says(&setup.cli(&["user", "list"], ""), &["not in a file"]);
        database.ask(&name, "UPDATE people SET active = NULL");
        let told = setup.cli(&["user", "check", "Ada"], "");
        assert_eq!(told.code, Some(1));
        assert!(told.stderr.contains("is disabled"), "{}", told.stderr);
    }
}

#[test]
fn a_connection_is_protected_or_there_is_none() {
    for engine in ENGINES {
        let database = Database::shared(engine);
        let name = table(database);
        let status = |host: &str, mode: &str, ca: &str| {
            let toml =
                toml(engine, &Upstream::echo()).replace("name = [", &format!("{ca}name = ["));
            let url = format!("{}?sslmode={mode}", database.url(&name, host));
            let gateway = Setup::new(&toml).env("LEGACY", &url).start();
            let answer = try_login(&gateway.client(), "Ada", "password");
            (answer.status, gateway.log())
        };
        let ca = format!("ca = \"{}\"\n", database.ca().display());
        assert_eq!(status("localhost", "verify-full", &ca).0, 200, "{engine:?}");
        // The certificate is for another name, or signed by nobody we know.
        let (wrong, said) = status("127.0.0.1", "verify-full", &ca);
        assert!(wrong == 503 && said.contains("ertificate"), "{engine:?}: {said}");
        let (unknown, said) = status("localhost", "require", "");
        assert!(unknown == 503 && said.contains("ertificate"), "{engine:?}: {said}");
        assert_eq!(status("localhost", "disable", "").0, 200);
    }
    // The server demands it of us, and sees it.
    let database = Database::shared(Engine::MariaDb);
    let name = table(database);
    database.ask(
        "",
        &format!(
            "CREATE USER tls@'%' IDENTIFIED BY 'x' REQUIRE SSL; GRANT SELECT ON {name}.* TO tls@'%'"
        ),
    );
    let port = database.address.port();
    for (mode, status) in [("verify-full", 200), ("disable", 503)] {
        let toml = toml(Engine::MariaDb, &Upstream::echo());
        let toml =
            toml.replace("name = [", &format!("ca = \"{}\"\nname = [", database.ca().display()));
        let url = format!("mysql://tls:x@localhost:{port}/{name}?ssl-mode={mode}");
        let gateway = Setup::new(&toml).env("LEGACY", &url).start();
        try_login(&gateway.client(), "Ada", "password").expect(status);
    }
}

#[test]
fn a_row_of_megabytes_is_refused_and_not_read() {
    for engine in ENGINES {
        let database = Database::shared(engine);
        let name = table(database);
        let picture = if engine == Engine::Postgres { "text" } else { "longtext" };
        database.ask(&name, &format!("ALTER TABLE people ADD COLUMN picture {picture}"));
        let gateway = setup(database, &name, &Upstream::echo()).start();
        gateway.login("Ada", "password");
        let tokens = gateway.login("Ada", "password");
        database.ask(&name, "UPDATE people SET picture = repeat('x', 8000000)");
        // Strangers are told what they are told of nobody; whoever is in keeps the session.
        try_login(&gateway.client(), "Ada", "password").refused(401, "credentials-invalid");
        gateway.logged("user_unreadable");
        refresh(&gateway, &tokens).refused(503, "store-unavailable");
        database.ask(&name, "UPDATE people SET picture = NULL");
        refresh(&gateway, &tokens).expect(200);
        gateway.login("Ada", "password");
    }
}

#[test]
fn a_row_of_odd_values_is_nobody_to_strangers_and_costs_no_session() {
    for engine in ENGINES {
        let database = Database::shared(engine);
        let name = table(database);
        let gateway = setup(database, &name, &Upstream::echo()).start();
        let tokens = gateway.login("Ada", "password");
        let many = match engine {
            Engine::Postgres => "string_to_array(repeat('hunter2,', 1000), ',')",
            Engine::MariaDb => "repeat('hunter2,', 1000)",
        };
        database.ask(&name, &format!("UPDATE people SET roles = {many}"));
        for one in ["Ada", "nobody"] {
            try_login(&gateway.client(), one, "password").refused(401, "credentials-invalid");
        }
        refresh(&gateway, &tokens).refused(503, "store-unavailable");
        gateway.logged("user_unreadable");
        says(&gateway.cli(&["user", "check", "Ada"], ""), &["the claims of a user have"]);
        assert!(!gateway.log().contains("hunter2"), "{}", gateway.log());
        database.ask(&name, "UPDATE people SET roles = NULL");
        refresh(&gateway, &tokens).expect(200);
    }
    // What the query makes of a value is of the row too, and a name that the encoding has not is nobody's.
    let database = Database::shared(Engine::Postgres);
    let name = table(database);
    let toml = toml(Engine::Postgres, &Upstream::echo()).replace(
        "SELECT * FROM people WHERE login",
        "SELECT *, CAST(mail AS int) AS number FROM people WHERE login",
    );
    let gateway = Setup::new(&toml).env("LEGACY", &database.url(&name, "127.0.0.1")).start();
    for one in ["Ada", "nobody"] {
        try_login(&gateway.client(), one, "password").refused(401, "credentials-invalid");
    }
    database.ask(&name, "UPDATE people SET mail = '7'");
    gateway.login("Ada", "password");
}

#[test]
fn other_settings_are_taken_up_and_bad_ones_change_nothing() {
    let database = Database::shared(Engine::Postgres);
    let name = table(database);
    let upstream = Upstream::echo();
    let gateway = setup(database, &name, &upstream).start();
    let config = gateway.path("gateway.toml");
    let good = std::fs::read_to_string(&config).expect("a file");
    std::fs::write(&config, good.replace("mail = \"mail\",", "address = \"mail\","))
        .expect("written");
    eventually("the new claims", || {
        let said = forge::payload(&gateway.login("Ada", "password").access);
        (said["address"] == "ada@example.org" && said["mail"] == Value::Null).then_some(())
    });
    std::fs::write(&config, good.replace("FROM people", "FROM nowhere")).expect("written");
    gateway.logged("reload_refused");
    assert!(gateway.log().contains("nowhere"), "{}", gateway.log());
    let said = forge::payload(&gateway.login("Ada", "password").access);
    assert_eq!(said["address"], "ada@example.org");
}

#[test]
fn a_reload_that_leaves_the_users_alone_keeps_their_connection() {
    let database = Database::shared(Engine::Postgres);
    let name = table(database);
    let gateway = setup(database, &name, &Upstream::echo()).start();
    gateway.login("Ada", "password");
    let connections = || {
        let sql = "SELECT pid FROM pg_stat_activity WHERE application_name = 'freshgate'
            AND datname = current_database()";
        database.ask(&name, sql)
    };
    let before = connections();
    assert!(before.parse::<u32>().is_ok(), "one connection, not {before:?}");
    let config = gateway.path("gateway.toml");
    let text = std::fs::read_to_string(&config).expect("a file");
    std::fs::write(&config, format!("{text}\n[log]\naccess = true\n")).expect("written");
    gateway.logged("\"reloaded\"");
    gateway.login("Ada", "password");
    assert_eq!(connections(), before);
}

#[test]
fn types_of_postgresql_that_legacy_tables_have_are_read() {
    let database = Database::shared(Engine::Postgres);
    let name = database.create();
    database.ask(&name, "CREATE EXTENSION citext");
    database.ask(&name, "CREATE TYPE mood AS ENUM ('fine')");
    database.ask(&name, &format!(
        "CREATE TABLE people AS SELECT '5b1c0e6e-8f0e-4c39-9d56-5f8b5a8c1d3e'::uuid AS id, 'Ada'::citext AS login,
         'x'::char(4) AS mail, '{HASH}'::char(200) AS pass, 1::smallint AS active, ARRAY[1, NULL, 3] AS roles,
         json_build_object('a', 1.5) AS meta, 'fine'::mood AS mood, 2.5::float8 AS number, now() AS since"
    ));
    let toml = toml(Engine::Postgres, &Upstream::echo())
        .replace("claims = {", "claims = { mood = \"mood\", number = \"number\",");
    let url = database.url(&name, "127.0.0.1");
    let gateway = Setup::new(&toml).env("LEGACY", &url).start();
    let tokens = gateway.login("ADA", "password");
    let said = forge::payload(&tokens.access);
    assert_eq!(said["sub"], "5b1c0e6e-8f0e-4c39-9d56-5f8b5a8c1d3e");
    assert_eq!(
        (&said["roles"], &said["meta"], &said["mood"], &said["number"]),
        (&json!([1, null, 3]), &json!({"a": 1.5}), &json!("fine"), &json!(2.5))
    );
    // What `char(n)` pads a text with is no part of it, of a hash neither.
    assert_eq!(said["mail"], "x");
    refresh(&gateway, &tokens).expect(200);
    // A type that has no meaning is told with its remedy.
    let toml = toml.replace("number = \"number\"", "since = \"since\"");
    let told = Setup::new(&toml).env("LEGACY", &url).cli(&["user", "check", "Ada"], "");
    says(&told, &["`since` is of the type timestamptz", "CAST"]);
}
