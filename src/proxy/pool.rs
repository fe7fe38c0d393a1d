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
use super::room::Room;
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

    /// Waits until nothing is under way any more, or the connection has ended.
    pub async fn idle(&mut self) {
        let _closed = self.hyper.ready().await;
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
    room: Arc<Room>,
    idle: Mutex<Vec<Idle>>,
}

#[derive(Debug)]
struct Idle {
    sender: Sender,
    since: Instant,
}

impl Pool {
    /// An empty pool. The room is that of all data threads.
    pub fn new(upstream: Upstream, limits: &Limits, room: Arc<Room>) -> Arc<Pool> {
        let authority = upstream::authority(&upstream.target);
        let limits = answer_limits(limits);
        Arc::new(Pool { upstream, authority, limits, room, idle: Mutex::default() })
    }

    /// Whether it serves for this upstream, these limits and this room too.
    pub fn fits(&self, upstream: &Upstream, limits: &Limits, room: &Arc<Room>) -> bool {
        self.upstream == *upstream
            && self.limits == answer_limits(limits)
            && Arc::ptr_eq(&self.room, room)
    }

    /// The upstream it leads to.
    pub fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// The upstream's own `Host`.
    pub fn authority(&self) -> &HeaderValue {
        &self.authority
    }

    /// The room at the upstream.
    pub fn room(&self) -> &Arc<Room> {
        &self.room
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

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::time::Duration;

    use super::*;
    use crate::config::{HostRule, Target};

    fn upstream(port: u16) -> Upstream {
        let long = Duration::from_secs(60);
        Upstream {
            name: "app".into(),
            target: Target::Http { host: "127.0.0.1".into(), port },
            host: HostRule::Keep,
            timeout_connect: long,
            timeout_first_byte: long,
            timeout_idle: long,
            keep_alive: long,
            idle_max: 8,
            requests_max: 8,
            queue_max: 8,
            assertion: false,
        }
    }

    /// The runtime looks at its sockets only between tasks: what has come meanwhile must be seen all the same.
    #[test]
    fn a_connection_that_spoke_or_closed_a_moment_ago_is_not_used_again() {
        for (late, kept) in [(None, true), (Some(&b"x"[..]), false), (Some(b""), false)] {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
            let port = listener.local_addr().expect("bound").port();
            let backend = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().expect("a connection");
                let _head = stream.read(&mut [0; 4096]).expect("a request");
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
                stream.write_all(answer).expect("sent");
                stream
            });
            let limits = AnswerLimits { header_max: 8192, header_count: 9, informational_max: 9 };
            let (upstream, room) = (upstream(port), Room::new(8, 8));
            let (authority, idle) = (HeaderValue::from_static("x"), Mutex::default());
            let pool = Pool { upstream, authority, limits, room, idle };
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let mut sender = pool.connect().await.expect("connects");
                let answer = sender.send(Request::new(RequestBody::Empty)).await;
                assert!(answer.is_ok_and(|answer| answer.status() == 200));
                // hyper's own task must see that the exchange has ended.
                while !sender.hyper.is_ready() {
                    tokio::task::yield_now().await;
                }
                pool.give_back(sender);
                // From here on the runtime gets no turn.
                let mut stream = backend.join().expect("a backend that answered");
                match late {
                    None => {}
                    Some(b"") => drop(stream),
                    Some(bytes) => stream.write_all(bytes).expect("sent"),
                }
                assert_eq!(pool.reuse().is_some(), kept, "{late:?}");
            });
        }
    }
}
