//! When a message is tried again: pure arithmetic. Random numbers are arguments.

use std::time::Duration;

/// The first wait after a failure; it doubles with each further one.
pub const BACKOFF_FIRST: Duration = Duration::from_secs(1);
/// The longest wait, whatever the receiver says in `Retry-After`.
pub const BACKOFF_MAX: Duration = Duration::from_secs(5 * 60);

/// How long to wait after the `tries`-th try of a message failed. Up to half of it is taken away, so that what failed together
/// does not come back together.
pub(super) fn backoff(tries: u32, random: u64) -> Duration {
    const STEPS: u32 = 1024;
    let doublings = tries.saturating_sub(1).min(16);
    let whole = (BACKOFF_FIRST * 2_u32.pow(doublings)).min(BACKOFF_MAX);
    let steps = u32::try_from(random % u64::from(STEPS + 1)).unwrap_or(STEPS);
    whole - (whole / 2 / STEPS) * steps
}

/// What `Retry-After` asks for, in seconds (RFC 9110 §10.2.3), as far as it is granted. A date is not read: the wait is then our own.
pub(super) fn retry_after(value: &str) -> Option<Duration> {
    let text = value.trim();
    let digits = !text.is_empty() && text.bytes().all(|sign| sign.is_ascii_digit());
    // More digits than a number takes ask for more than is granted.
    digits.then(|| text.parse().map_or(BACKOFF_MAX, Duration::from_secs).min(BACKOFF_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_limit_and_chance_only_shortens_them() {
        let waits: Vec<u64> = (1..=11).map(|tries| backoff(tries, 0).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(backoff(u32::MAX, 0), BACKOFF_MAX);
        for random in [1, 511, 1024, 1025, u64::MAX] {
            let wait = backoff(5, random);
            assert!((Duration::from_secs(8)..=Duration::from_secs(16)).contains(&wait), "{wait:?}");
        }
        assert_ne!(backoff(5, 3), backoff(5, 4));
    }

    #[test]
    fn a_receiver_may_ask_for_time_and_gets_so_much() {
        assert_eq!(retry_after("7"), Some(Duration::from_secs(7)));
        assert_eq!(retry_after(" 0 "), Some(Duration::ZERO));
        assert_eq!(retry_after("86400"), Some(BACKOFF_MAX));
        assert_eq!(retry_after(&"9".repeat(400)), Some(BACKOFF_MAX));
        for odd in ["", "-1", "1.5", "+1", "soon", "Fri, 31 Dec 1999 23:59:59 GMT"] {
            assert_eq!(retry_after(odd), None, "{odd}");
        }
    }
}
