//! The guard as hyper sees it: a stream to read requests from and to write answers to.
//!
//! Reading goes through the phases of the guard; writing passes through, and only tells the clock that the
//! connection is at work.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Phase, Wire};

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
    /// What a write came to, unless the client has taken nothing for too long.
    fn unless_stalled(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stall.over();
            return written;
        }
        ready!(self.stall.poll(cx, self.limits.write_idle));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing")))
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
        wire.unless_stalled(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        wire.clock.answer_goes_on();
        let written = Pin::new(&mut wire.stream).poll_write_vectored(cx, slices);
        wire.unless_stalled(cx, written)
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
        let owes_nothing = matches!(wire.phase, Phase::Tunnel | Phase::Quiet)
            || (matches!(wire.phase, Phase::Head) && wire.start == wire.end);
        if !owes_nothing {
            ready!(wire.poll_linger(cx));
        }
        Poll::Ready(Ok(()))
    }
}
