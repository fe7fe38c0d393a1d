//! The recipes of docs/users-sql.md, as the files that it shows: a real Django project, a table as WordPress has it, and
//! one of a PHP application. Passwords are hashed by those programs, and nothing of theirs is changed.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::{refresh, try_login};
use crate::harness::databases::{Database, Engine};
use crate::harness::{Gateway, Setup, Tokens, UNTHROTTLED, Upstream, forge, tools};

const DJANGO: &str = include_str!("../../../docs/try/users-django.toml");
const WORDPRESS: &str = include_str!("../../../docs/try/users-wordpress.toml");
const PHP: &str = include_str!("../../../docs/try/users-php.toml");

fn before(upstream: &Upstream, toml: &str) -> Setup {
    let toml = toml.replace("http://127.0.0.1:9000", &upstream.to_string());
    Setup::new(&format!("{toml}\n{UNTHROTTLED}"))
}

/// What PHP makes of an expression.
fn php(expression: &str) -> String {
    let php = tools::file("PHP", &["/usr/bin/php8.2", "/usr/bin/php"]);
    let output = Command::new(php).args(["-r", &format!("echo {expression};")]).output();
    let output = output.expect("PHP runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

fn project(dir: &Path) {
    let script = tools::root().join("tests/interop/django_project.py");
    let made = Command::new(tools::python_of("venvdjango")).arg(script).arg(dir).output();
    let made = made.expect("Python runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

#[test]
fn users_of_a_django_project_log_in_and_the_project_is_not_touched() {
    let upstream = Upstream::echo();
    let setup = before(&upstream, DJANGO);
    project(setup.dir());
    let file = setup.dir().join("db.sqlite3");
    let bytes = std::fs::read(&file).expect("the project's file");
    let gateway = setup.start();
    gateway.cli(&["check"], "").succeeded();

    let tokens = gateway.login("ada", "correct horse");
    let said = forge::payload(&tokens.access);
    assert_eq!((&said["sub"], &said["username"]), (&json!("1"), &json!("ada")));
    assert_eq!((&said["staff"], &said["admin"]), (&json!(false), &json!(false)));
    assert_eq!(said["roles"], json!(["editors", "writers"]));
    let client = gateway.client();
    client.get("/reports/x").bearer(&tokens.access).send().expect(200);
    let seen = upstream.last();
    assert_eq!(seen.header("x-user-name"), Some("ada"));
    client.get("/admin/x").bearer(&tokens.access).send().expect(403);
    let root = gateway.login("root", "battery staple");
    client.get("/admin/x").bearer(&root.access).send().expect(200);
    gateway.login("old", "correct horse");

    for (name, password) in
        [("gone", "correct horse"), ("sso", ""), ("sso", "!"), ("ada", "wrong"), ("nobody", "x")]
    {
        try_login(&client, name, password).refused(401, "credentials-invalid");
    }
    let renewed = Tokens::of(&refresh(&gateway, &tokens).expect(200));
    assert_eq!(forge::payload(&renewed.access)["roles"], json!(["editors", "writers"]));
    assert!(
        std::fs::read(&file).expect("the project's file") == bytes,
        "the project's file changed"
    );
    let files = std::fs::read_dir(gateway.dir()).expect("a directory").flatten();
    let beside =
        files.filter(|entry| entry.file_name().to_string_lossy().starts_with("db.sqlite3-"));
    assert_eq!(beside.count(), 0);
}

#[test]
fn users_of_a_wordpress_log_in_by_name_and_by_address() {
    let database = Database::shared(Engine::MariaDb);
    let name = database.create();
    // As wp-admin/includes/schema.php makes them.
    database.ask(&name, "CREATE TABLE wp_users (
        ID bigint(20) unsigned NOT NULL auto_increment, user_login varchar(60) NOT NULL default '',
        user_pass varchar(255) NOT NULL default '', user_nicename varchar(50) NOT NULL default '',
        user_email varchar(100) NOT NULL default '', user_url varchar(100) NOT NULL default '',
        user_registered datetime NOT NULL default '0000-00-00 00:00:00',
        user_activation_key varchar(255) NOT NULL default '', user_status int(11) NOT NULL default '0',
        display_name varchar(250) NOT NULL default '', PRIMARY KEY (ID), KEY user_login_key (user_login),
        KEY user_email (user_email)) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci");
    database.ask(&name, "CREATE TABLE wp_usermeta (
        umeta_id bigint(20) unsigned NOT NULL auto_increment, user_id bigint(20) unsigned NOT NULL default '0',
        meta_key varchar(255) default NULL, meta_value longtext, PRIMARY KEY (umeta_id))");
    // Portable phpass of "test12345", and bcrypt as WordPress 6.8 makes it.
    let old = "$P$9IQRaTwmfeRo7ud9Fh4E2PdI0S3r.L0";
    let new = php(
        "'$wp' . password_hash(base64_encode(hash_hmac('sha384', 'correct horse', 'wp-sha384', true)), PASSWORD_BCRYPT, ['cost' => 5])",
    );
    for (id, login, hash, role) in
        [(1, "admin", &*new, "administrator"), (2, "Zoë Old", old, "author")]
    {
        let mail = format!("user{id}@example.org");
        database.ask(
            &name,
            &format!(
                "INSERT INTO wp_users (ID, user_login, user_pass, user_email, display_name)
             VALUES ({id}, '{login}', '{hash}', '{mail}', 'Name {id}');
             INSERT INTO wp_usermeta (user_id, meta_key, meta_value)
             VALUES ({id}, 'wp_capabilities', 'a:1:{{s:{}:\"{role}\";b:1;}}')",
                role.len()
            ),
        );
    }
    let upstream = Upstream::echo();
    let url = database.url(&name, "127.0.0.1");
    let gateway = before(&upstream, WORDPRESS).env("WORDPRESS_DATABASE", &url).start();
    let client = gateway.client();
    let admin = gateway.login("admin", "correct horse");
    let said = forge::payload(&admin.access);
    assert_eq!((&said["sub"], &said["roles"]), (&json!("admin"), &json!("administrator")));
    client.get("/wp-admin/x").bearer(&admin.access).send().expect(200);
    for typed in ["Zoë Old", "zoë old", "user2@example.org"] {
        let said = forge::payload(&gateway.login(typed, "test12345").access);
        assert_eq!((&said["sub"], &said["roles"]), (&json!("Zoë Old"), &json!("author")));
    }
    // The collation takes this for the same name. We do not.
    try_login(&client, "Zoe Old", "test12345").refused(401, "credentials-invalid");
    try_login(&client, "admin", "test12345").refused(401, "credentials-invalid");
    refresh(&gateway, &admin).expect(200);
    database.ask(&name, "UPDATE wp_users SET user_status = 1 WHERE ID = 1");
    refresh(&gateway, &admin).refused(401, "token-revoked");
}

#[test]
fn users_of_a_php_application_log_in() {
    let database = Database::shared(Engine::Postgres);
    let name = database.create();
    let hash = php("password_hash('correct horse', PASSWORD_DEFAULT, ['cost' => 5])");
    assert!(hash.starts_with("$2y$"), "{hash}");
    database.ask(&name, "CREATE TABLE customers (id serial PRIMARY KEY, email varchar(200) UNIQUE NOT NULL,
        password_hash varchar(255) NOT NULL, status varchar(20) NOT NULL, role varchar(20), deleted_at timestamp)");
    for (mail, status) in [("Ada@Example.org", "active"), ("bob@example.org", "blocked")] {
        database.ask(&name, &format!(
            "INSERT INTO customers (email, password_hash, status, role) VALUES ('{mail}', '{hash}', '{status}', 'customer')"
        ));
    }
    let upstream = Upstream::echo();
    let url = database.url(&name, "127.0.0.1");
    let gateway: Gateway = before(&upstream, PHP).env("SHOP_DATABASE", &url).start();
    let tokens = gateway.login("ada@example.ORG", "correct horse");
    assert_eq!(forge::payload(&tokens.access)["sub"], "Ada@Example.org");
    refresh(&gateway, &tokens).expect(200);
    try_login(&gateway.client(), "bob@example.org", "correct horse")
        .refused(401, "credentials-invalid");
    database.ask(&name, "UPDATE customers SET deleted_at = now()");
    refresh(&gateway, &tokens).refused(401, "token-revoked");
}
