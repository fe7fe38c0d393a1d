//! The way to a backend and back: one request out for each permit, streamed both ways, every wait bounded.
//!
//! [`forward`] cannot be called without a [`Permit`]. `headers` is the firewall, `location` hides where a backend is,
//! `pool` and `upstream` hold connections, `target` says what is asked, `body` and `relay` count and time what streams
//! through, `whoami` is the backend inside the binary.

pub mod body;
pub mod headers;
mod location;
pub mod origin;
pub mod pool;
pub mod relay;
mod target;
pub mod upstream;
pub mod whoami;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use hyper::body::{Body, Incoming};
use hyper::client::conn::TrySendError;

use crate::config::{Limits, Target};
use crate::policy::path::{CanonicalPath, PathRules};
use crate::policy::route::Forward;
use crate::policy::{Permit, Refusal};
use body::{BodyFault, BodyWatch, RequestBody};
use headers::{Client, Facts, Firewall, Hops};
use pool::{Pool, Sender};
use relay::ResponseBody;
pub use target::{backend_uri, origin_form};

/// Why no answer came back; the refusal is for the client, the text for the log.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// No peer took a connection.
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    /// No peer took a connection in time.
    #[error("connecting took longer than timeout_connect")]
    ConnectTimeout,
    /// The connection ended, or what came over it is not HTTP.
    #[error("{0}")]
    Protocol(hyper::Error),
    /// The response says in two ways where it ends, or in one that we do not read (RFC 9112 §6.3).
    #[error("the backend's response does not say in one clear way where it ends")]
    Framing,
    /// The backend switched protocols without being asked (RFC 9110 §15.2.2).
    #[error("the backend switched protocols without being asked")]
    Switched,
    /// The response head took longer than `timeout_first_byte`.
    #[error("no response within timeout_first_byte")]
    FirstByteTimeout,
    /// The client's own body failed first.
    #[error("{0}")]
    ClientBody(BodyFault),
    /// `Max-Forwards` of an `OPTIONS` is no number, or there twice.
    #[error("Max-Forwards is not one number")]
    MaxForwards,
    /// The rewritten path has more than one reading.
    #[error("the rewritten path is refused: {0}")]
    Rewrite(&'static str),
}

impl UpstreamError {
    /// Whether the backend is to blame, and not the client or the route.
    pub fn is_the_backends(&self) -> bool {
        use UpstreamError::{ClientBody, MaxForwards, Rewrite};
        !matches!(self, ClientBody(_) | MaxForwards | Rewrite(_))
    }

    /// What the client is told.
    pub fn refusal(&self) -> Refusal {
        match self {
            UpstreamError::Connect(_)
            | UpstreamError::Protocol(_)
            | UpstreamError::Framing
            | UpstreamError::Switched => Refusal::UpstreamUnreachable,
            UpstreamError::ConnectTimeout | UpstreamError::FirstByteTimeout => {
                Refusal::UpstreamTimeout
            }
            UpstreamError::ClientBody(BodyFault::TooLarge) => Refusal::BodyTooLarge,
            UpstreamError::ClientBody(BodyFault::ClientStalled) => Refusal::RequestTimeout,
            UpstreamError::ClientBody(_) => Refusal::BadBody,
            UpstreamError::MaxForwards => Refusal::BadHeader,
            UpstreamError::Rewrite(_) => Refusal::BadPath,
        }
    }
}

/// Everything `forward` needs besides the request: borrowed from the snapshot and the data thread.
#[derive(Clone, Copy, Debug)]
pub struct Way<'a> {
    /// The connections to the route's upstream.
    pub pool: &'a Arc<Pool>,
    /// The header firewall.
    pub firewall: &'a Firewall,
    /// `[limits]`.
    pub limits: &'a Limits,
    /// `[paths]`, for the rewritten path.
    pub paths: &'a PathRules,
    /// Who asks.
    pub client: &'a Client,
}

/// Sends the request to the route's upstream and returns its response.
///
/// # Errors
/// [`UpstreamError`]; nothing was answered yet, so the caller can still refuse.
pub async fn forward(
    permit: &Permit,
    plan: &Forward,
    path: &CanonicalPath<'_>,
    (mut parts, incoming): (Parts, Incoming),
    way: Way<'_>,
) -> Result<Response<ResponseBody>, UpstreamError> {
    parts.uri = backend_uri(permit, plan, path, &parts.uri, way.paths)?;
    parts.version = Version::HTTP_11;
    parts.extensions.clear();
    let facts = Facts {
        permit,
        client: way.client,
        host: &way.pool.upstream().host,
        authority: way.pool.authority(),
        forward_token: plan.forward_token,
    };
    way.firewall.toward_backend(&mut parts.headers, &facts);
    let hops = headers::count_hop(&parts.method, &mut parts.headers);
    if hops == Hops::Malformed {
        return Err(UpstreamError::MaxForwards);
    }
    let watch = BodyWatch::new();
    let body = take_body(&mut parts, incoming, plan, way.limits, &watch)?;
    let mut response = match (hops, &way.pool.upstream().target) {
        (Hops::End, _) => last_hop(),
        (_, Target::Whoami) => whoami::answer(parts, body, way.firewall).await?,
        (_, Target::Http { .. }) => exchange(parts, body, plan, way.pool, &watch).await?,
    };
    way.firewall.toward_client(response.headers_mut(), way.client, way.pool.authority());
    Ok(response)
}

/// The answer to `OPTIONS` that may go no further (RFC 9110 §7.6.2): that we are here, and nothing of the backend.
fn last_hop() -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::Full(None));
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

fn take_body(
    parts: &mut Parts,
    incoming: Incoming,
    plan: &Forward,
    limits: &Limits,
    watch: &Arc<BodyWatch>,
) -> Result<RequestBody, UpstreamError> {
    if incoming.is_end_stream() {
        return Ok(RequestBody::Empty);
    }
    let max = plan.body_max.unwrap_or(limits.body_max);
    if incoming.size_hint().lower() > max {
        return Err(UpstreamError::ClientBody(BodyFault::TooLarge));
    }
    if incoming.size_hint().exact().is_none() {
        // Said aloud, since a client drops the body of a GET whose length it was not told.
        parts.headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    Ok(RequestBody::streamed(incoming, max, limits.body_idle, Arc::clone(watch)))
}

/// One request out and one response in. A connection kept from before may have been closed by the backend
/// meanwhile: then what was not sent is sent on the next one, and a safe request without a body may be sent
/// again once (RFC 9110 §9.2.2); no other ever is.
async fn exchange(
    parts: Parts,
    body: RequestBody,
    plan: &Forward,
    pool: &Arc<Pool>,
    watch: &Arc<BodyWatch>,
) -> Result<Response<ResponseBody>, UpstreamError> {
    let mut request = Request::from_parts(parts, body);
    while let Some(sender) = pool.reuse() {
        let again = repeatable(&request);
        match send(sender, request, plan, pool, watch).await {
            Err(Unanswered { unsent: Some(same), .. }) => request = *same,
            Err(Unanswered { error, .. }) => {
                request = again.filter(|_| closed_unanswered(&error)).ok_or(error)?;
                break;
            }
            Ok(response) => return Ok(response),
        }
    }
    let sender = pool.connect().await?;
    send(sender, request, plan, pool, watch).await.map_err(|unanswered| unanswered.error)
}

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

fn closed_unanswered(error: &UpstreamError) -> bool {
    matches!(error, UpstreamError::Protocol(error)
        if error.is_incomplete_message() || error.is_canceled() || error.is_closed())
}

/// What came of a request that got no answer.
struct Unanswered {
    error: UpstreamError,
    /// The request itself, when not a byte of it was sent.
    unsent: Option<Box<Request<RequestBody>>>,
}

impl From<UpstreamError> for Unanswered {
    fn from(error: UpstreamError) -> Unanswered {
        Unanswered { error, unsent: None }
    }
}

async fn send(
    mut sender: Sender,
    request: Request<RequestBody>,
    plan: &Forward,
    pool: &Arc<Pool>,
    watch: &Arc<BodyWatch>,
) -> Result<Response<ResponseBody>, Unanswered> {
    let limit = plan.timeout.unwrap_or(pool.upstream().timeout_first_byte);
    let answer = within(limit, watch, sender.try_send_request(request)).await;
    let response = match answer {
        None => return Err(UpstreamError::FirstByteTimeout.into()),
        Some(Ok(response)) => response,
        Some(Err(error)) => return Err(unanswered(error, watch)),
    };
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err(UpstreamError::Switched.into());
    }
    if !is_framed_clearly(response.headers()) {
        return Err(UpstreamError::Framing.into());
    }
    let idle = pool.upstream().timeout_idle;
    Ok(response.map(|body| ResponseBody::streamed(body, idle, sender, Arc::clone(pool))))
}

/// One length of digits, or one `chunked`, or neither. hyper takes more than that and reads on by one of them;
/// whoever reads by the other takes the rest of the body for the next response.
fn is_framed_clearly(headers: &HeaderMap) -> bool {
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let length = lengths.next();
    let coding = codings.next();
    let single = lengths.next().is_none() && codings.next().is_none();
    let digits = |value: &HeaderValue| value.as_bytes().iter().all(u8::is_ascii_digit);
    let chunked = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"chunked");
    single
        && match (length, coding) {
            (None, None) => true,
            (Some(length), None) => digits(length),
            (None, Some(coding)) => chunked(coding),
            (Some(_), Some(_)) => false,
        }
}

fn unanswered(mut error: TrySendError<Request<RequestBody>>, watch: &BodyWatch) -> Unanswered {
    if let Some(fault) = watch.fault() {
        return UpstreamError::ClientBody(fault).into();
    }
    let unsent = error.take_message().map(Box::new);
    Unanswered { error: UpstreamError::Protocol(error.into_error()), unsent }
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
