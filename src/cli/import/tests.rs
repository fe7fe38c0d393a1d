//! Files of other programs as they are and as they should not be, into a users file.

use clap::Parser;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::store::file::edit;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: ImportArgs,
}

/// `secret`, as three programs hash it.
const APR1: &str = "$apr1$HOBMRm/Q$BuRX2YdMkIiDLvZukBqSM0";
const PHPASS: &str = "$P$6SnCjtMT40OUTofvmqzv45UFdLM3S/0";
const DJANGO: &str = "pbkdf2_sha256$600000$somesalt$n37Z4CeGZkiYZ/dAmD+aMhg3OY6guMAK3yuwh7MDBlE=";

struct World(TempDir);

impl World {
    fn new() -> World {
        World(tempfile::tempdir().unwrap())
    }

    fn users(&self) -> PathBuf {
        self.0.path().join("users.toml")
    }

    fn import(&self, text: impl AsRef<[u8]>, arguments: &[&str]) -> Result<String, String> {
        let file = self.0.path().join("old");
        std::fs::write(&file, text).unwrap();
        let line = ["import", file.to_str().unwrap()].into_iter().chain(arguments.iter().copied());
        let args = Line::try_parse_from(line).unwrap().args;
        let mut out = Vec::new();
        run(&args, &self.users(), &mut out).map_err(|fault| fault.to_string())?;
        Ok(String::from_utf8(out).unwrap())
    }

    /// Names, claims and whether they are disabled.
    fn all(&self) -> Vec<(String, serde_json::Value, bool)> {
        let all = edit::list(&self.users()).unwrap().into_iter();
        all.map(|(name, user)| (name, user.claims.into(), user.disabled)).collect()
    }

    fn opens(&self, name: &str, password: &str) -> bool {
        let all = edit::list(&self.users()).unwrap();
        let (_, user) = all.into_iter().find(|(one, _)| one == name).expect("the user");
        user.hash.verify(&Secret::new(password))
    }
}

#[test]
fn htpasswd_lines_become_users() {
    let world = World::new();
    let text = format!("# staff\nada:{APR1}\r\n\nBob Smith:{PHPASS}\n");
    let told = world.import(&text, &["--from", "htpasswd", "--dry-run"]).unwrap();
    assert!(told.contains("2 would be added"), "{told}");
    assert!(!world.users().exists());
    let told = world.import(&text, &["--from", "htpasswd"]).unwrap();
    assert!(told.contains("2 added") && told.contains("quick to guess: 2;"), "{told}");
    assert_eq!(world.all().len(), 2);
    assert!(world.opens("ada", "secret") && world.opens("Bob Smith", "secret"));
    assert!(!world.opens("ada", "other"));
}

#[test]
fn every_mistake_is_told_and_nothing_is_written() {
    let world = World::new();
    world.import(format!("ada:{APR1}\nEve:{APR1}\n"), &["--from", "htpasswd"]).unwrap();
    let before = std::fs::read(world.users()).unwrap();
    let long = "x".repeat(10 * 1024);
    let text = format!(
        "good:{APR1}\nada:{APR1}\neve:{APR1}\nＧｏｏｄ:{APR1}\nnohash\n:{APR1}\nplain:hunter2\nold:rqXexS6ZhobKA\n\
         dear:$2y$31$5TgmmHy7FJyqjy00x5KEV.51YT8yvOxZ8.Mxugta6Ps0GbN4hoTIK\n{long}:{APR1}\nyes:$y$j9T$x$y\n\u{200b}:{APR1}\n"
    );
    let told = world.import(&text, &["--from", "htpasswd"]).unwrap_err();
    for (line, words) in [
        (2, "there is a user \"ada\" already; --replace"),
        (3, "one account with \"Eve\""),
        (4, "one account with the user of line 1"),
        (5, "no `:`"),
        (6, "the user name is empty"),
        (7, "is not a password hash that is known here"),
        (8, "DES crypt"),
        (9, "asks for a bcrypt cost above 14"),
        (10, "longer than 128 bytes"),
        (11, "yescrypt"),
        (12, "shows nothing"),
    ] {
        let start = format!("old:{line}: ");
        let found = told.lines().find(|one| one.contains(&start)).unwrap_or_default();
        assert!(found.contains(words), "{line}: {told}");
        assert!(found.len() < 400, "{found}");
    }
    assert_eq!(told.lines().count(), 12, "{told}");
    assert!(told.ends_with("nothing was written; --skip-bad takes the rest"), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
    assert_eq!(std::fs::read(world.users()).unwrap(), before);
    let told = world.import(&text, &["--from", "htpasswd", "--skip-bad"]).unwrap();
    assert!(told.contains("1 added") && told.contains("11 left out"), "{told}");
    assert!(world.opens("good", "secret"));
}

#[test]
fn who_is_there_changes_only_when_asked() {
    let world = World::new();
    std::fs::write(
        world.users(),
        format!("# kept\n[users.ada]\npassword = \"{DJANGO}\"\nteam = \"red\"\n"),
    )
    .unwrap();
    let csv = "username,password,team\nada,other words,blue\n";
    let all = ["--from", "csv", "--plaintext", "--claim", "team"];
    assert!(world.import(csv, &all).unwrap_err().contains("already"));
    assert!(world.opens("ada", "secret"));
    let told = world.import(csv, &[&all[..], &["--replace"]].concat()).unwrap();
    assert!(told.contains("0 added") && told.contains("1 replaced"), "{told}");
    assert!(world.opens("ada", "other words"));
    assert_eq!(world.all(), [("ada".to_owned(), json!({"team": "blue"}), false)]);
    assert!(std::fs::read_to_string(world.users()).unwrap().starts_with("# kept"));
}

#[test]
fn columns_of_a_table_can_be_chosen() {
    let world = World::new();
    let csv = format!(
        "\u{feff}id,mail,pw,groups,town\n1,ada@example.org,\"{APR1}\",\"admin, staff\",\"A, b\"\"c\"\n2,bob,{DJANGO},,\n"
    );
    let columns = ["--from", "csv", "--name-column", "mail", "--password-column", "pw"];
    let claims = ["--list", "roles=groups", "--claim", "town"];
    world.import(&csv, &[&columns[..], &claims].concat()).unwrap();
    let ada = json!({"roles": ["admin", "staff"], "town": "A, b\"c"});
    assert_eq!(
        world.all(),
        [("ada@example.org".to_owned(), ada, false), ("bob".to_owned(), json!({}), false)]
    );
    let fault = |text: &str, arguments: &[&str]| world.import(text, arguments).unwrap_err();
    assert!(fault(&csv, &["--from", "csv"]).contains("no column \"username\""));
    assert!(fault("username,password,password\n", &["--from", "csv"]).contains("two columns"));
    assert!(fault("username,password\n", &["--from", "csv"]).contains("no user in it"));
    assert!(
        fault("username,password\na\nb,c,d\n", &["--from", "csv"])
            .contains("old:3: the line has not")
    );
    let sub = format!("username,password,sub\na,{APR1},root\n");
    assert!(fault(&sub, &["--from", "csv", "--claim", "sub"]).contains("cannot be a claim"));
    assert!(fault("a:b", &["--from", "htpasswd", "--plaintext"]).contains("csv only"));
}

#[test]
fn plaintext_is_hashed_only_when_asked() {
    let world = World::new();
    let csv = format!("username,password\nada,correct horse\nbob,\neve,{}\n", "x".repeat(5000));
    let told = world.import(&csv, &["--from", "csv"]).unwrap_err();
    assert!(!told.contains("horse") && told.contains("old:2: "), "{told}");
    let told = world.import(&csv, &["--from", "csv", "--plaintext"]).unwrap_err();
    assert!(told.contains("old:3: the password is empty") && told.contains("old:4: "), "{told}");
    let dry = ["--from", "csv", "--plaintext", "--skip-bad", "--dry-run"];
    assert!(world.import(&csv, &dry).unwrap().contains("1 would be added"));
    world.import(&csv, &dry[..4]).unwrap();
    assert!(world.opens("ada", "correct horse"));
    assert!(std::fs::read_to_string(world.users()).unwrap().contains("$argon2id$v=19$m=19456"));
}

#[test]
fn a_dump_of_django_becomes_users() {
    let world = World::new();
    let user = |pk: u64, name: &str, more: serde_json::Value| {
        let mut fields =
            json!({"username": name, "password": DJANGO, "is_active": true, "groups": []});
        let more = more.as_object().unwrap().clone();
        fields.as_object_mut().unwrap().extend(more);
        json!({"model": "auth.user", "pk": pk, "fields": fields})
    };
    let dump = json!([
        {"model": "auth.group", "pk": 7, "fields": {"name": "editors", "permissions": []}},
        user(1, "ada", json!({"is_staff": true, "is_superuser": true, "groups": [7, ["authors"]]})),
        user(2, "bob", json!({"is_active": false})),
        user(3, "eve", json!({"password": "!8zY1bHblIg5Lvj5ryBMIWrnxsAgQDX9btpelz5Sp"})),
    ]);
    world.import(dump.to_string(), &["--from", "django"]).unwrap();
    let ada = json!({"roles": ["editors", "authors"], "is_staff": true, "is_superuser": true});
    assert_eq!(
        world.all(),
        [
            ("ada".to_owned(), ada, false),
            ("bob".to_owned(), json!({}), true),
            ("eve".to_owned(), json!({}), false)
        ]
    );
    assert!(world.opens("ada", "secret") && !world.opens("eve", "secret"));
    let bad = json!([user(1, "x", json!({"groups": [9]})), {"model": "auth.user", "pk": 2}, user(3, "y", json!({"username": 5}))]);
    let told = world.import(bad.to_string(), &["--from", "django"]).unwrap_err();
    for words in [
        "old:1: the group 9",
        "old:2: it has no `fields`",
        "old:3: the user has no text in `username`",
    ] {
        assert!(told.contains(words), "{told}");
    }
    for text in ["", "{}", "[1]", "not json"] {
        assert!(world.import(text, &["--from", "django"]).unwrap_err().contains("JSON list"));
    }
}

#[test]
fn users_of_wordpress_come_as_csv_or_json() {
    let world = World::new();
    let csv = format!("user_login,user_pass,roles\nada,{PHPASS},\"administrator,editor\"\n");
    world.import(csv, &["--from", "wordpress"]).unwrap();
    let json_text =
        json!([{"user_login": "bob", "user_pass": PHPASS, "roles": "author"}]).to_string();
    world.import(json_text, &["--from", "wordpress"]).unwrap();
    assert_eq!(
        world.all(),
        [
            ("ada".to_owned(), json!({"roles": ["administrator", "editor"]}), false),
            ("bob".to_owned(), json!({"roles": ["author"]}), false)
        ]
    );
    assert!(world.opens("ada", "secret") && world.opens("bob", "secret"));
    let told = world.import("[{\"user_login\":\"x\"}]", &["--from", "wordpress"]).unwrap_err();
    assert!(told.contains("old:1: there is no `user_login` or no `user_pass`"), "{told}");
}

#[test]
fn files_that_are_no_text_or_too_large_are_refused() {
    let world = World::new();
    let told = world.import(b"ada:x\nb\xffb:y\n", &["--from", "htpasswd"]).unwrap_err();
    assert!(told.contains("line 2 is not UTF-8"), "{told}");
    let file = File::create(world.0.path().join("huge")).unwrap();
    file.set_len(IMPORT_MAX_BYTES + 1).unwrap();
    assert!(read(&world.0.path().join("huge")).unwrap_err().contains("64 MiB"));
    let note = "x".repeat(100_000);
    let many: String = (0..170).map(|n| format!("user-{n},{APR1},{note}\n")).collect();
    let csv = format!("username,password,note\n{many}");
    let told = world.import(csv, &["--from", "csv", "--claim", "note"]).unwrap_err();
    assert!(told.contains("larger than 16 MiB"), "{told}");
    assert!(!world.users().exists());
}
