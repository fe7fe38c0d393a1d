//! Several gateways on one PostgreSQL: what one ends is over at all, what they count they count together, and a database
//! that goes away, is slow to come back or restarts under load loses nothing that was acknowledged.

mod between;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::pg::Server;
use crate::harness::{
    Gateway, Response, Setup, Tokens, UNTHROTTLED, Upstream, eventually, forge, tools,
};

const ROUTES: &str = "[routes]\n\"/open\" = \"public\"\n\"/**\" = \"access-required\"\n";
const PASSWORD: &str = "correct horse battery staple";

/// Users that every gateway has, `ada` among them.
fn users() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| {
        let setup = Setup::new("upstream = \"builtin:whoami\"\n[routes]\n\"/\" = \"public\"\n");
        let add = ["user", "add", "ada", "--password-stdin", "--claims", "{}"];
        setup.cli(&add, &format!("{PASSWORD}\n")).succeeded();
        std::fs::read_to_string(setup.dir().join("data/users.toml")).expect("users")
    })
}

/// A gateway on this database, with `more` in `[state]` and behind it.
fn setup(url: &str, upstream: &Upstream, more: &str) -> Setup {
    let state = "[state]\npostgres = { env = \"DATABASE_URL\" }\n";
    Setup::sharing(upstream, &format!("{ROUTES}{state}{more}"))
        .env("DATABASE_URL", url)
        .file("data/users.toml", users())
}

fn three(url: &str, upstream: &Upstream, more: &str) -> [Gateway; 3] {
    [(); 3].map(|()| setup(url, upstream, more).start())
}

fn get(gateway: &Gateway, path: &str, token: &str) -> Response {
    gateway.client().get(path).bearer(token).send()
}

/// What `/readyz` says: its status, and its word.
fn ready(gateway: &Gateway) -> (u16, String) {
    let answer = gateway.admin().get("/readyz").send();
    let word = answer.json()["status"].as_str().unwrap_or_default().to_owned();
    (answer.status, word)
}

fn becomes(gateway: &Gateway, word: &str) {
    eventually(&format!("/readyz to say {word}"), || (ready(gateway).1 == word).then_some(()));
}

fn refresh(gateway: &Gateway, token: &str) -> Response {
    gateway.client().post("/auth/refresh").bearer(token).send()
}

#[test]
fn a_logout_at_one_is_refused_at_the_others_within_a_second() {
    let server = Server::start(&[]);
    let (url, upstream) = (server.database(), Upstream::echo());
    let gateways = three(&url, &upstream, "");
    let mut took = Vec::new();
    for n in 0..200 {
        let token = forge::with("ada", json!({ "sid": format!("s{n}"), "jti": format!("t{n}") }));
        let [one, others @ ..] = &gateways;
        let mut connections = others.each_ref().map(|other| other.client().connect());
        let asks = others.each_ref().map(|other| other.client().get("/").bearer(&token).bytes());
        for (connection, ask) in connections.iter_mut().zip(&asks) {
            connection.write(ask);
            connection.response().expect(200);
        }
        one.client().post("/auth/logout").bearer(&token).send().expect(204);
        let answered = Instant::now();
        for (connection, ask) in connections.iter_mut().zip(&asks) {
            loop {
                connection.write(ask);
                if connection.response().status == 401 {
                    break;
                }
                assert!(answered.elapsed() < Duration::from_secs(1), "still good after a second");
            }
            took.push(answered.elapsed());
        }
    }
    took.sort();
    let at = |part: usize| took[(took.len() - 1) * part / 100];
    println!(
        "refused at the others after: p50 {:?}, p99 {:?}, longest {:?}",
        at(50),
        at(99),
        at(100)
    );
    assert!(at(99) < Duration::from_secs(1));
}

#[test]
fn a_session_lives_and_ends_at_all_of_them() {
    let server = Server::shared();
    let (url, upstream) = (server.database(), Upstream::echo());
    let [one, two, three] = three(&url, &upstream, "");
    let tokens = one.login("ada", PASSWORD);
    get(&two, "/", &tokens.access).expect(200);
    let next = Tokens::of(&refresh(&three, &tokens.refresh).expect(200));
    let body = json!({ "password": PASSWORD });
    two.client().post("/auth/reauth").bearer(&next.access).json(&body).send().expect(200);
    // The replaced one again, at another gateway: the same successor.
    assert_eq!(Tokens::of(&refresh(&one, &tokens.refresh).expect(200)).refresh, next.refresh);
    // From the command line beside any of them, without asking one.
    let listed = three.cli(&["session", "list"], "").succeeded().stdout;
    assert!(listed.contains("ada"), "{listed}");
    two.cli(&["session", "revoke", "--user", "ada"], "").succeeded();
    for gateway in [&one, &two, &three] {
        eventually("everything of ada to be over", || {
            (get(gateway, "/", &next.access).status == 401).then_some(())
        });
        refresh(gateway, &next.refresh).refused(401, "token-revoked");
    }
}

#[test]
fn guesses_at_all_of_them_count_together() {
    let server = Server::shared();
    let (url, upstream) = (server.database(), Upstream::echo());
    let gateways = three(&url, &upstream, "");
    let guess = |n: usize| {
        let body = json!({ "username": "ada", "password": "wrong" });
        gateways[n % 3].client().post("/auth/login").json(&body).send()
    };
    for n in 0..5 {
        guess(n).refused(401, "credentials-invalid");
    }
    guess(5).refused(429, "login-throttled");
    guess(6).refused(429, "login-throttled");
}

#[test]
fn a_database_that_is_away_costs_logins_then_tokens_and_never_the_public_pages() {
    let server = Server::start(&["-c", "fsync=off"]);
    let (url, upstream) = (server.database(), Upstream::echo());
    let gateway = setup(&url, &upstream, "stale_max = \"3s\"\n").start();
    let tokens = gateway.login("ada", PASSWORD);
    let ended = forge::with("ada", json!({ "sid": "ended" }));
    gateway.client().post("/auth/logout").bearer(&ended).send().expect(204);
    assert_eq!(ready(&gateway), (200, "ready".into()));
    server.stop("QUIT");
    let since = Instant::now();
    gateway.logged("state_store_away");
    // Known tokens pass, and known revocations hold.
    get(&gateway, "/", &tokens.access).expect(200);
    get(&gateway, "/", &ended).refused(401, "token-revoked");
    let login = json!({ "username": "ada", "password": PASSWORD });
    let post = |path: &str| gateway.client().post(path);
    post("/auth/login").json(&login).send().refused(503, "store-unavailable");
    post("/auth/reauth")
        .bearer(&tokens.access)
        .json(&login)
        .send()
        .refused(503, "store-unavailable");
    post("/auth/logout").bearer(&tokens.access).send().refused(503, "store-unavailable");
    refresh(&gateway, &tokens.refresh).refused(503, "store-unavailable");
    assert_eq!(ready(&gateway), (200, "degraded".into()));
    assert!(since.elapsed() < Duration::from_secs(3), "a slow machine: {:?}", since.elapsed());
    // Past `stale_max`.
    eventually("tokens to be refused", || {
        (get(&gateway, "/", &tokens.access).status == 503).then_some(())
    });
    get(&gateway, "/", &tokens.access).refused(503, "store-unavailable");
    get(&gateway, "/", &ended).refused(401, "token-revoked");
    gateway.client().get("/").send().refused(401, "token-missing");
    gateway.client().get("/open").send().expect(200);
    assert_eq!(ready(&gateway), (503, "stale".into()));
    server.run_again();
    becomes(&gateway, "ready");
    get(&gateway, "/", &tokens.access).expect(200);
    get(&gateway, "/", &ended).refused(401, "token-revoked");
    refresh(&gateway, &tokens.refresh).expect(200);
}

#[test]
fn one_that_starts_without_the_database_believes_no_token_until_it_has_read_all() {
    let server = Server::start(&["-c", "fsync=off"]);
    let (url, upstream) = (server.database(), Upstream::echo());
    let gateway = setup(&url, &upstream, "").start();
    let ended = forge::with("ada", json!({ "sid": "ended" }));
    gateway.client().post("/auth/logout").bearer(&ended).send().expect(204);
    server.stop("INT");
    let late = setup(&url, &upstream, "").start();
    get(&late, "/", &forge::stale("ada")).refused(503, "store-unavailable");
    late.client().get("/open").send().expect(200);
    assert_eq!(ready(&late), (503, "stale".into()));
    server.run_again();
    becomes(&late, "ready");
    get(&late, "/", &ended).refused(401, "token-revoked");
    get(&late, "/", &forge::stale("ada")).expect(200);
}

/// What is purged by the database's clock must be dead at every gateway.
#[test]
fn a_gateway_whose_clock_is_behind_takes_the_databases_time() {
    let server = Server::shared();
    let (url, upstream) = (server.database(), Upstream::echo());
    let gateway = setup(&url, &upstream, "")
        .env("LD_PRELOAD", tools::libfaketime().to_str().expect("an ASCII path"))
        .env("FAKETIME", "-2h")
        .env("DONT_FAKE_MONOTONIC", "1")
        .start();
    gateway.logged("clock_behind");
    let over = forge::with("ada", json!({ "exp": forge::now() - 60, "iat": forge::now() - 120 }));
    get(&gateway, "/", &over).refused(401, "token-expired");
    let tokens = gateway.login("ada", PASSWORD);
    let issued = forge::payload(&tokens.access)["iat"].as_u64().expect("a number");
    assert!(issued.abs_diff(forge::now()) < 60, "{issued}");
}

/// A gateway that alone has lost its link, while the others go on.
#[test]
fn who_was_cut_off_has_caught_up_before_it_says_ready() {
    let server = Server::shared();
    let url = server.database();
    server.ask(&url, "CREATE ROLE gate LOGIN; GRANT ALL ON SCHEMA public TO gate");
    let upstream = Upstream::echo();
    let gateway = setup(&url.replace("postgres@", "gate@"), &upstream, "").start();
    for round in 0..5 {
        let sid = format!("s{round}");
        let token = forge::with("ada", json!({ "sid": sid }));
        get(&gateway, "/", &token).expect(200);
        server.ask(&url, "ALTER ROLE gate NOLOGIN");
        let cut =
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'gate'";
        assert_ne!(server.ask(&url, cut), "0");
        becomes(&gateway, "degraded");
        get(&gateway, "/", &token).expect(200);
        let insert = "INSERT INTO freshgate_revocations (kind, id, expires_at) VALUES ('session'";
        server.ask(&url, &format!("{insert}, '{sid}', extract(epoch FROM now())::bigint + 900)"));
        server.ask(&url, "ALTER ROLE gate LOGIN");
        becomes(&gateway, "ready");
        get(&gateway, "/", &token).refused(401, "token-revoked");
    }
    server.ask(&url, "DROP OWNED BY gate CASCADE");
    drop(gateway);
    server.ask(&url, "DROP ROLE gate");
}

#[test]
fn fifty_refreshes_at_once_at_three_gateways_give_one_successor() {
    let server = Server::shared();
    let (url, upstream) = (server.database(), Upstream::echo());
    let gateways = three(&url, &upstream, "");
    let mut living = gateways[0].login("ada", PASSWORD).refresh;
    for round in 0..20 {
        let successors: Vec<String> = thread::scope(|scope| {
            let ask = |n: usize| {
                let (gateway, token) = (&gateways[n % 3], &living);
                scope.spawn(move || Tokens::of(&refresh(gateway, token).expect(200)).refresh)
            };
            let all: Vec<_> = (0..50).map(ask).collect();
            all.into_iter().map(|one| one.join().expect("an answer")).collect()
        });
        assert!(successors.iter().all(|one| *one == successors[0]), "round {round}");
        assert_ne!(successors[0], living);
        living.clone_from(&successors[0]);
    }
}

/// Somebody who refreshes again and again, and tries again with the same token where there was no good answer.
fn keep_refreshing(gateways: &[Gateway; 3], first: String, stop: &AtomicBool) -> (String, usize) {
    let (mut living, mut rotations) = (first, 0);
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let answer = refresh(&gateways[n % 3], &living);
        match answer.status {
            200 => {
                living = Tokens::of(&answer).refresh;
                rotations += 1;
            }
            503 => thread::sleep(Duration::from_millis(20)),
            other => panic!("{other}: {}", answer.text()),
        }
    }
    (living, rotations)
}

#[test]
fn a_server_that_restarts_under_load_loses_no_rotation_and_no_logout() {
    let server = Server::start(&[]);
    let (url, upstream) = (server.database(), Upstream::echo());
    let more = format!("[tokens]\nreuse_window = \"60s\"\n{UNTHROTTLED}");
    let gateways = three(&url, &upstream, &more);
    let firsts: Vec<String> =
        (0..4).map(|n| gateways[n % 3].login("ada", PASSWORD).refresh).collect();
    let (stop, ended) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let clients: Vec<(String, usize)> = thread::scope(|scope| {
        let refreshing: Vec<_> = firsts
            .into_iter()
            .map(|first| scope.spawn(|| keep_refreshing(&gateways, first, &stop)))
            .collect();
        scope.spawn(|| {
            for n in 0.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let token =
                    forge::with("ada", json!({ "sid": format!("s{n}"), "jti": format!("t{n}") }));
                let answer = gateways[n % 3].client().post("/auth/logout").bearer(&token).send();
                match answer.status {
                    204 => ended.lock().expect("not poisoned").push(token),
                    503 => thread::sleep(Duration::from_millis(20)),
                    other => panic!("{other}"),
                }
            }
        });
        let all = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
        for signal in ["INT", "QUIT", "INT", "QUIT"] {
            thread::sleep(Duration::from_millis(400));
            server.ask(&url, all);
            gateways.iter().for_each(|gateway| becomes(gateway, "ready"));
            thread::sleep(Duration::from_millis(200));
            server.stop(signal);
            server.run_again();
            gateways.iter().for_each(|gateway| becomes(gateway, "ready"));
        }
        stop.store(true, Ordering::Relaxed);
        refreshing.into_iter().map(|one| one.join().expect("a client")).collect()
    });
    let ended = ended.into_inner().expect("not poisoned");
    println!(
        "{} logouts, rotations: {:?}",
        ended.len(),
        clients.iter().map(|one| one.1).collect::<Vec<_>>()
    );
    assert!(ended.len() > 20 && clients.iter().all(|(_, rotations)| *rotations > 10));
    for gateway in &gateways {
        for token in &ended {
            get(gateway, "/", token).refused(401, "token-revoked");
        }
    }
    for (living, _) in &clients {
        let next = gateways
            .each_ref()
            .map(|gateway| Tokens::of(&refresh(gateway, living).expect(200)).refresh);
        assert!(next[0] == next[1] && next[1] == next[2], "two living successors");
    }
}

#[test]
fn the_password_of_the_database_is_never_shown_and_a_wrong_one_is_refused_at_the_start() {
    let server = Server::start(&["-c", "fsync=off"]);
    let url = server.database();
    server.ask(
        &url,
        "CREATE ROLE gate LOGIN PASSWORD 'hunter2-canary'; GRANT ALL ON SCHEMA public TO gate",
    );
    server.file("data/pg_hba.conf", "local all gate scram-sha-256\nlocal all all trust\n");
    server.ask(&url, "SELECT pg_reload_conf()");
    let upstream = Upstream::echo();
    let wrong = url.replace("postgres@", "gate:hunter2-wrong@");
    let said = setup(&wrong, &upstream, "").fails();
    assert!(said.stderr.contains("password authentication failed"), "{said:?}");
    assert!(!format!("{said:?}").contains("hunter2"));
    for url in
        ["postgres://u:hunter2@ter2@h/d", "mysql://u:hunter2@h/d", "postgres://u:hunter2@h/d?x=1"]
    {
        let said = setup(url, &upstream, "").fails();
        assert!(
            said.stderr.contains("env DATABASE_URL") && said.stderr.contains("gateway.toml:"),
            "{said:?}"
        );
        assert!(!format!("{said:?}").contains("hunter2"), "{said:?}");
    }
    let right = url.replace("postgres@", "gate:hunter2-canary@");
    let gateway = setup(&right, &upstream, "[log]\nlevel = \"debug\"\n").start();
    gateway.login("ada", PASSWORD);
    server.stop("INT");
    gateway.logged("state_store_away");
    becomes(&gateway, "degraded");
    let login = json!({ "username": "ada", "password": PASSWORD });
    let answer = gateway.client().post("/auth/login").json(&login).send().expect(503).text();
    let metrics = gateway.admin().get("/metrics").send().text();
    let readiness = gateway.admin().get("/readyz").send().text();
    for text in [gateway.log(), gateway.stdout(), answer, metrics, readiness] {
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn check_warns_of_keys_that_are_not_shared_and_of_a_key_without_effect() {
    let toml = format!(
        "upstream = \"builtin:whoami\"\n{ROUTES}[state]\npostgres = {{ env = \"DATABASE_URL\" }}\n"
    );
    let said =
        Setup::new(&toml).env("DATABASE_URL", "postgres://u@localhost/d").cli(&["check"], "");
    assert!(format!("{said:?}").contains("keys-of-many"), "{said:?}");
    let key = "[[tokens.key]]\nid = \"k1\"\nalg = \"ES256\"\nprivate = { file = \"gone.pem\" }\n";
    let said = Setup::new(&format!("{toml}{key}")).cli(&["check"], "");
    assert!(said.stderr.contains("gone.pem"), "{said:?}");
    assert!(!said.stderr.contains("keys-of-many"), "{said:?}");
    let said = Setup::new(&toml).cli(&["check"], "");
    assert!(format!("{said:?}").contains("DATABASE_URL is not set"), "{said:?}");
    let toml = format!("upstream = \"builtin:whoami\"\n{ROUTES}[state]\nstale_max = \"1m\"\n");
    let said = Setup::new(&toml).cli(&["check"], "");
    assert!(format!("{said:?}").contains("stale-max-alone"), "{said:?}");
}
