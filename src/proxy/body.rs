//! Request bodies on their way through: counted, timed, never buffered whole. Trailers are dropped, so that a
//! field can never come in behind the header firewall (Traefik CVE-2026-88004).

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::pace::{Late, Pace};
use crate::telemetry::{Limit, Metrics, panics};

use super::connection::Fault;

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
    metrics: Arc<Metrics>,
}

impl<B> RequestBody<B> {
    /// Lets at most `max` bytes through, as long as they come at this pace. A limit that is reached is counted.
    pub fn streamed(body: B, max: u64, pace: Pace, metrics: Arc<Metrics>) -> RequestBody<B> {
        RequestBody::Streamed(Streamed { body, left: max, pace, metrics })
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
            // After an early answer this is polled in a task of its own, where nobody would answer a panic.
            RequestBody::Streamed(streamed) => {
                panics::catch(|| streamed.poll(cx)).unwrap_or_else(|panicked| {
                    panicked.report("-");
                    Poll::Ready(Some(Err(BodyFault::Panicked)))
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
                return Poll::Ready(Some(Err(self.failed(fault))));
            }
        };
        let data = match frame {
            None => return Poll::Ready(None),
            Some(Err(_)) => return Poll::Ready(Some(Err(self.failed(BodyFault::ClientGone)))),
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
            None => Poll::Ready(Some(Err(self.failed(BodyFault::TooLarge)))),
        }
    }

    fn failed(&self, fault: BodyFault) -> BodyFault {
        fault.limit().into_iter().for_each(|limit| self.metrics.limit_reached(limit));
        fault
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
        let pace = Pace::new(Duration::from_secs(1), 0);
        let mut body = RequestBody::streamed(Breaking, 100, pace, Arc::default());
        let frame = body.frame().await.expect("not an end");
        assert_eq!(frame.err(), Some(BodyFault::Panicked));
        let error = crate::proxy::UpstreamError::ClientBody(BodyFault::Panicked);
        assert_eq!(error.refusal(), crate::policy::Refusal::Internal);
        assert!(!error.is_the_backends());
    }
}
