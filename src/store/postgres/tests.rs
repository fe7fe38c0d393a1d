//! The store on a real server: the contract, several gateways on one database, what was committed in another order, and a
//! database that breaks, hangs or is not ours.

#[path = "../../../tests/it/harness/pg.rs"]
#[allow(dead_code, reason = "the integration tests use the rest")]
mod pg;

use std::time::Instant;

use pg::Server;

use super::*;
use crate::config::shared_state::DatabaseUrl;
use crate::store::contract::{begin, claims, fail, session, state_store_contract, wait};

const CLOCK: Clock = Clock { now: || UnixTime(1000), follows: false };

state_store_contract!({ (open(&Server::shared().database()), ()) });

fn state(url: &str) -> SharedState {
    let database = DatabaseUrl::parse(url.as_bytes()).unwrap();
    SharedState { database, stale_max: Duration::from_secs(300) }
}

fn try_open(url: &str) -> Result<Postgres, StoreFault> {
    Postgres::open_at(&state(url), CLOCK, START_WAIT)
}

fn open(url: &str) -> Postgres {
    let store = try_open(url).unwrap();
    assert!(store.shared.take().is_ok(), "{}", store.shared.away());
    store
}

/// Asks until it is so.
async fn soon(what: &str, mut is: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !is().await {
        assert!(start.elapsed() < Duration::from_secs(20), "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn holds(store: &Postgres, sid: &str) -> bool {
    store.revocations().holds(&claims("-", sid))
}

#[tokio::test]
async fn what_one_gateway_revokes_the_others_know_soon_and_a_new_one_at_once() {
    let url = Server::shared().database();
    let stores = [open(&url), open(&url), open(&url)];
    stores[0].start(session("s")).await.unwrap();
    assert_eq!(stores[1].session("s", UnixTime(1500)).await.unwrap(), Some(session("s")));
    stores[2].revoke(Revoked::Session("s".into()), UnixTime(2000)).await.unwrap();
    assert!(holds(&stores[2], "s"));
    let start = Instant::now();
    soon("the news", async || holds(&stores[0], "s") && holds(&stores[1], "s")).await;
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert_eq!(stores[1].session("s", UnixTime(1500)).await.unwrap(), None);
    assert!(holds(&open(&url), "s"));
}

/// Two transactions that overlap, and the one that began first, and has the lower number, commits last.
#[tokio::test]
async fn transactions_that_commit_in_another_order_are_both_read() {
    let url = Server::shared().database();
    let store = open(&url);
    let insert = |id: &str| {
        format!(
            "INSERT INTO freshgate_revocations (kind, id, expires_at) VALUES ('session', '{id}', 2000)"
        )
    };
    let other = || async {
        let (client, connection) =
            state(&url).database.options.connect(tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    };
    let (early, late) = (other().await, other().await);
    early.batch_execute(&format!("BEGIN; {}", insert("early"))).await.unwrap();
    late.batch_execute(&format!("BEGIN; {}; COMMIT", insert("late"))).await.unwrap();
    // Read while the first is still under way; without a notification, so that the poll is tested too.
    soon("what was committed", async || holds(&store, "late")).await;
    assert!(!holds(&store, "early"));
    // Others go on meanwhile, and move every number past it.
    store.revoke(Revoked::Token("t".into()), UnixTime(2000)).await.unwrap();
    late.batch_execute("SELECT pg_notify('freshgate', '')").await.unwrap();
    early.batch_execute("COMMIT").await.unwrap();
    soon("what was committed last", async || holds(&store, "early")).await;
}

#[tokio::test]
async fn two_that_start_at_once_on_an_empty_database_make_one_schema() {
    for _ in 0..3 {
        let url = Server::shared().database();
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let url = url.clone();
                thread::spawn(move || open(&url))
            })
            .collect();
        let stores: Vec<_> = threads.into_iter().map(|one| one.join().unwrap()).collect();
        stores[0].start(session("s")).await.unwrap();
        assert!(stores[3].session("s", UnixTime(1500)).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_newer_schema_and_what_a_person_must_mend_are_refused_at_the_start() {
    let server = Server::shared();
    let url = server.database();
    drop(open(&url));
    server.ask(&url, "UPDATE freshgate_schema SET version = 99");
    let refused = |url: &str, words: &[&str]| {
        let fault = try_open(url).unwrap_err().0;
        for word in words {
            assert!(fault.contains(word), "{fault}");
        }
        assert!(!fault.contains("hunter2"), "{fault}");
    };
    refused(&url, &["newer freshgate", "schema 99"]);
    refused(&server.url("nowhere"), &["\"nowhere\" does not exist"]);
    refused(&server.url("postgres").replace("postgres@", "nobody:hunter2@"), &["nobody"]);
    let url = server.database();
    server.ask(&url, "CREATE ROLE reader LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC");
    refused(&url.replace("postgres@", "reader@"), &["permission denied"]);
    // Ours is raised by whoever may; then a role that may only read and write will do.
    drop(open(&url));
    server
        .ask(&url, "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO reader");
    open(&url.replace("postgres@", "reader@")).start(session("s")).await.unwrap();
}

#[tokio::test]
async fn attempts_at_several_gateways_count_together() {
    let url = Server::shared().database();
    let stores = [open(&url), open(&url), open(&url)];
    // At once: three are free.
    let mut let_in = Vec::new();
    for n in 0..30 {
        let_in.extend(begin(&stores[n % 3], "alice", 1, 1000).await.ok());
    }
    assert_eq!(let_in.len(), 3);
    // They went away without a word, and count.
    drop(let_in);
    let mut now = 1000;
    let mut waits = Vec::new();
    for n in 0..6 {
        let wait = wait(&stores[n % 3], "alice", 1, now).await.unwrap().0;
        waits.push(wait);
        now += wait;
        fail(&stores[(n + 1) % 3], "alice", 1, now).await;
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32]);
}

/// Beside the arithmetic in Rust, on what attackers may do and what knobs may say.
#[tokio::test]
async fn the_databases_arithmetic_is_that_of_the_tally() {
    use crate::store::throttle::tally::{Allowance, Tally};
    let url = Server::shared().database();
    let store = open(&url);
    let (_live, client, _place) = store.shared.take().unwrap();
    let allowance = |free, delay| Allowance { free, delay_max: Duration::from_secs(delay) };
    for one in [
        allowance(5, 60),
        allowance(3, 900),
        allowance(0, 0),
        allowance(1 << 27, 1),
        allowance(2, 4_000_000_000),
    ] {
        let mut tally = Tally::NONE;
        let mut now = 1_000_000_u64;
        for step in [0, 0, 0, 1, 0, 2, 60, 0, 0, 0, 0, 0, 901, 0, 5, 100_000, 0, 0, 0] {
            now += step;
            let sql = "SELECT f, b, freshgate_wait(b, $3, $5) FROM (
                SELECT forgiven_at AS f, blocked_until AS b FROM freshgate_counted($1, $2, $3, $4, $5, $6)) s";
            let before = [stored(tally.forgiven_at), stored(tally.blocked_until), now as i64];
            let rule = [one.free as i64, one.delay_s() as i64, one.most() as i64];
            let params: Vec<_> = before
                .iter()
                .chain(&rule)
                .map(|n| (n as _, tokio_postgres::types::Type::INT8))
                .collect();
            let row = client.query_typed_one(sql, &params).await.unwrap();
            let now = UnixTime(now);
            tally = tally.failed(&one, now);
            assert_eq!(moment(row.get(0)), tally.forgiven_at, "{one:?}");
            assert_eq!(moment(row.get(1)), tally.blocked_until, "{one:?}");
            assert_eq!(row.get::<_, i64>(2), tally.wait(&one, now).as_secs() as i64, "{one:?}");
        }
    }
}

#[tokio::test]
async fn no_name_and_no_address_is_in_the_database() {
    let server = Server::shared();
    let url = server.database();
    let store = open(&url);
    fail(&store, "hunter2-canary", 1, 1000).await;
    let rows = server.ask(&url, "SELECT kind, encode(id, 'escape') FROM freshgate_failed");
    assert_eq!(server.ask(&url, "SELECT count(*) FROM freshgate_failed"), "3");
    assert!(!rows.contains("hunter2") && !rows.contains("192.0.2"), "{rows}");
}

#[tokio::test]
async fn every_backend_terminated_under_load_loses_nothing() {
    let server = Server::shared();
    let url = server.database();
    let stores = [open(&url), open(&url), open(&url)];
    let name = url.rsplit('/').next().unwrap();
    let terminate = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' AND pid <> pg_backend_pid()"
    );
    let mut kept = Vec::new();
    for round in 0..300 {
        if round % 60 == 30 {
            server.ask(&url, &terminate);
        }
        let id = format!("s{round}");
        let store = &stores[round % 3];
        let started = store.start(session(&id)).await.is_ok();
        let ended =
            store.revoke(Revoked::Session(format!("e{round}")), UnixTime(5000)).await.is_ok();
        kept.push((id, started, format!("e{round}"), ended));
        if !started {
            soon("a link", async || store.probe(UnixTime(0)).await.is_ok()).await;
        }
    }
    let refused = kept.iter().filter(|(_, started, _, ended)| !started || !ended).count();
    assert!(refused > 0, "the terminations met nobody");
    for store in &stores {
        for (id, started, end, ended) in &kept {
            if *started {
                assert!(store.session(id, UnixTime(1500)).await.unwrap().is_some(), "{id}");
            }
            if *ended {
                soon(end, async || holds(store, end)).await;
            }
        }
    }
}

#[tokio::test]
async fn a_database_that_is_away_is_told_at_once_and_what_is_known_stays() {
    let server = Server::start(&["-c", "fsync=off"]);
    let url = server.database();
    let store = open(&url);
    store.revoke(Revoked::Session("dead".into()), UnixTime(2000)).await.unwrap();
    for signal in ["INT", "QUIT"] {
        server.stop(signal);
        soon("away", async || store.probe(UnixTime(0)).await.is_err()).await;
        let start = Instant::now();
        assert!(store.start(session("s")).await.is_err());
        assert!(matches!(begin_fault(&store).await, CheckFault::Away(_)));
        assert!(start.elapsed() < Duration::from_secs(1));
        assert!(holds(&store, "dead") && !store.revocations().is_stale(UnixTime(1300)));
        assert!(store.revocations().is_stale(UnixTime(1301)));
        // One that starts now knows nothing, and says so; it goes on when the database is back.
        let blind = try_open(&url).unwrap();
        assert!(blind.revocations().is_stale(UnixTime(1)));
        server.run_again();
        for store in [&store, &blind] {
            soon("back", async || store.probe(UnixTime(0)).await.is_ok()).await;
            assert!(holds(store, "dead") && !store.revocations().is_stale(UnixTime(1300)));
        }
    }
}

async fn begin_fault(store: &Postgres) -> CheckFault {
    let from = crate::store::contract::address(1);
    let rules = crate::store::contract::RULES;
    store.begin(&Account::of("alice"), from, &rules, UnixTime(1000)).await.unwrap_err()
}

/// What a machine that does much else may add.
const BUSY: Duration = Duration::from_secs(3);

#[tokio::test]
async fn a_database_that_hangs_holds_nobody_for_long() {
    let server = Server::start(&["-c", "fsync=off"]);
    let url = server.database();
    let store = open(&url);
    server.signal_all("STOP");
    let start = Instant::now();
    assert!(store.start(session("s")).await.is_err());
    assert!(start.elapsed() < VERB_TIMEOUT + BUSY, "{:?}", start.elapsed());
    // Then nobody waits at all: soon, or when the statement of the keeper is given up that was under way.
    let noticed = async {
        while store.shared.take().is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let limit = link::STATEMENT_TIMEOUT + POLL_EVERY + BUSY;
    tokio::time::timeout(limit, noticed).await.expect("the silence is noticed");
    server.signal_all("CONT");
    soon("back", async || store.probe(UnixTime(0)).await.is_ok()).await;
    store.start(session("s2")).await.unwrap();
}

#[tokio::test]
async fn expired_rows_are_forgotten_by_the_earlier_clock() {
    let server = Server::shared();
    let url = server.database();
    let store = open(&url);
    store.revoke(Revoked::Token("t".into()), UnixTime(500)).await.unwrap();
    store.revoke(Revoked::Token("u".into()), UnixTime(5000)).await.unwrap();
    let count = || server.ask(&url, "SELECT count(*) FROM freshgate_revocations");
    drop(store);
    // By the clock of 1000, less the margin, neither; by a clock far ahead of the database's also the second, which is
    // long over by the database's.
    drop(open(&url));
    assert_eq!(count(), "2");
    let ahead = Clock { now: || UnixTime(u64::MAX / 4), follows: false };
    let store = Postgres::open_at(&state(&url), ahead, START_WAIT).unwrap();
    let soon_over = "INSERT INTO freshgate_revocations (kind, id, expires_at) VALUES
        ('token', 'v', extract(epoch FROM now())::bigint)";
    server.ask(&url, soon_over);
    soon("the purge", async || count() == "1").await;
    drop(store);
}

#[tokio::test]
async fn clocks_a_day_apart_are_refused_at_the_start() {
    let url = Server::shared().database();
    let clock = Clock { now: || UnixTime(1000), follows: true };
    let fault = Postgres::open_at(&state(&url), clock, START_WAIT).unwrap_err().0;
    assert!(fault.contains("hours ahead of this machine's"), "{fault}");
}

#[tokio::test]
async fn fifty_at_three_gateways_rotate_once_a_round() {
    use crate::store::contract::present;
    use crate::store::session::Successor;
    use crate::token::seal::Sealed;
    let url = Server::shared().database();
    let stores = [open(&url), open(&url), open(&url)].map(Arc::new);
    stores[0].start(session("s")).await.unwrap();
    let mut living = session("s").refresh_id.unwrap_or_else(|| "first".into());
    for round in 0..100 {
        let asks: Vec<_> = (0..50)
            .map(|n| {
                let (store, id) = (Arc::clone(&stores[n % 3]), living.clone());
                let next = format!("{round}-{n}");
                let sealed = Sealed::from_bytes(next.clone().into_bytes());
                let successor = Some(Successor { id: next, sealed });
                let asked = Renewal { successor, ..present("s", &id, 1500) };
                tokio::spawn(async move { store.rotate(asked).await.unwrap() })
            })
            .collect();
        let (mut rotated, mut again) = (Vec::new(), Vec::new());
        for (n, ask) in asks.into_iter().enumerate() {
            match ask.await.unwrap() {
                Rotation::Rotated => rotated.push(format!("{round}-{n}")),
                Rotation::Again(sealed) => {
                    again.push(String::from_utf8(sealed.as_bytes().to_vec()).unwrap());
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(rotated.len(), 1, "round {round}");
        living = rotated.remove(0);
        assert!(again.len() == 49 && again.iter().all(|one| *one == living), "round {round}");
    }
}

/// A server that speaks TLS on a port of this machine, with a certificate for `localhost`; the URL without parameters, the
/// file of its authority, and that of another.
fn server_with_tls() -> (Server, String, String, String) {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = Server::start(&[
        "-c",
        "fsync=off",
        "-c",
        "listen_addresses=127.0.0.1",
        "-p",
        &port.to_string(),
    ]);
    let authority = || {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        (params.self_signed(&key).unwrap().pem(), Issuer::new(params, key))
    };
    let ((ca, issuer), (other, _)) = (authority(), authority());
    let key = KeyPair::generate().unwrap();
    let names = CertificateParams::new(vec!["localhost".into()]).unwrap();
    let certificate = names.signed_by(&key, &issuer).unwrap();
    let files = [("server.crt", certificate.pem()), ("server.key", key.serialize_pem())];
    let [crt, key] = files.map(|(name, text)| server.file(name, &text).display().to_string());
    let [ca, other] = [("ca", ca), ("other", other)]
        .map(|(name, text)| server.file(name, &text).display().to_string());
    let url = server.database();
    for set in
        [format!("ssl_cert_file = '{crt}'"), format!("ssl_key_file = '{key}'"), "ssl = on".into()]
    {
        server.ask(&url, &format!("ALTER SYSTEM SET {set}"));
    }
    server.ask(&url, "SELECT pg_reload_conf()");
    let name = url.rsplit('/').next().unwrap().to_owned();
    (server, format!("postgres://postgres@HOST:{port}/{name}"), ca, other)
}

#[tokio::test]
async fn tls_is_as_strict_as_the_url_says() {
    let (server, url, ca, other) = server_with_tls();
    let speaks_tls = |url: &str| {
        let store = try_open(url).unwrap();
        store.shared.take().map(drop).unwrap_or_else(|fault| panic!("{url}: {fault}"));
        let sql = "SELECT bool_or(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
            WHERE client_addr IS NOT NULL";
        server.ask(url.split('?').next().unwrap(), sql)
    };
    // The name in the certificate, and one that is not in it.
    let (named, unnamed) = (url.replace("HOST", "localhost"), url.replace("HOST", "127.0.0.1"));
    for query in [
        "?sslmode=require".to_owned(),
        "?sslmode=prefer".to_owned(),
        format!("?sslmode=verify-ca&sslrootcert={ca}"),
        format!("?sslmode=require&sslrootcert={ca}"),
    ] {
        assert_eq!(speaks_tls(&format!("{unnamed}{query}")), "t");
    }
    assert_eq!(speaks_tls(&format!("{named}?sslrootcert={ca}")), "t");
    assert_eq!(speaks_tls(&format!("{named}?sslmode=disable")), "f");
    for (url, words) in [
        (format!("{unnamed}?sslrootcert={ca}"), "not valid for name"),
        (format!("{named}?sslrootcert={other}"), "invalid peer certificate"),
        (format!("{named}?sslmode=verify-ca&sslrootcert={other}"), "invalid peer certificate"),
        (format!("{named}?sslmode=verify-full"), "invalid peer certificate"),
        (format!("{named}?sslrootcert=/nowhere/ca.pem"), "/nowhere/ca.pem"),
    ] {
        let fault = soon_open(&url).expect_err(&url).0;
        assert!(fault.contains(words), "{fault}");
    }
    server.ask(&named, "ALTER SYSTEM SET ssl = off");
    server.ask(&named, "SELECT pg_reload_conf()");
    server.stop("INT");
    server.run_again();
    let fault = soon_open(&format!("{named}?sslmode=require")).unwrap_err().0;
    assert!(fault.contains("does not support TLS"), "{fault}");
    soon_open(&named).unwrap();
}

/// Opens, and closes when it is connected.
fn soon_open(url: &str) -> Result<(), StoreFault> {
    let store = try_open(url)?;
    store.shared.take().map(drop)
}

#[tokio::test]
async fn more_revocations_than_one_portion_are_all_read_at_the_start() {
    let url = Server::shared().database();
    drop(open(&url));
    let insert = "INSERT INTO freshgate_revocations (kind, id, expires_at)
        SELECT 'session', ('s' || n)::bytea, CASE WHEN n <= 25000 THEN 2000 ELSE 1000 END FROM generate_series(1, 26000) n";
    Server::shared().ask(&url, insert);
    let store = open(&url);
    assert_eq!(store.revocations().len(), 25_000);
    assert!((1..=25_000).all(|n| holds(&store, &format!("s{n}"))));
    assert!(!holds(&store, "s25001"), "one that has expired is not read");
    // The connection that read them goes on as one that reads what is new.
    let other = open(&url);
    other.revoke(Revoked::Session("later".into()), UnixTime(2000)).await.unwrap();
    soon("the news", async || holds(&store, "later")).await;
}
