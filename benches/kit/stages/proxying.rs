//! The wire guard, what goes to a backend and back, and the whole of a request without a socket.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use freshgate::config::HostRule;
use freshgate::gateway;
use freshgate::policy::route::{Action, Forward};
use freshgate::proxy::backend_uri;
use freshgate::proxy::credentials::Kept;
use freshgate::proxy::headers::Facts;
use freshgate::server::wire::{Verdict, Verdicts, Wire, WireLimits};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, DATE, ETAG, HeaderMap, SERVER};
use http::{HeaderValue, Method, Request, Uri};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadBuf};
use tokio::runtime::Runtime;

use super::Stage;
use super::world::{ADDRESS, World};

/// More than one answer.
const PIPE_BYTES: usize = 64 * 1024;

pub(super) fn stages() -> Vec<Stage> {
    let world = World::new();
    let mut all: Vec<Stage> = [10, 60].map(|count| reading(&world, count)).into();
    all.push(target(&world, "/account/7/x", "target for the backend"));
    all.push(target(
        &world,
        "/account/7/x?page=2&access_token=x&sort=date",
        "target for the backend, token cut out of the query",
    ));
    all.extend([10, 60].map(|count| toward_backend(&world, count)));
    all.extend([10, 60].map(|count| stripping(&world, count)));
    all.push(toward_client(&world));
    all.push(whole(&world, "/public/x"));
    all.push(whole(&world, "/account/7/x"));
    all
}

/// A head of so many fields, read by the wire guard at once, on a new connection.
fn reading(world: &World, count: usize) -> Stage {
    let head = world.head("/account/7/x", count);
    let metrics = Arc::clone(&world.snapshot.metrics);
    Stage::of("wire guard", format!("head with {count} fields"), move || {
        let wire = Wire::new(&head[..], limits(), Verdicts::new(), Arc::clone(&metrics));
        assert_eq!(read_all(wire), head.len());
    })
}

/// How many bytes come through, until nothing more does.
pub(super) fn read_all<S: AsyncRead + Unpin>(mut wire: Wire<S>) -> usize {
    let mut buffer = [0; 16 * 1024];
    let mut out = ReadBuf::new(&mut buffer);
    let mut context = Context::from_waker(Waker::noop());
    let Poll::Ready(Ok(())) = Pin::new(&mut wire).poll_read(&mut context, &mut out) else {
        return 0;
    };
    out.filled().len()
}

/// `[limits]` as they are when nothing is written there.
pub(super) fn limits() -> WireLimits {
    WireLimits {
        target_max: 8 * 1024,
        header_max: 32 * 1024,
        header_count: 100,
        header_timeout: Duration::from_secs(10),
        keep_alive: Duration::from_secs(75),
        requests_max: usize::MAX,
        write_idle: Duration::from_secs(30),
        write_rate_min: 0,
    }
}

fn plan(action: &Action) -> &Forward {
    match action {
        Action::Forward(plan) => plan,
        Action::Endpoint(_) => panic!("a route to a backend"),
    }
}

fn target(world: &Arc<World>, asked: &'static str, name: &str) -> Stage {
    let world = Arc::clone(world);
    let (permit, path) = world.permit("/account/7/x");
    let asked: Uri = asked.parse().expect("a target");
    Stage::of("firewall", name, move || {
        let (plan, rules) = (plan(&permit.route().action), &world.snapshot.config.paths);
        let credentials = &world.snapshot.firewall.credentials;
        backend_uri(&permit, plan, &path, &asked, rules, credentials).expect("a target")
    })
}

fn toward_backend(world: &Arc<World>, count: usize) -> Stage {
    let headers = world.headers(count);
    toward_backend_of(world, "firewall", format!("{count} headers to the backend"), headers)
}

/// The header firewall with the good token's identity.
pub(super) fn toward_backend_of(
    world: &Arc<World>,
    group: &'static str,
    name: String,
    headers: HeaderMap,
) -> Stage {
    let world = Arc::clone(world);
    let (permit, _) = world.permit("/account/7/x");
    let authority = HeaderValue::from_static("backend.test:9000");
    let target = Uri::from_static("/account/7/x");
    Stage::on(
        group,
        name,
        move || headers.clone(),
        move |mut headers| {
            let facts = Facts {
                asked: (&Method::GET, &target),
                permit: &permit,
                client: &world.client,
                host: &HostRule::Keep,
                authority: &authority,
                kept: Kept::Nothing,
                cookies: None,
                assertion: None,
            };
            let section = world.snapshot.firewall.toward_backend(&mut headers, &facts);
            (section.into_head(), headers)
        },
    )
}

fn stripping(world: &Arc<World>, count: usize) -> Stage {
    let (headers, world) = (world.headers(count), Arc::clone(world));
    Stage::on(
        "firewall",
        format!("of these the credentials alone, among {count}"),
        move || headers.clone(),
        move |mut headers| {
            let credentials = &world.snapshot.firewall.credentials;
            credentials.strip_cookies(&mut headers, &Kept::Nothing);
            (credentials.withheld(&headers, &Kept::Nothing).is_some(), headers)
        },
    )
}

fn toward_client(world: &Arc<World>) -> Stage {
    let fields = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_LENGTH, "190"),
        (SERVER, "legacy/1.0"),
        (DATE, "Mon, 23 Nov 2026 21:48:00 GMT"),
        (ETAG, "\"5f7ff519\""),
    ];
    let fields = fields.map(|(name, value)| (name, HeaderValue::from_static(value))).to_vec();
    let world = Arc::clone(world);
    let authority = HeaderValue::from_static("backend.test:9000");
    Stage::on(
        "firewall",
        "5 headers to the client",
        move || fields.clone(),
        move |fields| world.snapshot.firewall.toward_client(fields, &world.client, &authority),
    )
}

/// A connection in memory, whose other end the gateway serves.
struct Conversation {
    runtime: Runtime,
    client: DuplexStream,
    head: Vec<u8>,
    /// Every answer to the same head has the same length.
    answer: Vec<u8>,
}

/// Everything but the sockets: the wire guard, the HTTP library, `gateway::handle` and the backend inside the binary.
fn whole(world: &Arc<World>, target: &str) -> Stage {
    let mut conversation = Conversation::with(world, target);
    Stage::of("whole request", format!("{target} to the backend inside the binary"), move || {
        conversation.ask();
    })
}

impl Conversation {
    fn with(world: &Arc<World>, target: &str) -> Conversation {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        let (client, server) = tokio::io::duplex(PIPE_BYTES);
        let (data, metrics) = (Arc::clone(&world.data), Arc::clone(&world.snapshot.metrics));
        runtime.spawn(async move {
            let verdicts = Verdicts::new();
            let wire = Wire::new(server, limits(), verdicts.clone(), metrics);
            let service = service_fn(move |request: Request<Incoming>| {
                let (verdict, _in_flight) = verdicts.take();
                let data = Arc::clone(&data);
                async move {
                    assert!(matches!(verdict, Verdict::Good { .. }), "{verdict:?}");
                    Ok::<_, Infallible>(
                        gateway::handle(data, ADDRESS.into(), Ok(()), request).await,
                    )
                }
            });
            let mut server = http1::Builder::new();
            server.header_read_timeout(None::<Duration>);
            server.serve_connection(TokioIo::new(wire), service).await.expect("one that ends well");
        });
        let head = world.head(target, 10);
        let mut conversation = Conversation { runtime, client, head, answer: Vec::new() };
        conversation.first();
        conversation
    }

    /// Asks once and learns how long an answer is.
    fn first(&mut self) {
        let Conversation { runtime, client, head, answer } = self;
        runtime.block_on(async {
            client.write_all(head).await.expect("a request goes out");
            while !is_whole(answer) {
                assert!(client.read_buf(answer).await.expect("an answer") > 0);
            }
        });
        let text = String::from_utf8_lossy(answer);
        assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
    }

    fn ask(&mut self) {
        let Conversation { runtime, client, head, answer } = self;
        runtime.block_on(async {
            client.write_all(head).await.expect("a request goes out");
            client.read_exact(answer).await.expect("an answer");
        });
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(answer));
    }
}

/// Whether head and body have come.
fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.split_once("content-length: ").expect("a length").1;
    let length = length.split("\r\n").next().and_then(|digits| digits.parse().ok());
    Some(body.len()) == length
}
