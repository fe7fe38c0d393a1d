//! Backends that are down, slow or broken: 502 and 504, each with its code, and nothing else suffers.

use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::harness::{Gateway, Response, Step, Upstream};

fn app(url: impl std::fmt::Display, knobs: &str, route: &str) -> Gateway {
    Gateway::start(&format!(
        "[upstreams.app]\nurl = \"{url}\"\n{knobs}\n[routes]\n\"/**\" = {{ policy = \"public\" {route} }}\n"
    ))
}

/// Sends a GET and checks that the answer came after `limit`, and not long after.
#[track_caller]
fn after(limit: Duration, ask: impl FnOnce() -> Response) -> Response {
    let start = Instant::now();
    let response = ask();
    let took = start.elapsed();
    assert!(took >= limit && took < limit + Duration::from_secs(3), "after {took:?}");
    response
}

/// A listener whose queue is full: a connection to it is neither taken nor refused.
fn blackhole() -> (Socket, Vec<Socket>, std::net::SocketAddr) {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    listener.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
    listener.listen(0).expect("listens");
    let address = listener.local_addr().expect("bound").as_socket().expect("an IP address");
    let waiting = (0..4).map(|_| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.set_nonblocking(true).expect("a socket");
        let _pending = socket.connect(&address.into());
        socket
    });
    let waiting = waiting.collect();
    (listener, waiting, address)
}

#[test]
fn a_backend_that_is_down_is_502() {
    let gateway = app(format!("http://{}", Upstream::nowhere()), "", "");
    let response = gateway.client().get("/x").send().refused(502, "upstream-unreachable");
    assert_eq!(response.header("content-type"), Some("application/problem+json"));
    let problem = response.json();
    assert_eq!(problem["status"], 502);
    assert_eq!(problem["title"], "The backend cannot be reached.");
    assert_eq!(problem["request_id"].as_str(), response.header("x-request-id"));
    assert!(!response.text().contains("127.0.0.1"), "the backend's address is nobody's business");
    // The operator is told more.
    assert!(gateway.logged("the backend did not answer").contains("app"));
}

#[test]
fn a_connection_that_does_not_open_is_504_after_timeout_connect() {
    let (_listener, _waiting, address) = blackhole();
    let gateway = app(format!("http://{address}"), "timeout_connect = \"300ms\"", "");
    let ask = || gateway.client().get("/").send().refused(504, "upstream-timeout");
    after(Duration::from_millis(300), ask);
}

#[test]
fn an_answer_that_does_not_begin_is_504_after_timeout_first_byte() {
    let upstream = Upstream::hanging();
    let gateway = app(&upstream, "timeout_first_byte = \"300ms\"", "");
    let ask = || gateway.client().get("/").send().refused(504, "upstream-timeout");
    let response = after(Duration::from_millis(300), ask);
    assert_eq!(response.json()["title"], "The backend did not answer in time.");
}

#[test]
fn a_route_can_have_its_own_timeout() {
    let upstream = Upstream::hanging();
    let gateway = app(&upstream, "timeout_first_byte = \"10m\"", ", timeout = \"300ms\"");
    let ask = || gateway.client().get("/").send().refused(504, "upstream-timeout");
    after(Duration::from_millis(300), ask);
}

#[test]
fn a_slow_upload_is_not_a_slow_backend() {
    let upstream = Upstream::echo();
    let gateway = app(&upstream, "timeout_first_byte = \"400ms\"", "");
    let mut connection = gateway.client().connect();
    connection.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n");
    for byte in ["a", "b", "c", "d", "e", "f"] {
        std::thread::sleep(Duration::from_millis(150));
        connection.write(byte);
    }
    assert_eq!(connection.response().expect(200).json()["body"], "abcdef");
}

#[test]
fn an_answer_that_pauses_is_cut_after_timeout_idle() {
    let upstream = Upstream::raw([
        Step::send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"),
        Step::Hang,
    ]);
    let gateway = app(&upstream, "timeout_idle = \"300ms\"", "");
    let mut connection = gateway.client().connect();
    connection.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut response = connection.response_head().expect(200);
    assert_eq!(connection.chunk(&mut response).as_deref(), Some(&b"abc"[..]));
    assert!(connection.is_closed(), "cut, and not ended as if it were whole");
}

#[test]
fn answers_that_are_not_http_are_502_and_their_connection_is_not_used_again() {
    for answer in [
        "",
        "nonsense\r\n\r\n",
        "HTTP/1.1 abc OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
    ] {
        let upstream = Upstream::raw([Step::send(answer), Step::Close]);
        let gateway = app(&upstream, "timeout_first_byte = \"2s\"", "");
        let mut connection = gateway.client().connect();
        let response = gateway.client().post("/").body("x").send_on(&mut connection);
        assert_eq!(
            (response.status, &*response.code()),
            (502, "upstream-unreachable"),
            "{answer:?}"
        );
        gateway.client().post("/").body("x").send_on(&mut connection);
        assert_eq!(upstream.last().connection, 2, "{answer:?}");
    }
}

#[test]
fn a_hanging_backend_does_not_slow_another_route() {
    let (slow, quick) = (Upstream::hanging(), Upstream::echo());
    let gateway = Gateway::start(&format!(
        "upstream = \"{quick}\"\n[upstreams.slow]\nurl = \"{slow}\"\n[routes]\n\"/**\" = \"public\"\n\
         \"/slow\" = {{ policy = \"public\", upstream = \"slow\" }}\n"
    ));
    let stuck: Vec<_> = (0..20)
        .map(|_| {
            let mut connection = gateway.client().connect();
            connection.write("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
            connection
        })
        .collect();
    slow.wait_for(stuck.len());
    let start = Instant::now();
    for _ in 0..50 {
        gateway.client().get("/").send().expect(200);
    }
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_client_that_goes_away_frees_the_backend() {
    let upstream = Upstream::hanging();
    let gateway = app(&upstream, "", "");
    let connection = {
        let mut connection = gateway.client().connect();
        connection.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        connection
    };
    upstream.wait_for(1);
    drop(connection);
    crate::harness::eventually("no connection at the gateway", || {
        let metrics = gateway.admin().get("/metrics").send().expect(200).text();
        metrics.lines().any(|line| line == "freshgate_connections 0").then_some(())
    });
}
