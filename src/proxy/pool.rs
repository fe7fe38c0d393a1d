//! Connections to one upstream, kept by one data thread: nobody else ever waits for its lock.
//!
//! A connection comes back only after a whole, clean exchange, its request's body included; whoever has one and drops it ends
//! it. At the next checkout its socket must be silent, so what a backend says behind an answer is read by nobody.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use http::{HeaderValue, Method, Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

use super::body::RequestBody;
use super::guard::{AnswerLimits, Fault, Guard, Link};
use super::places::Places;
use super::{UpstreamError, upstream};
use crate::config::{Limits, Upstream};

/// What may wait of a body for a client that reads slowly: this much memory can be taken by each connection to a
/// backend. A head always fits.
const BUFFER_BYTES_MAX: usize = 64 * 1024;

/// A connection that can send a request. Dropping it ends the connection at once, whatever is under way on it.
#[derive(Debug)]
pub struct Sender {
    hyper: SendRequest<RequestBody>,
    link: Arc<Link>,
    task: AbortHandle,
}

impl Sender {
    /// Sends a request and waits for the head of its answer.
    ///
    /// # Errors
    /// hyper's; [`Sender::fault`] may know better. With the request where not a byte of it was sent.
    pub fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>> + use<>
    {
        self.link.ask(*request.method() == Method::HEAD);
        self.hyper.try_send_request(request)
    }

    /// What the backend did against the protocol.
    pub fn fault(&self) -> Option<Fault> {
        self.link.fault()
    }

    /// Whether a byte of the answer has come.
    pub fn is_answered(&self) -> bool {
        self.link.is_answered()
    }

    fn is_reusable(&self) -> bool {
        self.hyper.is_ready() && self.link.is_done() && self.link.is_quiet()
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The connections of one data thread to one upstream.
#[derive(Debug)]
pub struct Pool {
    upstream: Upstream,
    authority: HeaderValue,
    limits: AnswerLimits,
    places: Arc<Places>,
    idle: Mutex<Vec<Idle>>,
}

#[derive(Debug)]
struct Idle {
    sender: Sender,
    since: Instant,
}

impl Pool {
    /// An empty pool. The places are those of all data threads.
    pub fn new(upstream: Upstream, limits: &Limits, places: Arc<Places>) -> Arc<Pool> {
        let authority = upstream::authority(&upstream.target);
        let limits = answer_limits(limits);
        Arc::new(Pool { upstream, authority, limits, places, idle: Mutex::default() })
    }

    /// Whether it serves for this upstream, these limits and these places too.
    pub fn fits(&self, upstream: &Upstream, limits: &Limits, places: &Arc<Places>) -> bool {
        self.upstream == *upstream
            && self.limits == answer_limits(limits)
            && Arc::ptr_eq(&self.places, places)
    }

    /// The upstream it leads to.
    pub fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// The upstream's own `Host`.
    pub fn authority(&self) -> &HeaderValue {
        &self.authority
    }

    /// The places at the upstream.
    pub fn places(&self) -> &Arc<Places> {
        &self.places
    }

    /// The connection used last that is still good: the others may then grow old and close.
    pub fn reuse(&self) -> Option<Sender> {
        let mut idle = self.idle();
        while let Some(Idle { sender, since }) = idle.pop() {
            if since.elapsed() < self.upstream.keep_alive && sender.is_reusable() {
                return Some(sender);
            }
        }
        None
    }

    /// Opens a new connection.
    ///
    /// # Errors
    /// [`UpstreamError::Connect`] or [`UpstreamError::ConnectTimeout`].
    pub async fn connect(&self) -> Result<Sender, UpstreamError> {
        let stream = upstream::connect(&self.upstream).await?;
        handshake(stream, self.limits).await
    }

    /// Takes a connection back after a whole exchange; ends it when the exchange was none.
    pub fn give_back(&self, sender: Sender) {
        let now = Instant::now();
        let mut idle = self.idle();
        if idle.len() >= self.upstream.idle_max {
            idle.retain(|one| {
                now - one.since < self.upstream.keep_alive && one.sender.hyper.is_ready()
            });
        }
        let is_clean = sender.link.is_done() && !sender.hyper.is_closed();
        if idle.len() < self.upstream.idle_max && is_clean {
            idle.push(Idle { sender, since: now });
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn handshake(stream: TcpStream, limits: AnswerLimits) -> Result<Sender, UpstreamError> {
    let link = Link::new(stream);
    let guard = Guard::new(Arc::clone(&link), limits);
    let mut builder = http1::Builder::new();
    builder.max_buf_size(BUFFER_BYTES_MAX.max(limits.header_max));
    builder.max_headers(limits.header_count);
    let (hyper, connection) =
        builder.handshake(TokioIo::new(guard)).await.map_err(UpstreamError::Protocol)?;
    // Ends with the connection: when the peer closes it, or when its sender is dropped.
    let task = tokio::spawn(async move {
        let _ended = connection.await;
    });
    Ok(Sender { hyper, link, task: task.abort_handle() })
}

fn answer_limits(limits: &Limits) -> AnswerLimits {
    AnswerLimits {
        header_max: limits.response_header_max,
        header_count: limits.response_header_count,
        informational_max: limits.informational_max,
    }
}
