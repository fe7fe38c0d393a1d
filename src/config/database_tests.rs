//! URLs of databases: every part, what protects them, and what is never said of them.

use super::*;

fn parse(url: &str) -> Result<Database, String> {
    Database::parse(url, Path::new("/etc/freshgate"))
}

fn server_of(url: &str) -> Server {
    match parse(url).unwrap() {
        Database::Postgres(server) | Database::MySql(server) => server,
        Database::Sqlite(_) => panic!("{url}"),
    }
}

#[test]
fn url_is_read_in_all_its_parts() {
    let one = server_of("postgresql://app%40x:p%40ss%2Fw:rd@db.example.org:6543/legacy%20db");
    assert_eq!(one.place, Place::Tcp("db.example.org".into(), 6543));
    assert_eq!((one.user.as_str(), one.database.as_str()), ("app@x", "legacy db"));
    assert_eq!(one.password.as_ref().unwrap().expose(), b"p@ss/w:rd");
    assert_eq!(server_of("mysql://a@[::1]/d").place, Place::Tcp("::1".into(), 3306));
    assert_eq!(server_of("postgres://a@h:/d").place, Place::Tcp("h".into(), 5432));
    let socket = server_of("postgresql://a@/d?host=/run/postgresql");
    assert_eq!(socket.place, Place::Socket("/run/postgresql/.s.PGSQL.5432".into()));
    let socket = server_of("mariadb://a@localhost/d?socket=/run/mysqld/mysqld.sock");
    assert_eq!(socket.place, Place::Socket("/run/mysqld/mysqld.sock".into()));
    assert_eq!(parse("sqlite:app.db"), Ok(Database::Sqlite("/etc/freshgate/app.db".into())));
    assert_eq!(parse("sqlite:/a/b.db"), Ok(Database::Sqlite("/a/b.db".into())));
}

#[test]
fn a_remote_host_has_tls_unless_the_operator_says_otherwise() {
    for (url, tls) in [
        ("postgresql://a@db.example.org/d", Tls::Verified),
        ("mysql://a@192.0.2.7/d", Tls::Verified),
        ("mysql://a@db/d?ssl-mode=VERIFY_IDENTITY", Tls::Verified),
        ("postgresql://a@db/d?sslmode=require", Tls::Verified),
        ("postgresql://a@db/d?sslmode=disable", Tls::Off),
        ("postgresql://a@127.0.0.1/d?sslmode=verify-full", Tls::Verified),
        ("postgresql://a@127.0.0.1/d", Tls::Off),
        ("postgresql://a@127.evil.example/d", Tls::Verified),
        ("mysql://a@localhost/d", Tls::Off),
        ("mysql://a@[::1]/d", Tls::Off),
    ] {
        assert_eq!(server_of(url).tls, tls, "{url}");
    }
    for mode in ["prefer", "allow", "PREFERRED", "yes", ""] {
        parse(&format!("mysql://a@db/d?sslmode={mode}")).unwrap_err();
    }
}

#[test]
fn mistakes_say_what_is_wrong_and_never_the_password() {
    for (url, part) in [
        ("oracle://a:hunter2@h/d", "does not begin with"),
        ("hunter2", "does not begin with"),
        ("mysql://a:hunter2@h", "no database"),
        ("mysql://:hunter2@h/d", "no user"),
        ("mysql://a:hunter2@/d", "no host"),
        ("mysql://a:hunter2@h:99999/d", "port"),
        ("mysql://a:hunter2@h,i/d", "several hosts"),
        ("mysql://a:hunter2@h/d?connect=1", "`connect`"),
        ("mysql://a:hunter2%00@h/d", "control"),
        ("sqlite:///app.db", "without `//`"),
        ("sqlite:", "PATH"),
    ] {
        let said = parse(url).unwrap_err();
        assert!(said.contains(part) && !said.contains("hunter2"), "{url}: {said}");
    }
    let printed = format!("{:?}", parse("mysql://ada:hunter2@h/d").unwrap());
    assert_eq!(printed, "MySql(h:3306/d)");
}

#[test]
fn another_password_is_another_database() {
    let [one, same, other] = ["x", "x", "y"].map(|word| parse(&format!("mysql://a:{word}@h/d")));
    assert_eq!(one, same);
    assert_ne!(one, other);
}
