//! What the guard has to say to the handler of a connection's requests, and the handler to the guard.
//!
//! One lock per connection, taken by tasks of one thread in turn; nothing here waits or decides.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::Phase;
use crate::policy::Refusal;

/// What the guard found of one head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The request is as it came.
    Good {
        /// No other is taken on this connection: the answer must say so.
        last: bool,
    },
    /// The request is a substitute: answer with the refusal and do nothing else.
    Refused {
        /// What the client is told.
        refusal: Refusal,
        /// The client sent `HEAD`, so the answer has no body.
        head_method: bool,
    },
}

/// The verdicts of one connection, in the order of its requests; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Verdicts(Arc<Mutex<Shared>>);

#[derive(Debug, Default)]
struct Shared {
    queue: VecDeque<Verdict>,
    in_flight: usize,
    tunnel: bool,
    is_1_0: bool,
    waker: Option<Waker>,
}

/// A request is being answered. Keep it in the body of the answer, so that it lives until the last byte has
/// been handed to hyper: the time of `keep_alive` starts when it is dropped.
#[derive(Debug)]
pub struct InFlight(Verdicts);

impl Verdicts {
    /// No verdict yet.
    pub fn new() -> Verdicts {
        Verdicts::default()
    }

    /// The verdict on the request that the handler was just given; exactly once per request. A request
    /// without a verdict cannot be, and is told as one that we spoilt ourselves.
    pub fn take(&self) -> (Verdict, InFlight) {
        let spoilt = Verdict::Refused { refusal: Refusal::Internal, head_method: false };
        let verdict = self.lock().queue.pop_front().unwrap_or(spoilt);
        (verdict, InFlight(self.clone()))
    }

    /// Says that the answer under way switches protocols (101): from here on nothing is looked at. To be
    /// called before that answer is returned to hyper.
    pub fn tunnel(&self) {
        let mut shared = self.lock();
        shared.tunnel = true;
        let waker = shared.waker.take();
        drop(shared);
        waker.into_iter().for_each(Waker::wake);
    }

    /// Says that the client speaks HTTP/1.0: the end of its answer may be the end of the connection and nothing else.
    pub(in crate::server) fn note_1_0(&self) {
        self.lock().is_1_0 = true;
    }

    /// Whether [`Verdicts::note_1_0`] was said.
    pub(in crate::server) fn is_1_0(&self) -> bool {
        self.lock().is_1_0
    }

    pub(super) fn push(&self, verdict: Verdict) {
        let mut shared = self.lock();
        shared.in_flight += 1;
        shared.queue.push_back(verdict);
    }

    /// Whether some request has not been answered in full.
    pub(in crate::server) fn is_busy(&self) -> bool {
        self.lock().in_flight > 0
    }

    /// Waits until the answer to an upgrade is known: a tunnel, or the next head.
    pub(super) fn poll_upgrade(&self, cx: &Context<'_>) -> Poll<Phase> {
        let mut shared = self.lock();
        if shared.tunnel {
            return Poll::Ready(Phase::Tunnel);
        }
        if shared.in_flight == 0 {
            return Poll::Ready(Phase::Head);
        }
        shared.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut shared = self.0.lock();
        shared.in_flight = shared.in_flight.saturating_sub(1);
        let waker = shared.waker.take();
        drop(shared);
        waker.into_iter().for_each(Waker::wake);
    }
}
