//! Request bodies on their way through: counted, timed, never buffered whole. Trailers are dropped, so that a
//! field can never come in behind the header firewall (Traefik CVE-2026-88004).

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::pace::{Late, Pace};
use crate::telemetry::{Limit, Metrics, panics};

use super::guard::Fault;

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
    /// The backend went away.
    UpstreamGone,
    /// The backend broke the framing.
    UpstreamBroke(Fault),
    /// A mistake of ours.
    Panicked,
}

impl BodyFault {
    /// Whether the backend is to blame, and not the client.
    pub fn is_the_backends(self) -> bool {
        matches!(
            self,
            BodyFault::UpstreamStalled | BodyFault::UpstreamGone | BodyFault::UpstreamBroke(_)
        )
    }

    /// The limit that the client reached, if it is one.
    pub fn limit(self) -> Option<Limit> {
        match self {
            BodyFault::TooLarge => Some(Limit::BodyMax),
            BodyFault::ClientStalled => Some(Limit::BodyIdle),
            BodyFault::ClientSlow => Some(Limit::BodyRateMin),
            BodyFault::ClientGone
            | BodyFault::UpstreamStalled
            | BodyFault::UpstreamGone
            | BodyFault::UpstreamBroke(_)
            | BodyFault::Panicked => None,
        }
    }
}

impl fmt::Display for BodyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BodyFault::UpstreamBroke(fault) => return fault.fmt(f),
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
    /// Its last byte has been taken, or there is none.
    whole: AtomicBool,
}

impl BodyWatch {
    /// A body that has not moved yet; there may be none.
    pub fn new(metrics: &Arc<Metrics>) -> Arc<BodyWatch> {
        Arc::new(BodyWatch {
            started: Instant::now(),
            moved_ms: AtomicU64::new(0),
            fault: OnceLock::new(),
            metrics: Arc::clone(metrics),
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
        self.fault.get().copied()
    }

    /// Notes why the client's side ends early, and counts the limit that it reached.
    pub fn failed(&self, fault: BodyFault) -> BodyFault {
        if let (Ok(()), Some(limit)) = (self.fault.set(fault), fault.limit()) {
            self.metrics.limit_reached(limit);
        }
        fault
    }

    /// A piece of the request was taken just now.
    pub fn moved(&self) {
        let elapsed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved_ms.store(elapsed, Ordering::Relaxed);
    }

    fn ended(&self) {
        self.whole.store(true, Ordering::Relaxed);
    }
}

/// A request body on its way to a backend.
#[derive(Debug)]
pub enum RequestBody<B = Incoming> {
    /// There is none.
    Empty,
    /// The client is sending it.
    Streamed(Streamed<B>),
}

/// The state of a body being streamed.
#[derive(Debug)]
pub struct Streamed<B = Incoming> {
    body: B,
    left: u64,
    pace: Pace,
    watch: Arc<BodyWatch>,
}

impl<B> RequestBody<B> {
    /// Lets at most `max` bytes through, as long as they come at this pace.
    pub fn streamed(body: B, max: u64, pace: Pace, watch: Arc<BodyWatch>) -> RequestBody<B> {
        watch.whole.store(false, Ordering::Relaxed);
        RequestBody::Streamed(Streamed { body, left: max, pace, watch })
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for RequestBody<B> {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        match self.get_mut() {
            RequestBody::Empty => Poll::Ready(None),
            // hyper polls this in the task of the backend's connection, where nobody would answer a panic.
            RequestBody::Streamed(streamed) => {
                panics::catch(|| streamed.poll(cx)).unwrap_or_else(|panicked| {
                    panicked.report("-");
                    Poll::Ready(Some(Err(streamed.watch.failed(BodyFault::Panicked))))
                })
            }
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

impl<B: Body<Data = Bytes> + Unpin> Streamed<B> {
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

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    /// A body that panics when it is read.
    struct Breaking;

    impl Body for Breaking {
        type Data = Bytes;
        type Error = BodyFault;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
            panic!("inside the body")
        }
    }

    #[tokio::test]
    async fn a_panic_while_a_body_is_read_is_a_fault_of_ours_and_not_the_backends() {
        let watch = BodyWatch::new(&Arc::default());
        let pace = Pace::new(Duration::from_secs(1), 0);
        let mut body = RequestBody::streamed(Breaking, 100, pace, Arc::clone(&watch));
        let frame = body.frame().await.expect("not an end");
        assert_eq!(frame.err(), Some(BodyFault::Panicked));
        assert_eq!(watch.fault(), Some(BodyFault::Panicked));
        let error = crate::proxy::UpstreamError::ClientBody(BodyFault::Panicked);
        assert_eq!(error.refusal(), crate::policy::Refusal::Internal);
        assert!(!error.is_the_backends());
    }
}
