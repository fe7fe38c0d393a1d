//! How fast the other side goes on, of what it sends or of what it takes: pauses and bytes, measured only while we
//! wait for it. A client that is slow because we or a backend are is never late.
//!
//! Used for bodies of both ways here, and by the wire guard for answers. One timer, made at the first pause and moved
//! only when it is too late or fires too early.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::telemetry::Limit;

/// What the other side was too slow in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Late {
    /// It paused for too long.
    Paused,
    /// It went on, with too few bytes.
    Trickled,
}

impl Late {
    /// The limit that a client reached by it.
    pub fn limit(self) -> Limit {
        match self {
            Late::Paused => Limit::BodyIdle,
            Late::Trickled => Limit::BodyRateMin,
        }
    }
}

/// The pace of one side in one direction.
#[derive(Debug)]
pub struct Pace {
    idle: Duration,
    /// Fewest bytes in each window, that is in each `idle` of waiting; 0 asks for none.
    least: u64,
    /// What came in this window, and how long was waited before the pause under way.
    bytes: u64,
    waited: Duration,
    pause: Option<Pause>,
    timer: Option<Pin<Box<Sleep>>>,
}

#[derive(Clone, Copy, Debug)]
struct Pause {
    since: Instant,
    /// From when on it counts for the window under way.
    counted: Instant,
}

impl Pace {
    /// Pauses of at most `idle`; `rate_min` bytes a second on average over each `idle` of waiting.
    pub fn new(idle: Duration, rate_min: u64) -> Pace {
        let least = (rate_min as f64 * idle.as_secs_f64()).ceil() as u64;
        Pace { idle, least, bytes: 0, waited: Duration::ZERO, pause: None, timer: None }
    }

    /// It went on by this many bytes.
    pub fn moved(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        if let Some(pause) = self.pause.take() {
            self.waited += pause.counted.elapsed();
        }
    }

    /// We wait for it. Ready when it is late.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Late> {
        loop {
            let now = Instant::now();
            let pause = self.pause.get_or_insert(Pause { since: now, counted: now });
            let idle_due = pause.since + self.idle;
            if now >= idle_due {
                return Poll::Ready(Late::Paused);
            }
            let mut due = idle_due;
            if self.least > 0 {
                let window_due = pause.counted + self.idle.saturating_sub(self.waited);
                if now >= window_due {
                    if self.bytes < self.least {
                        return Poll::Ready(Late::Trickled);
                    }
                    (self.bytes, self.waited, pause.counted) = (0, Duration::ZERO, now);
                    continue;
                }
                due = due.min(window_due);
            }
            ready!(self.poll_timer(cx, due));
        }
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>, due: Instant) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if timer.deadline() > due {
            timer.as_mut().reset(due);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= due {
                return Poll::Ready(());
            }
            timer.as_mut().reset(due);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(10);

    /// Waits `pause` before each piece; how it was late, and after how many seconds.
    async fn run(rate_min: u64, pieces: &[(u64, usize)]) -> Option<(Late, u64)> {
        let mut pace = Pace::new(IDLE, rate_min);
        let start = Instant::now();
        for (pause, bytes) in pieces {
            let slow = std::future::poll_fn(|cx| pace.poll(cx));
            if let Ok(late) = tokio::time::timeout(Duration::from_secs(*pause), slow).await {
                return Some((late, start.elapsed().as_secs()));
            }
            pace.moved(*bytes);
        }
        None
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_ends_at_idle_and_no_earlier() {
        assert_eq!(run(0, &[(9, 1), (9, 1), (9, 1)]).await, None);
        assert_eq!(run(0, &[(9, 1), (11, 1)]).await, Some((Late::Paused, 19)));
        assert_eq!(run(100, &[(11, 1)]).await, Some((Late::Paused, 10)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_trickle_ends_at_the_window_however_often_it_moves() {
        let trickle = [(1, 99); 30];
        assert_eq!(run(100, &trickle).await, Some((Late::Trickled, 10)));
        assert_eq!(run(99, &[(1, 110); 30]).await, None);
        // What came in the first window is no credit for the second.
        let burst = [&[(1, 1_000_000)][..], &trickle].concat();
        assert_eq!(run(100, &burst).await, Some((Late::Trickled, 20)));
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_nobody_waits_for_the_client_does_not_count() {
        let mut pace = Pace::new(IDLE, 100);
        for _ in 0..100 {
            // The backend is slow: the client is not asked for more.
            tokio::time::sleep(Duration::from_secs(60)).await;
            let slow = std::future::poll_fn(|cx| pace.poll(cx));
            let waited = tokio::time::timeout(Duration::from_secs(1), slow).await;
            assert!(waited.is_err(), "{waited:?}");
            pace.moved(112);
        }
    }
}
