//! Guesses at passwords: few are checked, by whatever door and spelling, and nobody is locked out by others.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Gateway, Response, Setup, Upstream, eventually, forge};

/// With the documented limits.
const TOML: &str = "[login]\nusers = { file = \"users.toml\" }\n[limits]\n[routes]\n\"/**\" = \"access-required\"\n";
/// As [`TOML`], and the tests are a listed proxy: each says for whom it speaks.
const PROXIED: &str = "trusted_proxies = [\"127.0.0.0/8\"]\n";

/// Documented: so many failures of one account are free, and of one address.
const FREE_ACCOUNT: usize = 5;
const FREE_ADDRESS: usize = 20;

/// A gateway that knows `ada` (`correct horse`) and `bob` (`battery staple`).
fn gateway(before: &str) -> Gateway {
    let setup = Setup::sharing(&Upstream::echo(), &format!("{before}{TOML}"));
    for (name, password) in [("ada", "correct horse"), ("bob", "battery staple")] {
        let args = ["user", "add", name, "--password-stdin"];
        setup.cli(&args, &format!("{password}\n")).succeeded();
    }
    setup.start()
}

/// One attempt to log in, through a proxy of ours that says who it is for.
fn attempt(gateway: &Gateway, from: &str, name: &str, password: &str) -> Response {
    let body = json!({"username": name, "password": password});
    gateway.client().post("/auth/login").header("X-Forwarded-For", from).json(&body).send()
}

/// The most guesses that any one counter lets through in a burst and the time since: the free ones, then one at each
/// doubling of the wait, with one more for the seconds that the test itself takes apart.
fn documented(free: usize, since: Instant) -> usize {
    let seconds = since.elapsed().as_secs() + 1;
    free + (seconds + 1).ilog2() as usize + 1
}

/// How many audit lines of an event there are, with this reason where one is asked for.
fn lines(gateway: &Gateway, event: &str, reason: &str) -> usize {
    let is = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap_or_default();
        line["event"] == event && line["reason"].as_str().unwrap_or_default() == reason
    };
    gateway.log().lines().filter(|line| is(line)).count()
}

/// The seconds that a throttled answer asks for.
#[track_caller]
fn retry_after(response: &Response) -> u64 {
    assert_eq!((response.status, &*response.code()), (429, "login-throttled"));
    response.header("retry-after").and_then(|text| text.parse().ok()).expect("whole seconds")
}

// Holds: U2, U5, CVE-2025-24806
#[test]
fn of_a_thousand_guesses_a_handful_is_checked_and_each_has_its_line() {
    let gateway = gateway("");
    let mut connection = gateway.client().connect();
    let start = Instant::now();
    for n in 0..1000 {
        // The right one is among them, and is not looked at either.
        let guess = if n == 500 { "correct horse".to_owned() } else { format!("canary-{n}") };
        let body = json!({"username": "ada", "password": guess});
        let answer = gateway.client().post("/auth/login").json(&body).send_on(&mut connection);
        match answer.status {
            401 => assert_eq!(answer.code(), "credentials-invalid"),
            _ => assert!(retry_after(&answer) <= 60),
        }
    }
    let most = documented(FREE_ACCOUNT, start);
    let checked = || lines(&gateway, "failure", "credentials-invalid");
    eventually("a line for every attempt", || {
        (checked() + lines(&gateway, "throttle", "login-throttled") == 1000).then_some(())
    });
    assert!((FREE_ACCOUNT..=most).contains(&checked()), "{} of at most {most}", checked());
    assert_eq!(lines(&gateway, "login", ""), 0);
    assert!(!gateway.log().contains("canary") && !gateway.log().contains("correct horse"));
    let metrics = gateway.admin().get("/metrics").send().text();
    assert!(metrics.contains("limit=\"login_failures_account\""), "{metrics}");
}

// Holds: U2
#[test]
fn one_address_that_tries_many_names_is_stopped_whatever_the_names() {
    let gateway = gateway("");
    let start = Instant::now();
    let mut answers = Vec::new();
    for n in 0..200 {
        let name = if n % 2 == 0 { "ada".to_owned() } else { format!("made up {n}") };
        let body = json!({"username": name, "password": "wrong"});
        answers.push(gateway.client().post("/auth/login").json(&body).send().status);
    }
    let checked = answers.iter().filter(|status| **status == 401).count();
    let most = documented(FREE_ADDRESS, start);
    assert!((FREE_ADDRESS..=most).contains(&checked), "{checked} of at most {most}");
    let right = json!({"username": "bob", "password": "battery staple"});
    let answer = gateway.client().post("/auth/login").json(&right).send();
    assert!(retry_after(&answer) <= 15 * 60);
    let metrics = gateway.admin().get("/metrics").send().text();
    assert!(metrics.contains("limit=\"login_failures_address\""), "{metrics}");
}

// Holds: U2, F3
// A field that anybody can write gives nobody a new counter: not from a stranger, and behind a proxy of ours only the
// address that the proxy itself wrote, at the end, counts.
#[test]
fn an_invented_chain_of_proxies_resets_nothing() {
    let stranger = gateway("");
    let behind = gateway(PROXIED);
    let start = Instant::now();
    let mut checked = [0, 0];
    for n in 0..60 {
        let body = json!({"username": format!("user{n}"), "password": "wrong"});
        let invented = format!("198.51.100.{n}");
        let mut request = stranger.client().post("/auth/login").json(&body);
        for name in ["X-Forwarded-For", "X-Real-IP", "CF-Connecting-IP", "True-Client-IP"] {
            request = request.header(name, &invented);
        }
        let answer = request.header("Forwarded", &format!("for={invented}")).send();
        checked[0] += usize::from(answer.status == 401);
        let chain = format!("{invented}, 10.0.0.{n}, 203.0.113.9");
        let mut request = behind.client().post("/auth/login").json(&body);
        request = request.header("X-Forwarded-For", &chain);
        if n % 3 == 0 {
            // Two that disagree: then it is the proxy that counts, which is one counter too.
            request = request.header("Forwarded", &format!("for={invented}"));
        }
        checked[1] += usize::from(request.send().status == 401);
    }
    let most = documented(FREE_ADDRESS, start);
    assert!((FREE_ADDRESS..=most).contains(&checked[0]), "a stranger: {checked:?}");
    assert!((FREE_ADDRESS..=2 * most).contains(&checked[1]), "behind a proxy: {checked:?}");
    behind.logged("\"address\":\"203.0.113.9\"");
    assert!(!stranger.log().contains("198.51.100."), "an invented address in the log");
}

// Holds: U2, CVE-2024-21500, CVE-2025-24806, CVE-2026-47203
#[test]
fn every_door_and_every_spelling_share_one_counter() {
    let gateway = gateway(PROXIED);
    let from = |n: usize| format!("203.0.113.{n}");
    let token = forge::stale("ada");
    let json = |name: &str, n: usize| attempt(&gateway, &from(n), name, "wrong");
    let form = |name: &str, n: usize| {
        let request = gateway.client().post("/auth/login").header("X-Forwarded-For", &from(n));
        request.form(&[("username", name), ("password", "wrong")]).send()
    };
    let reauth = |n: usize| {
        let request = gateway.client().post("/auth/reauth").header("X-Forwarded-For", &from(n));
        request.bearer(&token).json(&json!({"password": "wrong"})).send()
    };
    // Each from an address of its own: it is the account that is counted.
    json("ada", 1).refused(401, "credentials-invalid");
    form("ADA", 2).refused(401, "credentials-invalid");
    reauth(3).refused(401, "credentials-invalid");
    json(" Ad\u{200b}a\t", 4).refused(401, "credentials-invalid");
    form("\u{ff41}\u{ff44}\u{ff41}", 5).refused(401, "credentials-invalid");
    let (start, mut more) = (Instant::now(), 0);
    for n in 0..20 {
        let name = ["ada", "Ada ", "\u{1d41a}da", "a\u{ad}da", "ADA\u{a0}"][n % 5];
        for answer in [json(name, 50 + n), form(name, 100 + n), reauth(150 + n)] {
            more += usize::from(answer.refused_or_checked() == 401);
        }
    }
    let most = documented(0, start);
    assert!(more <= most, "{more} of at most {most}");
    // Another name is another account.
    json("ada2", 40).refused(401, "credentials-invalid");
    let line: Value = serde_json::from_str(&gateway.logged("Ad\\\\u{200b}a")).expect("JSON");
    assert_eq!((&line["account"], &line["reason"]), (&json!("ada"), &json!("credentials-invalid")));
}

// Holds: U2
// The other half of a limit: who guesses must not be able to keep the owner out.
#[test]
fn the_owner_gets_in_while_others_guess_from_everywhere_and_from_the_next_desk() {
    let gateway = gateway(PROXIED);
    let home = "2001:db8:1:1::7";
    attempt(&gateway, home, "ada", "correct horse").expect(200);
    for n in 0..120 {
        let address = format!("2001:db8:2:{n:x}::1");
        attempt(&gateway, &address, "ada", "wrong");
        attempt(&gateway, "2001:db8:1:1::8", &format!("made up {n}"), "wrong");
    }
    // Anywhere else she waits as long as they do, and others wait at home; a slow machine may be between two waits.
    let mut n = 0;
    eventually("a wait for ada from elsewhere", || {
        n += 1;
        attempt(&gateway, &format!("2001:db8:2:{n:x}::1"), "ada", "wrong");
        let answer = attempt(&gateway, &format!("2001:db8:3:{n:x}::1"), "ada", "correct horse");
        (answer.status == 429).then(|| assert!(retry_after(&answer) <= 60))
    });
    eventually("a wait for another at home", || {
        attempt(&gateway, "2001:db8:1:1::8", "made up", "wrong");
        let answer = attempt(&gateway, home, "nobody", "wrong");
        (answer.status == 429).then(|| assert!(retry_after(&answer) <= 15 * 60))
    });
    // Also with another address of the same network, and also after she mistypes.
    attempt(&gateway, home, "ada", "wrong").refused(401, "credentials-invalid");
    attempt(&gateway, "2001:db8:1:1:ffff::1", "ada", "correct horse").expect(200);
    // But at home, too, guesses at her password are counted.
    for _ in 0..FREE_ACCOUNT {
        attempt(&gateway, home, "ada", "wrong").refused(401, "credentials-invalid");
    }
    eventually("a wait for ada at home", || {
        (attempt(&gateway, home, "ada", "wrong").refused_or_checked() == 429).then_some(())
    });
    // And nobody pays for it elsewhere.
    attempt(&gateway, "203.0.113.77", "bob", "battery staple").expect(200);
}

// Holds: U2
#[test]
fn the_wait_doubles_and_the_right_password_ends_it() {
    let gateway = gateway("");
    let login = |password: &str| attempt(&gateway, "", "ada", password);
    // The longest wait that was asked for after so many failures.
    let mut waits = [0; FREE_ACCOUNT + 3];
    let mut failures = 0;
    eventually("the wait after seven failures", || {
        let answer = login("wrong");
        match answer.refused_or_checked() {
            401 => failures += 1,
            _ => waits[failures] = retry_after(&answer).max(waits[failures]),
        }
        (waits[FREE_ACCOUNT + 2] > 0).then_some(())
    });
    assert!(waits[..FREE_ACCOUNT].iter().all(|wait| *wait == 0), "{waits:?}");
    assert!(waits[FREE_ACCOUNT] <= 1 && waits[FREE_ACCOUNT + 1] <= 2, "{waits:?}");
    assert!((2..=4).contains(&waits[FREE_ACCOUNT + 2]), "{waits:?}");
    eventually("the end of the wait", || (login("correct horse").status == 200).then_some(()));
    for _ in 0..FREE_ACCOUNT {
        login("wrong").refused(401, "credentials-invalid");
    }
}

trait Checked {
    fn refused_or_checked(&self) -> u16;
}

impl Checked for Response {
    /// The status, which is 401 or 429.
    #[track_caller]
    fn refused_or_checked(&self) -> u16 {
        assert!(matches!(self.status, 401 | 429), "{}", self.text());
        self.status
    }
}

// Holds: U2
#[test]
fn what_was_counted_survives_kill_minus_nine_and_names_nobody_in_the_file() {
    let mut gateway = gateway("");
    for _ in 0..FREE_ACCOUNT {
        attempt(&gateway, "", "ada", "wrong").refused(401, "credentials-invalid");
    }
    attempt(&gateway, "", "hunter2 typed as a name", "x").refused(401, "credentials-invalid");
    gateway.kill();
    for name in ["state.db", "state.db-wal"] {
        let bytes = std::fs::read(gateway.path("data").join(name)).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(!text.contains("hunter2") && !text.contains("127.0.0.1"), "{name}");
    }
    gateway.restart();
    // The first wait, of a second, may have passed meanwhile; the five failures have not.
    let start = Instant::now();
    let again = (0..30).map(|_| attempt(&gateway, "", "ada", "wrong").refused_or_checked());
    let checked = again.filter(|status| *status == 401).count();
    let most = documented(0, start);
    assert!(checked <= most, "{checked} of at most {most}");
}

// Holds: U2
#[test]
fn a_hundred_guesses_at_once_are_no_more_than_the_free_ones() {
    let gateway = gateway("");
    let start = Instant::now();
    let statuses = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for n in 0..100 {
            let (gateway, statuses) = (&gateway, &statuses);
            scope.spawn(move || {
                let status =
                    attempt(gateway, "", "ada", &format!("guess {n}")).refused_or_checked();
                statuses.lock().expect("not poisoned").push(status);
            });
        }
    });
    let statuses = statuses.into_inner().expect("not poisoned");
    let checked = statuses.iter().filter(|status| **status == 401).count();
    let most = documented(FREE_ACCOUNT, start);
    assert!((FREE_ACCOUNT..=most).contains(&checked), "{checked} of at most {most}");
}

// Holds: U2
// Whoever hangs up before the answer has guessed all the same.
#[test]
fn guesses_that_hang_up_are_counted_too() {
    let gateway = gateway("");
    let body = json!({"username": "ada", "password": "wrong"});
    let start = Instant::now();
    let hang_up = || {
        let mut connection = gateway.client().connect();
        connection.write(gateway.client().post("/auth/login").json(&body).bytes());
        // Long enough to begin, too short to be answered, as a rule.
        std::thread::sleep(Duration::from_millis(5));
    };
    let begun = || {
        let checked = ["credentials-invalid", "abandoned"];
        checked.map(|reason| lines(&gateway, "failure", reason)).iter().sum::<usize>()
    };
    eventually("as many as are free", || {
        hang_up();
        (begun() >= FREE_ACCOUNT).then_some(())
    });
    (0..80).for_each(|_| hang_up());
    eventually("those that are not", || {
        (lines(&gateway, "throttle", "login-throttled") > 0).then_some(())
    });
    assert!(begun() <= documented(FREE_ACCOUNT, start), "{} were begun", begun());
}

// Holds: U1, U2
#[test]
fn a_name_that_nobody_has_is_throttled_as_one_that_somebody_has() {
    let gateway = gateway(PROXIED);
    let long = "n".repeat(300);
    let start = Instant::now();
    let mut told = Vec::new();
    for (n, name) in ["ada", "nobody", &long].into_iter().enumerate() {
        let mut answers = Vec::new();
        for _ in 0..40 {
            let answer = attempt(&gateway, &format!("203.0.113.{n}"), name, "wrong");
            let names: Vec<_> = answer.headers.iter().map(|(name, _)| name.clone()).collect();
            answers.push((answer.refused_or_checked(), answer.code(), names));
        }
        let checked = answers.iter().filter(|answer| answer.0 == 401).count();
        assert!((FREE_ACCOUNT..=documented(FREE_ACCOUNT, start)).contains(&checked), "{checked}");
        answers.sort();
        answers.dedup();
        told.push(answers);
    }
    assert_eq!(told[0], told[1]);
    assert_eq!(told[0], told[2]);
}
