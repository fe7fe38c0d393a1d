//! Request bodies on their way through: counted, timed, never buffered whole. Trailers are dropped, so that a
//! field can never come in behind the header firewall (Traefik CVE-2026-88004).

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::pace::{Late, Pace};
use crate::config::Limits;
use crate::telemetry::{Limit, Metrics};

/// Why a body was cut short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFault {
    /// The client sent more than the route takes.
    TooLarge,
    /// The client paused for longer than `[limits] body_idle`.
    ClientStalled,
    /// The client sent less than `[limits] body_rate_min`.
    ClientSlow,
    /// The client went away, or broke the framing.
    ClientGone,
    /// The backend paused for longer than `timeout_idle`.
    UpstreamStalled,
    /// The backend went away, or broke the framing.
    UpstreamGone,
    /// A mistake of ours.
    Panicked,
}

impl BodyFault {
    /// The limit that the client reached, if it is one.
    pub fn limit(self) -> Option<Limit> {
        match self {
            BodyFault::TooLarge => Some(Limit::BodyMax),
            BodyFault::ClientStalled => Some(Limit::BodyIdle),
            BodyFault::ClientSlow => Some(Limit::BodyRateMin),
            BodyFault::ClientGone
            | BodyFault::UpstreamStalled
            | BodyFault::UpstreamGone
            | BodyFault::Panicked => None,
        }
    }
}

impl fmt::Display for BodyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BodyFault::TooLarge => "the request body is too large",
            BodyFault::ClientStalled => "the client stopped sending",
            BodyFault::ClientSlow => "the client sent too slowly",
            BodyFault::ClientGone => "the client went away",
            BodyFault::UpstreamStalled => "the backend stopped sending",
            BodyFault::UpstreamGone => "the backend went away",
            BodyFault::Panicked => "a mistake of ours",
        })
    }
}

impl std::error::Error for BodyFault {}

/// What the sender of a request must know of its body while hyper has it.
#[derive(Debug)]
pub struct BodyWatch {
    started: Instant,
    moved_ms: AtomicU64,
    fault: OnceLock<BodyFault>,
    metrics: Arc<Metrics>,
}

impl BodyWatch {
    /// A body that has not moved yet.
    pub fn new(metrics: &Arc<Metrics>) -> Arc<BodyWatch> {
        Arc::new(BodyWatch {
            started: Instant::now(),
            moved_ms: AtomicU64::new(0),
            fault: OnceLock::new(),
            metrics: Arc::clone(metrics),
        })
    }

    /// When the last piece of the body was taken.
    pub fn moved_at(&self) -> Instant {
        self.started + Duration::from_millis(self.moved_ms.load(Ordering::Relaxed))
    }

    /// Why the client's side ended early, if it did.
    pub fn fault(&self) -> Option<BodyFault> {
        self.fault.get().copied()
    }

    /// Notes why the client's side ends early, and counts the limit that it reached.
    pub fn failed(&self, fault: BodyFault) -> BodyFault {
        if let (Ok(()), Some(limit)) = (self.fault.set(fault), fault.limit()) {
            self.metrics.limit_reached(limit);
        }
        fault
    }

    fn moved(&self) {
        let elapsed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved_ms.store(elapsed, Ordering::Relaxed);
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
    pace: Pace,
    watch: Arc<BodyWatch>,
}

impl RequestBody {
    /// Lets at most `max` bytes through, as long as they come at the pace of the limits.
    pub fn streamed(
        body: Incoming,
        max: u64,
        limits: &Limits,
        watch: Arc<BodyWatch>,
    ) -> RequestBody {
        let pace = Pace::new(limits.body_idle, limits.body_rate_min);
        RequestBody::Streamed(Streamed { body, left: max, pace, watch })
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
                let fault = match ready!(self.pace.poll(cx)) {
                    Late::Paused => BodyFault::ClientStalled,
                    Late::Trickled => BodyFault::ClientSlow,
                };
                return Poll::Ready(Some(Err(self.watch.failed(fault))));
            }
        };
        self.watch.moved();
        let data = match frame {
            None => return Poll::Ready(None),
            Some(Err(_)) => {
                return Poll::Ready(Some(Err(self.watch.failed(BodyFault::ClientGone))));
            }
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => data,
                // Trailers: the body ends here for the backend.
                Err(_) => return Poll::Ready(None),
            },
        };
        self.pace.moved(data.len());
        match self.left.checked_sub(data.len() as u64) {
            Some(left) => {
                self.left = left;
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            None => Poll::Ready(Some(Err(self.watch.failed(BodyFault::TooLarge)))),
        }
    }
}
