//! The guard as hyper sees it: a stream to read requests from and to write answers to.
//!
//! Reading goes through the phases of the guard; writing passes through, and only tells the clock that the
//! connection is at work.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{BUFFER_BYTES, LINGER_BYTES_MAX, LINGER_TIME, Phase, Wire};

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        if out.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            if wire.start < wire.cleared {
                wire.hand_on(out);
                return Poll::Ready(Ok(()));
            }
            match wire.phase {
                Phase::Head => {
                    if !ready!(wire.poll_head(cx))? {
                        return Poll::Ready(Ok(()));
                    }
                }
                Phase::Length(_) | Phase::Chunked(_) if wire.start < wire.end => {
                    let came = &wire.buffer[wire.start..wire.end];
                    let used = Self::follow_body(&mut wire.phase, wire.after, came)?;
                    wire.cleared = wire.start + used;
                }
                Phase::Length(_) | Phase::Chunked(_) => return wire.poll_body(cx, out),
                Phase::Upgrading => wire.phase = ready!(wire.verdicts.poll_upgrade(cx)),
                Phase::Tunnel if wire.start < wire.end => wire.cleared = wire.end,
                Phase::Tunnel => return Pin::new(&mut wire.stream).poll_read(cx, out),
                // The end of input would make hyper drop the answer that is still to be sent; it closes by
                // itself once that is done, for the substitute says so.
                Phase::Refused => return Poll::Pending,
                Phase::Quiet => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl<S> Wire<S> {
    /// What a write came to, unless the client takes too little.
    fn unless_late(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(written) = written {
            self.taking.moved(written.as_ref().map_or(0, |count| *count));
            return Poll::Ready(written);
        }
        let late = ready!(self.taking.poll(cx));
        self.metrics.limit_reached(late.limit());
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes too little")))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        wire.clock.answer_goes_on();
        let written = Pin::new(&mut wire.stream).poll_write(cx, bytes);
        wire.unless_late(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        wire.clock.answer_goes_on();
        let written = Pin::new(&mut wire.stream).poll_write_vectored(cx, slices);
        wire.unless_late(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        ready!(Pin::new(&mut wire.stream).poll_shutdown(cx))?;
        let was_last = wire.requests >= wire.limits.requests_max;
        let owes_nothing = matches!(wire.phase, Phase::Tunnel | Phase::Quiet)
            || (matches!(wire.phase, Phase::Head) && wire.start == wire.end && !was_last);
        if !owes_nothing {
            ready!(wire.poll_linger(cx));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> Wire<S> {
    /// Reads and drops what the client still sends, until it ends or the limits are reached.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        (self.start, self.cleared, self.end) = (0, 0, 0);
        self.buffer.resize(self.buffer.len().max(BUFFER_BYTES), 0);
        while !self.ended && self.lingered < LINGER_BYTES_MAX {
            let mut part = ReadBuf::new(&mut self.buffer);
            match Pin::new(&mut self.stream).poll_read(cx, &mut part) {
                Poll::Ready(Ok(())) if !part.filled().is_empty() => {
                    self.lingered += part.filled().len();
                }
                Poll::Ready(_) => self.ended = true,
                Poll::Pending => {
                    ready!(self.clock.poll_linger(cx, LINGER_TIME));
                    self.ended = true;
                }
            }
        }
        Poll::Ready(())
    }
}
