//! Request bodies on their way through: counted, timed, never buffered whole. Trailers are dropped, so that a
//! field can never come in behind the header firewall (Traefik CVE-2026-88004).

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Sleep;

use super::guard::Fault;

/// Why a body was cut short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFault {
    /// The client sent more than the route takes.
    TooLarge,
    /// The client paused for longer than `[limits] body_idle`.
    ClientStalled,
    /// The client went away, or broke the framing.
    ClientGone,
    /// The backend paused for longer than `timeout_idle`.
    UpstreamStalled,
    /// The backend went away.
    UpstreamGone,
    /// The backend broke the framing.
    UpstreamBroke(Fault),
}

impl BodyFault {
    /// Whether the backend is to blame, and not the client.
    pub fn is_the_backends(self) -> bool {
        matches!(
            self,
            BodyFault::UpstreamStalled | BodyFault::UpstreamGone | BodyFault::UpstreamBroke(_)
        )
    }
}

impl fmt::Display for BodyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BodyFault::UpstreamBroke(fault) => return fault.fmt(f),
            BodyFault::TooLarge => "the request body is too large",
            BodyFault::ClientStalled => "the client stopped sending",
            BodyFault::ClientGone => "the client went away",
            BodyFault::UpstreamStalled => "the backend stopped sending",
            BodyFault::UpstreamGone => "the backend went away",
        })
    }
}

impl std::error::Error for BodyFault {}

/// What the sender of a request must know of its body while hyper has it.
#[derive(Debug)]
pub struct BodyWatch {
    started: Instant,
    moved_ms: AtomicU64,
    fault: AtomicU8,
    /// Its last byte has been taken, or there is none.
    whole: AtomicBool,
}

impl BodyWatch {
    /// A body that has not moved yet; there may be none.
    pub fn new() -> Arc<BodyWatch> {
        Arc::new(BodyWatch {
            started: Instant::now(),
            moved_ms: AtomicU64::new(0),
            fault: AtomicU8::new(0),
            whole: AtomicBool::new(true),
        })
    }

    /// Whether all of the body has been taken.
    pub fn is_whole(&self) -> bool {
        self.whole.load(Ordering::Relaxed)
    }

    /// When the last piece of the body was taken.
    pub fn moved_at(&self) -> Instant {
        self.started + Duration::from_millis(self.moved_ms.load(Ordering::Relaxed))
    }

    /// Why the client's side ended early, if it did.
    pub fn fault(&self) -> Option<BodyFault> {
        match self.fault.load(Ordering::Relaxed) {
            1 => Some(BodyFault::TooLarge),
            2 => Some(BodyFault::ClientStalled),
            3 => Some(BodyFault::ClientGone),
            _ => None,
        }
    }

    /// A piece of the request was taken just now.
    pub fn moved(&self) {
        let elapsed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved_ms.store(elapsed, Ordering::Relaxed);
    }

    fn ended(&self) {
        self.whole.store(true, Ordering::Relaxed);
    }

    fn failed(&self, fault: BodyFault) -> BodyFault {
        let number = match fault {
            BodyFault::TooLarge => 1,
            BodyFault::ClientStalled => 2,
            _ => 3,
        };
        self.fault.store(number, Ordering::Relaxed);
        fault
    }
}

/// A request body on its way to a backend.
#[derive(Debug)]
pub enum RequestBody {
    /// There is none.
    Empty,
    /// The client is sending it.
    Streamed(Streamed),
}

/// The state of a body being streamed.
#[derive(Debug)]
pub struct Streamed {
    body: Incoming,
    left: u64,
    idle: Idle,
    watch: Arc<BodyWatch>,
}

impl RequestBody {
    /// Lets at most `max` bytes through, with pauses of at most `idle`.
    pub fn streamed(
        body: Incoming,
        max: u64,
        idle: Duration,
        watch: Arc<BodyWatch>,
    ) -> RequestBody {
        watch.whole.store(false, Ordering::Relaxed);
        RequestBody::Streamed(Streamed { body, left: max, idle: Idle::new(idle), watch })
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        match self.get_mut() {
            RequestBody::Empty => Poll::Ready(None),
            RequestBody::Streamed(streamed) => streamed.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            RequestBody::Empty => true,
            RequestBody::Streamed(streamed) => streamed.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            RequestBody::Empty => SizeHint::with_exact(0),
            RequestBody::Streamed(streamed) => streamed.body.size_hint(),
        }
    }
}

impl Streamed {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let frame = match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                ready!(self.idle.poll(cx));
                return Poll::Ready(Some(Err(self.watch.failed(BodyFault::ClientStalled))));
            }
        };
        self.idle.reset();
        self.watch.moved();
        let data = match frame {
            None => {
                self.watch.ended();
                return Poll::Ready(None);
            }
            Some(Err(_)) => {
                return Poll::Ready(Some(Err(self.watch.failed(BodyFault::ClientGone))));
            }
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => data,
                // Trailers: the body ends here for the backend.
                Err(_) => {
                    self.watch.ended();
                    return Poll::Ready(None);
                }
            },
        };
        if self.body.is_end_stream() {
            self.watch.ended();
        }
        match self.left.checked_sub(data.len() as u64) {
            Some(left) => {
                self.left = left;
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            None => Poll::Ready(Some(Err(self.watch.failed(BodyFault::TooLarge)))),
        }
    }
}

/// A pause that must not last: the timer exists only once something has paused, and is used again.
#[derive(Debug)]
pub(super) struct Idle {
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    pausing: bool,
}

impl Idle {
    pub(super) fn new(limit: Duration) -> Idle {
        Idle { limit, timer: None, pausing: false }
    }

    /// Ready when the pause has lasted too long.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let limit = self.limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        if !self.pausing {
            self.pausing = true;
            timer.as_mut().reset(tokio::time::Instant::now() + limit);
        }
        timer.as_mut().poll(cx)
    }

    pub(super) fn reset(&mut self) {
        self.pausing = false;
    }
}
