//! One connection to a backend, on which we speak HTTP/1.1 ourselves.
//!
//! A gateway must know more of an answer than a client library tells: that a 101 was not asked for, how many 1xx answers came,
//! that two lengths differ, and which byte is nobody's, since only who follows each answer to its end knows that. And a
//! library keeps a task for each connection, which hands every request and every answer over a channel and wakes another:
//! a third of what a proxied request cost. So the request's own task writes, reads each head strictly and follows each body; the
//! bytes that were judged are the bytes that go on, without a copy.
//! It knows no route, no token and no client; `server/wire` is its like on the clients' side.

mod fields;
mod follow;
mod head;
#[cfg(test)]
mod tests;
mod upload;

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

pub use fields::{Answered, Fields};
use follow::{Follow, Piece};
pub use head::{AnswerLimits, Fault};
pub use upload::{Coding, Cut, Upload};

/// What the first read of an answer takes at most: a head and a small body.
const READ_BYTES: usize = 4 * 1024;
/// What one read of a long body takes at most. This much may wait for a client that reads slowly.
const READ_BYTES_MAX: usize = 64 * 1024;

thread_local! {
    /// Memory for the next answer that is read on this thread: that of the last short one. Most are sent on before another
    /// begins, and leave it free again.
    static SPARE: Cell<BytesMut> = Cell::default();
}

/// Why an answer did not come, or broke off.
#[derive(Debug)]
pub enum Broken {
    /// The backend ended the connection, or the network did.
    Gone(io::Error),
    /// What it said is against the protocol, or over a limit.
    Fault(Fault),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Broken {
        Broken::Gone(error)
    }
}

/// A connection to a backend; it ends when it is dropped.
#[derive(Debug)]
pub struct Connection {
    stream: Arc<TcpStream>,
    limits: AnswerLimits,
    follow: Follow,
    /// What has come and was not handed on.
    buffer: BytesMut,
    /// What the next read takes.
    read_bytes: usize,
    /// A byte of the answer under way has come.
    answered: bool,
    /// Another request may follow the answer under way.
    goes_on: bool,
    clock: Option<Pin<Box<Sleep>>>,
}

impl Connection {
    /// A fresh connection.
    pub fn new(stream: TcpStream, limits: AnswerLimits) -> Connection {
        Connection {
            stream: Arc::new(stream),
            limits,
            follow: Follow::nothing(),
            buffer: BytesMut::new(),
            read_bytes: READ_BYTES,
            answered: false,
            goes_on: true,
            clock: None,
        }
    }

    /// To be called before each request: its answer is expected, and none has begun. `head_only`: the method is `HEAD`.
    pub fn ask(&mut self, head_only: bool) {
        self.follow = Follow::new(head_only);
        (self.answered, self.goes_on, self.read_bytes) = (false, false, READ_BYTES);
    }

    /// The socket, to write a request to.
    pub fn stream(&self) -> &Arc<TcpStream> {
        &self.stream
    }

    /// Whether a byte of the answer has come, be it good or bad.
    pub fn is_answered(&self) -> bool {
        self.answered
    }

    /// Whether the last byte of the answer has been handed on.
    pub fn is_done(&self) -> bool {
        self.follow.is_done()
    }

    /// How many bytes of the body are to come, where its head has said so.
    pub fn left(&self) -> Option<u64> {
        self.follow.left()
    }

    /// Whether another request may follow: the answer has ended where it said it would, with nothing behind it so far.
    pub fn is_clean(&self) -> bool {
        self.goes_on && self.follow.is_done() && self.buffer.is_empty()
    }

    /// Whether the socket has nothing to say: neither bytes that came behind the last answer nor the end of the
    /// connection. Asked of the system, since nobody reads while no request is under way.
    pub fn is_quiet(&self) -> bool {
        let mut byte = [MaybeUninit::uninit()];
        let peeked = SockRef::from(&*self.stream).peek(&mut byte);
        peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Gives its memory back, before it waits for the next request.
    pub fn rest(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        if self.read_bytes == READ_BYTES {
            SPARE.set(buffer);
        }
    }

    /// Ready when `due` has passed. One timer for each connection, moved only when it is too late or fires too early.
    pub fn poll_until(&mut self, cx: &mut Context<'_>, due: Instant) -> Poll<()> {
        let clock = self.clock.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if clock.deadline() > due {
            clock.as_mut().reset(due);
        }
        while clock.as_mut().poll(cx).is_ready() {
            if Instant::now() >= due {
                return Poll::Ready(());
            }
            clock.as_mut().reset(due);
        }
        Poll::Pending
    }

    /// The head of the answer, when it is whole; 1xx heads are passed over.
    ///
    /// # Errors
    /// [`Broken`], also when the connection ended before.
    pub fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Answered, Broken>> {
        loop {
            let piece = if self.buffer.is_empty() { Piece::More } else { self.next()? };
            match piece {
                Piece::Head(length) => {
                    let head = self.buffer.split_to(length).freeze();
                    let answered = fields::read(&head).map_err(Broken::Fault)?;
                    self.goes_on = answered.goes_on && !self.follow.ends_with_connection();
                    return Poll::Ready(Ok(answered));
                }
                Piece::Informational(length) => self.buffer.advance(length),
                Piece::More | Piece::Data(_) | Piece::Framing(_) => {
                    if ready!(self.poll_read(cx))? == 0 {
                        return Poll::Ready(Err(Broken::Gone(io::ErrorKind::UnexpectedEof.into())));
                    }
                }
            }
        }
    }

    /// The whole body, if all of it came with the head: nothing has to be waited for then.
    pub fn take_whole(&mut self) -> Option<Bytes> {
        let left = usize::try_from(self.follow.left()?).ok()?;
        if left == 0 {
            return Some(Bytes::new());
        }
        if self.buffer.len() < left {
            return None;
        }
        self.next().ok()?;
        Some(self.buffer.split_to(left).freeze())
    }

    /// The next piece of the body; `None` when it has ended.
    ///
    /// # Errors
    /// [`Broken`], also when the connection ended before the body.
    pub fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        loop {
            if self.follow.is_done() {
                return Poll::Ready(None);
            }
            if self.buffer.is_empty() {
                match ready!(self.poll_read(cx)) {
                    Ok(0) if self.follow.ends_with_connection() => return Poll::Ready(None),
                    Ok(0) => {
                        let early = io::ErrorKind::UnexpectedEof.into();
                        return Poll::Ready(Some(Err(Broken::Gone(early))));
                    }
                    Ok(_) => {}
                    Err(error) => return Poll::Ready(Some(Err(error.into()))),
                }
            }
            match self.next() {
                Ok(Piece::Data(used)) => {
                    return Poll::Ready(Some(Ok(self.buffer.split_to(used).freeze())));
                }
                Ok(Piece::Framing(used)) => self.buffer.advance(used),
                Ok(Piece::More | Piece::Head(_) | Piece::Informational(_)) => {}
                Err(broken) => return Poll::Ready(Some(Err(broken))),
            }
        }
    }

    fn next(&mut self) -> Result<Piece, Broken> {
        self.follow.next(&self.buffer, &self.limits).map_err(Broken::Fault)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_read_ready(cx))?;
            if self.buffer.capacity() == 0 {
                self.buffer = SPARE.take();
            }
            self.buffer.reserve(self.read_bytes);
            let room = self.buffer.capacity() - self.buffer.len();
            match self.stream.try_read_buf(&mut self.buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(count) => {
                    self.answered |= count > 0;
                    if cfg!(target_os = "linux") && (1..room).contains(&count) {
                        // A short read has emptied the socket (epoll(7)); saying so saves the read that would find out.
                        let empty = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
                        let _would_block = self.stream.try_io(Interest::READABLE, empty);
                    } else {
                        self.read_bytes = (self.read_bytes * 2).min(READ_BYTES_MAX);
                    }
                    return Poll::Ready(Ok(count));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}
