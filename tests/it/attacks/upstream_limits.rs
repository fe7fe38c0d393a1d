//! What one backend may take: its time, its places, its heads. At each limit the client has a clear answer within a
//! second, it is counted, and another backend's clients notice nothing.

use std::fs;
use std::io;
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::harness::{Gateway, Response, Step, Upstream, eventually};

/// How much later than its limit an answer may come.
const LATE_MAX: Duration = Duration::from_secs(1);
const OPEN: &str = "[routes]\n\"/**\" = \"public\"\n";

fn app(url: impl std::fmt::Display, knobs: &str, rest: &str) -> Gateway {
    Gateway::start(&format!("[upstreams.app]\nurl = \"{url}\"\n{knobs}\n{OPEN}{rest}"))
}

/// How often a limit was reached, says the admin listener.
#[track_caller]
fn reached(gateway: &Gateway, limit: &str) -> u64 {
    let metrics = gateway.admin().get("/metrics").send().expect(200).text();
    let name = format!("freshgate_limits_reached_total{{limit=\"{limit}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
    line.and_then(|count| count.parse().ok()).expect("a counter")
}

/// Asks, and checks that the end came after `limit`, and at most a second after.
#[track_caller]
fn after<T>(limit: Duration, ask: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let answer = ask();
    let took = start.elapsed();
    assert!(took >= limit && took < limit + LATE_MAX, "after {took:?}");
    answer
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

// Holds: D7
#[test]
fn a_connection_that_does_not_open_is_504_after_timeout_connect() {
    let (_listener, _waiting, address) = blackhole();
    let gateway = app(format!("http://{address}"), "timeout_connect = \"300ms\"", "");
    let ask = || gateway.client().get("/").send().refused(504, "upstream-timeout");
    after(Duration::from_millis(300), ask);
}

// Holds: D7
#[test]
fn an_answer_that_does_not_begin_is_504_after_timeout_first_byte() {
    // Nothing, half a head, and a head of which one byte comes at a time.
    let drip = "HTTP/1.1 200 OK\r\nX: slow\r\n".bytes();
    let drip = drip.flat_map(|byte| [Step::send([byte]), Step::Pause(Duration::from_millis(50))]);
    let early = Step::send("HTTP/1.1 103 Early Hints\r\n\r\n");
    let early = std::iter::repeat_n([early, Step::Pause(Duration::from_millis(50))], 15).flatten();
    for script in [
        vec![Step::Hang],
        vec![Step::send("HTTP/1.1 200 OK\r\nContent-"), Step::Hang],
        drip.collect(),
        early.collect(),
    ] {
        let upstream = Upstream::raw(script.clone());
        let gateway = app(&upstream, "timeout_first_byte = \"300ms\"", "");
        let ask = || gateway.client().get("/").send().refused(504, "upstream-timeout");
        let response = after(Duration::from_millis(300), ask);
        assert_eq!(response.json()["title"], "The backend did not answer in time.", "{script:?}");
        assert_eq!(upstream.count(), 1, "asked again: {script:?}");
    }
}

// Holds: D7
#[test]
fn an_answer_that_pauses_is_cut_after_timeout_idle_or_response_idle() {
    for (knobs, limits) in [
        ("timeout_idle = \"300ms\"", ""),
        ("", "[limits]\nresponse_idle = \"300ms\"\n"),
        ("timeout_idle = \"300ms\"", "[limits]\nresponse_idle = \"10m\"\n"),
    ] {
        let upstream = Upstream::raw([
            Step::send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"),
            Step::Hang,
        ]);
        let gateway = app(&upstream, knobs, limits);
        let mut connection = gateway.client().connect();
        connection.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        let mut response = connection.response_head().expect(200);
        assert_eq!(connection.chunk(&mut response).as_deref(), Some(&b"abc"[..]));
        let closed = after(Duration::from_millis(250), || connection.is_closed());
        assert!(closed, "cut, and not ended as if it were whole: {knobs} {limits}");
        assert_eq!(reached(&gateway, "response_idle"), 1);
        assert!(gateway.logged("an answer was cut").contains("app"));
    }
}

// Holds: D8
#[test]
fn a_head_that_is_too_much_is_502_and_counted() {
    let field = |number: usize| format!("X-{number}: y\r\n");
    let (few, many): (String, String) = ((0..9).map(field).collect(), (0..10).map(field).collect());
    let early = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n";
    let large = format!("X: {}\r\n", "x".repeat(8 * 1024));
    let end = "Content-Length: 2\r\n\r\nok";
    let whole = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}{end}");
    let cases = [
        (whole(&few), None),
        (whole(&many), Some("response_header_count")),
        (whole(&large), Some("response_header_max")),
        (format!("{}{}", early.repeat(5), whole("")), None),
        (format!("{}{}", early.repeat(6), whole("")), Some("informational_max")),
        (early.repeat(2000), Some("informational_max")),
        (
            format!(
                "{}{}",
                format!("HTTP/1.1 103 Early Hints\r\n{}\r\n", &large[2000..]).repeat(2),
                whole("")
            ),
            Some("response_header_max"),
        ),
    ];
    let limits = "[limits]\nresponse_header_max = \"8KiB\"\nresponse_header_count = 10\ninformational_max = 5\n";
    for (answer, limit) in cases {
        let answer = answer.replace(&large[2000..], &format!("Y: {}", &large[2000..]));
        let upstream = Upstream::answering(&answer);
        let gateway = app(&upstream, "", limits);
        let response = gateway.client().get("/").send();
        let Some(limit) = limit else {
            assert_eq!(response.expect(200).text(), "ok");
            continue;
        };
        response.refused(502, "upstream-unreachable");
        assert_eq!(reached(&gateway, limit), 1, "{limit}");
        assert!(gateway.logged("the backend did not answer").contains(limit), "{limit}");
    }
}

/// Sends a request for this path and waits for no answer.
fn send(gateway: &Gateway, path: &str) -> crate::harness::client::Connection {
    let mut connection = gateway.client().connect();
    connection.write(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
    connection
}

fn overloaded(response: Response) {
    let refused = response.refused(503, "overloaded");
    assert_eq!(refused.header("retry-after"), Some("1"));
}

// Holds: D9
#[test]
fn a_hanging_backend_fills_its_own_places_and_slows_no_other() {
    const REQUESTS: usize = 50;
    let (slow, quick) = (Upstream::hanging(), Upstream::echo());
    let gateway = Gateway::start(&format!(
        "upstream = \"{quick}\"\n[upstreams.slow]\nurl = \"{slow}\"\nrequests_max = 4\nqueue_max = 6\n\
         [limits]\nthreads = 2\nupstream_queue_timeout = \"10m\"\n\
         [routes]\n\"/**\" = \"public\"\n\"/slow\" = {{ policy = \"public\", upstream = \"slow\" }}\n"
    ));
    let mut stuck: Vec<_> = (0..REQUESTS).map(|_| send(&gateway, "/slow")).collect();
    // Over all data threads: 4 have a place, 6 wait, all others are told at once.
    let told = REQUESTS - 4 - 6;
    eventually("the queue to be full", || {
        (reached(&gateway, "upstream_queue") == told as u64).then_some(())
    });
    let start = Instant::now();
    for _ in 0..50 {
        gateway.client().get("/").send().expect(200);
    }
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(slow.count(), 4);
    assert_eq!(reached(&gateway, "upstream_requests"), REQUESTS as u64 - 4);
    let (tell, answers) = mpsc::channel();
    std::thread::scope(|scope| {
        for mut connection in stuck.drain(..) {
            let tell = tell.clone();
            scope.spawn(move || {
                drop(tell.send(String::from_utf8_lossy(&connection.rest()).into_owned()))
            });
        }
    });
    drop(tell);
    let answers: Vec<String> = answers.iter().collect();
    let refused = |answer: &&String| {
        answer.starts_with("HTTP/1.1 503 ")
            && answer.to_lowercase().contains("\r\nretry-after: 1\r\n")
    };
    assert_eq!(answers.iter().filter(refused).count(), told);
    assert_eq!(answers.iter().filter(|answer| answer.is_empty()).count(), 10);
}

// Holds: D9
#[test]
fn who_waits_too_long_for_a_place_is_told_503_after_upstream_queue_timeout() {
    let upstream = Upstream::hanging();
    let limits = "[limits]\nupstream_requests = 1\nupstream_queue_timeout = \"300ms\"\n";
    let gateway = app(&upstream, "", limits);
    let _stuck = send(&gateway, "/");
    upstream.wait_for(1);
    after(Duration::from_millis(300), || overloaded(gateway.client().get("/").send()));
    assert_eq!(reached(&gateway, "upstream_queue_timeout"), 1);
    assert_eq!(upstream.count(), 1);
}

// Holds: D9
#[test]
fn the_wait_for_a_place_is_not_the_backends_time() {
    let (upstream, go) = Upstream::in_two("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no", "k");
    let gateway = app(&upstream, "requests_max = 1\ntimeout_first_byte = \"500ms\"", "");
    let mut first = send(&gateway, "/1");
    first.response_head().expect(200);
    let mut second = send(&gateway, "/2");
    eventually("a request that waits", || {
        (reached(&gateway, "upstream_requests") == 1).then_some(())
    });
    std::thread::sleep(Duration::from_millis(600));
    go.send(()).expect("the backend waits");
    go.send(()).expect("the backend waits");
    assert_eq!(second.response().expect(200).text(), "ok");
}

// Holds: D9
#[test]
fn a_place_is_kept_until_the_answer_has_ended_or_its_client_has_left() {
    let (upstream, go) = Upstream::in_two("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no", "k");
    let gateway = app(&upstream, "requests_max = 1\nqueue_max = 0", "");
    // The answer has begun: the place is taken. It has ended: the place is free.
    let mut first = send(&gateway, "/1");
    first.response_head().expect(200);
    overloaded(gateway.client().get("/").send());
    go.send(()).expect("the backend waits");
    assert_eq!(first.discard(2), 2);
    go.send(()).expect("the backend waits");
    assert_eq!(gateway.client().get("/2").send().expect(200).text(), "ok");
    // The client leaves in the middle of an answer.
    let mut third = send(&gateway, "/3");
    third.response_head().expect(200);
    overloaded(gateway.client().get("/").send());
    drop(third);
    go.send(()).expect("the backend waits");
    eventually("a place", || {
        let _passed_on = go.send(());
        (gateway.client().get("/4").send().status == 200).then_some(())
    });
}

// Holds: D9
#[test]
fn a_client_that_leaves_while_it_waits_leaves_the_queue() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let upstream = Upstream::custom(move |exchange| {
        wait.lock().expect("not poisoned").recv().map_err(io::Error::other)?;
        exchange.answer("200 OK", "text/plain", b"ok")
    });
    let gateway = app(
        &upstream,
        "requests_max = 1\nqueue_max = 1",
        "[limits]\nupstream_queue_timeout = \"10m\"\n",
    );
    let mut first = send(&gateway, "/1");
    upstream.wait_for(1);
    let leaves = send(&gateway, "/2");
    eventually("a request that waits", || {
        (reached(&gateway, "upstream_requests") == 1).then_some(())
    });
    overloaded(gateway.client().get("/").send());
    drop(leaves);
    let mut stays = eventually("a place in the queue", || {
        let refused = reached(&gateway, "upstream_queue");
        let mut connection = send(&gateway, "/3");
        let waits = reached(&gateway, "upstream_requests");
        eventually("an answer, or a wait", || {
            let now = reached(&gateway, "upstream_queue");
            (now > refused || reached(&gateway, "upstream_requests") >= waits).then_some(())
        });
        std::thread::sleep(Duration::from_millis(50));
        if reached(&gateway, "upstream_queue") > refused {
            overloaded(connection.response());
            return None;
        }
        Some(connection)
    });
    go.send(()).expect("the backend waits");
    go.send(()).expect("the backend waits");
    first.response().expect(200);
    stays.response().expect(200);
    let targets: Vec<_> = upstream.requests().iter().map(|one| one.target().to_owned()).collect();
    assert_eq!(targets, ["/1", "/3"], "who left was never sent");
}

// Holds: D9
#[test]
fn places_survive_a_reload_and_their_number_can_change() {
    let upstream = Upstream::hanging();
    let gateway = app(&upstream, "requests_max = 2", "[limits]\nupstream_queue = 0\n");
    let file = gateway.path("gateway.toml");
    let text = fs::read_to_string(&file).expect("a file");
    let change = |requests_max: usize| {
        let new = format!("requests_max = {requests_max}");
        fs::write(&file, text.replace("requests_max = 2", &new)).expect("written");
        gateway.admin().post("/reload").send().expect(200);
    };
    let mut stuck = vec![send(&gateway, "/1"), send(&gateway, "/2")];
    upstream.wait_for(2);
    overloaded(gateway.client().get("/").send());
    // The same upstream: what it has is not forgotten.
    gateway.admin().post("/reload").send().expect(200);
    overloaded(gateway.client().get("/").send());
    change(3);
    stuck.push(send(&gateway, "/3"));
    upstream.wait_for(3);
    overloaded(gateway.client().get("/").send());
    // Fewer: nobody loses a place, and nobody gets one until enough have been left.
    change(1);
    drop(stuck.drain(..2));
    std::thread::sleep(Duration::from_millis(300));
    overloaded(gateway.client().get("/").send());
    stuck.clear();
    eventually("a place", || {
        let connection = send(&gateway, "/4");
        std::thread::sleep(Duration::from_millis(50));
        let came = upstream.count() == 4;
        drop(connection);
        came.then_some(())
    });
}

// Holds: D4, D9
// A thousand connections that upload slowly are fast enough for every limit of bodies, and each has a place at the
// backend meanwhile: without places that are kept for others, one client would keep everybody out.
#[test]
fn one_address_that_uploads_slowly_leaves_places_for_all_others() {
    let upstream = Upstream::echo();
    let gateway = app(&upstream, "requests_max = 32\nqueue_max = 32", "");
    let open = |from: &str| {
        let mut connection = gateway.client().connect_from(from);
        connection.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nslowly");
        connection
    };
    let slow: Vec<_> = (0..100).map(|_| open("127.0.0.9")).collect();
    eventually("every place and the queue to be full", || {
        (reached(&gateway, "upstream_queue") >= 40).then_some(())
    });
    for other in ["127.0.0.2", "127.0.0.3"] {
        let mut connection = gateway.client().connect_from(other);
        for _ in 0..20 {
            connection.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
            connection.response().expect(200);
        }
    }
    drop(slow);
    eventually("the places to be free", || {
        (gateway.client().get("/").send().status == 200).then_some(())
    });
}
