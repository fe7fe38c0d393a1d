//! Panics on both sides of the head, told over a real connection; and what must be as before afterwards.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;

use super::*;
use crate::config::Config;
use crate::server::build;
use crate::server::seats::Seats;
use crate::server::wire::{Verdicts, Wire, WireLimits};
use crate::server::worker::{Arrival, Shared, Worker};
use crate::store::throttle::Attempt;
use crate::store::{Answer, Authenticated, CheckFault, CredentialStore, Session, StoreFault};
use crate::telemetry::Metrics;
use crate::token::Secret;

/// A body that panics at its second piece, once the first has gone out.
struct Breaking(usize);

impl Body for Breaking {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        self.0 += 1;
        match self.0 {
            1 => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"abc"))))),
            2 => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            _ => panic!("the second piece"),
        }
    }
}

const LIMITS: WireLimits = WireLimits {
    target_max: 100,
    header_max: 1000,
    header_count: 20,
    header_timeout: Duration::from_secs(10),
    keep_alive: Duration::from_secs(10),
    requests_max: 100,
    write_idle: Duration::from_secs(10),
    write_rate_min: 0,
};

/// All that comes back from a handler that panics before the head on `/head` and inside the body elsewhere; and
/// whether a request is in flight afterwards.
async fn ask(path: &str) -> (String, bool) {
    let (mut client, server) = tokio::io::duplex(4096);
    let verdicts = Verdicts::new();
    let wire = Wire::new(server, LIMITS, verdicts.clone(), Arc::default());
    let shared = verdicts.clone();
    let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
        let (_, in_flight) = shared.take();
        let answered = async move {
            assert_ne!(request.uri().path(), "/head", "before the head");
            Response::new(Breaking(0))
        };
        kept(answered, in_flight, false)
    });
    let served = tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(wire), service));
    let request = format!("GET {path} HTTP/1.1\r\nhost: h\r\n\r\n");
    client.write_all(request.as_bytes()).await.expect("written");
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.expect("text");
    drop(client);
    assert!(served.await.is_ok(), "the panic did not reach the connection's task");
    (answer, verdicts.is_busy())
}

#[tokio::test]
async fn a_panic_before_the_head_is_500_and_closes() {
    let (answer, busy) = ask("/head").await;
    assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    assert!(!busy);
}

#[tokio::test]
async fn a_panic_inside_a_body_cuts_it_and_never_ends_it_as_if_it_were_whole() {
    let (answer, busy) = ask("/body").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("transfer-encoding: chunked"), "{answer}");
    assert!(!answer.ends_with("0\r\n\r\n"), "{answer}");
    assert!(!busy);
}

/// A store whose every check panics, with a password in its words.
struct Panicking;

impl CredentialStore for Panicking {
    fn check(&self, _: Attempt, password: Secret) -> Answer<'_, Result<Authenticated, CheckFault>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            panic!("{}", String::from_utf8_lossy(password.expose()))
        })
    }

    fn claims_of<'a>(
        &'a self,
        _: &'a str,
        _: Option<&'a Session>,
    ) -> Answer<'a, Result<Option<serde_json::Map<String, serde_json::Value>>, StoreFault>> {
        panic!("before the future")
    }
}

/// A whole data thread whose users are in that store.
fn gateway() -> (Worker, Arc<Metrics>, watch::Sender<bool>, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("gateway.toml");
    let toml = "upstream = \"builtin:whoami\"\n[routes]\n\"/**\" = \"public\"\n";
    std::fs::write(&path, toml).expect("a file");
    let config = Config::load(&path).expect("a good file");
    let metrics = Arc::new(Metrics::new());
    let mut built = build::first(config, Arc::clone(&metrics)).expect("starts");
    built.snapshot.credentials = Some(Arc::new(Panicking));
    let (drain, draining) = watch::channel(false);
    let world = Arc::new(ArcSwap::from_pointee(built.snapshot));
    let shared = Shared { world, metrics: Arc::clone(&metrics), draining };
    (Worker::start(0, shared).expect("a thread"), metrics, drain, dir)
}

fn connect(worker: &Worker, seats: &Seats) -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let client = TcpStream::connect(listener.local_addr().expect("bound")).expect("connects");
    let (stream, address) = listener.accept().expect("accepts");
    stream.set_nonblocking(true).expect("a socket");
    worker.take(Arrival { stream, address, seat: seats.take(address.ip(), 10) });
    client.set_read_timeout(Some(Duration::from_secs(20))).expect("above zero");
    client
}

const LOGIN: &str = "POST /auth/login HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\n\
    content-length: 42\r\n\r\n{\"username\":\"ada\",\"password\":\"open sesam\"}";

#[test]
fn a_panic_in_one_request_is_500_for_that_one_alone_and_is_counted() {
    let (worker, metrics, drain, _dir) = gateway();
    let seats = Seats::default();
    let mut other = connect(&worker, &seats);
    for _ in 0..3 {
        let mut client = connect(&worker, &seats);
        client.write_all(LOGIN.as_bytes()).expect("written");
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("an answer, then the end");
        assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
        assert!(answer.contains("\"code\":\"internal\""), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
        assert!(!answer.contains("sesam"), "{answer}");
        // Who was connected before is served as before.
        other.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").expect("written");
        let mut answer = String::new();
        while !answer.ends_with("0 bytes\n") {
            let mut piece = [0; 1024];
            let count = other.read(&mut piece).expect("an answer");
            assert_ne!(count, 0, "closed after {answer}");
            answer.push_str(std::str::from_utf8(&piece[..count]).expect("text"));
        }
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    drop(other);
    let _draining = drain.send(true);
    worker.retire().join().expect("the thread lived to its end");
    let text = metrics.render();
    let internal = text.lines().find(|line| line.contains("decision=\"internal\""));
    assert!(internal.is_some_and(|line| line.ends_with(" 3")), "{text}");
    assert!(text.contains("freshgate_connections 0"), "{text}");
    assert!(seats.is_empty(), "every seat was given back");
}
