//! Connections to one upstream, kept by one data thread: nobody else ever waits for its lock.
//!
//! A connection comes back only after a whole, clean exchange; what is not ready again at the next checkout
//! is dropped, so a response that nobody finished can never be read by another client.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use http::HeaderValue;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::body::RequestBody;
use super::{UpstreamError, upstream};
use crate::config::Upstream;

/// Largest response head, and what may wait of a body for a client that reads slowly: this much memory can be
/// taken by each connection to a backend.
const BUFFER_BYTES_MAX: usize = 64 * 1024;

/// A connection that can send a request.
pub type Sender = SendRequest<RequestBody>;

/// The connections of one data thread to one upstream.
#[derive(Debug)]
pub struct Pool {
    upstream: Upstream,
    authority: HeaderValue,
    idle: Mutex<Vec<Idle>>,
}

#[derive(Debug)]
struct Idle {
    sender: Sender,
    since: Instant,
}

impl Pool {
    /// An empty pool.
    pub fn new(upstream: Upstream) -> Arc<Pool> {
        let authority = upstream::authority(&upstream.target);
        Arc::new(Pool { upstream, authority, idle: Mutex::default() })
    }

    /// The upstream it leads to.
    pub fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// The upstream's own `Host`.
    pub fn authority(&self) -> &HeaderValue {
        &self.authority
    }

    /// The connection used last that is still good: the others may then grow old and close.
    pub fn reuse(&self) -> Option<Sender> {
        let mut idle = self.idle();
        while let Some(Idle { sender, since }) = idle.pop() {
            if since.elapsed() < self.upstream.keep_alive && sender.is_ready() {
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
        handshake(stream).await
    }

    /// Takes a connection back after a whole exchange.
    pub fn give_back(&self, sender: Sender) {
        let now = Instant::now();
        let mut idle = self.idle();
        if idle.len() >= self.upstream.idle_max {
            idle.retain(|one| now - one.since < self.upstream.keep_alive && one.sender.is_ready());
        }
        if idle.len() < self.upstream.idle_max && !sender.is_closed() {
            idle.push(Idle { sender, since: now });
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn handshake(stream: TcpStream) -> Result<Sender, UpstreamError> {
    let mut builder = http1::Builder::new();
    builder.max_buf_size(BUFFER_BYTES_MAX);
    let (sender, connection) =
        builder.handshake(TokioIo::new(stream)).await.map_err(UpstreamError::Protocol)?;
    // Ends with the connection: when the peer closes it, or when its sender is dropped.
    tokio::spawn(async move {
        let _ended = connection.await;
    });
    Ok(sender)
}
