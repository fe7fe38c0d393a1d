//! A request on its way to a backend: its head, then its body piece by piece, with as few system calls as pieces.

use std::fmt::Write as _;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, header};
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

/// How the body is delimited for the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Length,
    Chunked,
}

/// See the module.
#[derive(Debug)]
pub struct Upload {
    /// The request head, kept so that it can be sent again.
    head: Bytes,
    body: RequestBody,
    coding: Coding,
    /// What is being written, in this order; of all three together, so many bytes have been.
    before: Bytes,
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
    /// Of a request with a target in origin-form. Where the body's length is not known its fields say `chunked`.
    pub fn new(parts: &Parts, body: RequestBody, now: Instant) -> Upload {
        let chunked = parts.headers.contains_key(header::TRANSFER_ENCODING);
        let head = Bytes::from(head_of(parts));
        Upload {
            before: head.clone(),
            head,
            ended: matches!(body, RequestBody::Empty),
            body,
            coding: if chunked { Coding::Chunked } else { Coding::Length },
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
            (self.before, self.written, self.unsent) = (self.head.clone(), 0, true);
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
        let (before, data) = (self.before.len(), self.data.len());
        let all = before + data + self.after.len();
        while self.written < all {
            ready!(stream.poll_write_ready(cx))?;
            let from = |part: usize| self.written.saturating_sub(part);
            let parts = [
                IoSlice::new(&self.before[from(0).min(before)..]),
                IoSlice::new(&self.data[from(before).min(data)..]),
                IoSlice::new(&self.after[from(before + data)..]),
            ];
            let used = if data == 0 && self.after.is_empty() { &parts[..1] } else { &parts[..] };
            match stream.try_write_vectored(used) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(count) => {
                    self.written += count;
                    self.unsent = false;
                }
            }
        }
        (self.before, self.data, self.after, self.written) = (Bytes::new(), Bytes::new(), b"", 0);
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
                self.before = with_size(&self.before, data.len());
            }
        }
        self.data = data;
        Poll::Ready(Ok(()))
    }
}

/// Behind what is to be written before it, the size of a chunk (RFC 9112 §7.1).
fn with_size(before: &[u8], size: usize) -> Bytes {
    let mut size_line = String::with_capacity(SIZE_LINE_BYTES);
    // Writing to a string does not fail.
    let _infallible = write!(size_line, "{size:x}\r\n");
    [before, size_line.as_bytes()].concat().into()
}

/// Digits of the largest size in hexadecimal, and the line end.
const SIZE_LINE_BYTES: usize = 16 + 2;

/// The head as it goes over the wire.
fn head_of(parts: &Parts) -> Vec<u8> {
    const FIELD_FRAME: usize = ": \r\n".len();
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let method = parts.method.as_str();
    let fields: usize = fields(&parts.headers).map(|(n, v)| n.len() + v.len() + FIELD_FRAME).sum();
    let line = [method.as_bytes(), b" ", target.as_bytes(), b" HTTP/1.1\r\n"];
    let length = line.iter().map(|part| part.len()).sum::<usize>() + fields + CRLF.len();
    let mut head = Vec::with_capacity(length);
    line.iter().for_each(|part| head.extend_from_slice(part));
    for (name, value) in self::fields(&parts.headers) {
        head.extend_from_slice(name);
        head.extend_from_slice(b": ");
        head.extend_from_slice(value);
        head.extend_from_slice(CRLF);
    }
    head.extend_from_slice(CRLF);
    head
}

fn fields(headers: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    headers.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()))
}
