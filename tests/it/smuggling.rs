//! Heads and framings that two readers would take apart differently: refused, and the connection with them.

use crate::harness::{Gateway, Upstream};

const OPEN: &str = "[routes]\n\"/**\" = \"public\"\n\"/shut\" = \"access-required\"\n";

/// Sends each head after `POST / HTTP/1.1` and `Host`, with a request hidden in the body.
#[track_caller]
fn refused(lines: &[&str]) {
    let upstream = Upstream::echo();
    let gateway = Gateway::in_front_of(&upstream, OPEN);
    for line in lines {
        let hidden = "0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: x\r\n\r\n";
        let answer =
            gateway.client().raw(format!("POST / HTTP/1.1\r\nHost: x\r\n{line}\r\n\r\n{hidden}"));
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{line:?}: {answer}");
        assert_eq!(
            answer.matches("HTTP/1.1 ").count(),
            1,
            "{line:?}: more than one answer: {answer}"
        );
    }
    assert_eq!(upstream.count(), 0);
}

#[test]
fn two_framings_are_400() {
    refused(&[
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 6",
    ]);
}

#[test]
fn a_transfer_encoding_other_than_one_chunked_is_400() {
    refused(&[
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: chunked,",
        "Transfer-Encoding: identity",
        "Transfer-Encoding:",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding: chu\u{b}nked",
    ]);
}

#[test]
fn a_length_that_is_not_plain_digits_is_400() {
    refused(&[
        "Content-Length: +5",
        "Content-Length: -1",
        "Content-Length: 0x5",
        "Content-Length: 5 5",
        "Content-Length: 99999999999999999999",
        "Content-Length:",
        "Content-Length: 5;",
    ]);
}

#[test]
fn fields_that_are_not_by_the_book_are_400() {
    refused(&[
        "X-A : b",
        " X-A: b",
        "X-A: b\r\n folded",
        ": b",
        "X A: b",
        "X-A: a\0b",
        "X-A: a\rb",
        "X-A: a\u{1}b",
        "X\u{e9}: b",
        "NoColon",
    ]);
}

#[test]
fn chunked_in_an_http_1_0_request_is_400() {
    let upstream = Upstream::echo();
    let gateway = Gateway::in_front_of(&upstream, OPEN);
    let bytes = "POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(gateway.client().raw_one(bytes).status, 400);
    assert_eq!(upstream.count(), 0);
}

#[test]
fn the_unread_body_of_a_refused_request_is_never_the_next_request() {
    let upstream = Upstream::echo();
    let gateway = Gateway::in_front_of(&upstream, OPEN);
    let hidden = "GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2000);
    let head =
        format!("POST /shut HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", hidden.len());
    let answer = gateway.client().raw(format!("{head}{hidden}"));
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    assert_eq!(upstream.count(), 0);
}

#[test]
fn a_bad_chunk_never_becomes_a_whole_body_at_the_backend() {
    let upstream = Upstream::echo();
    let gateway = Gateway::in_front_of(&upstream, OPEN);
    for size in ["0x3", "+3", "-3", "3 3", "g", "3_", "fffffffffffffffff", ""] {
        let bytes = format!(
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{size}\r\nabc\r\n0\r\n\r\n"
        );
        let response = gateway.client().raw_one(bytes);
        assert!(matches!(response.status, 400 | 502), "{size:?}: {}", response.status);
    }
    for seen in upstream.requests() {
        assert!(!String::from_utf8_lossy(&seen.raw).ends_with("0\r\n\r\n"), "{seen:?}");
    }
}

#[test]
fn an_upgrade_is_not_forwarded() {
    let upstream = Upstream::echo();
    let gateway = Gateway::in_front_of(&upstream, OPEN);
    for protocol in ["h2c", "websocket", "foo"] {
        let request = gateway.client().get("/").header("Upgrade", protocol);
        let request = request.header("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA");
        request
            .header("Connection", "Upgrade, HTTP2-Settings")
            .send_on(&mut gateway.client().connect());
        let seen = upstream.last();
        assert!(
            !seen.has("upgrade") && !seen.has("connection") && !seen.has("http2-settings"),
            "{seen:?}"
        );
    }
}

#[test]
fn a_head_beyond_its_limits_is_refused_with_its_own_status() {
    let upstream = Upstream::echo();
    let gateway = Gateway::in_front_of(&upstream, OPEN);
    let client = gateway.client();
    let long = "x".repeat(9 * 1024);
    assert_eq!(client.get(&format!("/{long}")).send().status, 414);
    let large = "x".repeat(40 * 1024);
    assert_eq!(client.get("/").header("X-Large", &large).send().status, 431);
    let many = "X-A: b\r\n".repeat(101);
    let many =
        client.raw_one(format!("GET / HTTP/1.1\r\nHost: x\r\n{many}Connection: close\r\n\r\n"));
    assert_eq!(many.status, 431);
    let almost = "x".repeat(7 * 1024);
    client.get(&format!("/{almost}")).header("X-A", &almost).send().expect(200);
    assert_eq!(upstream.count(), 1);
}

#[test]
fn a_head_that_does_not_arrive_is_408_and_frees_its_connection() {
    let upstream = Upstream::echo();
    let gateway =
        Gateway::in_front_of(&upstream, &format!("{OPEN}[limits]\nheader_timeout = \"300ms\"\n"));
    let mut connection = gateway.client().connect();
    connection.write("GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ");
    connection.response().refused(408, "request-timeout");
    assert!(connection.is_closed());
}
