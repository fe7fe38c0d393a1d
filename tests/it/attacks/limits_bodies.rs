//! Each limit of docs/limits.md on a body, on its way in and on its way out: over it, the answer that the page says
//! and one more in its counter; under it, nothing.

use std::io;
use std::time::{Duration, Instant};

use crate::harness::{Gateway, Upstream, eventually};

/// An open gateway with these limits.
fn limited(upstream: &Upstream, limits: &str) -> Gateway {
    let toml = format!("[limits]\n{limits}\n[routes]\n\"/**\" = \"public\"\n");
    Gateway::in_front_of(upstream, &toml)
}

/// A backend that answers with this many bytes, as fast as they are taken.
fn endless(bytes: usize) -> Upstream {
    Upstream::custom(move |exchange| {
        exchange.read_body()?;
        exchange.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n"))?;
        let block = vec![b'x'; 64 * 1024];
        (0..bytes / block.len()).try_for_each(|_| exchange.send(&block))
    })
}

fn nobody_is_connected(gateway: &Gateway) {
    eventually("every connection to be gone", || {
        (gateway.metric("freshgate_connections") == 0).then_some(())
    });
}

const POST: &str = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ";

// Holds: D3
#[test]
fn a_body_over_body_max_is_413_however_it_is_framed_and_counted() {
    let upstream = Upstream::echo();
    let toml = "[limits]\nbody_max = \"1KiB\"\n[routes]\n\"/**\" = \"public\"\n\
                \"/large\" = { policy = \"public\", body_max = \"4KiB\" }\n";
    let gateway = Gateway::in_front_of(&upstream, toml);
    let post = |path: &str, size: usize| gateway.client().post(path).body("x".repeat(size)).send();
    post("/", 1024).expect(200);
    post("/large", 4096).expect(200);
    assert_eq!(gateway.reached("body_max"), 0);
    upstream.forget();
    let response = post("/", 1025).refused(413, "body-too-large");
    assert_eq!(response.header("connection"), Some("close"));
    post("/large", 4097).refused(413, "body-too-large");
    assert_eq!(gateway.reached("body_max"), 2);
    assert_eq!(
        upstream.count(),
        0,
        "a length that is too large is refused before anything is sent"
    );
    let chunk = format!("400\r\n{}\r\n", "x".repeat(1024));
    let chunked = format!(
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}{chunk}0\r\n\r\n"
    );
    let response = gateway.client().raw_one(&chunked);
    assert_eq!((response.status, &*response.code()), (413, "body-too-large"));
    assert_eq!(gateway.reached("body_max"), 3);
    for seen in upstream.requests() {
        assert!(!seen.raw.ends_with(b"0\r\n\r\n"), "a cut body was ended as if it were whole");
    }
    post("/", 10).expect(200);
}

// Holds: D3
#[test]
fn a_client_that_pauses_inside_its_body_is_408_after_body_idle_and_counted() {
    let upstream = Upstream::echo();
    let gateway = limited(&upstream, "body_idle = \"300ms\"");
    let mut connection = gateway.client().connect();
    connection.write(format!("{POST}6\r\n\r\n"));
    connection.response().refused(408, "request-timeout");
    assert!(connection.is_closed());
    assert_eq!((gateway.reached("body_idle"), gateway.reached("body_rate_min")), (1, 0));
    // Our own endpoints wait no longer.
    let mut login = gateway.client().connect();
    login.write("POST /auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n");
    login.write("Content-Length: 60\r\n\r\n{\"username\":");
    login.response().refused(408, "request-timeout");
    assert_eq!(gateway.reached("body_idle"), 2);
}

/// Sends a body of `count` pieces of `bytes`, one every 25 ms, and returns the status of the answer.
fn drip(gateway: &Gateway, count: usize, bytes: usize) -> u16 {
    let mut connection = gateway.client().connect();
    connection.write(format!("{POST}{}\r\n\r\n", count * bytes));
    for _ in 0..count {
        std::thread::sleep(Duration::from_millis(25));
        connection.write("x".repeat(bytes));
    }
    connection.response().status
}

// Holds: D3
// Slow bodies (slowhttptest -B): every byte comes in time for `body_idle`, and all of them take for ever.
#[test]
fn a_body_that_trickles_below_body_rate_min_is_408_and_counted() {
    let upstream = Upstream::echo();
    let gateway = limited(&upstream, "body_idle = \"1s\"\nbody_rate_min = \"1KB\"");
    assert_eq!(drip(&gateway, 60, 200), 200);
    assert_eq!(gateway.reached("body_rate_min"), 0);
    assert_eq!(drip(&gateway, 60, 2), 408);
    assert_eq!((gateway.reached("body_rate_min"), gateway.reached("body_idle")), (1, 0));
    let unlimited = limited(&upstream, "body_idle = \"1s\"\nbody_rate_min = \"0B\"");
    assert_eq!(drip(&unlimited, 60, 2), 200);
    assert_eq!(unlimited.reached("body_rate_min"), 0);
}

// Holds: D3
#[test]
fn a_client_that_waits_for_a_slow_backend_is_not_slow() {
    const BODY: usize = 8 * 1024 * 1024;
    let upstream = Upstream::custom(|exchange| {
        // The gateway can send no more, so it asks the client for no more.
        std::thread::sleep(Duration::from_millis(2000));
        exchange.read_body()?;
        exchange.answer("200 OK", "text/plain", b"late")
    });
    let gateway = limited(&upstream, "body_idle = \"700ms\"\nbody_rate_min = \"100KB\"");
    let start = Instant::now();
    gateway.client().post("/").body(vec![b'x'; BODY]).send().expect(200);
    assert!(start.elapsed() >= Duration::from_millis(2000));
    assert_eq!((gateway.reached("body_rate_min"), gateway.reached("body_idle")), (0, 0));
}

// Holds: D4
// Slow readers (slowhttptest -X): bounded in time and in memory.
#[test]
fn clients_that_read_nothing_are_cut_and_take_little_memory() {
    const READERS: usize = 40;
    let upstream = Upstream::custom(|exchange| {
        exchange.read_body()?;
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")?;
        let block = vec![b'x'; 64 * 1024];
        (0..1_000_000_000 / block.len()).try_for_each(|_| exchange.send(&block))?;
        Err(io::Error::other("it was read"))
    });
    let gateway = limited(&upstream, "body_idle = \"1s\"");
    let before = gateway.peak_memory_kib();
    let readers: Vec<_> = (0..READERS)
        .map(|_| {
            let mut connection = gateway.client().connect();
            connection.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
            connection
        })
        .collect();
    upstream.wait_for(READERS);
    nobody_is_connected(&gateway);
    assert_eq!(gateway.reached("body_idle"), READERS as u64);
    let grown = gateway.peak_memory_kib() - before;
    assert!(grown < 20 * 1024, "{grown} KiB for {READERS} readers");
    drop(readers);
}

/// Asks for much, takes `bytes` every 50 ms for `time`; what came of it.
fn sip(gateway: &Gateway, bytes: u64, time: Duration) -> u64 {
    let mut connection = gateway.client().connect();
    connection.receive_buffer(16 * 1024);
    connection.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    connection.response_head().expect(200);
    let (start, mut taken) = (Instant::now(), 0);
    while start.elapsed() < time {
        taken += connection.discard(bytes);
        std::thread::sleep(Duration::from_millis(50));
    }
    taken
}

// Holds: D4
#[test]
fn a_client_that_takes_an_answer_below_body_rate_min_is_cut_and_counted() {
    let upstream = endless(1 << 30);
    let gateway = limited(&upstream, "body_idle = \"1s\"\nbody_rate_min = \"1MB\"");
    sip(&gateway, 8 * 1024, Duration::from_secs(3));
    assert_eq!((gateway.reached("body_rate_min"), gateway.reached("body_idle")), (1, 0));
    nobody_is_connected(&gateway);
}

// Holds: D4
// The kernel takes megabytes of an answer if it may: whoever reads steadily from there would seem to take nothing.
#[test]
fn a_client_that_reads_slowly_but_steadily_is_left_alone() {
    let upstream = endless(1 << 30);
    let gateway = limited(&upstream, "body_idle = \"2s\"\nbody_rate_min = \"10KB\"");
    let taken = sip(&gateway, 8 * 1024, Duration::from_secs(5));
    assert!(taken > 300 * 1024, "{taken} bytes");
    assert_eq!((gateway.reached("body_rate_min"), gateway.reached("body_idle")), (0, 0));
    assert_eq!(gateway.metric("freshgate_connections"), 0, "it left by itself");
}

// Holds: D4
#[test]
fn a_backend_that_pauses_does_not_make_its_client_slow() {
    let (upstream, go) = Upstream::in_two("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc", "def");
    let gateway = limited(&upstream, "body_idle = \"200ms\"\nbody_rate_min = \"1MB\"");
    let mut connection = gateway.client().connect();
    connection.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    connection.response_head().expect(200);
    std::thread::sleep(Duration::from_millis(700));
    go.send(()).expect("a backend that waits");
    assert_eq!(connection.discard(6), 6);
    assert_eq!((gateway.reached("body_rate_min"), gateway.reached("body_idle")), (0, 0));
}

const LARGE_ALLOWED: &str = "[routes]\n\"/**\" = { policy = \"public\", body_max = \"1GiB\" }\n";
const MIB: u64 = 1024 * 1024;
/// What passes in the tests of memory.
const LARGE: u64 = 200 * MIB;
/// How much memory may grow meanwhile, in KiB.
const GROWTH_MAX_KIB: u64 = 16 * 1024;

// Holds: D3
#[test]
fn two_hundred_megabytes_go_up_without_being_held() {
    let upstream = Upstream::custom(|exchange| {
        let length = exchange.request.length().expect("a length") as u64;
        let got = exchange.wire.discard(length)?;
        exchange.answer("200 OK", "text/plain", got.to_string().as_bytes())
    });
    let gateway = Gateway::in_front_of(&upstream, LARGE_ALLOWED);
    gateway.client().post("/").body("warm").send().expect(200);
    let before = gateway.peak_memory_kib();
    let mut connection = gateway.client().connect();
    connection.write(format!("PUT /up HTTP/1.1\r\nHost: x\r\nContent-Length: {LARGE}\r\n\r\n"));
    let piece = vec![b'u'; MIB as usize];
    for _ in 0..LARGE / MIB {
        connection.write(&piece);
    }
    assert_eq!(connection.response().expect(200).text(), LARGE.to_string());
    let grown = gateway.peak_memory_kib() - before;
    assert!(grown < GROWTH_MAX_KIB, "grew by {grown} KiB");
}

// Holds: D3
#[test]
fn two_hundred_megabytes_come_down_without_being_held() {
    let upstream = Upstream::custom(|exchange| {
        exchange.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n"))?;
        let piece = vec![b'd'; MIB as usize];
        (0..LARGE / MIB).try_for_each(|_| exchange.send(&piece))
    });
    let gateway = Gateway::in_front_of(&upstream, LARGE_ALLOWED);
    let before = gateway.peak_memory_kib();
    let mut connection = gateway.client().connect();
    connection.write("GET /down HTTP/1.1\r\nHost: x\r\n\r\n");
    connection.response_head().expect(200);
    assert_eq!(connection.discard(LARGE), LARGE);
    let grown = gateway.peak_memory_kib() - before;
    assert!(grown < GROWTH_MAX_KIB, "grew by {grown} KiB");
}
