//! Passwords as other programs hash them, made by those programs while the test runs; users taken over from their files.

use std::process::Command;

use serde_json::json;

use crate::harness::{Gateway, Response, Setup, UNTHROTTLED, Upstream, eventually, forge, tools};

const PASSWORD: &str = "correct horse 9 ü";

fn setup(users: &str, more: &str) -> Setup {
    let toml = format!(
        "upstream = \"{}\"\n[login]\nusers = {{ file = \"users.toml\"{more} }}\n[routes]\n\"/**\" = \"access-required\"\n{UNTHROTTLED}",
        Upstream::echo()
    );
    Setup::new(&toml).file("users.toml", users)
}

fn try_login(gateway: &Gateway, name: &str, password: &str) -> Response {
    let body = json!({"username": name, "password": password});
    gateway.client().post("/auth/login").json(&body).send()
}

/// What a program prints.
#[track_caller]
fn printed(command: &mut Command) -> String {
    let output =
        command.output().unwrap_or_else(|error| panic!("{command:?}: {error}: run tests/run"));
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

fn htpasswd(arguments: &[&str]) -> String {
    let line =
        printed(Command::new("htpasswd").arg("-nb").args(arguments).args(["name", PASSWORD]));
    line.split_once(':').expect("name:hash").1.to_owned()
}

/// The hash, by whom and how.
fn made_now() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for kind in ["-1", "-apr1", "-5", "-6"] {
        let hash = printed(Command::new("openssl").args(["passwd", kind, PASSWORD]));
        all.push((format!("openssl{kind}"), hash));
    }
    for kind in [&["-m"][..], &["-B", "-C", "6"], &["-s"], &["-2"], &["-5"]] {
        all.push((format!("htpasswd{}", kind[0]), htpasswd(kind)));
    }
    for (name, code) in [
        ("php-bcrypt", "password_hash($p, PASSWORD_BCRYPT, ['cost' => 6])"),
        (
            "php-wordpress",
            "'$wp' . password_hash(base64_encode(hash_hmac('sha384', trim($p), 'wp-sha384', true)), PASSWORD_BCRYPT)",
        ),
        ("php-ssha", "'{SSHA}' . base64_encode(sha1($p . 'salt', true) . 'salt')"),
        ("php-ssha512", "'{SSHA512}' . base64_encode(hash('sha512', $p . 'salt', true) . 'salt')"),
        ("php-crypt", "crypt($p, '$6$rounds=2000$saltsalt')"),
    ] {
        let code = format!("$p = '{PASSWORD}'; echo {code};");
        all.push((name.to_owned(), printed(Command::new("php").args(["-r", &code]))));
    }
    for method in [
        "scrypt",
        "scrypt:16384:8:1",
        "pbkdf2:sha256:20000",
        "pbkdf2:sha512:20000",
        "pbkdf2:sha1:20000",
    ] {
        let code = format!(
            "from werkzeug.security import generate_password_hash as g; print(g({PASSWORD:?}, {method:?}))"
        );
        let hash = printed(Command::new(tools::python()).args(["-c", &code]));
        all.push((format!("werkzeug-{}", method.replace(':', "-")), hash));
    }
    all
}

#[test]
fn hashes_that_other_programs_make_now_open_for_their_password_only() {
    let made = made_now();
    let users: String =
        made.iter().map(|(name, hash)| format!("[users.{name}]\npassword = '{hash}'\n")).collect();
    let gateway = setup(&users, "").start();
    for (name, hash) in &made {
        let said = try_login(&gateway, name, PASSWORD);
        assert_eq!(said.status, 200, "{name} {hash}");
        try_login(&gateway, name, "correct horse 9 u").refused(401, "credentials-invalid");
        try_login(&gateway, name, hash).refused(401, "credentials-invalid");
    }
    let list = gateway.cli(&["user", "list"], "").succeeded().stdout;
    for (name, mark) in [
        ("openssl-6", "weak: sha512-crypt"),
        ("htpasswd-m", "weak: md5-crypt"),
        ("htpasswd-B", "weak: bcrypt"),
        ("htpasswd-s", "weak: SHA"),
        ("php-ssha512", "weak: SSHA512"),
    ] {
        let line = list.lines().find(|line| line.starts_with(&format!("{name} ")));
        assert!(line.is_some_and(|line| line.ends_with(mark)), "{name}: {list}");
    }
    for name in ["php-wordpress", "werkzeug-scrypt "] {
        let line = list.lines().find(|line| line.starts_with(name)).expect("a line");
        assert!(!line.contains("weak"), "{line}");
    }
}

#[test]
fn hashes_that_cannot_be_checked_are_told_with_their_line_and_nothing_starts() {
    let users = "[users.ada]\npassword = '$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7'\n\
        [users.bob]\npassword = 'hunter2'\n[users.eve]\npassword = 'pbkdf2_sha256$900000000$x$Al0WRKkX+g8exirCjNJ9bu1MWC09qOS5CWHZ8VXEDuw='\n";
    let told = setup(users, "").fails().stderr;
    for words in [
        "users.toml:2: the `password` of user \"ada\" is a yescrypt hash, which cannot be checked here",
        "users.toml:4: the `password` of user \"bob\" is not a password hash that is known here",
        "users.toml:6: the `password` of user \"eve\" asks for more than 4,000,000 iterations",
    ] {
        assert!(told.contains(words), "{told}");
    }
    assert!(!told.contains("hunter2") && !told.contains("F5Jx5f"), "{told}");
}

#[test]
fn a_weak_hash_is_replaced_at_the_next_login_and_the_users_file_is_left_alone() {
    let users = format!("[users.ada]\npassword = '{}'\n", htpasswd(&["-m"]));
    let mut gateway = setup(&users, ", rehash = true").start();
    try_login(&gateway, "ada", "wrong").refused(401, "credentials-invalid");
    assert!(!gateway.log().contains("password_rehashed"));
    gateway.login("ada", PASSWORD);
    let line = gateway.logged("password_rehashed");
    assert!(line.contains("ada") && line.contains("md5-crypt"), "{line}");
    gateway.kill();
    gateway.restart();
    gateway.login("ADA", PASSWORD);
    try_login(&gateway, "ada", "wrong").refused(401, "credentials-invalid");
    assert!(
        !gateway
            .log()
            .lines()
            .skip_while(|line| !line.contains("password_rehashed"))
            .skip(1)
            .any(|line| line.contains("password_rehashed"))
    );
    let path = gateway.dir().join("users.toml");
    assert_eq!(std::fs::read_to_string(&path).expect("users"), users);
    // A password that was changed there counts, and the old one is dead.
    gateway.cli(&["user", "password", "ada", "--password-stdin"], "another one\n").succeeded();
    eventually("the new password", || {
        (try_login(&gateway, "ada", "another one").status == 200).then_some(())
    });
    try_login(&gateway, "ada", PASSWORD).refused(401, "credentials-invalid");
}

#[test]
fn users_of_an_htpasswd_file_log_in_with_their_passwords() {
    let setup = setup("[users]\n", "");
    let file = setup.dir().join(".htpasswd");
    for (first, kind, name) in [("-cb", "-B", "ada"), ("-b", "-m", "bob"), ("-b", "-s", "eve")] {
        let path = file.to_str().expect("a path");
        printed(Command::new("htpasswd").args([first, kind, path, name, PASSWORD]));
    }
    let gateway = setup.start();
    let told = gateway.cli(&["user", "import", "--from", "htpasswd", ".htpasswd"], "").succeeded();
    assert!(told.stdout.contains("3 added"), "{}", told.stdout);
    for name in ["ada", "bob", "eve"] {
        eventually(name, || (try_login(&gateway, name, PASSWORD).status == 200).then_some(()));
        try_login(&gateway, name, "wrong").refused(401, "credentials-invalid");
    }
    let again = gateway.cli(&["user", "import", "--from", "htpasswd", ".htpasswd"], "");
    assert_eq!(again.code, Some(1));
    assert!(
        again.stderr.contains(".htpasswd:1: there is a user \"ada\" already"),
        "{}",
        again.stderr
    );
    // DES, as htpasswd -d writes it.
    std::fs::write(&file, "old:rqXexS6ZhobKA\n").expect("written");
    let des = gateway.cli(&["user", "import", "--from", "htpasswd", ".htpasswd"], "");
    assert!(
        des.stderr.contains(".htpasswd:1:") && des.stderr.contains("DES crypt"),
        "{}",
        des.stderr
    );
    assert_eq!(forge::payload(&gateway.login("ada", PASSWORD).access)["sub"], json!("ada"));
}
