//! The timer of what a connection reads: for the next head, for the rest of a head, for the end.
//!
//! It is armed only when there is nothing to read, and moved to a later time only when it fires too
//! early: a busy connection touches the timer wheel once in a while, not once per request.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// How often a connection that is being answered is looked at, at most.
const BUSY_STEP_MIN: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Clock {
    due: Due,
    written: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

/// What is being waited for, and until when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Due {
    #[default]
    Nothing,
    Idle(Instant),
    Head(Instant),
    Linger(Instant),
}

impl Clock {
    /// Nothing is waited for: a head is whole, or an answer is awaited.
    pub(super) fn stop(&mut self) {
        self.due = Due::Nothing;
    }

    /// Bytes are being written, so the connection is not idle yet.
    pub(super) fn answer_goes_on(&mut self) {
        self.written = Some(Instant::now());
    }

    /// Ready when no head has begun, nothing was written and nothing was being answered for this long.
    /// Armed while an answer is awaited too: hyper does not ask again when it is done with one, but
    /// waits for the wake-up of the read that it left pending.
    pub(super) fn poll_idle(
        &mut self,
        cx: &mut Context<'_>,
        limit: Duration,
        busy: bool,
    ) -> Poll<()> {
        let mut due = match self.due {
            Due::Idle(due) => due,
            // Most often the end of an answer: where it is older, the look below finds a later time.
            _ => self.written.unwrap_or_else(Instant::now) + limit,
        };
        loop {
            self.due = Due::Idle(due);
            ready!(self.poll(cx, due));
            let now = Instant::now();
            due = match self.written {
                _ if busy => now + limit.max(BUSY_STEP_MIN),
                Some(written) => written + limit,
                None => now,
            };
            if due <= now {
                return Poll::Ready(());
            }
        }
    }

    /// Ready when a head has not ended this long after it began.
    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>, limit: Duration) -> Poll<()> {
        let due = match self.due {
            Due::Head(due) => due,
            _ => Instant::now() + limit,
        };
        self.due = Due::Head(due);
        self.poll(cx, due)
    }

    /// Ready when a closing connection has been read for this long.
    pub(super) fn poll_linger(&mut self, cx: &mut Context<'_>, limit: Duration) -> Poll<()> {
        let due = match self.due {
            Due::Linger(due) => due,
            _ => Instant::now() + limit,
        };
        self.due = Due::Linger(due);
        self.poll(cx, due)
    }

    fn poll(&mut self, cx: &mut Context<'_>, due: Instant) -> Poll<()> {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if sleep.deadline() > due {
            sleep.as_mut().reset(due);
        }
        while sleep.as_mut().poll(cx).is_ready() {
            if Instant::now() >= due {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(due);
        }
        Poll::Pending
    }
}
