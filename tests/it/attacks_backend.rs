//! What a backend may not do to the next client: answers that two readers would end in different places are 502, and
//! bytes that nobody asked for go down with their connection (RFC 9112 §6.3, CWE-444).

use crate::harness::{Gateway, Upstream};

const OPEN: &str = "[routes]\n\"/**\" = \"public\"\n[limits]\nthreads = 1\n";
const POISON: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON";

/// A backend that answers `/bad` with these bytes and everything else with `fine`.
fn backend(bad: &str) -> Upstream {
    let bad = bad.to_owned();
    Upstream::custom(move |exchange| {
        exchange.read_body()?;
        match exchange.request.target() {
            "/bad" => exchange.send(&bad),
            _ => exchange.answer("200 OK", "text/plain", b"fine"),
        }
    })
}

#[test]
fn an_answer_that_says_twice_where_it_ends_is_502() {
    let chunks = "5\r\nhello\r\n0\r\n\r\n";
    for (fields, body) in [
        ("Content-Length: 3\r\nTransfer-Encoding: chunked", chunks),
        ("Transfer-Encoding: chunked\r\nContent-Length: 30", chunks),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", chunks),
        ("Transfer-Encoding: gzip, chunked", chunks),
        ("Transfer-Encoding: xchunked", chunks),
        ("Transfer-Encoding: identity", "hello"),
        ("Content-Length: 3\r\nContent-Length: 5", "hello"),
        ("Content-Length: 5\r\nContent-Length: 5", "hello"),
        ("Content-Length: 5, 5", "hello"),
        ("Content-Length: +5", "hello"),
    ] {
        let upstream = backend(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n{body}"));
        let gateway = Gateway::in_front_of(&upstream, OPEN);
        let bad = gateway.client().get("/bad").send();
        assert_eq!((bad.status, bad.code()), (502, "upstream-unreachable".into()), "{fields:?}");
        assert_eq!(gateway.client().get("/").send().expect(200).text(), "fine", "{fields:?}");
        assert_ne!(upstream.requests()[0].connection, upstream.last().connection, "{fields:?}");
    }
}

#[test]
fn bytes_after_an_answer_never_reach_another_client() {
    for whole in [
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfine\r\n0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 60\r\n\r\n",
    ] {
        let upstream = backend(&format!("{whole}{POISON}"));
        let gateway = Gateway::in_front_of(&upstream, OPEN);
        assert!(!gateway.client().get("/bad").send().text().contains("POISON"), "{whole:?}");
        for _ in 0..3 {
            assert_eq!(gateway.client().get("/").send().expect(200).text(), "fine", "{whole:?}");
        }
    }
}

#[test]
fn a_response_head_of_two_megabytes_is_502_and_takes_little_memory() {
    let large = "x".repeat(2_000_000);
    let upstream = backend(&format!("HTTP/1.1 200 OK\r\nX: {large}\r\n\r\n"));
    let gateway = Gateway::in_front_of(&upstream, OPEN);
    let before = gateway.peak_memory_kib();
    for _ in 0..10 {
        gateway.client().get("/bad").send().expect(502);
    }
    let grown = gateway.peak_memory_kib() - before;
    assert!(grown < 8 * 1024, "{grown} KiB");
}
