//! One request, one answer, one client: what becomes of answers that come early, and that a pool of connections gives nobody
//! another's answer or rights, whatever the backends behind it do.

use std::io::{self, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use crate::harness::wire::{Message, Wire};
use crate::harness::{Gateway, PATIENCE, Upstream};

const OPEN: &str = "[routes]\n\"/**\" = \"public\"\n[limits]\nthreads = 1\n";

// Holds: H15, CVE-2026-71324
#[test]
fn an_early_answer_is_passed_on_and_the_rest_of_the_body_is_nobodys_request() {
    // It never reads a body, and takes what comes of one for the next request.
    let upstream = Upstream::custom(|exchange| match exchange.request.target() {
        "/up" => exchange.answer("200 OK", "text/plain", b"enough"),
        "/hidden" => exchange.answer("200 OK", "text/plain", b"POISON"),
        _ => exchange.answer("200 OK", "text/plain", b"fine"),
    });
    let gateway = Gateway::in_front_of(&upstream, OPEN);
    let hidden = "GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n";
    for framing in ["Content-Length: 1000000", "Transfer-Encoding: chunked"] {
        let mut connection = gateway.client().connect();
        connection.write(format!("POST /up HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n"));
        assert_eq!(connection.response().expect(200).text(), "enough", "{framing}");
        let early = upstream.last().connection;
        connection.write(hidden);
        for _ in 0..3 {
            assert_eq!(gateway.client().get("/").send().expect(200).text(), "fine", "{framing}");
            let asked = upstream.requests().into_iter().rfind(|one| one.target() == "/");
            assert_ne!(asked.expect("arrived").connection, early, "{framing}");
        }
        // Whatever comes now, it is no answer; and it ends soon.
        let start = Instant::now();
        assert!(connection.is_closed(), "{framing}");
        assert!(start.elapsed() < Duration::from_secs(5), "{framing}");
    }
    // The gateway itself has asked for it nowhere: it was a body, over the connection of its request.
    let asked = upstream.requests();
    let hidden = asked.iter().filter(|request| request.target() == "/hidden");
    let early =
        |connection| asked.iter().any(|r| r.connection == connection && r.target() == "/up");
    assert!(hidden.into_iter().all(|request| early(request.connection)));
}

// Holds: H15
#[test]
fn a_body_that_ends_soon_after_its_early_answer_costs_its_client_nothing() {
    let (tell, told) = mpsc::channel::<bool>();
    let tell = Mutex::new(tell);
    let upstream = Upstream::custom(move |exchange| {
        exchange.answer("200 OK", "text/plain", b"early")?;
        if exchange.request.target() == "/up" {
            let whole = exchange.read_body().is_ok();
            tell.lock().expect("not poisoned").send(whole).map_err(io::Error::other)?;
        }
        Ok(())
    });
    let gateway = Gateway::in_front_of(&upstream, OPEN);
    let mut connection = gateway.client().connect();
    for _ in 0..5 {
        connection.write("POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf");
        assert_eq!(connection.response().expect(200).text(), "early");
        let early = upstream.last().connection;
        connection.write(" done");
        assert!(told.recv_timeout(PATIENCE).expect("the body ended"), "the rest was passed on");
        assert_eq!(gateway.client().get("/").send_on(&mut connection).expect(200).text(), "early");
        assert_ne!(upstream.last().connection, early);
    }
}

// Holds: H15
// Many servers refuse an upload so: to close with unread bytes is to reset, and the answer comes before the reset does.
#[test]
fn the_answer_of_a_backend_that_closes_upon_a_body_is_not_lost() {
    let upstream = Upstream::custom(|exchange| {
        exchange.answer("413 Content Too Large", "text/plain", b"enough")?;
        Err(io::Error::other("closed with the body unread"))
    });
    let gateway = Gateway::in_front_of(&upstream, OPEN);
    let body = "x".repeat(1_500_000);
    for round in 0..20 {
        let answer = gateway.client().post("/up").body(&*body).send();
        assert_eq!((answer.status, &*answer.text()), (413, "enough"), "round {round}");
    }
    assert_eq!(upstream.count(), 20, "sent again");
}

// Holds: H15
#[test]
fn a_refusal_in_the_backends_name_leaves_nothing_of_the_body_to_be_read_as_a_request() {
    let full = Upstream::hanging();
    let upstream = Upstream::echo();
    let gateway = Gateway::start(&format!(
        "upstream = \"{upstream}\"\n[upstreams.down]\nurl = \"http://{}\"\n\
         [upstreams.full]\nurl = \"{full}\"\nrequests_max = 1\nqueue_max = 0\ntimeout_first_byte = \"10m\"\n\
         [routes]\n\"/**\" = \"public\"\n\"/down\" = {{ policy = \"public\", upstream = \"down\" }}\n\
         \"/full\" = {{ policy = \"public\", upstream = \"full\" }}\n\
         \"/slow\" = {{ policy = \"public\", upstream = \"full\", timeout = \"200ms\" }}\n",
        Upstream::nowhere()
    ));
    let hidden = "GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n";
    let filler = "x".repeat(300_000);
    let mut stuck = gateway.client().connect();
    for (path, status) in [("/slow", 504), ("/down", 502), ("/full", 503)] {
        if path == "/full" {
            stuck.write("GET /full HTTP/1.1\r\nHost: x\r\n\r\n");
            full.wait_for(2);
        }
        let mut connection = gateway.client().connect();
        let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n");
        connection.write(head + hidden);
        connection.response().expect(status);
        connection.write(format!("{filler}{hidden}"));
        assert_eq!(String::from_utf8_lossy(&connection.rest()), "", "{path}");
    }
    assert_eq!(upstream.count(), 0);
}

// Holds: H15, H22
#[test]
fn a_backend_that_takes_a_body_for_a_request_answers_it_to_nobody() {
    // It does not read bodies at all ("CL.0"): what is in them it takes for the next request.
    let (tell, told) = mpsc::channel::<()>();
    let tell = Mutex::new(tell);
    let upstream = Upstream::custom(move |exchange| match exchange.request.target() {
        "/hidden" => {
            exchange.answer("200 OK", "text/plain", b"POISON")?;
            tell.lock().expect("not poisoned").send(()).map_err(io::Error::other)
        }
        _ => exchange.answer("200 OK", "text/plain", b"fine"),
    });
    let gateway = Gateway::in_front_of(&upstream, OPEN);
    for _ in 0..10 {
        let hidden = "GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n";
        let first = gateway.client().post("/").body(hidden).send().expect(200);
        assert_eq!(first.text(), "fine");
        told.recv_timeout(PATIENCE).expect("the backend fell for it");
        assert_eq!(gateway.client().get("/").send().expect(200).text(), "fine");
    }
}

// Holds: CVE-2026-73548
#[test]
fn a_connection_that_a_user_has_bound_to_himself_is_nobody_elses() {
    // As with NTLM: who proves himself once is believed for all that comes over the connection.
    let bound = Mutex::new(std::collections::HashSet::new());
    let upstream = Upstream::custom(move |exchange| {
        let mut bound = bound.lock().expect("not poisoned");
        if exchange.request.has("authorization") {
            bound.insert(exchange.request.connection);
        }
        let known = bound.contains(&exchange.request.connection);
        exchange.answer("200 OK", "text/plain", if known { b"ada" } else { b"nobody" })
    });
    let gateway = Gateway::in_front_of(&upstream, OPEN);
    for proof in
        ["NTLM TlRMTVNTUAAD", "Negotiate YII", "negotiate YII", "Kerberos x", "Basically x"]
    {
        gateway.client().get("/").send().expect(200);
        let ask = || gateway.client().get("/").header("Authorization", proof);
        assert_eq!(ask().send().expect(200).text(), "ada", "{proof}");
        assert_eq!(gateway.client().get("/").send().expect(200).text(), "nobody", "{proof}");
    }
    // These are proved with each request, and cost no connection.
    for proof in ["Basic YTpi", "digest username=\"a\""] {
        gateway.client().get("/").header("Authorization", proof).send().expect(200);
        let first = upstream.last().connection;
        gateway.client().get("/").header("Authorization", proof).send().expect(200);
        assert_eq!(upstream.last().connection, first, "{proof}");
    }
}

// Holds: H16, H17, CVE-2026-2833
#[test]
fn nothing_is_tunnelled_to_a_backend_that_switches_all_the_same() {
    let upstream = Upstream::custom(|exchange| {
        let switch =
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo\r\nConnection: Upgrade\r\n\r\n";
        exchange.send(format!("{switch}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON"))
    });
    let gateway = Gateway::in_front_of(&upstream, OPEN);
    for asked in ["foo", "websocket", "h2c"] {
        upstream.forget();
        let mut connection = gateway.client().connect();
        connection.write(format!(
            "GET /1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: {asked}\r\n\r\n\
             GET /2 HTTP/1.1\r\nHost: x\r\n\r\n"
        ));
        connection.response().refused(502, "upstream-unreachable");
        let rest = String::from_utf8_lossy(&connection.rest()).into_owned();
        assert!(!rest.contains("POISON") && !rest.contains("HTTP/1.1 101"), "{asked}: {rest}");
        assert!(!upstream.requests()[0].has("upgrade"), "{asked}");
    }
}

// Holds: H13
#[test]
fn a_client_that_leaves_takes_its_request_with_it() {
    let (tell, told) = mpsc::channel::<bool>();
    let tell = Mutex::new(tell);
    let upstream = Upstream::custom(move |exchange| {
        let whole = exchange.read_body().is_ok();
        let end = exchange.wire.rest();
        tell.lock().expect("not poisoned").send(whole && end.is_empty()).map_err(io::Error::other)
    });
    let gateway = Gateway::in_front_of(&upstream, OPEN);
    // While it waits for the answer, and in the middle of its body.
    for (request, whole) in [
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", true),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf", false),
        ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", false),
    ] {
        let before = upstream.count();
        let mut connection = gateway.client().connect();
        connection.write(request);
        upstream.wait_for(before + 1);
        drop(connection);
        let was_whole = told.recv_timeout(PATIENCE).expect("the backend's connection ended");
        assert_eq!(was_whole, whole, "{request:?}");
    }
}

/// What the backend of the next test does, by turns; `TARGET` is what was asked for.
const MOODS: [&str; 16] = [
    "HTTP/1.1 200 OK\r\nContent-Length: LENGTH\r\n\r\nTARGET",
    "HTTP/1.1 200 OK\r\nContent-Length: LENGTH\r\n\r\nTARGET",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n/\r\nREST\r\n0\r\n\r\n",
    "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: LENGTH\r\n\r\nTARGET",
    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: LENGTH\r\n\r\nTARGET",
    "HTTP/1.1 200 OK\r\nContent-Length: LENGTH\r\n\r\nTARGETHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON",
    "HTTP/1.1 200 OK\r\nContent-Length: LENGTH\r\n\r\nTARGETPOISON",
    "HTTP/1.1 204 No Content\r\nContent-Length: 6\r\n\r\nPOISON",
    "HTTP/1.1 304 Not Modified\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nPOISON\r\n0\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON",
    "CLOSE HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nTARGET",
    "CLOSE HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nTARGET",
    "CLOSE HTTP/1.1 200 O",
    "CLOSE ",
    "POISON",
];

/// Asks for `target` on `wire`, made anew where the gateway has closed it; `None` when the answer was cut.
fn ask(gateway: &Gateway, wire: &mut Option<Wire<TcpStream>>, target: &str) -> Option<Message> {
    let wire = wire.get_or_insert_with(|| {
        let stream = TcpStream::connect(gateway.client().address).expect("connects");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout above zero");
        Wire::new(stream)
    });
    let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n");
    wire.stream.write_all(request.as_bytes()).ok()?;
    let mut message = wire.head().ok()??;
    let empty =
        ["HTTP/1.1 204 ", "HTTP/1.1 304 "].iter().any(|start| message.start.starts_with(start));
    if !empty {
        wire.body(&mut message, true).ok()?;
    }
    Some(message)
}

// Holds: H22, CVE-2026-71324, CVE-2026-88007, CVE-2026-73548
#[test]
fn of_ten_thousand_answers_over_one_pool_none_goes_to_the_wrong_client() {
    const EACH: usize = 1250;
    const CLIENTS: usize = 8;
    let turn = AtomicUsize::new(1);
    let upstream = Upstream::custom(move |exchange| {
        // A small congruential generator: moods follow no order, and the same in each run (Numerical Recipes).
        let next =
            |x: usize| Some(x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223) % (1 << 32));
        let drawn = turn.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next).unwrap_or(0);
        let mood = MOODS[(drawn >> 16) % MOODS.len()];
        let target = exchange.request.target().to_owned();
        let rest = format!("{:x}\r\n{}", target.len() - 1, &target[1..]);
        let text = mood.replace("LENGTH", &target.len().to_string());
        let text = text.replace("REST", &rest).replace("TARGET", &target);
        match text.strip_prefix("CLOSE ") {
            None => exchange.send(text),
            Some(text) => exchange.send(text).and_then(|()| Err(io::Error::other("closed"))),
        }
    });
    let gateway =
        Gateway::in_front_of(&upstream, "[routes]\n\"/**\" = \"public\"\n[limits]\nthreads = 2\n");
    let (good, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (gateway, good, refused) = (&gateway, &good, &refused);
            scope.spawn(move || {
                let mut wire = None;
                for number in 0..EACH {
                    let target = format!("/{}/{client}/{number}", ["ada", "bob"][client % 2]);
                    let Some(answer) = ask(gateway, &mut wire, &target) else {
                        wire = None;
                        continue;
                    };
                    match answer.start.split(' ').nth(1) {
                        Some("200") => assert_eq!(answer.text(), target),
                        Some("204" | "304") => {}
                        Some("502") => {
                            refused.fetch_add(1, Ordering::Relaxed);
                            continue;
                        }
                        _ => panic!("{target}: {:?}", answer.start),
                    }
                    good.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let (good, refused) = (good.into_inner(), refused.into_inner());
    assert!(
        good > 3000 && refused > 1000,
        "{good} good and {refused} refused: the moods do not mix"
    );
}
