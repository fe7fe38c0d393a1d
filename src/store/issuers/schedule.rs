//! When a key set is fetched: pure arithmetic. Random numbers are arguments.

use std::time::Duration;

/// A set is kept at least so long, whatever its `Cache-Control` says.
pub const REFRESH_MIN: Duration = Duration::from_secs(60);
/// The first wait after a failure; it doubles with each further one.
pub const BACKOFF_FIRST: Duration = Duration::from_secs(1);
/// The longest wait after a failure.
pub const BACKOFF_MAX: Duration = Duration::from_secs(5 * 60);

/// How long a set is kept before the next fetch: as long as its `max-age` says, at most `refresh`, at least
/// [`REFRESH_MIN`] and `refetch_min` where `refresh` is longer than those. Up to a tenth of it is taken away, so that many
/// gateways do not ask at once.
pub(super) fn refresh_after(
    refresh: Duration,
    refetch_min: Duration,
    max_age: Option<Duration>,
    random: u64,
) -> Duration {
    let least = REFRESH_MIN.max(refetch_min).min(refresh);
    let whole = max_age.unwrap_or(refresh).clamp(least, refresh);
    shortened(whole, 10, random)
}

/// How long to wait after the `failures`-th failure in a row. Up to half of it is taken away, for the same reason.
pub(super) fn backoff(failures: u64, refresh: Duration, random: u64) -> Duration {
    let doublings = u32::try_from(failures.saturating_sub(1)).unwrap_or(u32::MAX).min(16);
    let most = BACKOFF_MAX.min(refresh).max(BACKOFF_FIRST);
    shortened((BACKOFF_FIRST * 2_u32.pow(doublings)).min(most), 2, random)
}

/// `span` less a random part of it, which is at most a `divisor`-th.
fn shortened(span: Duration, divisor: u32, random: u64) -> Duration {
    const STEPS: u32 = 1024;
    let steps = u32::try_from(random % u64::from(STEPS + 1)).unwrap_or(STEPS);
    span - (span / divisor / STEPS).saturating_mul(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn minutes(count: u64) -> Duration {
        Duration::from_secs(count * 60)
    }

    #[test]
    fn a_set_is_kept_as_long_as_it_says_within_bounds() {
        let after = |max_age| refresh_after(minutes(60), minutes(2), max_age, 0);
        assert_eq!(after(None), minutes(60));
        assert_eq!(after(Some(minutes(10))), minutes(10));
        assert_eq!(after(Some(minutes(600))), minutes(60));
        assert_eq!(after(Some(Duration::ZERO)), minutes(2));
        let half = Duration::from_secs(30);
        let unsaid = |refetch_min| refresh_after(minutes(60), refetch_min, Some(half), 0);
        assert_eq!(unsaid(Duration::ZERO), REFRESH_MIN);
        // A `refresh` below every bound is meant so.
        assert_eq!(refresh_after(half, minutes(5), Some(minutes(1)), 0), half);
    }

    #[test]
    fn failures_wait_twice_as_long_each_time_up_to_a_limit() {
        let waits: Vec<u64> = (1..=12).map(|n| backoff(n, minutes(60), 0).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        assert_eq!(backoff(u64::MAX, minutes(60), 0), BACKOFF_MAX);
        assert_eq!(backoff(9, minutes(1), 0), minutes(1));
        assert_eq!(backoff(9, Duration::from_millis(1), 0), BACKOFF_FIRST);
    }

    #[test]
    fn chance_only_shortens_and_only_so_much() {
        for random in [0, 1, 511, 1024, 1025, u64::MAX] {
            let refresh = refresh_after(minutes(60), minutes(1), None, random);
            assert!((minutes(54)..=minutes(60)).contains(&refresh), "{random}: {refresh:?}");
            let backoff = backoff(9, minutes(60), random);
            assert!((128..=256).contains(&backoff.as_secs()), "{random}: {backoff:?}");
        }
        assert!(
            refresh_after(minutes(60), minutes(1), None, 1024) <= minutes(54) + minutes(1) / 60
        );
        assert_ne!(backoff(5, minutes(60), 3), backoff(5, minutes(60), 4));
        assert!(shortened(Duration::MAX, 2, u64::MAX) <= Duration::MAX);
    }
}
