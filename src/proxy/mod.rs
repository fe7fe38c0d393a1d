//! The way to a backend and back: one request out for each permit, streamed both ways, every wait bounded.
//!
//! [`forward`] cannot be called without a [`Permit`]. `headers` is the firewall, `location` hides where a backend is, `target`
//! says what is asked, `room` and `places` bound what an upstream has at once, `exchange` sends, `pool` and `upstream` hold connections,
//! `connection` speaks HTTP/1.1 over them, `body`, `relay` and `pace` count and time what streams through, `whoami` is the backend
//! inside the binary.

pub mod body;
pub(crate) mod chunked;
pub mod connection;
pub mod credentials;
mod exchange;
pub mod headers;
mod location;
pub mod origin;
pub mod pace;
pub mod places;
pub mod pool;
pub mod relay;
pub mod room;
pub mod session_cookies;
mod target;
pub mod upstream;
pub mod whoami;

use std::io;
use std::sync::Arc;

use http::request::Parts;
use http::{HeaderValue, Response, StatusCode, header};
use hyper::body::{Body, Incoming};

use crate::config::{Limits, Target};
use crate::policy::path::{CanonicalPath, PathRules};
use crate::policy::route::Forward;
use crate::policy::{Permit, Refusal};
use crate::telemetry::{Limit, Metrics};
use body::{BodyFault, RequestBody};
use connection::{Answered, Coding, Fault};
use exchange::{Exchange, Outgoing};
use headers::{Client, Facts, Firewall, Hops, Section};
use pace::Pace;
use places::NoPlace;
use pool::Pool;
use relay::ResponseBody;
use room::Stay;
use session_cookies::SessionCookies;
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
    /// The connection ended before a whole answer.
    #[error("the connection ended early: {0}")]
    Gone(io::Error),
    /// What came over it is against the protocol, or over a limit.
    #[error("{0}")]
    Answer(Fault),
    /// The upstream has as many requests as it may, and as many wait.
    #[error("{}", no_place(*.0))]
    NoPlace(NoPlace),
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
            UpstreamError::Connect(_) | UpstreamError::Gone(_) | UpstreamError::Answer(_) => {
                Refusal::UpstreamUnreachable
            }
            UpstreamError::NoPlace(_) => Refusal::Overloaded,
            UpstreamError::ConnectTimeout | UpstreamError::FirstByteTimeout => {
                Refusal::UpstreamTimeout
            }
            UpstreamError::ClientBody(BodyFault::TooLarge) => Refusal::BodyTooLarge,
            UpstreamError::ClientBody(BodyFault::ClientStalled | BodyFault::ClientSlow) => {
                Refusal::RequestTimeout
            }
            UpstreamError::ClientBody(BodyFault::Panicked) => Refusal::Internal,
            UpstreamError::ClientBody(_) => Refusal::BadBody,
            UpstreamError::MaxForwards => Refusal::BadHeader,
            UpstreamError::Rewrite(_) => Refusal::BadPath,
        }
    }

    /// The limit of the backend's side that was reached, if it was one.
    pub fn limit(&self) -> Option<Limit> {
        match self {
            UpstreamError::Answer(fault) => fault.limit(),
            UpstreamError::NoPlace(why) => Some(why.limit()),
            _ => None,
        }
    }
}

fn no_place(why: NoPlace) -> &'static str {
    match why {
        NoPlace::QueueFull => "every place at the upstream is taken, and its queue is full",
        NoPlace::TooLate => "no place at the upstream became free within upstream_queue_timeout",
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
    /// What is kept of this user's login at the backend.
    pub cookies: Option<&'a SessionCookies<'a>>,
    /// What this backend gets signed by us of who asks.
    pub assertion: Option<&'a HeaderValue>,
    /// Where limits are counted.
    pub metrics: &'a Arc<Metrics>,
}

impl Way<'_> {
    /// A place at the upstream, now or after a wait.
    async fn stay(&self) -> Result<Stay, UpstreamError> {
        let waits = || self.metrics.limit_reached(Limit::UpstreamRequests);
        let patience = self.limits.upstream_queue_timeout;
        let entered = self.pool.room().enter(self.client.origin, patience, waits).await;
        entered.map_err(UpstreamError::NoPlace)
    }
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
    let credentials = &way.firewall.credentials;
    let kept = credentials.kept(permit, plan, &parts.headers, parts.uri.query());
    let target = backend_uri(permit, plan, path, &parts.uri, way.paths, credentials)?;
    let hops = headers::count_hop(&parts.method, &mut parts.headers);
    if hops == Hops::Malformed {
        return Err(UpstreamError::MaxForwards);
    }
    let says_length = parts.headers.contains_key(header::CONTENT_LENGTH);
    let facts = Facts {
        asked: (&parts.method, &target),
        permit,
        client: way.client,
        host: &way.pool.upstream().host,
        authority: way.pool.authority(),
        kept,
        cookies: way.cookies,
        assertion: way.assertion,
    };
    let mut section = way.firewall.toward_backend(&mut parts.headers, &facts);
    let (body, coding) = take_body(incoming, says_length, plan, way, &mut section)?;
    let asked = (&parts.method, &target);
    let (answered, body) = match (hops, &way.pool.upstream().target) {
        (Hops::End, _) => last_hop(),
        (_, Target::Whoami) => {
            Box::pin(whoami::answer(asked, section.to_headers(), body, way.firewall)).await?
        }
        (_, Target::Http { .. }) => {
            let stay = way.stay().await?;
            let first_byte = plan.timeout.unwrap_or(way.pool.upstream().timeout_first_byte);
            let exchange = Exchange { pool: way.pool, first_byte };
            exchange.run(Outgoing { method: &parts.method, section, body, coding }, stay).await?
        }
    };
    let authority = way.pool.authority();
    let mut response = Response::new(body);
    *response.status_mut() = answered.status;
    *response.headers_mut() = way.firewall.toward_client(answered.fields, way.client, authority);
    if let Some(reason) = answered.reason {
        response.extensions_mut().insert(reason);
    }
    Ok(response)
}

/// The answer to `OPTIONS` that may go no further (RFC 9110 §7.6.2): that we are here, and nothing of the backend.
fn last_hop() -> (Answered, ResponseBody) {
    let status = StatusCode::NO_CONTENT;
    let answered = Answered { status, reason: None, fields: Vec::new(), goes_on: true };
    (answered, ResponseBody::Full(None))
}

/// The body, and how it is delimited: said in the head by us, whatever the client's `Connection` named (RFC 9112 §6), for
/// where a body ends must not be the client's to hide.
fn take_body(
    incoming: Incoming,
    says_length: bool,
    plan: &Forward,
    way: Way<'_>,
    section: &mut Section,
) -> Result<(RequestBody, Coding), UpstreamError> {
    if incoming.is_end_stream() {
        if says_length {
            section.add(&header::CONTENT_LENGTH, &HeaderValue::from_static("0"));
        }
        return Ok((RequestBody::Empty, Coding::Length));
    }
    let limits = way.limits;
    let max = plan.body_max.unwrap_or(limits.body_max);
    if incoming.size_hint().lower() > max {
        way.metrics.limit_reached(Limit::BodyMax);
        return Err(UpstreamError::ClientBody(BodyFault::TooLarge));
    }
    let coding = match incoming.size_hint().exact() {
        Some(length) => {
            section.add(&header::CONTENT_LENGTH, &HeaderValue::from(length));
            Coding::Length
        }
        None => {
            section.add(&header::TRANSFER_ENCODING, &HeaderValue::from_static("chunked"));
            Coding::Chunked
        }
    };
    let pace = Pace::new(limits.body_idle, limits.body_rate_min);
    let body = RequestBody::streamed(incoming, max, pace, Arc::clone(way.metrics));
    Ok((body, coding))
}
