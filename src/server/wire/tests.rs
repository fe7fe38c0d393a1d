//! Raw bytes on one side, hyper on the other: what is refused, what passes, in which order, and when.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::*;

const LIMITS: WireLimits = WireLimits {
    target_max: 100,
    header_max: 1000,
    header_count: 20,
    header_timeout: Duration::from_secs(10),
    keep_alive: Duration::from_secs(75),
    requests_max: 100,
    write_idle: Duration::from_secs(30),
    write_rate_min: 0,
};

/// What the handler was given: method, path, body, or why the body could not be read.
type Seen = Arc<Mutex<Vec<String>>>;

/// Answers with the refusal, or with what it saw.
async fn answer(
    request: Request<Incoming>,
    verdicts: Verdicts,
    seen: Seen,
    delay: Duration,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (verdict, _in_flight) = verdicts.take();
    let mut response = Response::new(Full::default());
    if let Verdict::Refused { refusal, head_method } = verdict {
        assert_eq!(head_method, request.method() == hyper::Method::HEAD);
        let (status, code, ..) = refusal.parts();
        *response.status_mut() = hyper::StatusCode::from_u16(status).expect("a status");
        *response.body_mut() = Full::from(code);
        return Ok(response);
    }
    let (parts, body) = request.into_parts();
    let body = match body.collect().await {
        Ok(body) => {
            let trailers = body.trailers().map_or(0, |trailers| trailers.len());
            let bytes = body.to_bytes();
            match bytes.len() {
                0..100 => format!("{}+{trailers}", String::from_utf8_lossy(&bytes)),
                length => format!("{length} bytes"),
            }
        }
        Err(_) => "broken".to_owned(),
    };
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let line = format!("[{} {} {body}]", parts.method, parts.uri);
    seen.lock().expect("no panic").push(line.clone());
    *response.body_mut() = Full::from(line);
    Ok(response)
}

/// A hyper server behind the guard.
fn serve(delay: Duration, half_close: bool) -> (DuplexStream, Seen) {
    let (client, server) = tokio::io::duplex(64 * 1024);
    let seen = Seen::default();
    let kept = Arc::clone(&seen);
    tokio::spawn(async move {
        let verdicts = Verdicts::new();
        let wire = Wire::new(server, LIMITS, verdicts.clone(), Arc::default());
        let service =
            service_fn(move |request| answer(request, verdicts.clone(), Arc::clone(&kept), delay));
        let _ = hyper::server::conn::http1::Builder::new()
            .half_close(half_close)
            .serve_connection(TokioIo::new(wire), service)
            .await;
    });
    (client, seen)
}

/// All that comes back for these bytes, and what the handler saw.
async fn exchange(bytes: &[u8]) -> (String, Vec<String>) {
    let (mut client, seen) = serve(Duration::ZERO, true);
    client.write_all(bytes).await.expect("written");
    client.shutdown().await.expect("shut down");
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.expect("read");
    let seen = seen.lock().expect("no panic").clone();
    (String::from_utf8(answer).expect("text"), seen)
}

async fn refused(bytes: impl AsRef<[u8]>, wanted: Refusal) {
    let shown = bytes.as_ref().escape_ascii().to_string();
    let (answer, seen) = exchange(bytes.as_ref()).await;
    let (status, code, ..) = wanted.parts();
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{shown}: {answer}");
    assert!(answer.ends_with(&format!("\r\n\r\n{code}")), "{shown}: {answer}");
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{shown}: one answer");
    assert!(answer.contains("connection: close"), "{shown}: {answer}");
    assert!(seen.is_empty(), "{shown}: {seen:?}");
}

async fn passed(bytes: impl AsRef<[u8]>, wanted: &[&str]) {
    let (answer, seen) = exchange(bytes.as_ref()).await;
    assert_eq!(seen, wanted, "{}: {answer}", bytes.as_ref().escape_ascii());
}

#[tokio::test]
async fn heads_that_two_readers_would_split_differently_are_refused() {
    for fields in [
        "content-length: 5\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 5",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked, chunked",
        "transfer-encoding: gzip, chunked",
        "transfer-encoding: xchunked",
        "transfer-encoding: \"chunked\"",
        "transfer-encoding: chunked,",
        "transfer-encoding: identity",
        "transfer-encoding:",
        "transfer-encoding: \x0bchunked",
        "transfer_encoding: chunked",
        "Content_Length: 5",
        "content-length: 5\r\ncontent-length: 5",
        "content-length: 5, 5",
        "content-length: +5",
        "content-length: -5",
        "content-length: 0x5",
        "content-length: 5 5",
        "content-length:",
        "content-length: 18446744073709551616",
        "content-length: 9223372036854775808",
        "content-length : 5",
        "content-length\t: 5",
        ": 5",
        "a b: 5",
        "a: b\r\n folded",
        " a: b",
        "a: b\x00c",
        "a: b\x01c",
        "a: b\x7fc",
        "a: b\rc: d",
        "a: b\nc: d",
        "a",
        "expect: 100-continue\r\nexpect: 100-continue",
        "content-type: a/b\r\ncontent-type: c/d",
        "host: h",
    ] {
        refused(format!("POST / HTTP/1.1\r\nhost: h\r\n{fields}\r\n\r\nhello"), Refusal::BadHeader)
            .await;
    }
    refused("POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", Refusal::BadHeader)
        .await;
    refused("GET / HTTP/1.1\nhost: h\n\n", Refusal::BadHeader).await;
    refused("GET / HTTP/1.1\r\nhost: h\r\n\n", Refusal::BadHeader).await;
    refused("\nGET / HTTP/1.1\r\nhost: h\r\n\r\n", Refusal::BadHeader).await;
}

#[tokio::test]
async fn a_host_is_named_once_and_is_a_host() {
    for host in ["", "u@h", "h/x", "h,i", "h i", "h;x", "h:x", "a%2e", "h\u{e9}", "[::1"] {
        refused(format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n"), Refusal::BadHeader).await;
    }
    refused("GET / HTTP/1.1\r\n\r\n", Refusal::BadHeader).await;
    refused("GET / HTTP/1.0\r\nhost: a\r\nhost: a\r\n\r\n", Refusal::BadHeader).await;
    passed("GET / HTTP/1.0\r\n\r\n", &["[GET / +0]"]).await;
    passed("GET / HTTP/1.1\r\nHOST: APP.Example.com.:443\r\n\r\n", &["[GET / +0]"]).await;
}

#[tokio::test]
async fn a_request_line_is_exact() {
    for (line, refusal) in [
        ("get / HTTP/1.1", Refusal::BadMethod),
        ("GeT / HTTP/1.1", Refusal::BadMethod),
        ("CONNECT h:443 HTTP/1.1", Refusal::BadMethod),
        ("TRACE / HTTP/1.1", Refusal::BadMethod),
        ("G\u{e9}T / HTTP/1.1", Refusal::BadMethod),
        (" GET / HTTP/1.1", Refusal::BadMethod),
        ("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA / HTTP/1.1", Refusal::BadMethod),
        ("GET  / HTTP/1.1", Refusal::BadTarget),
        ("GET /  HTTP/1.1", Refusal::BadTarget),
        ("GET / HTTP/1.1 ", Refusal::BadTarget),
        ("GET / HTTP/1.2", Refusal::BadTarget),
        ("GET / HTTP/2.0", Refusal::BadTarget),
        ("GET / http/1.1", Refusal::BadTarget),
        ("GET /", Refusal::BadTarget),
        ("GET", Refusal::BadTarget),
        ("GET admin HTTP/1.1", Refusal::BadTarget),
        ("GET http:http://h/admin HTTP/1.1", Refusal::BadTarget),
        ("GET * HTTP/1.1", Refusal::BadTarget),
        ("OPTIONS * HTTP/1.1", Refusal::BadTarget),
        ("GET /admin#/public HTTP/1.1", Refusal::BadTarget),
        ("GET /a\x7fb HTTP/1.1", Refusal::BadTarget),
        ("GET /a\x01b HTTP/1.1", Refusal::BadTarget),
        ("GET /a\tb HTTP/1.1", Refusal::BadTarget),
        ("GET /\u{e9} HTTP/1.1", Refusal::BadTarget),
        ("PRI * HTTP/2.0", Refusal::BadTarget),
    ] {
        refused(format!("{line}\r\nhost: h\r\n\r\n"), refusal).await;
    }
    for target in [
        "http://other/admin",
        "http://h:81/admin",
        "http://h@h/admin",
        "http://h/admin#h",
        "http://h#/admin",
        "http:///admin",
        "http:/h/admin",
        "http:h/admin",
        "http://h\\/admin",
        "http://h;/admin",
        "https://h/admin",
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nhost: h\r\n\r\n");
        refused(request, Refusal::BadTarget).await;
    }
    refused("GET http://h/ HTTP/1.0\r\n\r\n", Refusal::BadTarget).await;
    for host in ["h", "h:80", "H.", "h:"] {
        let request = format!("GET HTTP://h/a?b HTTP/1.1\r\nhost: {host}\r\n\r\n");
        passed(request, &["[GET http://h/a?b +0]"]).await;
    }
    passed("\r\nGET /a?b=c HTTP/1.1\r\nhost: h\r\n\r\n", &["[GET /a?b=c +0]"]).await;
    refused("\r\n\r\nGET / HTTP/1.1\r\nhost: h\r\n\r\n", Refusal::BadTarget).await;
}

#[tokio::test]
async fn what_is_too_long_is_told_as_that() {
    let target =
        |length: usize| format!("GET /{} HTTP/1.1\r\nhost: h\r\n\r\n", "a".repeat(length - 1));
    passed(target(100), &[&format!("[GET /{} +0]", "a".repeat(99))]).await;
    refused(target(101), Refusal::TargetTooLong).await;
    refused("G".repeat(5000), Refusal::TargetTooLong).await;
    refused(format!("GET /{}", "a".repeat(5000)), Refusal::TargetTooLong).await;
    let field =
        |length: usize| format!("GET / HTTP/1.1\r\nhost: h\r\na: {}\r\n\r\n", "b".repeat(length));
    passed(field(968), &["[GET / +0]"]).await;
    refused(field(969), Refusal::HeaderTooLarge).await;
    refused(format!("GET / HTTP/1.1\r\na: {}", "b".repeat(5000)), Refusal::HeaderTooLarge).await;
    let fields =
        |count: usize| format!("GET / HTTP/1.1\r\nhost: h\r\n{}\r\n", "a: b\r\n".repeat(count - 1));
    passed(fields(20), &["[GET / +0]"]).await;
    refused(fields(21), Refusal::HeaderTooLarge).await;
}

#[tokio::test]
async fn pipelined_requests_come_in_order_with_their_own_bodies() {
    let three = b"POST /a HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\nhello\
        POST /b HTTP/1.1\r\nhost: h\r\ntransfer-encoding: Chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nt: v\r\n\r\n\
        \r\nGET /c HTTP/1.1\r\nhost: h\r\n\r\n";
    let wanted = ["[POST /a hello+0]", "[POST /b abcde+1]", "[GET /c +0]"];
    passed(three, &wanted).await;
    let (mut client, seen) = serve(Duration::ZERO, true);
    for byte in three {
        client.write_all(&[*byte]).await.expect("written");
        tokio::task::yield_now().await;
    }
    client.shutdown().await.expect("shut down");
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.expect("read");
    assert_eq!(*seen.lock().expect("no panic"), wanted);
}

#[tokio::test]
async fn a_bad_request_behind_a_good_one_is_refused_in_its_turn() {
    let (answer, seen) = exchange(
        b"GET /a HTTP/1.1\r\nhost: h\r\n\r\nGET /b#c HTTP/1.1\r\nhost: h\r\n\r\nGET /d HTTP/1.1\r\nhost: h\r\n\r\n",
    )
    .await;
    assert_eq!(seen, ["[GET /a +0]"]);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with("bad-target"), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1").count(), 2, "{answer}");
}

#[tokio::test]
async fn a_refused_head_request_gets_no_body() {
    let (answer, _) = exchange(b"HEAD /#x HTTP/1.1\r\nhost: h\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.ends_with("\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn a_big_body_streams_through() {
    let size = 3_000_000;
    let head = format!("POST /a HTTP/1.1\r\nhost: h\r\ncontent-length: {size}\r\n\r\n");
    let next = "GET /b HTTP/1.1\r\nhost: h\r\n\r\n";
    let all = [head.into_bytes(), vec![b'x'; size], next.into()].concat();
    passed(&all, &["[POST /a 3000000 bytes]", "[GET /b +0]"]).await;
    let mut all = b"POST /a HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..100 {
        all.extend_from_slice(b"7530\r\n");
        all.extend_from_slice(&[b'\r'; 30_000]);
        all.extend_from_slice(b"\r\n");
    }
    all.extend_from_slice(b"0\r\n\r\n");
    all.extend_from_slice(next.as_bytes());
    passed(&all, &["[POST /a 3000000 bytes]", "[GET /b +0]"]).await;
}

#[tokio::test]
async fn a_body_with_bad_framing_or_cut_short_is_never_whole() {
    for body in [
        "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0x0\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\n5\r\nhelloX0\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\n5\r\nhel",
        "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
        "content-length: 9\r\n\r\nhello",
    ] {
        let request = format!("POST / HTTP/1.1\r\nhost: h\r\n{body}");
        passed(request, &["[POST / broken]"]).await;
    }
}

async fn told(client: &mut DuplexStream) -> String {
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.expect("read");
    answer
}

#[tokio::test(start_paused = true)]
async fn a_head_that_takes_too_long_is_told_so() {
    let (mut client, seen) = serve(Duration::ZERO, true);
    let began = tokio::time::Instant::now();
    client.write_all(b"GET / HTTP/1.1\r\nho").await.expect("written");
    tokio::time::sleep(Duration::from_secs(6)).await;
    client.write_all(b"st: h\r\n").await.expect("written");
    let mut first = vec![0; 12];
    client.read_exact(&mut first).await.expect("an answer");
    assert_eq!(first, b"HTTP/1.1 408");
    assert_eq!(began.elapsed().as_secs(), 10);
    assert!(told(&mut client).await.ends_with("request-timeout"));
    assert!(seen.lock().expect("no panic").is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_without_a_word() {
    let (mut client, _) = serve(Duration::ZERO, false);
    let began = tokio::time::Instant::now();
    assert_eq!(told(&mut client).await, "");
    assert_eq!(began.elapsed().as_secs(), 75);

    let (mut client, _) = serve(Duration::ZERO, false);
    let began = tokio::time::Instant::now();
    tokio::time::sleep(Duration::from_secs(50)).await;
    client.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").await.expect("written");
    assert!(told(&mut client).await.ends_with("[GET / +0]"));
    assert_eq!(began.elapsed().as_secs(), 125);
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_is_not_an_idle_connection() {
    // hyper asks for input while it waits for an answer, or does not: both must end alike.
    for half_close in [true, false] {
        let (mut client, _) = serve(Duration::from_secs(300), half_close);
        let began = tokio::time::Instant::now();
        client.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").await.expect("written");
        assert!(told(&mut client).await.ends_with("[GET / +0]"));
        assert_eq!(began.elapsed().as_secs(), 375);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_connection_lingers_but_not_forever() {
    let (mut client, _) = serve(Duration::ZERO, true);
    let began = tokio::time::Instant::now();
    client.write_all(b"GET /#x HTTP/1.1\r\nhost: h\r\n\r\n").await.expect("written");
    let mut answer = vec![0; 1000];
    let length = client.read(&mut answer).await.expect("an answer");
    assert!(answer[..length].starts_with(b"HTTP/1.1 400"));
    // What is still sent is taken and dropped, until the time is over.
    let mut sent = 0;
    while client.write_all(&[b'x'; 1024]).await.is_ok() {
        sent += 1024;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!((15 * 1024..25 * 1024).contains(&sent), "{sent}");
    assert_eq!(began.elapsed().as_secs(), 2);
}

#[tokio::test]
async fn a_lingering_connection_takes_a_bounded_number_of_bytes() {
    let (mut client, _) = serve(Duration::ZERO, true);
    client.write_all(b"GET /#x HTTP/1.1\r\nhost: h\r\n\r\n").await.expect("written");
    let mut sent = 0;
    while client.write_all(&[b'x'; 16 * 1024]).await.is_ok() {
        sent += 16 * 1024;
    }
    assert!((LINGER_BYTES_MAX..LINGER_BYTES_MAX + 256 * 1024).contains(&sent), "{sent}");
}

/// The guard alone, without hyper.
async fn read_all(wire: &mut Wire<DuplexStream>, wanted: &[u8]) {
    let mut got = vec![0; wanted.len()];
    wire.read_exact(&mut got).await.expect("read");
    assert_eq!(got.escape_ascii().to_string(), wanted.escape_ascii().to_string());
}

#[tokio::test]
async fn what_follows_an_upgrade_waits_for_its_answer() {
    let head = b"GET /ws HTTP/1.1\r\nhost: h\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n";
    let next = b"GET /next HTTP/1.1\r\nhost: h\r\n\r\n";
    for tunnel in [true, false] {
        let (mut client, server) = tokio::io::duplex(4096);
        let verdicts = Verdicts::new();
        let mut wire = Wire::new(server, LIMITS, verdicts.clone(), Arc::default());
        client.write_all(&[&head[..], next].concat()).await.expect("written");
        read_all(&mut wire, head).await;
        let mut one = [0; 1];
        tokio::select! {
            biased;
            _ = wire.read(&mut one) => panic!("read before the answer"),
            () = tokio::task::yield_now() => {}
        }
        let (verdict, in_flight) = verdicts.take();
        assert_eq!(verdict, Verdict::Good { last: false });
        if tunnel {
            verdicts.tunnel();
            client.write_all(b"\x00\n\x81any bytes").await.expect("written");
            read_all(&mut wire, &[&next[..], b"\x00\n\x81any bytes"].concat()).await;
        } else {
            drop(in_flight);
            read_all(&mut wire, next).await;
            assert_eq!(verdicts.take().0, Verdict::Good { last: false });
        }
    }
}

#[tokio::test]
async fn an_idle_connection_holds_no_big_buffer() {
    let (mut client, server) = tokio::io::duplex(64 * 1024);
    let verdicts = Verdicts::new();
    let limits = WireLimits { header_max: 20_000, ..LIMITS };
    let mut wire = Wire::new(server, limits, verdicts.clone(), Arc::default());
    let head = format!("GET / HTTP/1.1\r\nhost: h\r\na: {}\r\n\r\n", "b".repeat(10_000));
    assert!(wire.is_idle());
    client.write_all(head.as_bytes()).await.expect("written");
    read_all(&mut wire, head.as_bytes()).await;
    assert!(!wire.is_idle());
    drop(verdicts.take());
    let mut one = [0; 1];
    tokio::select! {
        biased;
        _ = wire.read(&mut one) => panic!("nothing was sent"),
        () = tokio::task::yield_now() => {}
    }
    assert!(wire.is_idle() && wire.buffer.capacity() <= BUFFER_BYTES);
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_the_reading_panic(
        pieces in proptest::collection::vec(
            proptest::sample::select(vec![
                "GET ", "HEAD ", "/", " HTTP/1.1", "\r\n", "\r\n\r\n", "\n", "\r", "host: h", "a: b", ":",
                "content-length: 5", "transfer-encoding: chunked", "0", "5", "f", ";", "\0", "\u{e9}", " ",
            ]),
            0..24,
        ),
    ) {
        let bytes = pieces.concat().into_bytes();
        let mut scan = Scan::default();
        let whole = scan.look(&bytes, &LIMITS);
        if let Ok(Found::Head(length)) = whole {
            let _ = head::check(&bytes[..length], &LIMITS);
        }
        // Seen in two parts, a head is found at the same place.
        for cut in 0..bytes.len() {
            let mut scan = Scan::default();
            let found = match scan.look(&bytes[..cut], &LIMITS) {
                Ok(Found::More) => scan.look(&bytes, &LIMITS),
                early => early,
            };
            // Only the reason may differ: what is too long may be so before it is anything else.
            proptest::prop_assert_eq!(found.ok(), whole.ok());
        }
        let _ = Chunked::new().follow(&bytes);
    }
}
