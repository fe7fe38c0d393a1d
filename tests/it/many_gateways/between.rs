//! What stands between a gateway and its PostgreSQL: a way that swallows bytes, and PgBouncer in both of its modes.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{PASSWORD, becomes, get, ready, refresh, setup};
use crate::harness::pg::{PgBouncer, Server};
use crate::harness::{Gateway, Upstream, eventually, forge};

/// A way to the server, until it is a hole: then connections are accepted and stay, and what is sent is swallowed.
struct Way {
    port: u16,
    is_hole: Arc<AtomicBool>,
    /// Connections of before such a moment are dead for ever, though nobody closes them.
    age: Arc<AtomicUsize>,
}

impl Way {
    fn to(server: &Server) -> Way {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (is_hole, age) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let way = Way { port, is_hole: Arc::clone(&is_hole), age: Arc::clone(&age) };
        let socket = server.dir().join(".s.PGSQL.5432");
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (is_hole, age) = (Arc::clone(&is_hole), Arc::clone(&age));
                let socket = socket.clone();
                thread::spawn(move || Way::carry(client, &socket, &is_hole, &age));
            }
        });
        way
    }

    fn carry(client: TcpStream, socket: &Path, is_hole: &Arc<AtomicBool>, age: &Arc<AtomicUsize>) {
        let born = age.load(Ordering::SeqCst);
        let passes = {
            let (is_hole, age) = (Arc::clone(is_hole), Arc::clone(age));
            move || !is_hole.load(Ordering::SeqCst) && age.load(Ordering::SeqCst) == born
        };
        let Ok(server) = UnixStream::connect(socket) else { return };
        let (Ok(from), Ok(to)) = (server.try_clone(), client.try_clone()) else { return };
        let back = passes.clone();
        thread::spawn(move || pour(from, to, back));
        pour(client, server, passes);
    }

    /// The URL of a database, by this way.
    fn url(&self, url: &str) -> String {
        let database = url.rsplit('/').next().expect("a database");
        format!("postgres://postgres@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    fn swallow(&self) {
        self.is_hole.store(true, Ordering::SeqCst);
        self.age.fetch_add(1, Ordering::SeqCst);
    }

    fn mend(&self) {
        self.is_hole.store(false, Ordering::SeqCst);
    }
}

/// Reads to the end, and writes while it may.
fn pour(mut from: impl Read, mut to: impl Write, passes: impl Fn() -> bool) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if passes() && to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
}

fn login(gateway: &Gateway) -> u16 {
    let body = json!({ "username": "ada", "password": PASSWORD });
    gateway.client().post("/auth/login").json(&body).send().status
}

#[test]
fn a_way_that_swallows_costs_logins_seconds_and_proxying_nothing() {
    let server = Server::start(&["-c", "fsync=off"]);
    let (url, upstream) = (server.database(), Upstream::echo());
    let way = Way::to(&server);
    let gateway = setup(&way.url(&url), &upstream, "stale_max = \"20s\"\n").start();
    let tokens = gateway.login("ada", PASSWORD);
    let ended = forge::with("ada", json!({ "sid": "ended elsewhere" }));
    get(&gateway, "/", &ended).expect(200);

    way.swallow();
    let since = Instant::now();
    // The first to ask wait for the time limit, which is 5 seconds, and all others go on.
    thread::scope(|scope| {
        let asked: Vec<_> = (0..8).map(|_| scope.spawn(|| login(&gateway))).collect();
        let refreshed = scope.spawn(|| refresh(&gateway, &tokens.refresh));
        let told = scope.spawn(|| ready(&gateway));
        let mut slowest = Duration::ZERO;
        while since.elapsed() < Duration::from_secs(2) {
            let from = Instant::now();
            get(&gateway, "/", &tokens.access).expect(200);
            slowest = slowest.max(from.elapsed());
        }
        assert!(slowest < Duration::from_secs(1), "{slowest:?}");
        asked.into_iter().for_each(|one| assert_eq!(one.join().expect("an answer"), 503));
        refreshed.join().expect("an answer").refused(503, "store-unavailable");
        assert_eq!(told.join().expect("an answer"), (200, "degraded".into()));
    });
    println!("the first to ask waited {:?}", since.elapsed());
    assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
    // Then it is known, and nobody waits.
    gateway.logged("state_store_away");
    println!("known to be away after {:?}", since.elapsed());
    assert!(since.elapsed() < Duration::from_secs(15), "{:?}", since.elapsed());
    let from = Instant::now();
    assert_eq!((login(&gateway), ready(&gateway)), (503, (200, "degraded".into())));
    assert!(from.elapsed() < Duration::from_secs(2), "{:?}", from.elapsed());
    let insert = "INSERT INTO freshgate_revocations (kind, id, expires_at) VALUES ('session'";
    let until = "extract(epoch FROM now())::bigint + 900";
    server.ask(&url, &format!("{insert}, 'ended elsewhere', {until})"));
    get(&gateway, "/", &ended).expect(200);
    eventually("tokens to be refused", || {
        (get(&gateway, "/", &tokens.access).status == 503).then_some(())
    });
    gateway.client().get("/open").send().expect(200);
    assert_eq!(ready(&gateway), (503, "stale".into()));

    way.mend();
    let since = Instant::now();
    becomes(&gateway, "ready");
    println!("ready again after {:?}", since.elapsed());
    get(&gateway, "/", &ended).refused(401, "token-revoked");
    refresh(&gateway, &tokens.refresh).expect(200);

    // Only those that are open fall silent; new ones are good.
    way.swallow();
    way.mend();
    eventually("a login", || (login(&gateway) == 200).then_some(()));
    becomes(&gateway, "ready");
}

/// The longest of 10 times from a logout at one to its refusal at the other.
fn spread(one: &Gateway, other: &Gateway) -> Duration {
    let mut longest = Duration::ZERO;
    for n in 0..10 {
        let token = forge::with("ada", json!({ "sid": format!("s{n}"), "jti": format!("t{n}") }));
        get(other, "/", &token).expect(200);
        one.client().post("/auth/logout").bearer(&token).send().expect(204);
        let from = Instant::now();
        eventually("the refusal", || (get(other, "/", &token).status == 401).then_some(()));
        longest = longest.max(from.elapsed());
    }
    longest
}

#[test]
fn pgbouncer_in_session_mode_is_as_good_as_none() {
    let server = Server::start(&["-c", "fsync=off"]);
    let (url, upstream) = (server.database(), Upstream::echo());
    let pooler = PgBouncer::start(&server, "session");
    let url = pooler.url(&url);
    let [one, other] = [(); 2].map(|()| setup(&url, &upstream, "").start());
    println!("refused elsewhere within {:?}", spread(&one, &other));
    assert!(!one.log().contains("state_store_deaf"), "{}", one.log());
    let tokens = one.login("ada", PASSWORD);
    refresh(&other, &tokens.refresh).expect(200);
}

#[test]
fn pgbouncer_in_transaction_mode_costs_the_wake_and_says_so() {
    let server = Server::start(&["-c", "fsync=off"]);
    let (url, upstream) = (server.database(), Upstream::echo());
    let pooler = PgBouncer::start(&server, "transaction");
    let url = pooler.url(&url);
    let [one, other] = [(); 2].map(|()| setup(&url, &upstream, "").start());
    for gateway in [&one, &other] {
        gateway.logged("state_store_deaf");
        assert_eq!(ready(gateway), (200, "ready".into()));
    }
    // By looking, which is every 2 seconds.
    let longest = spread(&one, &other);
    println!("refused elsewhere within {longest:?}");
    assert!(longest < Duration::from_secs(10), "{longest:?}");
    let mut living = one.login("ada", PASSWORD).refresh;
    for n in 0..10 {
        let answer = refresh([&one, &other][n % 2], &living).expect(200);
        living = crate::harness::Tokens::of(&answer).refresh;
    }
}
