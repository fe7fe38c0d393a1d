//! `[login.users.backend]`: the login of a legacy application checks the passwords, and knows its own user afterwards.
//!
//! Made applications for each way to answer, and a real one: Debian's DokuWiki with its own accounts.

use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use crate::harness::tools::{self, Server};
use crate::harness::{Client, Gateway, Response, Setup, Step, Tokens, Upstream, eventually, forge};

const ROUTES: &str = "[routes]\n\"/open/**\" = \"public\"\n\"/seen/**\" = \"optional\"\n\"/**\" = \"access-required\"\n";

fn toml(upstream: &Upstream, backend: &str) -> String {
    format!(
        "upstream = \"{upstream}\"\n[login.users.backend]\npost = \"/login\"\n{backend}\n{ROUTES}"
    )
}

fn gateway(upstream: &Upstream, backend: &str) -> Gateway {
    Gateway::start(&toml(upstream, backend))
}

fn login(client: &Client, name: &str, password: &str) -> Response {
    client.post("/auth/login").json(&json!({"username": name, "password": password})).send()
}

/// An application with one user, `anna` and `s3cret`, who is number 17, and a form; it gives everybody a session.
fn application() -> Upstream {
    let serial = Arc::new(Mutex::new(0));
    Upstream::custom(move |exchange| {
        exchange.read_body()?;
        let request = exchange.request.clone();
        if request.target() == "/login" {
            let right = request.text().contains("name=anna&pass=s3cret");
            let mut serial = serial.lock().expect("not poisoned");
            *serial += 1;
            return exchange.send(match right {
                true => format!(
                    "HTTP/1.1 302 Found\r\nLocation: /home\r\nSet-Cookie: app=anna-{serial}; Path=/; HttpOnly\r\n\
                     Set-Cookie: theme=dark\r\nContent-Length: 0\r\n\r\n"
                ),
                false => "HTTP/1.1 302 Found\r\nLocation: /login?failed\r\nSet-Cookie: app=guest\r\n\
                     Content-Length: 0\r\n\r\n"
                    .to_owned(),
            });
        }
        let cookie = request.all("cookie").join(" | ");
        let extra = match request.target() {
            "/turn" => "Set-Cookie: app=turned; Path=/\r\nSet-Cookie: theme=light\r\n",
            "/bye" => "Set-Cookie: app=deleted; Max-Age=0\r\n",
            target if target.starts_with("/open") => "Set-Cookie: app=guest-session\r\n",
            _ => "",
        };
        exchange.send(format!(
            "HTTP/1.1 200 OK\r\n{extra}Content-Length: {}\r\n\r\n{cookie}",
            cookie.len()
        ))
    })
}

const FORM: &str =
    "username = \"name\"\npassword = \"pass\"\nsuccess = { redirect_not_to = \"/login\" }\n";

fn cookie(gateway: &Gateway, tokens: &Tokens, path: &str, own: &str) -> (String, Vec<String>) {
    let answer = gateway.client().get(path).bearer(&tokens.access).header("Cookie", own).send();
    let answer = answer.expect(200);
    let set = answer.all("set-cookie").into_iter().map(str::to_owned).collect();
    (answer.text(), set)
}

#[test]
fn the_applications_own_form_says_who_may_log_in() {
    let upstream = application();
    let gateway = gateway(&upstream, FORM);
    login(&gateway.client(), "anna", "wrong").refused(401, "credentials-invalid");
    login(&gateway.client(), "nobody", "s3cret").refused(401, "credentials-invalid");
    let answer = login(&gateway.client(), " Anna", "s3cret").expect(200);
    assert_eq!(answer.all("set-cookie"), Vec::<&str>::new());
    let said = forge::payload(&Tokens::of(&answer).access);
    assert_eq!((&said["sub"], &said["fresh"]), (&json!("anna"), &json!(true)));
    let asked = upstream.last();
    assert_eq!((asked.method(), asked.target()), ("POST", "/login"));
    assert_eq!(asked.text(), "name=anna&pass=s3cret");
    assert_eq!(asked.header("x-forwarded-for"), Some("127.0.0.1"));
    assert!(!gateway.log().contains("s3cret"));
}

#[test]
fn its_cookies_go_with_the_users_requests_and_never_to_the_client() {
    let upstream = application();
    let gateway = gateway(&upstream, &format!("{FORM}keep_cookies = [\"app\"]"));
    let first = gateway.login("anna", "s3cret");
    let second = gateway.login("anna", "s3cret");
    // Each session has its own, whatever the client says of itself.
    for own in ["lang=en", "lang=en; app=theirs", "APP=theirs;lang=en"] {
        assert_eq!(cookie(&gateway, &first, "/page", own).0, "lang=en; app=anna-1", "{own}");
    }
    assert_eq!(cookie(&gateway, &second, "/page", "lang=en").0, "lang=en; app=anna-2");
    assert_eq!(cookie(&gateway, &first, "/seen/x", "lang=en").0, "lang=en; app=anna-1");
    // A hop-by-hop name cannot take it away.
    let sly = gateway.client().get("/page").bearer(&first.access).header("Connection", "cookie");
    assert_eq!(sly.send().expect(200).text(), "app=anna-1");
    // Who proves nothing has none, and is a guest there as without the gateway.
    let guest = gateway.client().get("/open/x").bearer(&first.access).send().expect(200);
    assert_eq!((guest.text(), guest.all("set-cookie")), (String::new(), vec!["app=guest-session"]));
    gateway.client().get("/seen/x").header("Cookie", "app=mine").send().expect(200);
    assert_eq!(upstream.last().all("cookie"), ["app=mine"]);
    // The application turns its session, and takes it away.
    let (_, set) = cookie(&gateway, &first, "/turn", "lang=en");
    assert_eq!(set, ["theme=light"]);
    assert_eq!(cookie(&gateway, &first, "/page", "lang=en").0, "lang=en; app=turned");
    assert_eq!(cookie(&gateway, &second, "/page", "lang=en").0, "lang=en; app=anna-2");
    assert_eq!(
        cookie(&gateway, &second, "/bye", "lang=en"),
        ("lang=en; app=anna-2".into(), vec![])
    );
    assert_eq!(cookie(&gateway, &second, "/page", "lang=en").0, "lang=en");
    // A step-up is a login there too.
    let again = gateway.client().post("/auth/reauth").bearer(&second.access);
    let again = again.json(&json!({"password": "s3cret"})).send().expect(200);
    let stepped = again.json()["access_token"].as_str().expect("a token").to_owned();
    let answer = gateway.client().get("/page").bearer(&stepped).send().expect(200);
    assert_eq!(answer.text(), "app=anna-3");
}

#[test]
fn kept_cookies_survive_a_kill_and_end_with_the_session() {
    let upstream = application();
    let mut gateway = gateway(&upstream, &format!("{FORM}keep_cookies = [\"app\"]"));
    let tokens = gateway.login("anna", "s3cret");
    cookie(&gateway, &tokens, "/turn", "a=1");
    let other = gateway.login("anna", "s3cret");
    // A login is durable, and with it all that was asked before it.
    gateway.kill();
    gateway.restart();
    assert_eq!(cookie(&gateway, &tokens, "/page", "a=1").0, "a=1; app=turned");
    assert_eq!(cookie(&gateway, &other, "/page", "a=1").0, "a=1; app=anna-2");
    gateway.client().post("/auth/logout").bearer(&tokens.access).send().expect(204);
    gateway.client().get("/page").bearer(&tokens.access).send().refused(401, "token-revoked");
    assert_eq!(cookie(&gateway, &other, "/page", "a=1").0, "a=1; app=anna-2");
    assert!(!gateway.log().contains("anna-2") && !gateway.log().contains("turned"));
}

/// Answers each login with these bytes.
fn answering(answer: &str, backend: &str) -> Gateway {
    let upstream = Upstream::answering(answer);
    let gateway = gateway(&upstream, backend);
    // It answers as long as the gateway lives.
    std::mem::forget(upstream);
    gateway
}

#[test]
fn json_says_who_it_is_and_what_they_may() {
    let body = r#"{"ok":true,"user":{"id":17,"roles":["admin","editor"],"mail":"a@example.org"}}"#;
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let gateway = answering(
        &answer,
        "format = \"json\"\nsubject = \"user.id\"\nclaims = { roles = \"user.roles\", none = \"user.none\" }\n\
         success = { json = \"ok\" }\n",
    );
    let tokens = Tokens::of(&login(&gateway.client(), "anna", "x").expect(200));
    let said = forge::payload(&tokens.access);
    assert_eq!((&said["sub"], &said["roles"]), (&json!("17"), &json!(["admin", "editor"])));
    assert!(said.get("none").is_none() && said.get("mail").is_none());
    // At a refresh the application cannot be asked: its words of the login stand.
    let refreshed =
        gateway.client().post("/auth/refresh").bearer(&tokens.refresh).send().expect(200);
    let said = forge::payload(refreshed.json()["access_token"].as_str().expect("a token"));
    assert_eq!((&said["sub"], &said["roles"]), (&json!("17"), &json!(["admin", "editor"])));
    assert_eq!(said["fresh"], json!(false));
}

#[test]
fn a_step_up_sends_the_name_of_the_login_again() {
    let upstream = Upstream::custom(|exchange| {
        exchange.read_body()?;
        let right = exchange.request.text() == r#"{"password":"p","username":"anna"}"#;
        let body: &[u8] = if right { br#"{"id":17}"# } else { b"{}" };
        exchange.answer("200 OK", "application/json", body)
    });
    let gateway =
        gateway(&upstream, "format = \"json\"\nsubject = \"id\"\nsuccess = { json = \"id\" }\n");
    let tokens = gateway.login("anna", "p");
    let again = |password: &str| {
        let request = gateway.client().post("/auth/reauth").bearer(&tokens.access);
        request.json(&json!({"password": password})).send()
    };
    assert_eq!(
        forge::payload(again("p").expect(200).json()["access_token"].as_str().unwrap())["sub"],
        "17"
    );
    again("wrong").refused(401, "credentials-invalid");
}

#[test]
fn basic_and_a_header_in_the_answer() {
    let upstream = Upstream::custom(|exchange| {
        let right = exchange.request.header("authorization") == Some("Basic YW5uYTpz");
        exchange.send(match right {
            true => "HTTP/1.1 200 OK\r\nX-Remote-User: anna\r\nContent-Length: 0\r\n\r\n",
            false => {
                "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n"
            }
        })
    });
    let gateway =
        gateway(&upstream, "format = \"basic\"\nsuccess = { header = \"X-Remote-User\" }\n");
    login(&gateway.client(), "anna", "s").expect(200);
    login(&gateway.client(), "anna", "t").refused(401, "credentials-invalid");
    let asked = upstream.count();
    login(&gateway.client(), "anna:s", "").refused(401, "credentials-invalid");
    assert_eq!(upstream.count(), asked, "a name with a colon is nobody's");
}

#[test]
fn an_application_that_fails_is_503_and_no_wrong_password() {
    let success = "success = { status = [200] }\ntimeout = \"1s\"\n";
    for answer in [
        "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 404 Gone\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        "nothing like HTTP\r\n\r\n",
    ] {
        let upstream = Upstream::raw([Step::send(answer), Step::Close]);
        let gateway = gateway(&upstream, success);
        for _ in 0..8 {
            login(&gateway.client(), "anna", "x").refused(503, "store-unavailable");
        }
        assert!(gateway.logged("store_unavailable").contains("the login of upstream `default`"));
    }
    let gateway = Gateway::start(&format!(
        "upstream = \"http://{}\"\n[login.users.backend]\npost = \"/login\"\n{success}{ROUTES}",
        Upstream::nowhere()
    ));
    login(&gateway.client(), "anna", "x").refused(503, "store-unavailable");
}

#[test]
fn a_login_that_hangs_is_given_up_and_nothing_else_waits() {
    let upstream = Upstream::custom(|exchange| {
        if exchange.request.target() == "/login" {
            drop(exchange.wire.rest());
        }
        exchange.answer("200 OK", "text/plain", b"served")
    });
    let gateway = gateway(&upstream, "success = { status = [200] }\ntimeout = \"2s\"\n");
    let logins: Vec<_> = (0..40)
        .map(|index| {
            let client = gateway.client();
            std::thread::spawn(move || login(&client, &format!("user{index}"), "x"))
        })
        .collect();
    eventually("all places to be taken", || (upstream.count() >= 16).then_some(()));
    let begun = Instant::now();
    gateway.client().get("/open/x").send().expect(200);
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    for one in logins {
        let answer = one.join().expect("a login");
        assert!(matches!(answer.status, 503 | 429), "{}", answer.status);
    }
    // Never more than the named limit at once.
    let asked = upstream.requests().iter().filter(|request| request.target() == "/login").count();
    assert!(asked <= 2 * 16, "{asked}");
}

#[test]
fn guesses_are_throttled_before_the_application_hears_of_them() {
    let upstream = application();
    let gateway = gateway(&upstream, FORM);
    let mut throttled = 0;
    for guess in 0..30 {
        let answer = login(&gateway.client(), "anna", &format!("guess {guess}"));
        throttled += usize::from(answer.status == 429);
    }
    assert!(throttled >= 20, "{throttled}");
    assert_eq!(upstream.count(), 30 - throttled);
}

#[test]
fn names_of_every_kind_are_somebody_or_nobody() {
    let upstream = application();
    let gateway = gateway(&upstream, &format!("{FORM}{}", ""));
    login(&gateway.client(), &"n".repeat(10 * 1024), "x").refused(401, "credentials-invalid");
    login(&gateway.client(), "", "x").refused(401, "credentials-invalid");
    assert_eq!(upstream.count(), 0);
    // A Cyrillic look-alike is another name, and the application knows nobody of it.
    login(&gateway.client(), "\u{430}nna", "s3cret").refused(401, "credentials-invalid");
    // Full width is the same name.
    login(&gateway.client(), "\u{ff21}NNA", "s3cret").expect(200);
    assert_eq!(upstream.last().text(), "name=anna&pass=s3cret");
}

#[test]
fn what_cannot_work_is_told_with_its_place() {
    let upstream = Upstream::echo();
    for (backend, code, words) in [
        ("", "missing-key", "success"),
        ("success = {}", "backend-login", "every password would be right"),
        ("success = { status = [401] }", "backend-login", "200 to 399"),
        ("success = { redirect_not_to = \"login\" }", "backend-login", "plain path"),
        ("success = { status = [200] }\nupstream = \"other\"", "unknown-", "other"),
        ("success = { status = [200] }\ntimeout = \"5m\"", "out-of-range", "60s"),
        ("success = { status = [200] }\nheaders = { Host = \"x\" }", "reserved-header", "Host"),
        (
            "success = { status = [200] }\nclaims = { sub = \"id\" }",
            "backend-login",
            "sets this claim",
        ),
        ("success = { status = [200] }\nsubject = \"a..b\"", "backend-login", "user.id"),
        (
            "success = { status = [200] }\nkeep_cookies = [\"a b\"]",
            "backend-login",
            "name of a cookie",
        ),
        ("success = { status = [200] }\nspelling = \"upper\"", "unknown-", "folded"),
    ] {
        let output = Setup::new(&toml(&upstream, backend)).args(&["check"]).fails();
        assert!(
            output.stderr.contains(code) && output.stderr.contains(words),
            "{backend}: {}",
            output.stderr
        );
    }
    let output = Setup::new(&toml(&upstream, "success = { status = [200] }"))
        .args(&["user", "check", "ada"])
        .fails();
    assert!(output.stderr.contains("those of the application"), "{}", output.stderr);
    let two = "[login]\nusers = { file = \"u.toml\", backend = { post = \"/l\", success = { status = [200] } } }\n";
    let output = Setup::new(&format!("upstream = \"{upstream}\"\n{two}{ROUTES}")).fails();
    assert!(output.stderr.contains("users-source"), "{}", output.stderr);
}

struct Wiki {
    _server: Server,
    _dir: TempDir,
    gateway: Gateway,
}

fn wiki() -> Wiki {
    tools::file("Apache", &["/usr/sbin/apache2"]);
    tools::file("DokuWiki", &["/usr/share/dokuwiki/doku.php"]);
    let dir = tempfile::Builder::new().prefix("freshgate-wiki-").tempdir().expect("a directory");
    let address = tools::free_address();
    let serve = tools::root().join("tests/interop/dokuwiki/serve");
    let mut command = Command::new(serve);
    let server =
        Server::at(address, command.arg(address.to_string()).arg(dir.path()).arg("accounts"));
    // The file of docs/users-backend.md, as it is.
    let toml = include_str!("../../docs/try/wiki-login.toml");
    let gateway = Gateway::start(&toml.replace("127.0.0.1:9000", &address.to_string()));
    Wiki { _server: server, _dir: dir, gateway }
}

#[test]
fn a_real_wiki_logs_its_user_in_through_the_gateway() {
    let wiki = wiki();
    let client = wiki.gateway.client();
    login(&client, "anna", "wrong").refused(401, "credentials-invalid");
    login(&client, "nobody", "wiki secret").refused(401, "credentials-invalid");
    let tokens = Tokens::of(&login(&client, "anna", "wiki secret").expect(200));

    let stranger = client.get("/wiki/start").send().expect(200).text();
    assert!(!stranger.contains("Anna Example"), "{stranger}");
    let page = client.get("/wiki/start").bearer(&tokens.access).send().expect(200);
    assert!(page.text().contains("Anna Example"), "{}", page.text());
    assert_eq!(page.all("set-cookie"), Vec::<&str>::new());

    // She edits as herself, with the wiki's own protection against forged posts, and no cookie of hers.
    let form = client.get("/act/notes?do=edit").bearer(&tokens.access).send().expect(200).text();
    let sectok =
        form.split("name=\"sectok\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
    let fields = [
        ("sectok", sectok.expect("the wiki's token")),
        ("id", "notes"),
        ("prefix", "."),
        ("suffix", ""),
        ("do[save]", "1"),
        ("wikitext", "Written by Anna."),
    ];
    client.post("/wiki/notes").bearer(&tokens.access).form(&fields).send().expect(302);
    let notes =
        client.get("/act/notes?do=revisions").bearer(&tokens.access).send().expect(200).text();
    assert!(notes.contains("anna"), "{notes}");

    client.post("/auth/logout").bearer(&tokens.access).send().expect(204);
    client.get("/act/notes?do=edit").bearer(&tokens.access).send().refused(401, "token-revoked");
}
