//! Login: who exists is told to nobody, bodies are read in one way only, passwords are taken whole.

use std::time::Instant;

use serde_json::{Value, json};

use crate::endpoints::{SHUT, login, started, status};
use crate::harness::{Gateway, Response, Setup, Tokens, UNTHROTTLED, Upstream, forge};

/// What tells two answers apart, without what differs in every answer.
fn shape(response: &Response) -> (u16, Vec<(String, String)>, Value) {
    let mut body = response.json();
    body["request_id"] = json!("ID");
    let mut headers = response.headers.clone();
    headers.retain(|(name, _)| !matches!(&*name.to_lowercase(), "x-request-id" | "date"));
    (response.status, headers, body)
}

/// How much longer a wrong password of `ada` takes than one of nobody, as a part of it: the median over 200 pairs, each
/// asked one after the other, so that what else this machine does meets both.
#[track_caller]
fn difference(gateway: &Gateway) -> f64 {
    let mut pairs = Vec::new();
    let mut connection = gateway.client().connect();
    for round in 0..200 {
        let mut took = [0.0; 2];
        let mut shapes = Vec::new();
        for turn in 0..2 {
            let index = (round + turn) % 2;
            let user = ["ada", "nobody"][index];
            let body = json!({"username": user, "password": format!("wrong {round}")});
            let start = Instant::now();
            let response =
                gateway.client().post("/auth/login").json(&body).send_on(&mut connection);
            took[index] = start.elapsed().as_secs_f64();
            assert_eq!(response.code(), "credentials-invalid");
            shapes.push(shape(&response));
        }
        assert_eq!(shapes[0], shapes[1]);
        pairs.push(took[0] / took[1]);
    }
    pairs.sort_by(f64::total_cmp);
    pairs[pairs.len() / 2] - 1.0
}

/// A hash that no password has, at a fifth of the usual cost: 200 samples of each take a few seconds.
const NO_PASSWORD: &str = "$argon2id$v=19$m=8192,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$\
    nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";

// Holds: U1, U3, CVE-2026-32595
#[test]
fn unknown_user_and_wrong_password_are_alike_in_answer_and_time() {
    let users = format!("[users.ada]\npassword = \"{NO_PASSWORD}\"\n");
    let gateway = setup(&Upstream::echo()).file("users.toml", &users).start();
    let mut measured = Vec::new();
    // A busy machine may disturb one measurement; a real difference shows in each.
    while measured.len() < 3 {
        measured.push(difference(&gateway));
        if measured.iter().any(|part: &f64| part.abs() < 0.05) {
            println!("known against unknown: {measured:.4?}");
            return;
        }
    }
    panic!("known users differ from unknown ones: {measured:?}");
}

// Holds: U1
#[test]
fn a_user_with_the_cheapest_hash_is_not_told_from_an_unknown_one() {
    let ours = NO_PASSWORD.replace("m=8192,t=1", "m=19456,t=2");
    let users = format!(
        "[users.ada]\npassword = \"{{SSHA}}gsXi7UTy/vLxz3ejThU3W02R92euNcb4\"\n\
         [users.bob]\npassword = \"{ours}\"\n[users.eve]\npassword = \"{ours}\"\n"
    );
    let gateway = setup(&Upstream::echo()).file("users.toml", &users).start();
    let mut measured = Vec::new();
    // The hash itself takes a microsecond, that of the unknown user 20,000.
    while measured.len() < 3 {
        measured.push(difference(&gateway));
        if measured.iter().any(|part: &f64| part.abs() < 0.05) {
            println!("SSHA against unknown: {measured:.4?}");
            return;
        }
    }
    panic!("users with cheap hashes differ from unknown ones: {measured:?}");
}

// Holds: U4
#[test]
fn a_body_that_is_not_a_login_is_refused() {
    let gateway = started(&Upstream::echo(), SHUT);
    let send = |kind: &str, body: &str| {
        gateway.client().post("/auth/login").header("Content-Type", kind).body(body).send()
    };
    let json = "application/json";
    for (kind, body) in [
        (json, ""),
        (json, "{}"),
        (json, "[]"),
        (json, r#"{"username":"ada"}"#),
        (json, r#"{"username":"ada","password":7}"#),
        (json, r#"{"username":"ada","password":"x","password":"correct horse"}"#),
        (json, r#"{"username":"ada","password":"correct horse"} x"#),
        ("text/plain", r#"{"username":"ada","password":"correct horse"}"#),
        ("application/x-www-form-urlencoded", "username=ada"),
        ("application/x-www-form-urlencoded", "username=ada&password=a&password=b"),
    ] {
        send(kind, body).refused(400, "bad-body");
    }
    let long = "x".repeat(1024 * 1024);
    send(json, &format!(r#"{{"username":"ada","password":"{long}"}}"#))
        .refused(413, "body-too-large");
    let long = "x".repeat(8 * 1024);
    let response = send(json, &format!(r#"{{"username":"ada","password":"{long}"}}"#));
    assert!(matches!(response.status, 400 | 401), "{}", response.status);
}

// Holds: U4
#[test]
fn a_login_with_two_readings_is_refused_before_a_password_is_checked() {
    let gateway = started(&Upstream::echo(), SHUT);
    let right = r#"{"username":"ada","password":"correct horse"}"#;
    let json = "application/json";
    let form = "application/x-www-form-urlencoded";
    let deep = format!(
        r#"{{"username":"ada","password":"correct horse","x":{}{}}}"#,
        "[".repeat(5000),
        "]".repeat(5000)
    );
    let send = |kind: &str, body: &[u8]| {
        gateway.client().post("/auth/login").header("Content-Type", kind).body(body).send()
    };
    send(json, right.as_bytes()).expect(200);
    for (kind, body) in [
        (json, r#"{"username":"eve","username":"ada","password":"correct horse"}"#),
        (json, r#"{"username":"eve","\u0075sername":"ada","password":"correct horse"}"#),
        (json, r#"{"username":"ada\u0000","password":"correct horse"}"#),
        (json, r#"{"username":"ada","password":"correct horse\u0000"}"#),
        (json, "{\"username\":\"ada\0\",\"password\":\"correct horse\"}"),
        (json, r#"{"username":["ada"],"password":"correct horse"}"#),
        (json, r#"{"username":{"$gt":""},"password":{"$gt":""}}"#),
        (json, r#"{"username":"ada","password":true}"#),
        (json, r#"{"username":"ada","password":null}"#),
        (json, r#"[{"username":"ada","password":"correct horse"}]"#),
        (json, r#"{"username":"ada","password":"correct horse",}"#),
        (json, r#"{'username':'ada','password':'correct horse'}"#),
        (json, "\u{feff}{\"username\":\"ada\",\"password\":\"correct horse\"}"),
        (json, &deep),
        (form, right),
        (form, "username=eve&username=ada&password=correct+horse"),
        (form, "username=eve&user%6eame=ada&password=correct+horse"),
        (form, "username=ada%00&password=correct+horse"),
        (form, "username=ada&password=correct+horse%"),
        (form, "username=ada&password=correct%ff"),
        (form, "username[]=ada&password=correct+horse"),
        ("text/plain", right),
        ("application/json, text/plain", right),
        ("application/json; charset=utf-16", right),
        (
            "multipart/form-data; boundary=x",
            "--x\r\nContent-Disposition: form-data; name=username\r\n\r\nada\r\n--x--",
        ),
    ] {
        send(kind, body.as_bytes()).refused(400, "bad-body");
    }
    send(json, b"{\"username\":\"ada\",\"password\":\"\xff\"}").refused(400, "bad-body");
    let two = gateway.client().post("/auth/login").header("Content-Type", json);
    assert_eq!(two.header("Content-Type", form).body(right).send().status, 400);
    let no_type = gateway.client().post("/auth/login").body(right).send();
    no_type.refused(400, "bad-body");
    let packed = gateway.client().post("/auth/login").header("Content-Encoding", "gzip");
    packed.header("Content-Type", json).body(right).send().refused(400, "bad-body");
}

// Holds: U4
#[test]
fn a_large_body_of_any_framing_is_refused_and_takes_little_memory() {
    let gateway = started(&Upstream::echo(), SHUT);
    let before = gateway.peak_memory_kib();
    let password = "x".repeat(1024 * 1024);
    for _ in 0..20 {
        let body = json!({"username": "ada", "password": password}).to_string();
        let fixed = gateway.client().post("/auth/login").header("Content-Type", "application/json");
        fixed.body(body.clone()).send().refused(413, "body-too-large");
        let chunked = format!(
            "POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n\
             Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
            body.len()
        );
        gateway.client().raw_one(chunked).refused(413, "body-too-large");
    }
    // 40 MB were sent; some hashes of 19 MiB each may run meanwhile, but none for these.
    assert!(
        gateway.peak_memory_kib() - before < 8 * 1024,
        "{} KiB more",
        gateway.peak_memory_kib() - before
    );
    login(&gateway);
}

// Holds: U6
#[test]
fn a_password_is_taken_whole_however_long_and_in_any_script() {
    let setup = setup(&Upstream::echo());
    let long = "p".repeat(100);
    add(&setup, "long", &long, &[]);
    add(&setup, "script", "p\u{e4}ss \u{1f511} w\u{f6}rd", &[]);
    let gateway = setup.start();
    gateway.login("long", &long);
    gateway.login("script", "p\u{e4}ss \u{1f511} w\u{f6}rd");
    try_login(&gateway, "long", &"p".repeat(99)).expect(401);
    try_login(&gateway, "long", &format!("{long}p")).expect(401);
    try_login(&gateway, "long", &format!("{}{}", "p".repeat(72), "q".repeat(28))).expect(401);
}

// Holds: U6
#[test]
fn bcrypt_of_another_program_makes_no_two_passwords_one() {
    let stem = "s".repeat(71);
    let code = format!(
        "echo password_hash('{stem}é', PASSWORD_BCRYPT, ['cost' => 6]), ' ', password_hash('{stem}e', PASSWORD_BCRYPT, ['cost' => 6]);"
    );
    let php = std::process::Command::new("php").args(["-r", &code]).output();
    let hashes = String::from_utf8(php.expect("php: run tests/run").stdout).expect("text");
    let (longer, whole) = hashes.split_once(' ').expect("two hashes");
    let users =
        format!("[users.ada]\npassword = \"{longer}\"\n[users.bob]\npassword = \"{whole}\"\n");
    let gateway = setup(&Upstream::echo()).file("users.toml", &users).start();
    gateway.login("bob", &format!("{stem}e"));
    for (name, password) in [
        // PHP saw 72 bytes of it: any password that begins so would do.
        ("ada", format!("{stem}é")),
        ("ada", format!("{stem}è")),
        ("bob", format!("{stem}e!")),
        ("bob", stem.clone()),
    ] {
        try_login(&gateway, name, &password).refused(401, "credentials-invalid");
    }
    // A zero byte does not even reach the hash.
    try_login(&gateway, "bob", &format!("{stem}e\0")).expect(400);
}

// Holds: U6
// bcrypt looks at 72 bytes and ends at a NUL; normal forms of Unicode and letter case are other passwords.
#[test]
fn two_passwords_are_never_interchangeable() {
    let setup = setup(&Upstream::echo());
    let stem = "s".repeat(72);
    let password = format!("{stem}-A-\u{e9}-\u{1f511}");
    add(&setup, "ada", &password, &[]);
    let gateway = setup.start();
    gateway.login("ada", &password);
    for other in [
        format!("{stem}-B-\u{e9}-\u{1f511}"),
        stem.clone(),
        password.to_uppercase(),
        password.replace('\u{e9}', "e\u{301}"),
        password.replace('\u{1f511}', "\u{1f510}"),
        format!("{password} "),
        format!(" {password}"),
        format!("{password}\n"),
        String::new(),
    ] {
        try_login(&gateway, "ada", &other).refused(401, "credentials-invalid");
    }
    // Not cut either: the longest there can be, of signs with the longest encoding; a longer one is refused.
    let long = "\u{1d11e}".repeat(1024);
    let longer = format!("{long}x\n");
    assert_ne!(gateway.cli(&["user", "add", "longer", "--password-stdin"], &longer).code, Some(0));
    try_login(&gateway, "ada", &longer).expect(401);
    gateway.cli(&["user", "add", "long", "--password-stdin"], &format!("{long}\n")).succeeded();
    crate::harness::eventually("the user with the long password", || {
        (try_login(&gateway, "long", &long).status == 200).then_some(())
    });
    try_login(&gateway, "long", &long[..long.len() - 4]).refused(401, "credentials-invalid");
}

// Holds: CVE-2025-24806
// The half of it that is the lookup: however a name is typed, the token names the one user whose password was right,
// in the one spelling of the users file, so that no rule downstream meets a second one.
#[test]
fn however_a_name_is_typed_the_token_has_its_one_spelling() {
    let setup = setup(&Upstream::echo());
    add(&setup, "bob", "password of bob", &[]);
    add(&setup, "eve", "password of eve", &[]);
    let gateway = setup.start();
    for typed in [
        "bob",
        "Bob",
        "BOB",
        "bob ",
        " bob",
        "bob\t",
        "b\u{fe}ob",
        "\u{ff42}\u{ff4f}\u{ff42}",
        "b\u{200b}ob",
        "b\u{43e}b",
        "bob@",
        "bob\u{301}",
        "eve",
    ] {
        let response = try_login(&gateway, typed, "password of bob");
        if response.status != 200 {
            response.refused(401, "credentials-invalid");
            continue;
        }
        let tokens = Tokens::of(&response);
        for token in [&tokens.access, &tokens.refresh] {
            assert_eq!(forge::payload(token)["sub"], "bob", "{typed:?}");
        }
    }
}

// Holds: GHSA-f24x-5g9q-753f
#[test]
fn every_login_starts_a_session_of_its_own() {
    let upstream = Upstream::echo();
    let gateway = started(&upstream, SHUT);
    let (one, two) = (login(&gateway), login(&gateway));
    assert_ne!(forge::payload(&one.access)["sid"], forge::payload(&two.access)["sid"]);
    gateway.client().post("/auth/logout").bearer(&one.access).send().expect(204);
    assert_eq!(
        (status(gateway.client(), "/x", &one.access), status(gateway.client(), "/x", &two.access)),
        (401, 200)
    );
}

// Holds: GHSA-f24x-5g9q-753f
// Fixation: what the client brings along does not become the session.
#[test]
fn a_login_never_goes_on_in_a_session_that_was_there_before() {
    let upstream = Upstream::echo();
    let gateway = started(&upstream, SHUT);
    let client = gateway.client();
    let attacker = login(&gateway);
    let sid = forge::payload(&attacker.access)["sid"].as_str().expect("a sid").to_owned();
    let body = json!({"username": "ada", "password": "correct horse", "sid": sid, "session": sid, "jti": sid, "fresh": true});
    let request = client.post("/auth/login").bearer(&attacker.access).json(&body);
    let victim = Tokens::of(
        &request.header("Cookie", &format!("sid={sid}; session={sid}")).send().expect(200),
    );
    assert_ne!(forge::payload(&victim.access)["sid"], json!(sid));
    // Ending the one leaves the other, both ways.
    client.post("/auth/logout").bearer(&attacker.access).send().expect(204);
    assert_eq!(
        (status(client, "/x", &attacker.access), status(client, "/x", &victim.access)),
        (401, 200)
    );
}

// Holds: CVE-2026-71326, CVE-2026-41263
// Checks that run at the same time are never one check: each caller gets the answer to what it asked.
#[test]
fn logins_at_the_same_moment_never_share_an_outcome() {
    let setup = setup(&Upstream::echo());
    let users: Vec<String> = (0..6).map(|index| format!("user{index}")).collect();
    users.iter().for_each(|name| add(&setup, name, &format!("password of {name}"), &[]));
    let gateway = &setup.start();
    let start = &std::sync::Barrier::new(users.len() * 4);
    std::thread::scope(|scope| {
        for (index, name) in users.iter().enumerate() {
            let other = &users[(index + 1) % users.len()];
            let own = name.as_str();
            for (password, right) in [(own, true), (own, true), (other, false), ("", false)] {
                scope.spawn(move || {
                    start.wait();
                    let response = try_login(gateway, name, &format!("password of {password}"));
                    if !right {
                        response.refused(401, "credentials-invalid");
                        return;
                    }
                    let tokens = Tokens::of(&response.expect(200));
                    assert_eq!(forge::payload(&tokens.access)["sub"], json!(name));
                });
            }
        }
    });
}

fn setup(upstream: &Upstream) -> Setup {
    Setup::new(&format!(
        "upstream = \"{upstream}\"\n[login]\nusers = {{ file = \"users.toml\" }}\n[routes]\n\"/**\" = \"access-required\"\n{UNTHROTTLED}"
    ))
}

#[track_caller]
fn add(setup: &Setup, name: &str, password: &str, more: &[&str]) {
    let args = [&["user", "add", name, "--password-stdin"], more].concat();
    setup.cli(&args, &format!("{password}\n")).succeeded();
}

fn try_login(gateway: &Gateway, name: &str, password: &str) -> Response {
    gateway
        .client()
        .post("/auth/login")
        .json(&json!({"username": name, "password": password}))
        .send()
}
