//! The wire guard: every accepted connection, as hyper is allowed to see it.
//!
//! hyper repairs or hides what a gateway must refuse (a fragment, a length beside a coding, two hosts,
//! bare LF), so the guard stands below it: it reads each head strictly, follows each body to its end, and
//! hands on the very bytes it judged. A head that is refused is replaced by a harmless one, so that our
//! handler is always who answers; a [`Verdict`] per head, in order, tells it what to answer.
//! It never looks at a path, a token or a route, and never changes a byte of a good request.
//!
//! Closing: `poll_shutdown` sends our end, then reads and drops what the client still sends, within
//! [`LINGER_TIME`] and [`LINGER_BYTES_MAX`], since closing with unread bytes resets the connection and may
//! take the answer with it (RFC 9112 §9.6). hyper calls it; the server has nothing to add.

mod clock;
mod head;
mod stream;
mod verdict;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};

use crate::policy::Refusal;
use crate::proxy::chunked::Chunked;
use crate::proxy::pace::Pace;
use crate::telemetry::{Limit, Metrics};
use clock::Clock;
pub use head::check_method;
use head::{Found, Framing, HeadFault, Scan};
pub use verdict::{InFlight, Verdict, Verdicts};

/// How long a closing connection is read for the sake of its last answer.
pub const LINGER_TIME: Duration = Duration::from_secs(2);
/// Bytes that a closing connection is read for the sake of its last answer.
pub const LINGER_BYTES_MAX: usize = 2 * 1024 * 1024;
/// What one read of a head may take, and what an idle connection keeps at most.
const BUFFER_BYTES: usize = 2048;
/// What hyper gets instead of a head that is refused.
const SUBSTITUTE: &[u8] = b"GET / HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n";
/// The same for `HEAD`, whose answer has no body.
const SUBSTITUTE_HEAD: &[u8] = b"HEAD / HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n";

/// What a connection may take, of bytes and of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireLimits {
    /// Bytes in a request target.
    pub target_max: usize,
    /// Bytes in a head, its request line included.
    pub header_max: usize,
    /// Fields in a header section; at most [`crate::config::HEADER_COUNT_MAX`].
    pub header_count: usize,
    /// From the first byte of a head to its last.
    pub header_timeout: Duration,
    /// From the end of an answer, or from the start, to the first byte of the next head.
    pub keep_alive: Duration,
    /// Requests on the connection; the last is told to close it.
    pub requests_max: usize,
    /// How long the client may take nothing of an answer that is being written.
    pub write_idle: Duration,
    /// Bytes a second that it must take of one, on average over `write_idle`; 0 asks for none.
    pub write_rate_min: u64,
}

/// A connection under guard. Wrap the stream in this, and this in `hyper_util::rt::TokioIo`.
#[derive(Debug)]
pub struct Wire<S> {
    stream: S,
    limits: WireLimits,
    verdicts: Verdicts,
    phase: Phase,
    /// What follows the body under way.
    after: Phase,
    scan: Scan,
    /// The one empty line that may stand before a head has been seen.
    blank_skipped: bool,
    clock: Clock,
    /// How fast the client takes what is written. Without it one that asks for something large and never reads holds
    /// its connection, one to the backend and both buffers for ever (slowhttptest -X).
    taking: Pace,
    requests: usize,
    metrics: Arc<Metrics>,
    /// Bytes `start..cleared` may be handed to hyper, `cleared..end` have not been judged.
    buffer: Vec<u8>,
    start: usize,
    cleared: usize,
    end: usize,
    /// The client has sent its last byte.
    ended: bool,
    lingered: usize,
}

/// What is expected next from the client.
#[derive(Clone, Copy, Debug)]
enum Phase {
    Head,
    Length(u64),
    Chunked(Chunked),
    /// A head asked for another protocol: what follows waits for the answer (CVE-2026-2833).
    Upgrading,
    /// Another protocol is spoken: nothing is looked at any more.
    Tunnel,
    /// Nothing more is taken: a head was refused, or a body broke its framing.
    Refused,
    /// The connection was idle for too long.
    Quiet,
}

impl<S> Wire<S> {
    /// Puts a fresh connection under guard; the handler of its requests gets a clone of `verdicts`.
    /// Every limit that is reached is counted in `metrics`.
    pub fn new(
        stream: S,
        limits: WireLimits,
        verdicts: Verdicts,
        metrics: Arc<Metrics>,
    ) -> Wire<S> {
        Wire {
            stream,
            limits,
            verdicts,
            phase: Phase::Head,
            after: Phase::Head,
            scan: Scan::default(),
            blank_skipped: false,
            clock: Clock::default(),
            taking: Pace::new(limits.write_idle, limits.write_rate_min),
            requests: 0,
            metrics,
            buffer: Vec::new(),
            start: 0,
            cleared: 0,
            end: 0,
            ended: false,
            lingered: 0,
        }
    }

    /// What it guards.
    pub(in crate::server) fn stream(&self) -> &S {
        &self.stream
    }

    /// Whether no request is under way and no byte of one has come.
    #[cfg(test)]
    fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Head | Phase::Quiet)
            && self.start == self.end
            && !self.verdicts.is_busy()
    }

    /// Judges what is buffered of a head; `true` when there is something for hyper now.
    fn judge_head(&mut self) -> bool {
        loop {
            let bytes = &self.buffer[self.start..self.end];
            let judged = match self.scan.look(bytes, &self.limits) {
                Ok(Found::More) => return false,
                Ok(Found::Blank) if !self.blank_skipped => {
                    // RFC 9112 §2.2: one empty line before a request line is ignored.
                    self.blank_skipped = true;
                    self.start += b"\r\n".len();
                    self.cleared = self.start;
                    self.scan = Scan::default();
                    continue;
                }
                Ok(Found::Blank) => Err(Refusal::BadTarget.into()),
                Ok(Found::Head(length)) => {
                    head::check(&bytes[..length], &self.limits).map(|head| (head, length))
                }
                Err(fault) => Err(fault),
            };
            match judged {
                Err(fault) => self.refuse(fault),
                Ok((head, length)) => {
                    self.cleared = self.start + length;
                    self.scan = Scan::default();
                    self.clock.stop();
                    self.blank_skipped = false;
                    self.after = if head.upgrade { Phase::Upgrading } else { Phase::Head };
                    self.phase = match head.framing {
                        Framing::Length(0) | Framing::None => self.after,
                        Framing::Length(length) => Phase::Length(length),
                        Framing::Chunked => Phase::Chunked(Chunked::new()),
                    };
                    self.requests += 1;
                    let last = self.requests >= self.limits.requests_max;
                    if self.requests == self.limits.requests_max {
                        self.metrics.limit_reached(Limit::RequestsPerConnection);
                    }
                    self.verdicts.push(Verdict::Good { last });
                }
            }
            return true;
        }
    }

    /// Puts the substitute in the place of what came; nothing more is taken.
    fn refuse(&mut self, HeadFault { refusal, limit }: HeadFault) {
        limit.into_iter().for_each(|limit| self.metrics.limit_reached(limit));
        let head_method = self.buffer[self.start..self.end].starts_with(b"HEAD ");
        let substitute = if head_method { SUBSTITUTE_HEAD } else { SUBSTITUTE };
        self.buffer.clear();
        self.buffer.extend_from_slice(substitute);
        (self.start, self.cleared, self.end) = (0, substitute.len(), substitute.len());
        self.clock.stop();
        self.phase = Phase::Refused;
        self.verdicts.push(Verdict::Refused { refusal, head_method });
    }

    /// How many of `bytes` belong to the body under way; moves on to `after` at its end.
    fn follow_body(phase: &mut Phase, after: Phase, bytes: &[u8]) -> io::Result<usize> {
        let (used, done) = match phase {
            Phase::Length(left) => {
                let used = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= used as u64;
                (used, *left == 0)
            }
            Phase::Chunked(chunked) => match chunked.follow(bytes) {
                Ok(used) => (used, chunked.is_done()),
                Err(_) => {
                    *phase = Phase::Refused;
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "bad chunk framing"));
                }
            },
            _ => (0, false),
        };
        if done {
            *phase = after;
        }
        Ok(used)
    }

    /// Hands on what is cleared.
    fn hand_on(&mut self, out: &mut ReadBuf<'_>) {
        let step = out.remaining().min(self.cleared - self.start);
        out.put_slice(&self.buffer[self.start..self.start + step]);
        self.start += step;
        if self.start == self.end {
            (self.start, self.cleared, self.end) = (0, 0, 0);
        }
    }

    /// Makes room behind `end`: moves what is left to the front, then doubles.
    /// The limits of a head bound it.
    fn make_room(&mut self) {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            (self.start, self.cleared) = (0, 0);
        }
        if self.end == self.buffer.len() {
            self.buffer.resize((self.buffer.len() * 2).max(BUFFER_BYTES), 0);
        }
    }

    /// Gives a big buffer back when nothing is in it.
    fn release(&mut self) {
        if self.end == 0 && self.buffer.len() > BUFFER_BYTES {
            self.buffer = Vec::new();
        }
    }
}

impl<S: AsyncRead + Unpin> Wire<S> {
    /// Reads more of a head; `true` when there is something for hyper, `false` when all has been read.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        loop {
            if self.end > self.start && self.judge_head() {
                return Poll::Ready(Ok(true));
            }
            if self.ended {
                return Poll::Ready(Ok(false));
            }
            self.make_room();
            let mut part = ReadBuf::new(&mut self.buffer[self.end..]);
            // What has come is read before the clock is asked: a client is not late because we were.
            match Pin::new(&mut self.stream).poll_read(cx, &mut part) {
                Poll::Ready(Ok(())) if part.filled().is_empty() => self.ended = true,
                Poll::Ready(Ok(())) => self.end += part.filled().len(),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    if self.end > self.start {
                        ready!(self.clock.poll_head(cx, self.limits.header_timeout));
                        self.refuse(HeadFault::TIMEOUT);
                        return Poll::Ready(Ok(true));
                    }
                    self.release();
                    let busy = self.verdicts.is_busy();
                    ready!(self.clock.poll_idle(cx, self.limits.keep_alive, busy));
                    self.metrics.limit_reached(Limit::KeepAlive);
                    self.phase = Phase::Quiet;
                    return Poll::Ready(Ok(false));
                }
            }
        }
    }

    /// Reads a body straight into hyper's buffer; what is beyond its end stays with the guard.
    fn poll_body(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = out.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, out))?;
        let came = &out.filled()[before..];
        self.ended |= came.is_empty() && out.remaining() > 0;
        let used = match Self::follow_body(&mut self.phase, self.after, came) {
            Ok(used) => used,
            Err(error) => {
                out.set_filled(before);
                return Poll::Ready(Err(error));
            }
        };
        let beyond = &came[used..];
        if !beyond.is_empty() {
            if self.buffer.len() < beyond.len() {
                self.buffer.resize(beyond.len(), 0);
            }
            self.buffer[..beyond.len()].copy_from_slice(beyond);
            (self.start, self.cleared, self.end) = (0, 0, beyond.len());
            out.set_filled(before + used);
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests;
