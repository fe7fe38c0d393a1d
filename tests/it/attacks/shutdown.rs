//! SIGTERM and SIGINT: no new connections, what is in flight is finished within a limit, exit 0.

use std::io;
use std::net::TcpStream;
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use crate::harness::{Client, Gateway, Upstream, eventually};

const OPEN: &str = "[routes]\n\"/**\" = \"public\"\n";

/// A backend that answers when it is told to.
fn waiting() -> (Upstream, mpsc::Sender<()>) {
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let upstream = Upstream::custom(move |exchange| {
        exchange.read_body()?;
        wait.lock().expect("not poisoned").recv().map_err(io::Error::other)?;
        exchange.answer("200 OK", "text/plain", b"finished")
    });
    (upstream, go)
}

#[track_caller]
fn no_new_connections(client: Client) {
    eventually("the listener to close", || {
        TcpStream::connect(client.address).is_err().then_some(())
    });
}

#[track_caller]
fn finishes_what_is_in_flight(signal: &str) {
    let (upstream, go) = waiting();
    let mut gateway = Gateway::in_front_of(&upstream, OPEN);
    let client = gateway.client();
    let mut idle = client.connect();
    let mut busy = client.connect();
    busy.write("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
    upstream.wait_for(1);
    gateway.signal(signal);
    no_new_connections(client);
    // The idle connection goes at once, the busy one after its answer.
    assert!(idle.is_closed());
    go.send(()).expect("the backend waits");
    let answer = busy.response().expect(200);
    assert_eq!(answer.text(), "finished");
    assert!(busy.is_closed());
    assert_eq!(gateway.wait().code(), Some(0));
    gateway.logged("stopped");
}

// Holds: K7
#[test]
fn sigterm_finishes_what_is_in_flight_and_exits_0() {
    finishes_what_is_in_flight("TERM");
}

// Holds: K7
#[test]
fn sigint_finishes_what_is_in_flight_and_exits_0() {
    finishes_what_is_in_flight("INT");
}

// Holds: K7
#[test]
fn a_body_that_is_streaming_arrives_whole() {
    let (upstream, go) = Upstream::in_two(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n",
        "6\r\nsecond\r\n0\r\n\r\n",
    );
    let mut gateway = Gateway::in_front_of(&upstream, OPEN);
    let mut connection = gateway.client().connect();
    connection.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut response = connection.response_head().expect(200);
    connection.chunk(&mut response);
    gateway.signal("TERM");
    no_new_connections(gateway.client());
    go.send(()).expect("the backend waits");
    assert_eq!(connection.chunk(&mut response).as_deref(), Some(&b"second"[..]));
    assert_eq!(connection.chunk(&mut response), None);
    assert_eq!(gateway.wait().code(), Some(0));
}

// Holds: K7
#[test]
fn what_takes_longer_than_drain_is_cut() {
    let upstream = Upstream::hanging();
    let mut gateway =
        Gateway::in_front_of(&upstream, &format!("[limits]\ndrain = \"400ms\"\n{OPEN}"));
    let mut connection = gateway.client().connect();
    connection.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    upstream.wait_for(1);
    let start = Instant::now();
    assert_eq!(gateway.terminate().code(), Some(0));
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(400) && took < Duration::from_secs(5), "{took:?}");
    assert!(connection.is_closed() || connection.rest().is_empty());
}

// Holds: K7
#[test]
fn without_anything_in_flight_it_ends_at_once() {
    let upstream = Upstream::echo();
    let mut gateway = Gateway::in_front_of(&upstream, OPEN);
    let mut connection = gateway.client().connect();
    gateway.client().get("/").send_on(&mut connection).expect(200);
    let start = Instant::now();
    assert_eq!(gateway.terminate().code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    assert!(connection.is_closed());
}

// Holds: K7
#[test]
fn readiness_ends_before_the_requests_in_flight_do() {
    let (upstream, go) = waiting();
    let mut gateway = Gateway::in_front_of(&upstream, OPEN);
    let admin = gateway.admin();
    admin.get("/readyz").send().expect(200);
    let mut busy = gateway.client().connect();
    busy.write("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
    upstream.wait_for(1);
    gateway.signal("TERM");
    eventually("readyz to say no", || (admin.get("/readyz").send().status == 503).then_some(()));
    go.send(()).expect("the backend waits");
    busy.response().expect(200);
    assert_eq!(gateway.wait().code(), Some(0));
}

// Holds: K7
#[test]
fn the_next_gateway_can_have_the_port_and_the_state_at_once() {
    let upstream = Upstream::echo();
    let mut gateway = Gateway::in_front_of(&upstream, OPEN);
    let mut connection = gateway.client().connect();
    gateway.client().get("/").send_on(&mut connection).expect(200);
    let address = gateway.client().address;
    gateway.terminate();
    let fixed =
        format!("listen = \"{address}\"\nadmin = \"off\"\nupstream = \"{upstream}\"\n{OPEN}");
    std::fs::write(gateway.path("gateway.toml"), fixed).expect("written");
    gateway.restart();
    assert_eq!(gateway.client().address, address);
    gateway.client().get("/").send().expect(200);
}
