//! One request out and one response in, and when a request may be sent again.
//!
//! A request is sent twice only when nobody can have acted on the first: when not a byte of it was sent; or when it is safe
//! (RFC 9110 §9.2.1), has no body, and a connection kept from before ended without a byte of an answer (RFC 9112 §9.3.1).
//! Then it goes over a fresh connection, and never a third time. A fresh connection that ends unanswered is a
//! broken backend and not a stale connection, so nothing is sent again; nor after a time-out, for the backend may be at
//! work. No other request is ever sent twice. Called by `forward` alone.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::Method;
use tokio::time::Instant;

use super::UpstreamError;
use super::body::RequestBody;
use super::connection::{Answered, Broken, Coding, Connection, Cut, Upload};
use super::headers::Section;
use super::pool::Pool;
use super::relay::{Early, Held, ResponseBody};
use super::room::Stay;

/// The way of one request: everything but the request.
pub(super) struct Exchange<'a> {
    /// The connections.
    pub pool: &'a Arc<Pool>,
    /// From the last piece of the request to the end of the response head.
    pub first_byte: Duration,
}

/// A request that goes out.
pub(super) struct Outgoing<'a> {
    pub method: &'a Method,
    /// Its head, which says how its body is delimited: as `coding` does.
    pub section: Section,
    pub body: RequestBody,
    pub coding: Coding,
}

/// What came of a request that got no answer.
struct Unanswered {
    error: UpstreamError,
    /// It can be sent once more on another connection: nobody can have acted on it.
    again: bool,
}

/// A request under way on a connection.
struct UnderWay<'a> {
    connection: &'a mut Connection,
    upload: &'a mut Upload,
    first_byte: Duration,
    /// The request has been sent whole; the backend takes no more of it.
    whole: bool,
    closed: bool,
}

impl Exchange<'_> {
    /// Sends the request and gives its answer, whose body keeps the place until it has come.
    pub(super) async fn run(
        &self,
        request: Outgoing<'_>,
        stay: Stay,
    ) -> Result<(Answered, ResponseBody), UpstreamError> {
        let shared = !binds_connection(request.section.authorization());
        let (method, repeatable) = (request.method, is_repeatable(&request));
        let now = Instant::now();
        let head = request.section.into_head();
        let mut upload = Upload::new(head, request.body, request.coding, now);
        let held = |connection| Held::new(connection, Arc::clone(self.pool), shared, stay);
        while let Some(mut connection) = self.pool.reuse(now) {
            match self.send(&mut connection, &mut upload, (method, now)).await {
                Ok((answered, whole)) => {
                    let early = (!whole).then(|| Early::start(upload, connection.stream()));
                    return Ok((answered, self.relay(held(connection), early)));
                }
                Err(Unanswered { again: true, .. }) if upload.is_unsent() => {}
                Err(Unanswered { again: true, .. }) if repeatable => break,
                Err(Unanswered { error, .. }) => return Err(error),
            }
        }
        let mut connection = Box::pin(self.pool.connect()).await?;
        let sent = self.send(&mut connection, &mut upload, (method, Instant::now())).await;
        let (answered, whole) = sent.map_err(|unanswered| unanswered.error)?;
        let early = (!whole).then(|| Early::start(upload, connection.stream()));
        Ok((answered, self.relay(held(connection), early)))
    }

    /// The response head, and whether the request had been sent whole when it came.
    async fn send(
        &self,
        connection: &mut Connection,
        upload: &mut Upload,
        (method, now): (&Method, Instant),
    ) -> Result<(Answered, bool), Unanswered> {
        connection.ask(*method == Method::HEAD);
        upload.begin(now);
        let first_byte = self.first_byte;
        let mut under_way =
            UnderWay { connection, upload, first_byte, whole: false, closed: false };
        let answered = poll_fn(|cx| under_way.poll(cx)).await?;
        Ok((answered, under_way.whole))
    }

    fn relay(&self, held: Held, early: Option<Early>) -> ResponseBody {
        ResponseBody::of_backend(held, early, self.pool.upstream().timeout_idle)
    }
}

impl UnderWay<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Answered, Unanswered>> {
        if !self.whole && !self.closed {
            match self.upload.poll(cx, self.connection.stream()) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => self.whole = true,
                Poll::Ready(Err(Cut::Client(fault))) => {
                    let error = UpstreamError::ClientBody(fault);
                    return Poll::Ready(Err(Unanswered { error, again: false }));
                }
                Poll::Ready(Err(Cut::Backend(error))) if self.upload.is_unsent() => {
                    let error = UpstreamError::Gone(error);
                    return Poll::Ready(Err(Unanswered { error, again: true }));
                }
                // What it said before may still wait to be read, and may be the answer: whoever reads finds it, or the end.
                Poll::Ready(Err(Cut::Backend(_))) => self.closed = true,
            }
        }
        if let Poll::Ready(head) = self.connection.poll_head(cx) {
            return Poll::Ready(head.map_err(|broken| self.unanswered(broken)));
        }
        let due = self.upload.moved() + self.first_byte;
        ready!(self.connection.poll_until(cx, due));
        // The backend may be at work.
        let error = UpstreamError::FirstByteTimeout;
        Poll::Ready(Err(Unanswered { error, again: false }))
    }

    fn unanswered(&self, broken: Broken) -> Unanswered {
        let again = !self.connection.is_answered();
        match broken {
            Broken::Gone(error) => Unanswered { error: UpstreamError::Gone(error), again },
            Broken::Fault(fault) => {
                Unanswered { error: UpstreamError::Answer(fault), again: false }
            }
        }
    }
}

/// Whether a request may bind its connection to its user: NTLM and Negotiate prove who asks once, for all that comes over the
/// connection after it (RFC 4559 §6, CVE-2026-73548). Of other schemes than these three nobody knows.
fn binds_connection(authorization: Option<&[u8]>) -> bool {
    const PER_REQUEST: [&[u8]; 3] = [b"basic", b"bearer", b"digest"];
    let is = |value: &[u8], scheme: &[u8]| {
        value.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
            && value.get(scheme.len()) == Some(&b' ')
    };
    authorization.is_some_and(|value| !PER_REQUEST.iter().any(|scheme| is(value, scheme)))
}

/// Whether a request may be sent again although its first bytes were: it is safe, and has no body.
fn is_repeatable(request: &Outgoing<'_>) -> bool {
    let safe = matches!(*request.method, Method::GET | Method::HEAD | Method::OPTIONS);
    safe && matches!(request.body, RequestBody::Empty)
}
