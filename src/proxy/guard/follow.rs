//! One answer of a backend, followed byte by byte from its first head to its end, so that what comes after is known to be
//! nobody's (CVE-2026-71324). Pure: no sockets, no clock, no allocation. Called by the guard alone.

use super::head::{AnswerLimits, Fault, Framing, Head, Scan};
use crate::proxy::chunked::Chunked;

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

/// What some bytes came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// How many of them belong to the answer and are good.
    pub good: usize,
    /// What the byte after them did; `None` when all are good, or the rest is the beginning of a head.
    pub fault: Option<Fault>,
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

    /// Follows `bytes`, which begin where the step before ended to be good. What is left of a head that has not ended is to be
    /// brought again, with more behind it.
    pub(super) fn take(&mut self, bytes: &[u8], limits: &AnswerLimits) -> Step {
        let mut good = 0;
        while good < bytes.len() {
            let rest = &bytes[good..];
            match self.step(rest, limits) {
                Ok(0) => break,
                Ok(used) => good += used,
                Err(fault) => return Step { good, fault: Some(fault) },
            }
        }
        Step { good, fault: None }
    }

    fn step(&mut self, bytes: &[u8], limits: &AnswerLimits) -> Result<usize, Fault> {
        match &mut self.phase {
            Phase::Head => self.head(bytes, limits),
            Phase::Length(left) => {
                let used = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= used as u64;
                if *left == 0 {
                    self.phase = Phase::Done;
                }
                Ok(used)
            }
            Phase::Chunked(chunked) => {
                let used = chunked.follow(bytes).map_err(|_| Fault::Chunk)?;
                if chunked.is_done() {
                    self.phase = Phase::Done;
                }
                Ok(used)
            }
            Phase::Close => Ok(bytes.len()),
            Phase::Done => Err(Fault::Unasked),
        }
    }

    fn head(&mut self, bytes: &[u8], limits: &AnswerLimits) -> Result<usize, Fault> {
        let Some((head, length)) = self.scan.look(bytes, self.head_only, self.spent, limits)?
        else {
            return Ok(0);
        };
        self.scan = Scan::default();
        self.phase = match head {
            Head::Informational => {
                self.spent += length;
                self.informational += 1;
                if self.informational > limits.informational_max {
                    return Err(Fault::InformationalMax);
                }
                Phase::Head
            }
            Head::Final(Framing::None | Framing::Length(0)) => Phase::Done,
            Head::Final(Framing::Length(length)) => Phase::Length(length),
            Head::Final(Framing::Chunked) => Phase::Chunked(Chunked::new()),
            Head::Final(Framing::Close) => Phase::Close,
        };
        Ok(length)
    }
}
