//! The guard on the backend's side: every connection to a backend, as hyper is allowed to see it.
//!
//! hyper takes what a gateway must not pass on: an unasked 101, 1xx answers without end, statuses that are none, a coding
//! beside a length. And only who follows each answer to its end knows that a byte is nobody's. So the guard stands below
//! hyper: it reads each head strictly, follows each body, and hands on the very bytes that it judged, in place and without a
//! copy when a head comes in one piece. What arrives while no request is under way ends the connection.
//! It never changes a byte and knows no route, no token and no client; `server/wire` is its like on the clients' side.

mod follow;
mod head;
#[cfg(test)]
mod tests;

use std::io;
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use follow::Follow;
pub use head::{AnswerLimits, Fault};

/// What the sender of requests and the guard below hyper share of one connection. One thread uses both ends, so its atomics
/// cost nothing and order nothing.
#[derive(Debug)]
pub struct Link {
    stream: TcpStream,
    turn: AtomicU8,
    head_only: AtomicBool,
    answered: AtomicBool,
    fault: AtomicU8,
}

/// Whose turn it is: nobody's, or that of a request that hyper has not begun to send.
const NOBODY: u8 = 0;
const ASKED: u8 = 1;
/// The backend's: bytes of the request have been sent and its answer has not ended.
const SENT: u8 = 2;

impl Link {
    /// A fresh connection.
    pub fn new(stream: TcpStream) -> Arc<Link> {
        Arc::new(Link {
            stream,
            turn: AtomicU8::new(NOBODY),
            head_only: AtomicBool::new(false),
            answered: AtomicBool::new(false),
            fault: AtomicU8::new(0),
        })
    }

    /// To be called before each request: an answer is expected, and none has begun. `head_only`: the method is `HEAD`.
    pub fn ask(&self, head_only: bool) {
        self.head_only.store(head_only, Ordering::Relaxed);
        self.answered.store(false, Ordering::Relaxed);
        self.turn.store(ASKED, Ordering::Relaxed);
    }

    /// Whether a byte of the answer has come, be it good or bad.
    pub fn is_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    /// Whether the answer has ended where it said it would, with nothing behind it so far.
    pub fn is_done(&self) -> bool {
        self.turn.load(Ordering::Relaxed) == NOBODY && self.fault().is_none()
    }

    /// What the backend did that ended the connection.
    pub fn fault(&self) -> Option<Fault> {
        Fault::numbered(self.fault.load(Ordering::Relaxed))
    }

    /// Whether the socket has nothing to say: neither bytes that came behind the last answer nor the end of the
    /// connection. Asked of the system, since the runtime looks at its sockets only now and then.
    pub fn is_quiet(&self) -> bool {
        let mut byte = [MaybeUninit::uninit()];
        let peeked = SockRef::from(&self.stream).peek(&mut byte);
        peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    fn poll_read(&self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_read_ready(cx))?;
            let room = out.remaining();
            match self.stream.try_read_buf(out) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(count) if cfg!(target_os = "linux") && (1..room).contains(&count) => {
                    // A short read has emptied the socket (epoll(7)); saying so saves the read that would find out.
                    let empty = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
                    let _would_block = self.stream.try_io(Interest::READABLE, empty);
                    return Poll::Ready(Ok(count));
                }
                done => return Poll::Ready(done),
            }
        }
    }
}

/// A connection under guard. Wrap it in `hyper_util::rt::TokioIo`.
#[derive(Debug)]
pub struct Guard {
    link: Arc<Link>,
    limits: AnswerLimits,
    follow: Follow,
    /// A head that came in pieces; bytes up to `good` may be handed to hyper, from `start` on.
    held: Vec<u8>,
    start: usize,
    good: usize,
}

impl Guard {
    /// Puts a fresh connection under guard.
    pub fn new(link: Arc<Link>, limits: AnswerLimits) -> Guard {
        Guard { link, limits, follow: Follow::nothing(), held: Vec::new(), start: 0, good: 0 }
    }

    /// Judges what came behind the `before` bytes of `out`, and leaves there only what is good.
    fn judge(&mut self, out: &mut ReadBuf<'_>, before: usize) {
        if self.link.turn.load(Ordering::Relaxed) == SENT {
            self.link.answered.store(true, Ordering::Relaxed);
        }
        let came = &out.filled()[before..];
        if self.held.is_empty() {
            let step = self.follow.take(came, &self.limits);
            self.held.extend_from_slice(&came[step.good..]);
            out.set_filled(before + step.good);
            self.settle(step.fault);
        } else {
            self.held.extend_from_slice(came);
            out.set_filled(before);
            let step = self.follow.take(&self.held, &self.limits);
            self.good = step.good;
            self.settle(step.fault);
        }
    }

    fn settle(&mut self, fault: Option<Fault>) {
        if let Some(fault) = fault {
            self.held.truncate(self.good);
            self.link.fault.store(fault as u8, Ordering::Relaxed);
        }
        if self.follow.is_done() {
            self.link.turn.store(NOBODY, Ordering::Relaxed);
        }
    }

    /// Hands on what is good of a head that came in pieces, and of what came with its end.
    fn hand_on(&mut self, out: &mut ReadBuf<'_>) {
        let step = out.remaining().min(self.good - self.start);
        out.put_slice(&self.held[self.start..self.start + step]);
        self.start += step;
        if self.start == self.good {
            // What is left is the beginning of another head, or nothing.
            self.held.drain(..self.good);
            (self.start, self.good) = (0, 0);
            if self.held.is_empty() {
                self.held = Vec::new();
            }
        }
    }

    /// The first byte of a request: from now on an answer may come, and what came before was none.
    fn sending(&mut self) {
        if self.link.turn.load(Ordering::Relaxed) == ASKED {
            self.link.turn.store(SENT, Ordering::Relaxed);
            self.follow = Follow::new(self.link.head_only.load(Ordering::Relaxed));
        }
    }
}

/// Whether the other end has closed or reset the connection.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

impl AsyncRead for Guard {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let guard = self.get_mut();
        if out.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let before = out.filled().len();
        loop {
            if guard.start < guard.good {
                guard.hand_on(out);
                return Poll::Ready(Ok(()));
            }
            if guard.link.fault().is_some() {
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            }
            if ready!(guard.link.poll_read(cx, out))? == 0 {
                return Poll::Ready(Ok(()));
            }
            guard.judge(out, before);
            if out.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for Guard {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let guard = self.get_mut();
        guard.sending();
        let stream = &guard.link.stream;
        loop {
            ready!(stream.poll_write_ready(cx))?;
            match stream.try_write_vectored(slices) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // The backend takes no more. What it said before may still wait to be read, and may be the answer: whoever
                // reads finds it, or the end.
                Err(error) if is_gone(&error) => return Poll::Pending,
                done => return Poll::Ready(done),
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(SockRef::from(&self.link.stream).shutdown(Shutdown::Write))
    }
}
