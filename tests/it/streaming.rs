//! Bodies on their way through: nothing is held back, nothing is kept, nothing is ended that did not end.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::mpsc;

use crate::harness::{Gateway, Step, Upstream, eventually};

const OPEN: &str = "[routes]\n\"/**\" = { policy = \"public\", body_max = \"1GiB\" }\n";
const MIB: u64 = 1024 * 1024;
/// How much memory may grow meanwhile, in KiB.
const GROWTH_MAX_KIB: u64 = 16 * 1024;

#[test]
fn a_client_that_does_not_read_slows_the_backend_down_instead_of_filling_memory() {
    let sent = std::sync::Arc::new(Mutex::new(0_u64));
    let counter = sent.clone();
    let upstream = Upstream::custom(move |exchange| {
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")?;
        let piece = vec![b'd'; MIB as usize];
        for _ in 0..900 {
            exchange.send(&piece)?;
            *counter.lock().expect("not poisoned") += MIB;
        }
        Ok(())
    });
    let gateway = Gateway::in_front_of(&upstream, OPEN);
    let before = gateway.peak_memory_kib();
    let mut connection = gateway.client().connect();
    connection.write("GET /down HTTP/1.1\r\nHost: x\r\n\r\n");
    connection.response_head().expect(200);
    // The kernel's buffers fill, then the backend stands still.
    let mut last = u64::MAX;
    eventually("the backend to stand still", || {
        std::thread::sleep(std::time::Duration::from_millis(200));
        let now = *sent.lock().expect("not poisoned");
        let still = now == last && now > 0;
        last = now;
        still.then_some(())
    });
    assert!(last < 100 * MIB, "{last} bytes were taken");
    assert!(gateway.peak_memory_kib() - before < GROWTH_MAX_KIB);
}

#[test]
fn the_first_chunk_of_a_response_arrives_before_the_backend_sends_the_second() {
    // The second is released only after the client has the first one.
    let (upstream, go) = Upstream::in_two(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n",
        "6\r\nsecond\r\n0\r\n\r\n",
    );
    let gateway = Gateway::in_front_of(&upstream, OPEN);
    let mut connection = gateway.client().connect();
    connection.write("GET /events HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut response = connection.response_head().expect(200);
    assert_eq!(connection.chunk(&mut response).as_deref(), Some(&b"first"[..]));
    go.send(()).expect("the backend waits");
    assert_eq!(connection.chunk(&mut response).as_deref(), Some(&b"second"[..]));
    assert_eq!(connection.chunk(&mut response), None);
}

#[test]
fn the_first_chunk_of_a_request_arrives_before_the_client_sends_the_second() {
    let upstream = Upstream::custom(|exchange| {
        while exchange.read_chunk()?.is_some() {}
        exchange.answer("200 OK", "text/plain", b"done")
    });
    let gateway = Gateway::in_front_of(&upstream, OPEN);
    let mut connection = gateway.client().connect();
    connection
        .write("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
    eventually("the first chunk", || (upstream.wait_for(1).body == b"first").then_some(()));
    connection.write("6\r\nsecond\r\n0\r\n\r\n");
    assert_eq!(connection.response().expect(200).text(), "done");
    assert_eq!(upstream.last().text(), "firstsecond");
}

#[test]
fn a_body_cut_short_by_the_client_is_never_ended_cleanly_for_the_backend() {
    for head in ["Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "Content-Length: 10\r\n\r\nabc"]
    {
        let (tell, told) = mpsc::channel();
        let tell = Mutex::new(tell);
        let upstream = Upstream::custom(move |exchange| {
            let read = exchange.read_body();
            let _ = tell.lock().expect("not poisoned").send(read.is_ok());
            read
        });
        let gateway = Gateway::in_front_of(&upstream, OPEN);
        let mut stream = TcpStream::connect(gateway.client().address).expect("connects");
        stream.write_all(format!("POST / HTTP/1.1\r\nHost: x\r\n{head}").as_bytes()).expect("sent");
        upstream.wait_for(1);
        drop(stream);
        let whole = told.recv_timeout(crate::harness::PATIENCE).expect("the backend was told");
        assert!(!whole, "the backend took a cut body for a whole one: {head:?}");
    }
}

#[test]
fn a_response_cut_short_by_the_backend_is_never_ended_cleanly_for_the_client() {
    for head in ["Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "Content-Length: 10\r\n\r\nabc"]
    {
        let upstream =
            Upstream::raw([Step::send(format!("HTTP/1.1 200 OK\r\n{head}")), Step::Close]);
        let gateway = Gateway::in_front_of(&upstream, OPEN);
        let answer = gateway.client().raw("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(!answer.contains("0\r\n\r\n") || answer.starts_with("HTTP/1.1 502"), "{answer}");
        let mut connection = gateway.client().connect();
        connection.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        connection.rest();
        assert!(connection.is_closed(), "the connection goes on after half a body: {head:?}");
    }
}

#[test]
fn a_response_that_ends_with_the_connection_arrives_whole() {
    let upstream = Upstream::raw([Step::send("HTTP/1.1 200 OK\r\n\r\nto the end"), Step::Close]);
    let gateway = Gateway::in_front_of(&upstream, OPEN);
    let mut connection = gateway.client().connect();
    for _ in 0..3 {
        assert_eq!(
            gateway.client().get("/").send_on(&mut connection).expect(200).text(),
            "to the end"
        );
    }
}

#[test]
fn expect_100_continue_is_answered_and_not_forwarded() {
    let upstream = Upstream::echo();
    let gateway = Gateway::in_front_of(&upstream, OPEN);
    let mut stream = TcpStream::connect(gateway.client().address).expect("connects");
    let head = "POST /up HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\nConnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).expect("sent");
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).expect("an interim response");
    assert_eq!(&go_on[..], b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"body").expect("sent");
    let mut rest = String::new();
    stream.read_to_string(&mut rest).expect("an answer");
    assert!(rest.starts_with("HTTP/1.1 200"), "{rest}");
    assert_eq!(upstream.last().text(), "body");
    assert!(!upstream.last().has("expect"));
}

#[test]
fn a_refused_request_that_expects_100_gets_the_refusal_at_once() {
    let upstream = Upstream::echo();
    let gateway = Gateway::in_front_of(&upstream, "[routes]\n\"/**\" = \"access-required\"\n");
    let mut connection = gateway.client().connect();
    connection
        .write("POST /up HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    let answer = connection.response_head();
    assert_eq!(answer.status, 401, "{}", answer.start);
    assert_eq!(upstream.count(), 0);
}

#[test]
fn interim_responses_of_the_backend_do_not_take_the_place_of_the_final_one() {
    let answer = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n\
                  HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let upstream = Upstream::answering(answer);
    let gateway = Gateway::in_front_of(&upstream, OPEN);
    assert_eq!(gateway.client().get("/").send().expect(200).text(), "ok");
}
