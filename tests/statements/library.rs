//! hyper behind the wire guard: it finds the very requests in what the guard let out that a strict reading finds, in their
//! order and with their bodies, and never answers by itself.

use std::cell::RefCell;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;

/// One request as a handler sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its method.
    pub method: String,
    /// Path and query of its target.
    pub target: String,
    /// Bytes of its body, without framing; `None` for a body that never ended.
    pub payload: Option<usize>,
}

/// A client that has sent everything at once, and keeps what it is answered.
struct Client {
    left: Vec<u8>,
    answered: Rc<RefCell<Vec<u8>>>,
}

impl Read for Client {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut out: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let client = self.get_mut();
        let step = out.remaining().min(client.left.len());
        out.put_slice(&client.left[..step]);
        client.left.drain(..step);
        Poll::Ready(Ok(()))
    }
}

impl Write for Client {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.answered.borrow_mut().extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What a handler is given of these bytes, and all that the client is answered.
pub fn served(bytes: &[u8], fields_max: usize) -> (Vec<Seen>, Vec<u8>) {
    /// Nothing here waits for anything: what has not ended after so many turns never does.
    const TURNS_MAX: usize = 10_000;
    let seen: Rc<RefCell<Vec<Seen>>> = Rc::default();
    let answered: Rc<RefCell<Vec<u8>>> = Rc::default();
    let service = service_fn(|request: Request<Incoming>| {
        let seen = Rc::clone(&seen);
        async move {
            let (parts, body) = request.into_parts();
            let at = seen.borrow().len();
            let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
            let (method, target) =
                (parts.method.to_string(), format!("{}{query}", parts.uri.path()));
            seen.borrow_mut().push(Seen { method, target, payload: None });
            if let Ok(body) = body.collect().await {
                seen.borrow_mut()[at].payload = Some(body.to_bytes().len());
            }
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let client = Client { left: bytes.to_vec(), answered: Rc::clone(&answered) };
    let mut builder = http1::Builder::new();
    // The client here has ended before it is answered, and is still to be served.
    builder.half_close(true).header_read_timeout(None::<Duration>).max_headers(fields_max + 1);
    let mut connection = std::pin::pin!(builder.serve_connection(client, service));
    let ended = (0..TURNS_MAX)
        .any(|_| connection.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
    assert!(ended, "hyper waits for ever: {}", bytes.escape_ascii());
    let answered = answered.borrow().clone();
    (seen.borrow().clone(), answered)
}

/// The statement: `wanted` are the whole requests in `bytes`, `behind` is whether a head stands behind them.
pub fn hold_for(bytes: &[u8], wanted: &[Seen], behind: bool, fields_max: usize) {
    let (seen, answered) = served(bytes, fields_max);
    let shown = || format!("{} is {seen:?} and not {wanted:?}", bytes.escape_ascii());
    let whole = seen.len().min(wanted.len());
    assert_eq!(seen[..whole], wanted[..whole], "{}", shown());
    // Behind the whole ones there may be one whose body never ends.
    let more = &seen[whole..];
    assert!(
        more.len() <= usize::from(behind) && more.iter().all(|one| one.payload.is_none()),
        "{}",
        shown()
    );
    // Fewer only where a client asked for no more: HTTP/1.0, or `Connection: close`.
    let asked = bytes.windows(8).any(|word| word == b"HTTP/1.0")
        || bytes.windows(10).any(|word| word.eq_ignore_ascii_case(b"connection"));
    assert!(seen.len() >= wanted.len() || asked, "{}", shown());
    assert!(!answered.windows(10).any(|word| word == b"HTTP/1.1 4"), "hyper answers: {}", shown());
}
