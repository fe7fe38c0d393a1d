//! Response bodies on their way to a client: timed, never buffered whole, without trailers. The connection that
//! one comes from goes back to its pool when it has ended cleanly, and is closed otherwise.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::body::BodyFault;
use super::exchange::Held;
use super::pace::Pace;

/// A response body on its way to a client.
#[derive(Debug)]
pub enum ResponseBody {
    /// Held whole: ours.
    Full(Option<Bytes>),
    /// The backend is sending it.
    Streamed(Box<Relay>),
}

/// A backend's body, and the connection it comes from.
#[derive(Debug)]
pub struct Relay {
    body: Incoming,
    pace: Pace,
    /// The connection goes back to its pool when the body has ended cleanly, and is closed otherwise; the place is left.
    held: Option<Held>,
}

impl ResponseBody {
    /// A body held whole.
    pub fn full(bytes: impl Into<Bytes>) -> ResponseBody {
        ResponseBody::Full(Some(bytes.into()))
    }

    /// A body that arrives with pauses of at most `idle`.
    pub(super) fn streamed(body: Incoming, idle: Duration, held: Held) -> ResponseBody {
        if body.is_end_stream() {
            held.give_back();
            return ResponseBody::Full(None);
        }
        let held = Some(held);
        ResponseBody::Streamed(Box::new(Relay { body, pace: Pace::new(idle, 0), held }))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        match self.get_mut() {
            ResponseBody::Full(bytes) => {
                let bytes = bytes.take().filter(|bytes| !bytes.is_empty());
                Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
            }
            ResponseBody::Streamed(relay) => relay.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            ResponseBody::Full(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            ResponseBody::Streamed(relay) => relay.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            ResponseBody::Full(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            ResponseBody::Streamed(relay) => relay.body.size_hint(),
        }
    }
}

impl Relay {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let frame = match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                let _paused = ready!(self.pace.poll(cx));
                self.held = None;
                return Poll::Ready(Some(Err(BodyFault::UpstreamStalled)));
            }
        };
        self.pace.moved(0);
        match frame {
            Some(Ok(frame)) if frame.is_data() => {
                if self.body.is_end_stream() {
                    self.finish();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            // The end, or trailers, which only come at the end.
            None | Some(Ok(_)) => {
                self.finish();
                Poll::Ready(None)
            }
            Some(Err(_)) => {
                let fault = self.held.take().and_then(|held| held.fault());
                let fault = fault.map_or(BodyFault::UpstreamGone, BodyFault::UpstreamBroke);
                Poll::Ready(Some(Err(fault)))
            }
        }
    }

    fn finish(&mut self) {
        if let Some(held) = self.held.take() {
            held.give_back();
        }
    }
}
