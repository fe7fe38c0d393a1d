//! One request out and one response in, and when a request may be sent again.
//!
//! A request is sent twice only when nobody can have acted on the first: when not a byte of it was sent; or when it is safe
//! (RFC 9110 §9.2.1), has no body, and a connection kept from before ended without a byte of an answer (RFC 9112 §9.3.1).
//! Then it goes over a fresh connection, and never a third time. A fresh connection that ends unanswered is a
//! broken backend and not a stale connection, so nothing is sent again; nor after a time-out, for the backend may be at
//! work. No other request is ever sent twice. Called by `forward` alone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, header};

use super::UpstreamError;
use super::body::{BodyWatch, RequestBody};
use super::guard::Fault;
use super::pool::{Pool, Sender};
use super::relay::ResponseBody;
use super::room::Stay;

/// How long the rest of a request's body may take once its answer has ended.
const EARLY_LINGER: Duration = Duration::from_secs(1);

/// The way of one request: everything but the request.
pub(super) struct Exchange<'a> {
    /// The connections.
    pub pool: &'a Arc<Pool>,
    /// From the last piece of the request to the end of the response head.
    pub first_byte: Duration,
    /// What hyper does with the request's body.
    pub watch: &'a Arc<BodyWatch>,
}

/// What came of a request that got no answer.
struct Unanswered {
    error: UpstreamError,
    /// The request itself, when not a byte of it was sent.
    unsent: Option<Box<Request<RequestBody>>>,
    /// The connection ended without a byte of an answer.
    silent: bool,
}

impl Exchange<'_> {
    /// Sends the request and gives its response, which keeps the place until it has ended.
    pub(super) async fn run(
        &self,
        parts: Parts,
        body: RequestBody,
        stay: Stay,
    ) -> Result<Response<ResponseBody>, UpstreamError> {
        let shared = !binds_connection(&parts.headers);
        let mut request = Request::from_parts(parts, body);
        while let Some(mut sender) = self.pool.reuse() {
            let again = repeatable(&request);
            match self.send(&mut sender, request).await {
                Ok(response) => return Ok(self.relay(response, sender, stay, shared)),
                Err(Unanswered { unsent: Some(same), .. }) => request = *same,
                Err(Unanswered { error, silent, .. }) => {
                    request = again.filter(|_| silent).ok_or(error)?;
                    break;
                }
            }
        }
        let mut sender = self.pool.connect().await?;
        match self.send(&mut sender, request).await {
            Ok(response) => Ok(self.relay(response, sender, stay, shared)),
            Err(unanswered) => Err(unanswered.error),
        }
    }

    async fn send(
        &self,
        sender: &mut Sender,
        request: Request<RequestBody>,
    ) -> Result<Response<hyper::body::Incoming>, Unanswered> {
        // Neither the wait for a place nor the connecting is the backend's time to answer.
        self.watch.moved();
        let mut error = match within(self.first_byte, self.watch, sender.send(request)).await {
            Some(Ok(response)) => return Ok(response),
            Some(Err(error)) => error,
            None => {
                let error = UpstreamError::FirstByteTimeout;
                return Err(Unanswered { error, unsent: None, silent: false });
            }
        };
        if let Some(fault) = self.watch.fault() {
            let error = UpstreamError::ClientBody(fault);
            return Err(Unanswered { error, unsent: None, silent: false });
        }
        let unsent = error.take_message().map(Box::new);
        let error = match sender.fault() {
            Some(fault) => UpstreamError::Answer(fault),
            None => UpstreamError::Protocol(error.into_error()),
        };
        Err(Unanswered { error, unsent, silent: !sender.is_answered() })
    }

    fn relay(
        &self,
        response: Response<hyper::body::Incoming>,
        sender: Sender,
        stay: Stay,
        shared: bool,
    ) -> Response<ResponseBody> {
        let idle = self.pool.upstream().timeout_idle;
        let (pool, watch) = (Arc::clone(self.pool), Arc::clone(self.watch));
        let held = Held { sender, pool, watch, shared, _stay: stay };
        response.map(|body| ResponseBody::streamed(body, idle, held))
    }
}

/// What a response holds of its upstream until it has ended: a connection, and a place.
#[derive(Debug)]
pub(super) struct Held {
    sender: Sender,
    pool: Arc<Pool>,
    watch: Arc<BodyWatch>,
    /// Others may have the connection next.
    shared: bool,
    _stay: Stay,
}

impl Held {
    /// What the backend did against the protocol, if that is why the response broke off.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.sender.fault()
    }

    /// The response has ended as it should. Its connection is kept, unless the request's body is still under way: then
    /// the answer was an early one, and whoever came next could be taken for the rest of that body.
    pub(super) fn give_back(self) {
        if !self.watch.is_whole() {
            tokio::spawn(self.linger());
        } else if self.shared {
            self.pool.give_back(self.sender);
        }
    }

    /// Lets the rest of a body that is on its way pass, so that its client can go on; then ends the connection, and with
    /// it, where the body has not ended, the client's.
    async fn linger(mut self) {
        let _ended_or_not = tokio::time::timeout(EARLY_LINGER, self.sender.idle()).await;
    }
}

/// Whether a request may bind its connection to its user: NTLM and Negotiate prove who asks once, for all that comes over the
/// connection after it (RFC 4559 §6, CVE-2026-73548). Of other schemes than these three nobody knows.
fn binds_connection(headers: &HeaderMap) -> bool {
    const PER_REQUEST: [&[u8]; 3] = [b"basic", b"bearer", b"digest"];
    let is = |value: &[u8], scheme: &[u8]| {
        value.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
            && value.get(scheme.len()) == Some(&b' ')
    };
    let value = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    value.is_some_and(|value| !PER_REQUEST.iter().any(|scheme| is(value, scheme)))
}

/// A copy of a request that may be sent again.
fn repeatable(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    let empty = matches!(request.body(), RequestBody::Empty);
    let safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    (empty && safe).then(|| {
        let mut again = Request::new(RequestBody::Empty);
        again.method_mut().clone_from(request.method());
        again.uri_mut().clone_from(request.uri());
        again.headers_mut().clone_from(request.headers());
        again
    })
}

/// Waits for a response head: `limit` after the last piece of the request was taken, however long that took.
async fn within<F: Future>(limit: Duration, watch: &BodyWatch, answer: F) -> Option<F::Output> {
    let mut answer = std::pin::pin!(answer);
    loop {
        let deadline = watch.moved_at() + limit;
        match tokio::time::timeout_at(deadline.into(), &mut answer).await {
            Ok(output) => return Some(output),
            Err(_) if watch.moved_at() + limit > Instant::now() => {}
            Err(_) => return None,
        }
    }
}
