//! What is sent twice: only what nobody can have acted on, and never a third time (RFC 9110 §9.2.2).

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};

use crate::harness::{Gateway, PATIENCE, Step, Upstream};

const OPEN: &str = "[routes]\n\"/**\" = \"public\"\n[limits]\nthreads = 1\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A backend that answers the first request of each connection and treats the second as told.
fn once_each(second: impl Fn() -> io::Result<()> + Send + Sync + 'static) -> Upstream {
    let last = AtomicUsize::new(0);
    Upstream::custom(move |exchange| {
        exchange.read_body()?;
        let connection = exchange.request.connection;
        if last.swap(connection, Ordering::SeqCst) == connection {
            return second();
        }
        exchange.send(OK)
    })
}

fn cut() -> io::Result<()> {
    Err(io::Error::other("closed without an answer"))
}

/// How often this target has arrived.
fn copies(upstream: &Upstream, target: &str) -> usize {
    upstream.requests().iter().filter(|request| request.target() == target).count()
}

// Holds: H25
#[test]
fn a_safe_request_that_met_a_closing_connection_is_sent_once_more() {
    for method in ["GET", "HEAD", "OPTIONS"] {
        let upstream = once_each(cut);
        let gateway = Gateway::in_front_of(&upstream, OPEN);
        let mut connection = gateway.client().connect();
        gateway.client().get("/1").send_on(&mut connection).expect(200);
        gateway.client().request(method, "/2").send_on(&mut connection).expect(200);
        assert_eq!(copies(&upstream, "/2"), 2, "{method}");
    }
}

// Holds: H25
#[test]
fn a_request_that_may_have_been_acted_on_is_never_sent_twice() {
    for (method, body) in [
        ("POST", ""),
        ("POST", "pay 5"),
        ("PUT", "x"),
        ("PUT", ""),
        ("PATCH", "x"),
        ("DELETE", ""),
        ("GET", "x"),
    ] {
        let upstream = once_each(cut);
        let gateway = Gateway::in_front_of(&upstream, OPEN);
        let mut connection = gateway.client().connect();
        gateway.client().get("/1").send_on(&mut connection).expect(200);
        let pay = gateway.client().request(method, "/pay").body(body).send_on(&mut connection);
        pay.refused(502, "upstream-unreachable");
        assert_eq!(copies(&upstream, "/pay"), 1, "{method} {body:?}");
    }
}

// Holds: H25
#[test]
fn a_fresh_connection_that_ends_unanswered_is_a_broken_backend_and_not_asked_again() {
    let upstream = Upstream::raw([Step::Close]);
    let gateway = Gateway::in_front_of(&upstream, OPEN);
    gateway.client().get("/").send().refused(502, "upstream-unreachable");
    assert_eq!(upstream.count(), 1);
}

// Holds: H25
#[test]
fn the_second_copy_is_the_last() {
    // Each connection answers once; from the third request on, none does.
    let number = AtomicUsize::new(0);
    let upstream = Upstream::custom(move |exchange| match number.fetch_add(1, Ordering::SeqCst) {
        0 => exchange.send(OK),
        _ => cut(),
    });
    let gateway = Gateway::in_front_of(&upstream, OPEN);
    gateway.client().get("/1").send().expect(200);
    gateway.client().get("/2").send().refused(502, "upstream-unreachable");
    assert_eq!(copies(&upstream, "/2"), 2);
}

// Holds: H25
#[test]
fn a_request_whose_answer_has_begun_is_never_sent_twice() {
    let last = AtomicUsize::new(0);
    let upstream = Upstream::custom(move |exchange| {
        let connection = exchange.request.connection;
        if last.swap(connection, Ordering::SeqCst) != connection {
            return exchange.send(OK);
        }
        exchange.send("HTTP/1.1 2")?;
        cut()
    });
    let gateway = Gateway::in_front_of(&upstream, OPEN);
    gateway.client().get("/1").send().expect(200);
    gateway.client().get("/2").send().refused(502, "upstream-unreachable");
    assert_eq!(copies(&upstream, "/2"), 1);
}

// Holds: H25
#[test]
fn a_connection_that_the_backend_closed_while_idle_costs_no_request() {
    let (tell, told) = mpsc::channel::<()>();
    let tell = Mutex::new(tell);
    let upstream = Upstream::custom(move |exchange| {
        exchange.read_body()?;
        exchange.send(OK)?;
        exchange.wire.stream.shutdown(std::net::Shutdown::Both)?;
        tell.lock().expect("not poisoned").send(()).map_err(io::Error::other)?;
        cut()
    });
    let gateway = Gateway::in_front_of(&upstream, OPEN);
    for number in 1..=20 {
        let target = format!("/{number}");
        gateway.client().post(&target).body("x").send().expect(200);
        told.recv_timeout(PATIENCE).expect("the backend has closed");
        assert_eq!(copies(&upstream, &target), 1);
    }
}
