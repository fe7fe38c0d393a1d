//! Requests out and responses in: what passes unchanged, how connections are kept and reused, which backend is asked.

use std::io::Read as _;
use std::net::Shutdown;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use crate::harness::{Gateway, PATIENCE, Upstream, eventually};

/// Everybody may ask for everything.
const OPEN: &str = "[routes]\n\"/**\" = \"public\"\n";

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn a_request_reaches_the_backend_with_its_method_target_fields_and_body() {
    let upstream = Upstream::echo();
    let gateway = Gateway::in_front_of(&upstream, OPEN);
    let request = gateway.client().request("PATCH", "/a/b?x=1&x=2&y=%20").header("X-App", "7");
    request.header("Cookie", "a=b").body("h\u{e9}llo\r\n\0").send().expect(200);
    let seen = upstream.last();
    assert_eq!((seen.method(), seen.target()), ("PATCH", "/a/b?x=1&x=2&y=%20"));
    assert_eq!((seen.header("x-app"), seen.header("cookie")), (Some("7"), Some("a=b")));
    assert_eq!(seen.text(), "h\u{e9}llo\r\n\0");
    assert_eq!(seen.header("content-length"), Some("9"));
}

#[test]
fn a_response_comes_back_with_its_status_fields_and_body() {
    let answer = "HTTP/1.1 418 Short and stout\r\nX-App: 1\r\nX-App: 2\r\nSet-Cookie: a=b; Path=/\r\n\
                  Set-Cookie: c=d\r\nContent-Type: text/x-tea\r\nContent-Length: 3\r\n\r\ntea";
    let upstream = Upstream::answering(answer);
    let gateway = Gateway::in_front_of(&upstream, OPEN);
    let response = gateway.client().get("/").send().expect(418);
    assert_eq!(response.all("x-app"), ["1", "2"]);
    assert_eq!(response.all("set-cookie"), ["a=b; Path=/", "c=d"]);
    assert_eq!(response.header("content-type"), Some("text/x-tea"));
    assert_eq!(response.text(), "tea");
}

#[test]
fn responses_without_a_body_keep_their_form() {
    let upstream = Upstream::custom(|exchange| match exchange.request.target() {
        "/204" => exchange.send("HTTP/1.1 204 No Content\r\nX: 1\r\n\r\n"),
        "/304" => {
            exchange.send("HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 5\r\n\r\n")
        }
        _ => exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n"),
    });
    let gateway = Gateway::in_front_of(&upstream, OPEN);
    let mut connection = gateway.client().connect();
    let none = gateway.client().get("/204").send_on(&mut connection).expect(204);
    assert!(!none.has("content-length") && !none.has("transfer-encoding"), "{:?}", none.headers);
    let cached = gateway.client().get("/304").send_on(&mut connection).expect(304);
    assert_eq!(cached.header("etag"), Some("\"x\""));
    let head = gateway.client().request("HEAD", "/").send_on(&mut connection).expect(200);
    assert_eq!(head.header("content-length"), Some("12345"));
    // The connection is still in step.
    gateway.client().get("/204").send_on(&mut connection).expect(204);
}

#[test]
fn a_thousand_requests_on_one_connection_need_a_handful_towards_the_backend() {
    let upstream = Upstream::answering(OK);
    let gateway = Gateway::in_front_of(&upstream, OPEN);
    let mut connection = gateway.client().connect();
    for _ in 0..1000 {
        gateway.client().get("/").send_on(&mut connection).expect(200);
    }
    assert_eq!(upstream.count(), 1000);
    let most = upstream.requests().iter().map(|request| request.connection).max();
    assert!(most <= Some(3), "{most:?} connections");
}

#[test]
fn many_clients_share_the_connections_to_the_backend() {
    let upstream = Upstream::answering(OK);
    let gateway = Gateway::in_front_of(&upstream, &format!("{OPEN}[limits]\nthreads = 2\n"));
    for _ in 0..100 {
        gateway.client().get("/").send().expect(200);
    }
    let most = upstream.requests().iter().map(|request| request.connection).max();
    assert!(most <= Some(6), "{most:?} connections for 100 clients");
}

#[test]
fn idle_max_zero_opens_a_connection_for_every_request() {
    let upstream = Upstream::answering(OK);
    let toml = format!("[upstreams.app]\nurl = \"{upstream}\"\nidle_max = 0\n{OPEN}");
    let gateway = Gateway::start(&toml);
    let mut connection = gateway.client().connect();
    for _ in 0..5 {
        gateway.client().get("/").send_on(&mut connection).expect(200);
    }
    assert_eq!(upstream.last().connection, 5);
}

#[test]
fn a_connection_that_nobody_needs_is_closed_after_keep_alive() {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let upstream = Upstream::custom(move |exchange| {
        exchange.send(OK)?;
        let end = exchange.wire.stream.read(&mut [0])?;
        tell.lock().expect("not poisoned").send(end).map_err(std::io::Error::other)
    });
    let gateway = Gateway::start(&format!(
        "[upstreams.app]\nurl = \"{upstream}\"\nkeep_alive = \"1s\"\n{OPEN}"
    ));
    // Again after the pool was empty.
    for _ in 0..2 {
        gateway.client().get("/").send().expect(200);
        assert_eq!(told.recv_timeout(PATIENCE).expect("an end without another request"), 0);
    }
}

/// Descriptors of a gateway that nobody asks anything.
fn descriptors(gateway: &Gateway) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", gateway.pid())).expect("a process that runs").count()
}

#[test]
fn a_connection_that_its_backend_has_closed_costs_no_descriptor() {
    const AT_ONCE: usize = 30;
    let (here, closed) = (std::sync::Barrier::new(AT_ONCE), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&closed);
    let upstream = Upstream::custom(move |exchange| {
        here.wait();
        exchange.send(OK)?;
        std::thread::sleep(std::time::Duration::from_millis(300));
        exchange.wire.stream.shutdown(Shutdown::Both)?;
        count.fetch_add(1, Ordering::SeqCst);
        Err(std::io::Error::other("closed while idle"))
    });
    let gateway = Gateway::start(&format!(
        "[upstreams.app]\nurl = \"{upstream}\"\nkeep_alive = \"10m\"\n{OPEN}[limits]\nthreads = 1\n"
    ));
    let before = descriptors(&gateway);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| gateway.client().get("/").send().expect(200));
        }
    });
    eventually("all to be closed", || (closed.load(Ordering::SeqCst) == AT_ONCE).then_some(()));
    eventually("the descriptors to be free", || (descriptors(&gateway) <= before).then_some(()));
}

#[test]
fn a_route_picks_one_of_several_upstreams() {
    let (one, two) = (Upstream::echo(), Upstream::echo());
    let toml = format!(
        "upstream = \"{one}\"\n[upstreams.two]\nurl = \"{two}\"\n[routes]\n\"/**\" = \"public\"\n\
         \"/two/**\" = {{ policy = \"public\", upstream = \"two\" }}\n\
         \"/three\" = {{ policy = \"public\", upstream = \"two\" }}\n"
    );
    let gateway = Gateway::start(&toml);
    for path in ["/", "/two/x", "/three", "/three/x"] {
        gateway.client().get(path).send().expect(200);
    }
    let targets = |upstream: &Upstream| -> Vec<String> {
        upstream.requests().iter().map(|r| r.target().to_owned()).collect()
    };
    assert_eq!(targets(&one), ["/", "/three/x"]);
    assert_eq!(targets(&two), ["/two/x", "/three"]);
}

#[test]
fn rewrite_strips_prefixes_and_places_captures() {
    let upstream = Upstream::echo();
    let routes = "[routes]\n\"/app/**\" = { policy = \"public\", rewrite = \"/**\" }\n\
        \"/users/{id}/posts/{post}\" = { policy = \"public\", rewrite = \"/posts/{post}/by-{id}\" }\n\
        \"/old/{x}/**\" = { policy = \"public\", rewrite = \"/new/**\" }\n\
        \"/exact\" = { policy = \"public\", rewrite = \"/\" }\n";
    let gateway = Gateway::in_front_of(&upstream, routes);
    for (asked, sent) in [
        ("/app/a/b?q=1", "/a/b?q=1"),
        ("/app", "/"),
        ("/app/", "/"),
        ("/app/a/", "/a/"),
        ("/app/a%20b", "/a%20b"),
        ("/users/7/posts/9?x", "/posts/9/by-7?x"),
        ("/old/1/2/3", "/new/2/3"),
        ("/exact?y=2", "/?y=2"),
    ] {
        gateway.client().get(asked).send().expect(200);
        assert_eq!(upstream.last().target(), sent, "for {asked}");
    }
}

#[test]
fn a_rewritten_path_is_canonicalised_again_before_it_is_sent() {
    let upstream = Upstream::echo();
    let routes = "[routes]\n\"/app/**\" = { policy = \"public\", rewrite = \"/**\" }\n\
        \"/join/{a}\" = { policy = \"public\", rewrite = \"/x/.{a}\" }\n";
    let gateway = Gateway::in_front_of(&upstream, routes);
    for path in ["/app/..%2fadmin", "/app/%2e%2e/admin", "/app//admin", "/app../admin", "/join/."] {
        let refused = gateway.client().get(path).send();
        assert!(matches!(refused.status, 400 | 404), "{path}: {}", refused.status);
    }
    // Each part alone is harmless; together they would be `..`.
    gateway.client().get("/join/%2E").send().expect(400);
    assert_eq!(upstream.count(), 0);
    gateway.client().get("/join/x").send().expect(200);
    assert_eq!(upstream.last().target(), "/x/.x");
}

#[test]
fn a_client_that_speaks_http_1_0_gets_an_answer_it_can_read() {
    let chunked =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    let upstream =
        Upstream::answering(format!("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n{chunked}"));
    let gateway = Gateway::in_front_of(&upstream, OPEN);
    let answer = gateway.client().raw("GET /old HTTP/1.0\r\n\r\n");
    let answer = String::from_utf8(answer).expect("text");
    assert!(answer.starts_with("HTTP/1.0 200") || answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(!answer.to_ascii_lowercase().contains("transfer-encoding"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nabcde"), "{answer}");
    assert_eq!(upstream.last().start, "GET /old HTTP/1.1");
    assert!(upstream.last().has("host"));
}

#[test]
fn pipelined_requests_are_answered_in_order_each_with_its_own_decision() {
    let upstream = Upstream::echo();
    let toml = "[routes]\n\"/open/**\" = \"public\"\n\"/shut/**\" = \"access-required\"\n";
    let gateway = Gateway::in_front_of(&upstream, toml);
    let one = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut connection = gateway.client().connect();
    connection.write([one("/open/1"), one("/shut/2"), one("/open/3"), one("/none")].concat());
    assert_eq!(connection.response().expect(200).json()["target"], "/open/1");
    connection.response().refused(401, "token-missing");
    assert_eq!(connection.response().expect(200).json()["target"], "/open/3");
    connection.response().refused(404, "no-route");
    assert_eq!(upstream.count(), 2);
}
