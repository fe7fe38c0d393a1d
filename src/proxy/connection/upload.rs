//! A request on its way to a backend: its head, then its body piece by piece, with as few system calls as pieces.

use std::io::{self, IoSlice, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::Body as _;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::proxy::body::{BodyFault, RequestBody};

const CRLF: &[u8] = b"\r\n";
const LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";
const NO_CHUNKS: &[u8] = b"0\r\n\r\n";

/// Why a request was not sent whole.
#[derive(Debug)]
pub enum Cut {
    /// The client's own body failed.
    Client(BodyFault),
    /// The backend takes no more.
    Backend(io::Error),
}

/// How the body is delimited for the backend (RFC 9112 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// By its length, or there is none.
    Length,
    /// Chunk by chunk.
    Chunked,
}

/// See the module.
#[derive(Debug)]
pub struct Upload {
    /// The request head, kept so that it can be sent again.
    head: Vec<u8>,
    body: RequestBody,
    coding: Coding,
    /// What is being written, in this order; of all four together, so many bytes have been.
    heads: bool,
    size_line: SizeLine,
    data: Bytes,
    after: &'static [u8],
    written: usize,
    /// No byte has been written at all.
    unsent: bool,
    /// The last piece of the body was taken.
    ended: bool,
    moved: Instant,
}

impl Upload {
    /// Of a request whose head says how its body is delimited.
    pub fn new(head: Vec<u8>, body: RequestBody, coding: Coding, now: Instant) -> Upload {
        Upload {
            head,
            ended: matches!(body, RequestBody::Empty),
            body,
            coding,
            heads: true,
            size_line: SizeLine::default(),
            data: Bytes::new(),
            after: b"",
            written: 0,
            unsent: true,
            moved: now,
        }
    }

    /// To be called before it is sent on a connection: from its start, so once a byte of it was sent only a request
    /// without a body can be.
    pub fn begin(&mut self, now: Instant) {
        if !self.unsent {
            (self.heads, self.written, self.unsent) = (true, 0, true);
        }
        // Neither the wait for a place nor the connecting is the backend's time to answer.
        self.moved = now;
    }

    /// Whether not a byte of it was sent.
    pub fn is_unsent(&self) -> bool {
        self.unsent
    }

    /// When the last piece of it was taken.
    pub fn moved(&self) -> Instant {
        self.moved
    }

    /// Ready when the whole request has been handed to the system.
    ///
    /// # Errors
    /// [`Cut`].
    pub fn poll(&mut self, cx: &mut Context<'_>, stream: &TcpStream) -> Poll<Result<(), Cut>> {
        // The first piece of a body has often come with its head, and then leaves with it.
        if self.unsent
            && !self.ended
            && self.data.is_empty()
            && let Poll::Ready(Err(fault)) = self.poll_piece(cx)
        {
            return Poll::Ready(Err(Cut::Client(fault)));
        }
        loop {
            ready!(self.poll_write(cx, stream)).map_err(Cut::Backend)?;
            if self.ended {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_piece(cx)).map_err(Cut::Client)?;
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, stream: &TcpStream) -> Poll<io::Result<()>> {
        let head = if self.heads { self.head.as_slice() } else { b"" };
        let all = [head, self.size_line.as_bytes(), &self.data, self.after];
        let length: usize = all.iter().map(|part| part.len()).sum();
        while self.written < length {
            let sent = if all[0].len() == length {
                stream.try_write(&head[self.written..])
            } else {
                stream.try_write_vectored(&behind(all, self.written))
            };
            match sent {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(stream.poll_write_ready(cx))?;
                }
                Err(error) => return Poll::Ready(Err(error)),
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(count) => {
                    self.written += count;
                    self.unsent = false;
                }
            }
        }
        (self.heads, self.data, self.after, self.written) = (false, Bytes::new(), b"", 0);
        self.size_line = SizeLine::default();
        Poll::Ready(Ok(()))
    }

    /// Takes the next piece of the body, behind what is still to be written of the head.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyFault>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx)).transpose()?;
        self.moved = Instant::now();
        let data = frame.and_then(|frame| frame.into_data().ok());
        self.ended = data.is_none() || self.body.is_end_stream();
        let data = data.unwrap_or_default();
        if self.coding == Coding::Chunked {
            self.after = match (self.ended, data.is_empty()) {
                (true, true) => NO_CHUNKS,
                (true, false) => LAST_CHUNK,
                (false, true) => b"",
                (false, false) => CRLF,
            };
            if !data.is_empty() {
                self.size_line = SizeLine::of(data.len());
            }
        }
        self.data = data;
        Poll::Ready(Ok(()))
    }
}

/// What is left of these parts behind so many bytes.
fn behind(parts: [&[u8]; PARTS], mut written: usize) -> [IoSlice<'_>; PARTS] {
    parts.map(|part| {
        let used = written.min(part.len());
        written -= used;
        IoSlice::new(&part[used..])
    })
}

/// A head, the size of a chunk, its bytes, and what stands behind them.
const PARTS: usize = 4;

/// The line with the size of a chunk (RFC 9112 §7.1), or nothing.
#[derive(Clone, Copy, Debug, Default)]
struct SizeLine {
    bytes: [u8; SIZE_LINE_BYTES],
    length: usize,
}

/// Digits of the largest size in hexadecimal, and the line end.
const SIZE_LINE_BYTES: usize = 16 + 2;

impl SizeLine {
    fn of(size: usize) -> SizeLine {
        let mut line = SizeLine::default();
        let mut room = &mut line.bytes[..];
        // The room is that of the largest size.
        let _infallible = write!(room, "{size:x}\r\n");
        line.length = SIZE_LINE_BYTES - room.len();
        line
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}
