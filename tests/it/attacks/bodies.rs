//! Where a request ends, and what follows it: cut bodies, early answers, pipelines, upgrades, expectations.

use super::corpus::statuses;
use crate::harness::strict::What;
use crate::harness::{Gateway, Setup, Strict, Upstream, eventually, forge};

const OPEN: &str = "[routes]\n\"/**\" = \"public\"\n\"/shut\" = \"access-required\"\n";
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n";

// Holds: H13
#[test]
fn a_body_cut_short_is_never_ended_cleanly_for_the_backend() {
    let strict = Strict::new(&[("all", "/")]);
    let toml = "[routes]\n\"/**\" = { policy = \"public\", upstream = \"all\" }\n";
    let gateway = Gateway::start(&format!("{}{toml}", strict.upstreams()));
    let head = "POST / HTTP/1.1\r\nHost: x\r\n";
    let mut sent = 0;
    for body in [
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhel",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n",
        "Content-Length: 9\r\n\r\nhello",
    ] {
        for half in [true, false] {
            let mut connection = gateway.client().connect();
            connection.write(format!("{head}{body}"));
            if half {
                connection.finish();
                let answer = connection.rest();
                assert!(!statuses(&answer).contains(&200), "{body:?}");
            }
            drop(connection);
            sent += 1;
        }
    }
    eventually("every request to be cut", || (strict.seen().len() == sent).then_some(()));
    assert!(strict.seen().iter().all(|seen| matches!(seen.what, What::Cut)), "{:?}", strict.seen());
    strict.hold(gateway, &[]);
}

/// What two answers may be where a refused request had a body: the refusal and the end, or the refusal and the answer
/// to the request behind the whole body.
#[track_caller]
fn refused_with(head: &str, body: &str) {
    let upstream = Upstream::echo();
    let gateway = Gateway::in_front_of(&upstream, OPEN);
    let next = "GET /next HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answer = gateway
        .client()
        .raw(format!("POST /shut HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n{body}{next}"));
    let codes = statuses(&answer);
    assert!(matches!(codes[..], [401] | [401, 200]), "{head}: {codes:?}");
    let targets: Vec<String> =
        upstream.requests().iter().map(|one| one.target().to_owned()).collect();
    assert!(targets.iter().all(|target| target == "/next"), "{head}: {targets:?}");
    assert_eq!(targets.len(), codes.len() - 1, "{head}");
}

// Holds: H15, CVE-2025-4366
#[test]
fn the_unread_body_of_a_refused_request_is_never_the_next_request() {
    for copies in [1, 30, 2000, 30_000] {
        let hidden = HIDDEN.repeat(copies);
        refused_with(&format!("Content-Length: {}", hidden.len()), &hidden);
        let chunks = format!("{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len());
        refused_with("Transfer-Encoding: chunked", &chunks);
        let many: String =
            (0..copies.min(500)).map(|_| format!("{:x}\r\n{HIDDEN}\r\n", HIDDEN.len())).collect();
        refused_with("Transfer-Encoding: chunked", &format!("{many}0\r\n\r\n"));
    }
}

// Holds: H15
#[test]
fn a_refused_body_beyond_what_is_drained_ends_the_connection() {
    let upstream = Upstream::echo();
    let gateway = Gateway::in_front_of(&upstream, OPEN);
    let before = gateway.peak_memory_kib();
    let hidden = HIDDEN.repeat(300_000);
    for head in
        [format!("Content-Length: {}", hidden.len()), "Transfer-Encoding: chunked".to_owned()]
    {
        let size =
            if head.starts_with('T') { format!("{:x}\r\n", hidden.len()) } else { String::new() };
        let bytes = format!("POST /shut HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n{size}{hidden}");
        let codes = statuses(&gateway.client().raw(bytes));
        // The close may overtake the answer, since the client goes on sending for megabytes.
        assert!(matches!(codes[..], [401] | []), "{head}: {codes:?}");
    }
    assert_eq!(upstream.count(), 0);
    let grown = gateway.peak_memory_kib() - before;
    assert!(grown < 8 * 1024, "{grown} KiB");
}

// Holds: H15, H20
#[test]
fn a_refused_expectation_gets_no_100_and_what_follows_is_no_request() {
    let upstream = Upstream::echo();
    let gateway = Gateway::in_front_of(&upstream, OPEN);
    for framing in
        [format!("Content-Length: {}", HIDDEN.len()), "Transfer-Encoding: chunked".to_owned()]
    {
        let mut connection = gateway.client().connect();
        connection.write(format!(
            "POST /shut HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n{framing}\r\n\r\n"
        ));
        let answer = connection.response_head();
        assert_eq!(answer.status, 401, "{framing}: a 100 invites a body that nobody wants");
        // A client may take the refusal for the end of its request, or send the body all the same.
        connection.write(HIDDEN);
        let rest = connection.rest();
        assert!(statuses(&rest).is_empty(), "{framing}: {}", rest.escape_ascii());
    }
    assert_eq!(upstream.count(), 0);
}

// Holds: H20
#[test]
fn an_expectation_is_answered_here_and_never_to_http_1_0() {
    let upstream = Upstream::echo();
    let gateway = Gateway::in_front_of(&upstream, OPEN);
    let mut connection = gateway.client().connect();
    let head = "Host: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    connection.write(format!("POST /a HTTP/1.1\r\n{head}"));
    assert_eq!(connection.response_head().status, 100);
    connection.write("hello");
    connection.response().expect(200);
    assert!(!upstream.last().has("expect"));
    assert_eq!(upstream.last().text(), "hello");
    let old = gateway.client().raw(format!("POST /b HTTP/1.0\r\n{head}hello"));
    let codes = String::from_utf8_lossy(&old).into_owned();
    assert!(!codes.contains(" 100 Continue"), "{codes}");
    assert!(codes.contains(" 200 OK"), "{codes}");
    let odd = "POST /c HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nExpect: x\r\nContent-Length: 5\r\n\r\nhello";
    assert_eq!(gateway.client().raw_one(odd).status, 400);
}

// Holds: H16, CVE-2026-2833
#[test]
fn what_follows_an_upgrade_waits_and_is_judged_on_its_own() {
    let (upstream, go) = Upstream::in_two("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "ok");
    let gateway = Gateway::in_front_of(&upstream, OPEN);
    let mut connection = gateway.client().connect();
    connection.write(
        "GET /up HTTP/1.1\r\nHost: x\r\nUpgrade: foo\r\nConnection: upgrade\r\n\r\n\
         GET /shut HTTP/1.1\r\nHost: x\r\n\r\n",
    );
    upstream.wait_for(1);
    go.send(()).expect("an upstream that waits");
    connection.response().expect(200);
    connection.response().expect(401);
    assert_eq!(upstream.count(), 1, "what followed was taken for the other protocol, or forwarded");
}

// Holds: H18, CVE-2026-2836
#[test]
fn an_upgrade_is_not_forwarded() {
    let upstream = Upstream::echo();
    let gateway = Gateway::in_front_of(&upstream, OPEN);
    for protocol in ["h2c", "H2C", "websocket", "foo", "h2c, websocket", "TLS/1.0", "HTTP/2.0"] {
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

// Holds: H19
#[test]
fn pipelined_requests_are_answered_in_order_each_by_its_own_policy() {
    let upstream = Upstream::echo();
    let gateway = Setup::sharing(&upstream, OPEN).start();
    let token = forge::stale("ada");
    let get = |path: &str, more: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\n{more}\r\n");
    let with = format!("Authorization: Bearer {token}\r\n");
    let bytes = [
        get("/one", ""),
        get("/shut", ""),
        get("/shut", &with),
        get("/shut", ""),
        get("/x/../shut", &with),
        get("/two", "Connection: close\r\n"),
        get("/three", ""),
    ];
    let answer = gateway.client().raw(bytes.concat());
    assert_eq!(statuses(&answer), [200, 401, 200, 401, 400, 200]);
    let targets: Vec<String> =
        upstream.requests().iter().map(|one| one.target().to_owned()).collect();
    assert_eq!(targets, ["/one", "/shut", "/two"]);
}

// Holds: H15
#[test]
fn a_body_that_is_too_large_ends_the_request_and_is_never_the_next_one() {
    let strict = Strict::new(&[("all", "/")]);
    let toml =
        "[routes]\n\"/**\" = { policy = \"public\", upstream = \"all\", body_max = \"100B\" }\n";
    let gateway = Gateway::start(&format!("{}{toml}", strict.upstreams()));
    let hidden = HIDDEN.repeat(1000);
    let chunks: String = (0..1000).map(|_| format!("{:x}\r\n{HIDDEN}\r\n", HIDDEN.len())).collect();
    let mut answers = Vec::new();
    for (framing, body) in [
        (format!("Content-Length: {}", hidden.len()), hidden.clone()),
        ("Transfer-Encoding: chunked".to_owned(), format!("{chunks}0\r\n\r\n")),
        (
            "Transfer-Encoding: chunked".to_owned(),
            format!("{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len()),
        ),
    ] {
        let answer =
            gateway.client().raw(format!("POST /x HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n{body}"));
        assert_eq!(statuses(&answer), [413], "{framing}");
        answers.push(answer);
    }
    assert!(strict.requests().is_empty(), "{:?}", strict.requests());
    strict.hold(gateway, &answers);
}

// Holds: H15
#[test]
fn a_backend_that_answers_before_the_body_leaves_no_request_behind() {
    // Answers at the head, reads nothing, keeps the connection.
    let upstream = Upstream::custom(|exchange| {
        exchange.answer("200 OK", "text/plain", b"early")?;
        exchange.read_body()
    });
    let gateway = Gateway::in_front_of(&upstream, OPEN);
    for copies in [1, 1000, 30_000] {
        let hidden = HIDDEN.repeat(copies);
        let chunk = format!("{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len());
        for (framing, body) in [
            (format!("Content-Length: {}", hidden.len()), hidden),
            ("Transfer-Encoding: chunked".to_owned(), chunk),
        ] {
            let next = "GET /next HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
            let bytes = format!("POST /x HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n{body}{next}");
            let codes = statuses(&gateway.client().raw(bytes));
            assert!(matches!(codes[..], [200] | [200, 200]), "{framing}: {codes:?}");
        }
    }
    let targets: Vec<String> =
        upstream.requests().iter().map(|one| one.target().to_owned()).collect();
    assert!(targets.iter().all(|target| target == "/x" || target == "/next"), "{targets:?}");
}
