//! A wall clock that never runs backwards: the one place that reads the system's clocks.
//!
//! Time is the monotonic clock plus an offset that only grows, whenever the system's clock is ahead. A step back,
//! by hand, by NTP or by a machine restored from a snapshot, revives no expired token and no purged revocation,
//! and time goes on instead of standing still. The state store raises it at the start to the highest time that
//! was seen before. Never waits and never fails.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What the monotonic clock of this process is counted from.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

static CLOCK: Clock = Clock::new();

/// The time, never earlier than any time given before.
pub fn clock() -> SystemTime {
    UNIX_EPOCH + CLOCK.read(system(), START.elapsed())
}

/// Makes the clock show at least this time from now on.
pub fn raise_clock(to: SystemTime) {
    let to = to.duration_since(UNIX_EPOCH).unwrap_or_default();
    CLOCK.read(to, START.elapsed());
}

/// How far the system's clock is behind [`clock`]; zero while they agree.
pub fn clock_behind() -> Duration {
    let system = system();
    CLOCK.read(system, START.elapsed()).saturating_sub(system)
}

/// What the system says; a clock set before 1970 counts as 1970.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
fn system() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The largest difference ever seen between the system's clock and the monotonic one.
struct Clock {
    /// Nanoseconds: enough until the year 2554.
    offset: AtomicU64,
}

impl Clock {
    const fn new() -> Clock {
        Clock { offset: AtomicU64::new(0) }
    }

    /// The time since 1970, from the two clocks. The wall clock must be read before the monotonic one: a thread
    /// that sleeps between the two then makes the difference too small, which changes nothing, and never too large.
    fn read(&self, wall: Duration, monotonic: Duration) -> Duration {
        let (wall, monotonic) = (nanoseconds(wall), nanoseconds(monotonic));
        let ahead = wall.saturating_sub(monotonic);
        let known = self.offset.load(Ordering::Relaxed);
        // Written only when it grows, so that threads which only read share the cache line.
        let offset = match ahead > known {
            true => self.offset.fetch_max(ahead, Ordering::Relaxed).max(ahead),
            false => known,
        };
        Duration::from_nanos(monotonic.saturating_add(offset))
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a clock shows for each pair of wall and monotonic seconds.
    fn shown(readings: &[(u64, u64)]) -> Vec<u64> {
        let clock = Clock::new();
        let read = |&(wall, monotonic)| {
            clock.read(Duration::from_secs(wall), Duration::from_secs(monotonic)).as_secs()
        };
        readings.iter().map(read).collect()
    }

    #[test]
    fn it_shows_what_the_system_says_while_that_goes_forward() {
        assert_eq!(shown(&[(5000, 0), (5001, 1), (5060, 60)]), [5000, 5001, 5060]);
        // A step ahead, or a sleep of the whole machine, in which the monotonic clock stands still.
        assert_eq!(shown(&[(5000, 0), (8601, 1), (8602, 2)]), [5000, 8601, 8602]);
    }

    #[test]
    fn after_a_step_back_time_goes_on_until_the_system_has_caught_up() {
        let steps = [(5000, 0), (1401, 1), (1460, 60), (5061, 61), (5100, 62)];
        assert_eq!(shown(&steps), [5000, 5001, 5060, 5061, 5100]);
        assert_eq!(shown(&[(5000, 0), (0, 10), (0, 20)]), [5000, 5010, 5020]);
    }

    #[test]
    fn the_ends_of_time_do_not_overflow() {
        let clock = Clock::new();
        let end = clock.read(Duration::MAX, Duration::ZERO);
        assert!(clock.read(Duration::ZERO, Duration::MAX) >= end);
    }

    #[test]
    fn the_clock_of_the_process_can_be_raised_and_then_goes_on() {
        let before = clock();
        // Little enough that no other test of this process minds.
        raise_clock(before + Duration::from_millis(5));
        let raised = clock();
        assert!(raised >= before + Duration::from_millis(5));
        raise_clock(before);
        assert!(clock() >= raised);
        assert!(clock_behind() <= Duration::from_secs(1));
    }
}
