//! What a backend may not do to the next client: what is no clear answer is 502, what breaks off in the middle is cut, bytes
//! that nobody asked for go down with their connection (RFC 9112 §6.3, CWE-444).

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::harness::wire::{Message, Wire};
use crate::harness::{Gateway, PATIENCE, Upstream};

const OPEN: &str = "[routes]\n\"/**\" = \"public\"\n[limits]\nthreads = 1\n";
const POISON: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

/// A backend that answers `/bad/N` with the answer of that number and everything else with `fine`; then it reads on,
/// or closes after a bad one.
fn backend(answers: &[String], closes: bool) -> Upstream {
    let answers = answers.to_vec();
    Upstream::custom(move |exchange| {
        exchange.read_body()?;
        let bad = exchange.request.target().strip_prefix("/bad/").map(|number| number.parse());
        match bad {
            Some(Ok::<usize, _>(number)) => exchange.send(&answers[number])?,
            _ => return exchange.answer("200 OK", "text/plain", b"fine"),
        }
        if closes { Err(io::Error::other("closed by the script")) } else { Ok(()) }
    })
}

/// Another client is answered, and not over the connection that carried the bad answer.
#[track_caller]
fn others_are_unharmed(gateway: &Gateway, upstream: &Upstream, bad: &str) {
    let before = upstream.last().connection;
    for _ in 0..2 {
        assert_eq!(gateway.client().get("/").send().expect(200).text(), "fine", "{bad:?}");
        assert_ne!(upstream.last().connection, before, "{bad:?}");
    }
}

/// Each is 502, at once, is asked for once, and its connection is not used again.
#[track_caller]
fn are_502(answers: &[String], closes: bool) {
    let upstream = backend(answers, closes);
    let gateway = Gateway::in_front_of(&upstream, OPEN);
    for (number, answer) in answers.iter().enumerate() {
        // A connection to be used again, so that a retry would be thought of.
        gateway.client().get("/").send().expect(200);
        upstream.forget();
        let start = Instant::now();
        let bad = gateway.client().get(&format!("/bad/{number}")).send();
        assert_eq!((bad.status, bad.code()), (502, "upstream-unreachable".into()), "{answer:?}");
        assert!(start.elapsed() < Duration::from_secs(5), "{answer:?}");
        assert_eq!(upstream.count(), 1, "{answer:?}");
        others_are_unharmed(&gateway, &upstream, answer);
    }
}

fn owned(answers: &[&str]) -> Vec<String> {
    answers.iter().map(|answer| (*answer).to_owned()).collect()
}

// Holds: H21, CVE-2026-71324
#[test]
fn an_answer_that_says_twice_where_it_ends_is_502() {
    let chunks = "5\r\nhello\r\n0\r\n\r\n";
    let answers = [
        ("Content-Length: 3\r\nTransfer-Encoding: chunked", chunks),
        ("Transfer-Encoding: chunked\r\nContent-Length: 30", chunks),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", chunks),
        ("Transfer-Encoding: gzip, chunked", chunks),
        ("Transfer-Encoding: xchunked", chunks),
        ("Transfer-Encoding: identity", "hello"),
        ("Transfer-Encoding:", "hello"),
        ("Content-Length: 3\r\nContent-Length: 5", "hello"),
        ("Content-Length: 5\r\nContent-Length: 5", "hello"),
        ("Content-Length: 5, 5", "hello"),
        ("Content-Length: +5", "hello"),
        ("Content-Length: -5", "hello"),
        ("Content-Length: 5 5", "hello"),
        ("Content-Length: 0x5", "hello"),
        ("Content-Length:", "hello"),
        ("Content-Length: 18446744073709551621", "hello"),
        ("Content-Length: 00000000000000000005", "hello"),
        ("Content-Length : 5", "hello"),
        ("Content-Length\0: 5", "hello"),
    ];
    are_502(
        &answers.map(|(fields, body)| format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n{body}")),
        false,
    );
}

// Holds: H21
#[test]
fn what_does_not_begin_as_an_answer_is_502() {
    are_502(
        &owned(&[
            "nonsense\r\n\r\n",
            "<html>HTTP/0.9 had no head</html>",
            "\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 1000 OK\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 999 OK\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200OK\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 O\0K\r\nContent-Length: 0\r\n\r\n",
            "ICY 200 OK\r\n\r\n",
        ]),
        false,
    );
}

// Holds: H21
#[test]
fn a_head_whose_lines_can_be_read_in_two_ways_is_502() {
    are_502(
        &owned(&[
            "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 0\n\r\n",
            "HTTP/1.1 200 OK\r\nX: a\r\n folded\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n X: a\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX: a\r\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX:\x0ca\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX: a\x0c\r\nContent-Length: 0\r\n\r\n",
            // Nothing is waited for behind it.
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\r\n",
            "HTTP/1.1 200 OK\r\nBad Name: x\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n: x\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 0\r\n\r\n",
        ]),
        false,
    );
}

// Holds: H17, CVE-2026-88008
#[test]
fn a_switch_of_protocols_that_nobody_asked_for_is_502() {
    are_502(
        &owned(&[
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 101 Switching Protocols\r\n\r\n",
        ]),
        false,
    );
}

// Holds: H21, D7
#[test]
fn an_answer_that_ends_before_its_head_does_is_502_and_not_asked_for_again() {
    are_502(
        &owned(&[
            "H",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 200 OK\r\nContent-Le",
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200",
        ]),
        true,
    );
}

/// The first answer of a socket, and whether it was whole.
fn ask(gateway: &Gateway, request: &str) -> (Message, bool) {
    let stream = std::net::TcpStream::connect(gateway.client().address).expect("connects");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout above zero");
    io::Write::write_all(&mut (&stream), request.as_bytes()).expect("sent");
    let mut wire = Wire::new(stream);
    match wire.head() {
        Ok(Some(mut message)) => {
            let whole = wire.body(&mut message, true).is_ok();
            (message, whole)
        }
        _ => (Message::default(), false),
    }
}

// Holds: H21, H22
#[test]
fn an_answer_that_breaks_off_in_the_middle_is_never_taken_for_a_whole_one() {
    let length = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n";
    let answers = [
        length.to_owned(),
        format!("{length}short"),
        CHUNKED.to_owned(),
        format!("{CHUNKED}5\r\nhel"),
        format!("{CHUNKED}5\r\nhello\r\n"),
        format!("{CHUNKED}5\r\nhello\r\n0\r\n"),
        format!("{CHUNKED}5\r\nhello\r\n-1\r\n"),
        format!("{CHUNKED}5\r\nhello\r\nfffffffffffffffff\r\nx"),
        format!("{CHUNKED}ffffffffffffffff\r\nhello"),
        format!("{CHUNKED}5\r\nhelloXX0\r\n\r\n"),
        format!("{CHUNKED}5\nhello\n0\n\n"),
        format!("{CHUNKED}0x5\r\nhello\r\n0\r\n\r\n"),
        format!("{CHUNKED}5\r\nhello\r\n0\r\n folded: x\r\n\r\n"),
        format!("{CHUNKED}{POISON}"),
    ];
    let upstream = backend(&answers, true);
    let gateway = Gateway::in_front_of(&upstream, OPEN);
    for (number, answer) in answers.iter().enumerate() {
        let request = format!("GET /bad/{number} HTTP/1.1\r\nHost: x\r\n\r\n");
        let (message, whole) = ask(&gateway, &request);
        let told = message.start.starts_with("HTTP/1.1 502 ");
        assert!(told || !whole, "{answer:?}: {}", message.text());
        assert!(!message.text().contains("POISON"), "{answer:?}");
        gateway.logged("an answer was cut");
        others_are_unharmed(&gateway, &upstream, answer);
    }
}

// Holds: H21, D7
// To its client an answer of HTTP/1.0 is one of ours (RFC 9112 §2.3): as it came, its end would be the end of the
// connection, and where the backend hangs or is cut nobody could tell.
#[test]
fn an_answer_of_http_1_0_is_ours_to_its_client_and_is_whole_only_when_it_ended() {
    let upstream = Upstream::custom(|exchange| {
        exchange.send("HTTP/1.0 200 OK\r\n\r\nhalf")?;
        if exchange.request.target() == "/hangs" {
            exchange.wire.rest();
        }
        Err(io::Error::other("an answer of HTTP/1.0 ends with its connection"))
    });
    let toml = format!("{OPEN}response_idle = \"200ms\"\n");
    let gateway = Gateway::in_front_of(&upstream, &toml);
    let (message, whole) = ask(&gateway, "GET /hangs HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(message.start.starts_with("HTTP/1.1 200 ") && !whole, "{}", message.start);
    assert_eq!(gateway.reached("response_idle"), 1);
    // A client of HTTP/1.0 itself knows no other end than that of the connection: it is reset.
    let mut old = TcpStream::connect(gateway.client().address).expect("connects");
    old.write_all(b"GET /hangs HTTP/1.0\r\n\r\n").expect("sent");
    let end = old.read_to_end(&mut Vec::new());
    assert_eq!(end.map_err(|error| error.kind()), Err(io::ErrorKind::ConnectionReset));
    let mut connection = gateway.client().connect();
    for _ in 0..3 {
        let answer = gateway.client().get("/ends").send_on(&mut connection).expect(200);
        assert_eq!(answer.text(), "half");
    }
}

// Holds: H22, CVE-2026-71324, CVE-2026-88007, CVE-2026-73548
#[test]
fn bytes_after_an_answer_never_reach_another_client() {
    let wholes = [
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfine\r\n0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nContent-Length: 60\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 60\r\n\r\n",
    ];
    for extra in [POISON, "P", "\r\n", "0\r\n\r\nPOISON"] {
        let answers = wholes.map(|whole| format!("{whole}{extra}"));
        let upstream = backend(&answers, false);
        let gateway = Gateway::in_front_of(&upstream, OPEN);
        for (number, answer) in answers.iter().enumerate() {
            let bad = gateway.client().get(&format!("/bad/{number}")).send();
            assert!(matches!(bad.status, 200 | 204 | 304), "{answer:?}");
            assert!(matches!(&*bad.text(), "fine" | ""), "{answer:?}");
            let framed = bad.has("content-length") || bad.has("transfer-encoding");
            assert!(bad.status != 204 || !framed, "{answer:?}: {:?}", bad.headers);
            others_are_unharmed(&gateway, &upstream, answer);
        }
    }
}

// Holds: H22, CVE-2026-71324
#[test]
fn a_body_after_the_answer_to_head_is_nobodys() {
    let answers = owned(&[
        "HTTP/1.1 200 OK\r\nContent-Length: 57\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nPOISON\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\nPOISON",
    ]);
    let upstream = backend(&answers, false);
    let gateway = Gateway::in_front_of(&upstream, OPEN);
    for (number, answer) in answers.iter().enumerate() {
        let head = gateway.client().request("HEAD", &format!("/bad/{number}")).send().expect(200);
        assert!(head.raw.ends_with(b"\r\n\r\n"), "{answer:?}");
        others_are_unharmed(&gateway, &upstream, answer);
    }
}

// Holds: H22, CVE-2026-71324, CVE-2026-88007
#[test]
fn what_a_backend_says_while_nobody_asks_is_not_the_answer_to_the_next_request() {
    // Such as the 408 that some servers send before they close an idle connection.
    for late in [POISON, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n", "x"] {
        let (go, wait) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel::<()>();
        let ends = Arc::new(Mutex::new((wait, tell)));
        let upstream = Upstream::custom(move |exchange| {
            exchange.read_body()?;
            exchange.answer("200 OK", "text/plain", b"fine")?;
            if exchange.request.target() == "/late" {
                let ends = ends.lock().expect("not poisoned");
                ends.0.recv().map_err(io::Error::other)?;
                exchange.send(late)?;
                ends.1.send(()).map_err(io::Error::other)?;
            }
            Ok(())
        });
        let gateway = Gateway::in_front_of(&upstream, OPEN);
        for round in 1..=5 {
            gateway.client().get("/late").send().expect(200);
            let spoiled = upstream.last().connection;
            go.send(()).expect("the backend waits");
            told.recv_timeout(PATIENCE).expect("the backend has sent it");
            // Not even a POST suffers: it goes over another connection.
            let answer = gateway.client().post("/").body("x").send().expect(200);
            assert_eq!(answer.text(), "fine", "{late:?}, round {round}");
            assert_ne!(upstream.last().connection, spoiled, "{late:?}, round {round}");
        }
    }
}

// Holds: D8
#[test]
fn a_response_head_of_two_megabytes_is_502_and_takes_little_memory() {
    let large = "x".repeat(2_000_000);
    let upstream = backend(&[format!("HTTP/1.1 200 OK\r\nX: {large}\r\n\r\n")], false);
    let gateway = Gateway::in_front_of(&upstream, OPEN);
    let before = gateway.peak_memory_kib();
    for _ in 0..10 {
        gateway.client().get("/bad/0").send().refused(502, "upstream-unreachable");
    }
    let grown = gateway.peak_memory_kib() - before;
    assert!(grown < 8 * 1024, "{grown} KiB");
}
