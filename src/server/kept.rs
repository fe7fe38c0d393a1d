//! The last thing between our answers and hyper: each answer tells the wire guard when its last byte has been
//! handed over, the last one of a connection says so, and a panic on the way ends this request alone.
//!
//! Called by the data thread for each request; knows nothing of what is answered.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue};
use http::{Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::wire::InFlight;
use crate::proxy::body::BodyFault;
use crate::telemetry::panics::{self, Caught};

/// An answer whose request is in flight until it is dropped; without a body when there was a panic.
pub(super) struct Kept<B> {
    body: Option<B>,
    _in_flight: Option<InFlight>,
}

/// Waits for the answer; with `last` it closes the connection. The gateway answers its own panics, with a line in the
/// log and a count: what is stopped here comes from around that.
pub(super) fn kept<F>(answered: F, in_flight: InFlight, last: bool) -> Keeping<F>
where
    F: Future,
{
    Keeping { answered: panics::caught(answered), in_flight: Some(in_flight), last }
}

pin_project! {
    /// See [`kept`].
    pub(super) struct Keeping<F> {
        #[pin]
        answered: Caught<F>,
        in_flight: Option<InFlight>,
        last: bool,
    }
}

impl<B, F: Future<Output = Response<B>>> Future for Keeping<F> {
    type Output = Result<Response<Kept<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let keeping = self.project();
        let caught = ready!(keeping.answered.poll(cx));
        let close = *keeping.last || caught.is_err();
        let mut response = caught.map(|answer| answer.map(Some)).unwrap_or_else(|panicked| {
            panicked.report("-");
            let mut response = Response::new(None);
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response
        });
        if close {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let in_flight = keeping.in_flight.take();
        Poll::Ready(Ok(response.map(|body| Kept { body, _in_flight: in_flight })))
    }
}

impl<B> Body for Kept<B>
where
    B: Body<Data = Bytes, Error = BodyFault> + Unpin,
{
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let kept = self.get_mut();
        let Some(body) = &mut kept.body else { return Poll::Ready(None) };
        panics::catch(|| Pin::new(body).poll_frame(cx)).unwrap_or_else(|panicked| {
            panicked.report("-");
            // The head has gone out: the end of the connection is all that can still be told.
            kept.body = None;
            Poll::Ready(Some(Err(BodyFault::Panicked)))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}

#[cfg(test)]
mod tests;
