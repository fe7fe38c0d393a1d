//! Response bodies on their way to a client: timed, never buffered whole, without trailers. The connection that
//! one comes from goes back to its pool when it has ended cleanly, and is closed otherwise.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::body::BodyFault;
use super::connection::{Broken, Connection, Upload};
use super::pace::Pace;
use super::pool::Pool;
use super::room::Stay;

/// How long the rest of a request's body may take once its answer has ended.
const EARLY_LINGER: Duration = Duration::from_secs(1);

/// A response body on its way to a client.
#[derive(Debug)]
pub enum ResponseBody {
    /// Held whole: ours, or one that came with its head.
    Full(Option<Bytes>),
    /// The backend is sending it.
    Streamed(Box<Relay>),
}

/// A backend's body, and the connection it comes from.
#[derive(Debug)]
pub struct Relay {
    pace: Pace,
    /// The connection goes back to its pool when the body has ended cleanly, and is closed otherwise; the place is left.
    held: Option<Held>,
    early: Option<Early>,
    /// How many bytes are to come, where the head has said so.
    left: Option<u64>,
}

/// What a response holds of its upstream until it has come: a connection, and a place.
#[derive(Debug)]
pub(super) struct Held {
    connection: Connection,
    pool: Arc<Pool>,
    /// Others may have the connection next.
    shared: bool,
    _stay: Stay,
}

impl Held {
    pub(super) fn new(connection: Connection, pool: Arc<Pool>, shared: bool, stay: Stay) -> Held {
        Held { connection, pool, shared, _stay: stay }
    }

    /// The response has ended as it should. Its connection is kept, unless its request's body was still under way when it
    /// began: then whoever came next could be taken for the rest of that body.
    fn give_back(self, early: Option<Early>) {
        match early {
            Some(early) => early.linger(),
            None if self.shared => self.pool.give_back(self.connection),
            None => {}
        }
    }
}

/// The rest of a request's body whose answer came early. It goes on by itself, for a client may read nothing before it has sent
/// everything.
#[derive(Debug)]
pub(super) struct Early(JoinHandle<()>);

impl Early {
    pub(super) fn start(mut upload: Upload, stream: &Arc<TcpStream>) -> Early {
        let stream = Arc::clone(stream);
        Early(tokio::spawn(async move {
            let _cut = std::future::poll_fn(|cx| upload.poll(cx, &stream)).await;
        }))
    }

    /// Lets the rest pass that is on its way, so that its client can go on; then ends the connection, and with it, where the
    /// body has not ended, the client's.
    fn linger(mut self) {
        tokio::spawn(async move {
            let _ended_or_not = tokio::time::timeout(EARLY_LINGER, &mut self.0).await;
        });
    }
}

impl Drop for Early {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl ResponseBody {
    /// A body held whole.
    pub fn full(bytes: impl Into<Bytes>) -> ResponseBody {
        ResponseBody::Full(Some(bytes.into()))
    }

    /// A body that arrives with pauses of at most `idle`, or has come already.
    pub(super) fn of_backend(mut held: Held, early: Option<Early>, idle: Duration) -> ResponseBody {
        if let Some(bytes) = held.connection.take_whole() {
            held.give_back(early);
            return ResponseBody::Full(Some(bytes));
        }
        let (left, held) = (held.connection.left(), Some(held));
        ResponseBody::Streamed(Box::new(Relay { pace: Pace::new(idle, 0), held, early, left }))
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
            ResponseBody::Streamed(relay) => relay.held.is_none() || relay.left == Some(0),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            ResponseBody::Full(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            ResponseBody::Streamed(relay) => {
                relay.left.map_or_else(SizeHint::default, SizeHint::with_exact)
            }
        }
    }
}

impl Relay {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let Some(held) = &mut self.held else { return Poll::Ready(None) };
        let data = match held.connection.poll_data(cx) {
            Poll::Ready(data) => data,
            Poll::Pending => {
                let _paused = ready!(self.pace.poll(cx));
                self.held = None;
                return Poll::Ready(Some(Err(BodyFault::UpstreamStalled)));
            }
        };
        self.pace.moved(0);
        match data {
            Some(Ok(data)) => {
                self.left = held.connection.left();
                if held.connection.is_done() {
                    self.finish();
                }
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            None => {
                self.finish();
                Poll::Ready(None)
            }
            Some(Err(broken)) => {
                self.held = None;
                Poll::Ready(Some(Err(match broken {
                    Broken::Gone(_) => BodyFault::UpstreamGone,
                    Broken::Fault(fault) => BodyFault::UpstreamBroke(fault),
                })))
            }
        }
    }

    fn finish(&mut self) {
        if let Some(held) = self.held.take() {
            held.give_back(self.early.take());
        }
    }
}
