//! Requests of our own against real servers: good ones, and those that do what they must not.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::rig_tests::{Authority, Server, ok, read_head, with};
use super::*;

const SHORT: Duration = Duration::from_millis(300);

/// Long enough for a busy machine, and never waited for.
const BUDGET: Budget = Budget { timeout: Duration::from_secs(30), body_max: 1000 };

fn loopback() -> Options {
    let allow_private = vec!["127.0.0.0/8".parse().expect("a network")];
    Options { allow_private, connect_timeout: Duration::from_secs(20), ..Options::default() }
}

fn client() -> Outbound {
    Outbound::new(loopback()).expect("options")
}

fn get(uri: impl TryInto<Uri>) -> Request<Bytes> {
    let uri = uri.try_into().unwrap_or_else(|_| panic!("a URL"));
    Request::get(uri).body(Bytes::new()).expect("a request")
}

async fn why(client: &Outbound, uri: impl TryInto<Uri>) -> Why {
    client.send(get(uri), BUDGET).await.expect_err("a fault").why
}

#[tokio::test]
async fn a_request_arrives_as_it_is_and_its_answer_comes_back_whole() {
    let server = Server::start(|_, stream, heads| async move {
        let echo = hyper::service::service_fn(move |request: Request<Incoming>| {
            let heads = heads.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.expect("a body").to_bytes();
                let _ = heads.send(format!("{} {} {:?}", parts.method, parts.uri, parts.headers));
                Ok::<_, hyper::Error>(
                    Response::builder().status(418).body(Full::new(body)).expect("ok"),
                )
            }
        });
        let http = hyper::server::conn::http1::Builder::new();
        let _ = http.serve_connection(TokioIo::new(stream), echo).await;
    });
    let mut server = server.await;
    let mut request = Request::new(Bytes::from_static(b"{\"a\":1}"));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = server.uri("/hook?x=%20y");
    request.headers_mut().insert("x-own", HeaderValue::from_static("1"));
    request.headers_mut().insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    let answer = client().send(request, BUDGET).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::IM_A_TEAPOT);
    assert_eq!(answer.body().as_ref(), b"{\"a\":1}");
    let head = server.heads.recv().await.expect("a head");
    assert!(head.starts_with("POST /hook?x=%20y "), "{head}");
    for part in
        ["\"x-own\": \"1\"", "\"content-length\": \"7\"", "freshgate/", "\"connection\": \"close\""]
    {
        assert!(head.contains(part), "{part} is not in {head}");
    }
    assert!(head.contains(&format!("\"host\": \"{}\"", server.address)), "{head}");
    assert!(!head.contains("transfer-encoding"), "{head}");
}

#[test]
fn one_client_serves_several_runtimes() {
    let client = Arc::new(client());
    for _ in 0..2 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let server = Server::answering(ok("{}")).await;
            let answer = client.send(get(server.uri("/")), BUDGET).await.expect("an answer");
            assert_eq!(answer.status(), StatusCode::OK);
        });
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_nothing_is_unpacked() {
    let redirect = "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n";
    let mut server = Server::answering(redirect).await;
    let answer = client().send(get(server.uri("/")), BUDGET).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::FOUND);
    assert_eq!(answer.headers()["location"], "/elsewhere");
    assert!(server.heads.recv().await.expect("a head").starts_with("GET / "));
    assert!(server.heads.try_recv().is_err(), "it was followed");
    let mut server = Server::answering(with("Content-Encoding: gzip\r\n", "\u{1f}packed")).await;
    let answer = client().send(get(server.uri("/")), BUDGET).await.expect("an answer");
    assert_eq!(answer.body().as_ref(), b"\x1fpacked");
    let head = server.heads.recv().await.expect("a head");
    assert!(!head.to_lowercase().contains("accept-encoding"), "{head}");
}

#[test]
fn what_is_no_address_of_the_internet_is_refused() {
    let guard = AddressGuard::default();
    let checked = |text: &str| {
        let ip: IpAddr = text.parse().unwrap_or_else(|_| panic!("{text}"));
        guard.check(SocketAddr::new(ip, 443))
    };
    for special in [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "10.255.255.255",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.0.3",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.7",
        "203.0.113.9",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::8.8.8.8",
        "::ffff:10.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "64:ff9b::7f00:1",
        "64:ff9b::808:808",
        "64:ff9b:1::a00:1",
        "100::1",
        "2001::1",
        "2001:20::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "3fff::1",
        "4000::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "ff0e::1",
    ] {
        assert!(matches!(checked(special), Err(Why::Refused { .. })), "{special} passes");
    }
    for ordinary in [
        "1.1.1.1",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2001:200::1",
        "2001:4860:4860::8888",
        "2400:cb00::1",
        "2a00::1",
    ] {
        assert!(checked(ordinary).is_ok(), "{ordinary} is refused");
    }
}

#[test]
fn what_is_listed_passes_and_nothing_beside_it() {
    let list = ["10.1.0.0/16", "fd12::/16"].map(|net| net.parse().expect("a network"));
    let guard = AddressGuard::new(list.to_vec());
    let passes =
        |text: &str| guard.check(SocketAddr::new(text.parse().expect("an address"), 1)).is_ok();
    assert!(
        passes("10.1.2.3") && passes("fd12::5") && passes("::ffff:10.1.2.3") && passes("8.8.8.8")
    );
    for other in [
        "10.2.0.1",
        "127.0.0.1",
        "fd13::1",
        "::ffff:10.2.0.1",
        "64:ff9b::a01:203",
        "2002:a01:203::",
    ] {
        assert!(!passes(other), "{other} passes");
    }
}

/// However a URL writes the loopback address, nothing is connected.
#[tokio::test]
async fn no_spelling_of_an_address_gets_around_the_guard() {
    let mut server = Server::answering(ok("{}")).await;
    let port = server.address.port();
    let strict = Outbound::new(Options::default()).expect("options");
    for host in [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "0",
        "localhost",
        "LOCALHOST",
        "[::1]",
        "[0:0::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[::]",
    ] {
        let fault = why(&strict, format!("http://{host}:{port}/")).await;
        assert!(matches!(fault, Why::Refused { .. }), "{host}: {fault}");
    }
    assert!(server.heads.try_recv().is_err(), "somebody got through");
    // The same spellings reach it where it is listed: it was the guard that stood there.
    for host in ["127.1", "0x7f000001", "localhost", "[::ffff:127.0.0.1]"] {
        let request = get(format!("http://{host}:{port}/"));
        let answer = client().send(request, BUDGET).await;
        assert!(answer.is_ok(), "{host}: {answer:?}");
    }
}

/// A client whose lookups answer with these, in turn; and how many there were.
fn looking_up(answers: Vec<Vec<IpAddr>>, options: Options) -> (Outbound, Arc<AtomicUsize>) {
    let mut client = Outbound::new(options).expect("options");
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    client.connector.resolver = Arc::new(move |name: &str| {
        assert_eq!(name, "issuer.example");
        Ok(answers[counted.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1)].clone())
    });
    (client, count)
}

#[tokio::test]
async fn the_address_that_was_checked_is_the_one_that_is_connected_to() {
    let server = Server::answering(ok("{}")).await;
    let url = format!("http://issuer.example:{}/", server.address.port());
    let good: IpAddr = Ipv4Addr::LOCALHOST.into();
    let bad: IpAddr = Ipv4Addr::new(10, 0, 0, 1).into();
    // First a good answer, then a bad one for the same name.
    let (client, lookups) = looking_up(vec![vec![good], vec![bad]], loopback());
    let answer = client.send(get(url.as_str()), BUDGET).await.expect("an answer");
    assert_eq!((answer.status(), lookups.load(Ordering::SeqCst)), (StatusCode::OK, 1));
    let refused = Why::Refused { address: bad, kind: "a private address" };
    assert_eq!(why(&client, url.as_str()).await, refused);
    assert_eq!(lookups.load(Ordering::SeqCst), 2);
    // Of several addresses only those that pass are tried.
    let (client, _) = looking_up(vec![vec![bad, good]], loopback());
    assert!(client.send(get(url.as_str()), BUDGET).await.is_ok());
    let (client, _) = looking_up(vec![vec![bad, Ipv4Addr::BROADCAST.into()]], loopback());
    assert_eq!(why(&client, url.as_str()).await, refused, "the first one is named");
    let (client, _) = looking_up(vec![vec![]], loopback());
    assert!(matches!(why(&client, url.as_str()).await, Why::Lookup(_)));
}

#[tokio::test]
async fn an_address_that_is_closed_leaves_time_for_the_next() {
    let server = Server::answering(ok("{}")).await;
    // Nothing listens there: the port was given to the other address.
    let addresses = vec![Ipv4Addr::new(127, 0, 0, 9).into(), Ipv4Addr::LOCALHOST.into()];
    let (client, _) = looking_up(vec![addresses], loopback());
    let url = format!("http://issuer.example:{}/", server.address.port());
    assert!(client.send(get(url), BUDGET).await.is_ok());
}

#[tokio::test]
async fn a_lookup_that_hangs_is_left_and_few_of_them_are_begun() {
    let mut client = client();
    client.connector.lookup_timeout = Duration::from_millis(50);
    let begun = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&begun);
    let (hold, held) = mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    client.connector.resolver = Arc::new(move |_: &str| {
        counted.fetch_add(1, Ordering::SeqCst);
        // Until the test has ended.
        let _ = held.lock().map(|held| held.recv());
        Ok(Vec::new())
    });
    for _ in 0..LOOKUPS_MAX + 3 {
        let fault = why(&client, "http://issuer.example/").await;
        assert_eq!(fault, Why::LookupTimeout(Duration::from_millis(50)));
    }
    assert_eq!(begun.load(Ordering::SeqCst), LOOKUPS_MAX);
    drop(hold);
}

#[tokio::test]
async fn a_name_that_nobody_has_and_a_port_where_nobody_is() {
    let fault = why(&client(), "http://nobody.invalid/").await;
    assert!(matches!(fault, Why::Lookup(_)), "{fault}");
    let server = Server::answering("").await;
    let url = format!("http://127.0.0.8:{}/", server.address.port());
    let fault = why(&client(), url).await;
    assert!(matches!(fault, Why::Connect(_)), "{fault}");
}

/// A socket whose queue is full: the kernel answers no more of those who knock.
struct Deaf([Socket; 5]);

impl Deaf {
    fn at(address: SocketAddr) -> Deaf {
        let socket = || Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let listener = socket();
        listener.bind(&address.into()).expect("a free port");
        listener.listen(0).expect("listens");
        let address = listener.local_addr().expect("bound");
        let waiting = [(); 4].map(|()| {
            let one = socket();
            one.set_nonblocking(true).expect("set");
            let _ = one.connect(&address);
            one
        });
        let [one, two, three, four] = waiting;
        Deaf([listener, one, two, three, four])
    }

    fn port(&self) -> u16 {
        let address = self.0[0].local_addr().expect("bound");
        address.as_socket().expect("an address").port()
    }
}

#[tokio::test]
async fn a_connection_that_does_not_open_is_left() {
    let full = Deaf::at(([127, 0, 0, 1], 0).into());
    let client = Outbound::new(Options { connect_timeout: SHORT, ..loopback() }).expect("options");
    let fault = why(&client, format!("http://127.0.0.1:{}/", full.port())).await;
    assert_eq!(fault, Why::ConnectTimeout(SHORT));
}

#[tokio::test]
async fn an_address_that_is_silent_leaves_time_for_the_next() {
    let server = Server::answering(ok("{}")).await;
    let silent = Ipv4Addr::new(127, 0, 0, 9);
    let _full = Deaf::at((silent, server.address.port()).into());
    let addresses = vec![silent.into(), Ipv4Addr::LOCALHOST.into()];
    let options = Options { connect_timeout: Duration::from_secs(2), ..loopback() };
    let (client, _) = looking_up(vec![addresses], options);
    let url = format!("http://issuer.example:{}/", server.address.port());
    let answer = client.send(get(url), BUDGET).await;
    assert!(answer.is_ok(), "{answer:?}");
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_left() {
    let server = Server::start(|_, mut stream, _| async move {
        // Takes all, says nothing.
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    });
    let server = server.await;
    let client = Outbound::new(Options { connect_timeout: SHORT, ..loopback() }).expect("options");
    assert_eq!(why(&client, server.https("127.0.0.1")).await, Why::ConnectTimeout(SHORT));
}

#[tokio::test]
async fn an_answer_that_never_ends_is_left_and_its_connection_closed() {
    let mut server = Server::start(|_, mut stream, heads| async move {
        read_head(&mut stream).await;
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n";
        let mut sent = stream.write_all(head).await;
        while sent.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
            sent = stream.write_all(b"x").await;
        }
        let _ = heads.send("closed".to_owned());
    })
    .await;
    let budget = Budget { timeout: SHORT, ..BUDGET };
    let fault = client().send(get(server.uri("/")), budget).await.expect_err("a fault");
    assert_eq!(fault.why, Why::Timeout(SHORT));
    assert_eq!(server.heads.recv().await.as_deref(), Some("closed"));
    // A head that does not end is the same.
    let server = Server::start(|_, mut stream, _| async move {
        read_head(&mut stream).await;
        let head = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX: ";
        let mut sent = stream.write_all(head).await;
        while sent.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
            sent = stream.write_all(b"x").await;
        }
    })
    .await;
    let fault = client().send(get(server.uri("/")), budget).await.expect_err("a fault");
    assert_eq!(fault.why, Why::Timeout(SHORT));
}

#[tokio::test]
async fn a_body_up_to_the_limit_passes_and_one_byte_more_does_not() {
    let whole = "x".repeat(BUDGET.body_max);
    let server = Server::answering(ok(&whole)).await;
    let answer = client().send(get(server.uri("/")), BUDGET).await.expect("an answer");
    assert_eq!(answer.body().len(), BUDGET.body_max);
    // Its length alone is enough: not one byte of it comes, and nobody waits for it.
    let promised = Server::start(|_, mut stream, _| async move {
        read_head(&mut stream).await;
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n";
        let _ = stream.write_all(head).await;
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    });
    assert_eq!(why(&client(), promised.await.uri("/")).await, Why::BodyTooLarge(1000));
    let chunked = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n{whole}x\r\n0\r\n\r\n"
    );
    let server = Server::answering(chunked).await;
    assert_eq!(why(&client(), server.uri("/")).await, Why::BodyTooLarge(1000));
}

#[tokio::test]
async fn a_flood_is_cut_where_the_limit_is() {
    let mut server = Server::start(|_, mut stream, heads| async move {
        read_head(&mut stream).await;
        let mut count = 0;
        let mut sent = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        while sent.is_ok() && count < 1 << 30 {
            sent = stream.write_all(&[b'x'; 65536]).await;
            count += 65536;
        }
        let _ = heads.send(count.to_string());
    })
    .await;
    let began = Instant::now();
    assert_eq!(why(&client(), server.uri("/")).await, Why::BodyTooLarge(1000));
    assert!(began.elapsed() < BUDGET.timeout);
    let count: usize = server.heads.recv().await.expect("a count").parse().expect("a number");
    // What the kernel keeps on both sides, not what we do.
    assert!(count < 64 << 20, "{count} bytes were taken");
}

#[tokio::test]
async fn heads_have_a_limit_of_size_and_number() {
    let large = with(&format!("X-Large: {}\r\n", "x".repeat(HEAD_MAX)), "{}");
    let server = Server::answering(large).await;
    assert_eq!(why(&client(), server.uri("/")).await, Why::HeadTooLarge);
    let many = with(&"X-Many: 1\r\n".repeat(HEAD_FIELDS_MAX), "{}");
    let server = Server::answering(many).await;
    assert_eq!(why(&client(), server.uri("/")).await, Why::HeadTooLarge);
    let fits = with(&"X-Many: 1\r\n".repeat(HEAD_FIELDS_MAX - 1), "{}");
    let server = Server::answering(fits).await;
    assert!(client().send(get(server.uri("/")), BUDGET).await.is_ok());
}

#[tokio::test]
async fn what_breaks_off_or_is_not_http_is_no_answer() {
    for answer in [
        "",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 200 OK\r\nContent-Le",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwhole\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
    ] {
        let server = Server::answering(answer).await;
        let fault = why(&client(), server.uri("/")).await;
        assert!(matches!(fault, Why::Broken(_)), "{answer:?}: {fault}");
    }
    let reset = Server::start(|_, mut stream, _| async move {
        read_head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await;
        let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    });
    let fault = why(&client(), reset.await.uri("/")).await;
    assert!(matches!(fault, Why::Broken(_)), "{fault}");
}

#[tokio::test]
async fn a_server_must_prove_by_its_certificate_that_it_is_the_one_asked() {
    let authority = Authority::new();
    let ca = Some(authority.pem.clone().into_bytes());
    let options = Options { ca, ..loopback() };
    let believing = Outbound::new(options.clone()).expect("options");
    let now = (2020, 2090);
    let good = Server::answering_tls(authority.server("localhost", now), ok("{}")).await;
    let answer = believing.send(get(good.https("localhost")), BUDGET).await.expect("an answer");
    assert_eq!(answer.body().as_ref(), b"{}");
    let mut dotted = Outbound::new(options.clone()).expect("options");
    dotted.connector.resolver = Arc::new(|_: &str| Ok(vec![Ipv4Addr::LOCALHOST.into()]));
    assert!(dotted.send(get(good.https("localhost.")), BUDGET).await.is_ok(), "a final dot");
    let by_address = Server::answering_tls(authority.server("127.0.0.1", now), ok("{}")).await;
    assert!(believing.send(get(by_address.https("127.0.0.1")), BUDGET).await.is_ok());

    let tls = |sentence: &str| Why::Tls(sentence.to_owned());
    let unknown = tls("the certificate is from nobody that is trusted here");
    assert_eq!(why(&client(), good.https("localhost")).await, unknown, "without the root");
    let other = Server::answering_tls(Authority::new().server("localhost", now), ok("{}")).await;
    assert_eq!(why(&believing, other.https("localhost")).await, unknown, "another root");
    let wrong = Server::answering_tls(authority.server("other.example", now), ok("{}")).await;
    let another = tls("the certificate is for another name");
    assert_eq!(why(&believing, wrong.https("localhost")).await, another);
    assert_eq!(why(&believing, good.https("127.0.0.1")).await, another, "an address is a name too");
    let old = Server::answering_tls(authority.server("localhost", (2000, 2020)), ok("{}")).await;
    assert_eq!(why(&believing, old.https("localhost")).await, tls("the certificate has expired"));
    let early = Server::answering_tls(authority.server("localhost", (2089, 2090)), ok("{}")).await;
    let not_yet = tls("the certificate is not valid yet");
    assert_eq!(why(&believing, early.https("localhost")).await, not_yet);
    let mut rootless = client();
    rootless.tls.rootless = true;
    let fault = why(&rootless, good.https("localhost")).await.to_string();
    assert!(fault.contains("install `ca-certificates`"), "{fault}");
}

#[tokio::test]
async fn nothing_is_sent_in_the_clear_to_https() {
    let mut server = Server::start(|_, mut stream, heads| async move {
        let first = stream.read_u8().await;
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let _ = heads.send(format!("{first:?}"));
    })
    .await;
    let fault = why(&client(), server.https("127.0.0.1")).await;
    assert!(matches!(fault, Why::Tls(_)), "{fault}");
    // A handshake (RFC 8446 §5.1), not the `G` of a request.
    assert_eq!(server.heads.recv().await.as_deref(), Some("Ok(22)"));
}

#[test]
fn roots_that_are_none_are_refused() {
    let made =
        |pem: &str| Outbound::new(Options { ca: Some(pem.into()), ..Options::default() }).err();
    assert_eq!(made(""), Some(OptionsFault::NoCertificate));
    assert_eq!(made("no PEM"), Some(OptionsFault::NoCertificate));
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert_eq!(made(broken), Some(OptionsFault::Certificate(1)));
    let good = Authority::new().pem;
    assert_eq!(made(&good), None);
    assert_eq!(made(&format!("{good}{broken}")), Some(OptionsFault::Certificate(2)));
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_before_anything_is_looked_up() {
    let (client, lookups) = looking_up(vec![vec![]], loopback());
    for url in [
        "/path",
        "ftp://issuer.example/",
        "http://u@issuer.example/",
        "http://u:p@issuer.example/",
        "http://issuer.example:0/",
        "http://issuer.example:99999/",
        "http://issuer.example:/",
        "http://[fe80::1%25lo]/",
        "http://[v1.x]/",
        "http://a!b/",
        "http://%31%32%37.1/",
    ] {
        let Ok(uri) = url.parse::<Uri>() else { continue };
        let fault = why(&client, uri).await;
        assert!(matches!(fault, Why::Url(_)), "{url}: {fault}");
    }
    let connect = Request::connect("http://issuer.example/").body(Bytes::new()).expect("a request");
    assert!(matches!(
        client.send(connect, BUDGET).await,
        Err(OutboundFault { why: Why::Url(_), .. })
    ));
    assert_eq!(lookups.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn faults_name_the_url_without_its_secrets() {
    let sentence = async |url: &str| {
        let strict = Outbound::new(Options::default()).expect("options");
        strict.send(get(url), BUDGET).await.expect_err("a fault").to_string()
    };
    assert_eq!(
        sentence("http://10.0.0.1:81/keys?code=hush").await,
        "http://10.0.0.1:81/keys: this leads to 10.0.0.1, a private address; if that is meant, list it in `allow_private`"
    );
    assert_eq!(
        sentence("https://user:hush@issuer.example/x?hush").await,
        "https://issuer.example/x: this URL cannot be asked: a user or a password in it is never sent"
    );
}
