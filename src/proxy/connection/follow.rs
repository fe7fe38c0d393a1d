//! One answer of a backend, followed byte by byte from its first head to its end, so that what comes after is known to be
//! nobody's (CVE-2026-71324). Pure: no sockets, no clock, no allocation. Called by the connection alone.

use super::head::{AnswerLimits, Fault, Framing, Head, Scan};
use crate::proxy::chunked::{Chunked, Part};

/// How far the answer to one request has come.
#[derive(Clone, Debug)]
pub(super) struct Follow {
    phase: Phase,
    scan: Scan,
    head_only: bool,
    /// Bytes of 1xx heads, and how many there were.
    spent: usize,
    informational: usize,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Head,
    Length(u64),
    Chunked(Chunked),
    Close,
    Done,
}

/// What some bytes begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Nothing whole yet: bring the same bytes again, with more behind them.
    More,
    /// A head of this many bytes, after which another follows.
    Informational(usize),
    /// The real head, of this many bytes.
    Head(usize),
    /// So much of the body.
    Data(usize),
    /// So much of what is around the body.
    Framing(usize),
}

impl Follow {
    /// Nothing has come; `head_only`: the request is `HEAD`, whose answer has no body.
    pub(super) fn new(head_only: bool) -> Follow {
        let (phase, scan) = (Phase::Head, Scan::default());
        Follow { phase, scan, head_only, spent: 0, informational: 0 }
    }

    /// Nothing is expected: any byte is a fault.
    pub(super) fn nothing() -> Follow {
        Follow { phase: Phase::Done, ..Follow::new(false) }
    }

    /// Whether the last byte of the answer has come.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.phase, Phase::Done)
    }

    /// Whether the answer ends where its connection does.
    pub(super) fn ends_with_connection(&self) -> bool {
        matches!(self.phase, Phase::Close)
    }

    /// How many bytes of the body are to come, where its head has said so.
    pub(super) fn left(&self) -> Option<u64> {
        match self.phase {
            Phase::Length(left) => Some(left),
            Phase::Done => Some(0),
            Phase::Head | Phase::Chunked(_) | Phase::Close => None,
        }
    }

    /// Says what `bytes`, of which there is at least one, begin with: they begin where the piece before ended.
    ///
    /// # Errors
    /// [`Fault`] of the first of them; any byte behind the answer is [`Fault::Unasked`].
    pub(super) fn next(&mut self, bytes: &[u8], limits: &AnswerLimits) -> Result<Piece, Fault> {
        match &mut self.phase {
            Phase::Head => self.head(bytes, limits),
            Phase::Length(left) => {
                let used = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= used as u64;
                if *left == 0 {
                    self.phase = Phase::Done;
                }
                Ok(Piece::Data(used))
            }
            Phase::Chunked(chunked) => {
                let part = chunked.step(bytes).map_err(|_| Fault::Chunk)?;
                if chunked.is_done() {
                    self.phase = Phase::Done;
                }
                Ok(match part {
                    Part::Framing(used) => Piece::Framing(used),
                    Part::Data(used) => Piece::Data(used),
                })
            }
            Phase::Close => Ok(Piece::Data(bytes.len())),
            Phase::Done => Err(Fault::Unasked),
        }
    }

    fn head(&mut self, bytes: &[u8], limits: &AnswerLimits) -> Result<Piece, Fault> {
        let Some((head, length)) = self.scan.look(bytes, self.head_only, self.spent, limits)?
        else {
            return Ok(Piece::More);
        };
        self.scan = Scan::default();
        self.phase = match head {
            Head::Informational => {
                self.spent += length;
                self.informational += 1;
                if self.informational > limits.informational_max {
                    return Err(Fault::InformationalMax);
                }
                return Ok(Piece::Informational(length));
            }
            Head::Final(Framing::None | Framing::Length(0)) => Phase::Done,
            Head::Final(Framing::Length(length)) => Phase::Length(length),
            Head::Final(Framing::Chunked) => Phase::Chunked(Chunked::new()),
            Head::Final(Framing::Close) => Phase::Close,
        };
        Ok(Piece::Head(length))
    }
}
