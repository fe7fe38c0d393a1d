//! The arithmetic of one counter of failed attempts: how long it makes the next attempt wait.
//!
//! A counter is two moments and no number. Each failure puts the moment at which everything is forgiven one
//! `delay_max` later, so one failure is forgiven in each `delay_max`: as fast as the longest delay lets new
//! ones come in. Hence in any span no more attempts fit in than `most + span / delay_max`. Pure: `now` is an
//! argument.

use std::time::Duration;

use crate::token::UnixTime;

/// What one counter allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Failures that are free. The last of them brings the first delay, of one second.
    pub free: u64,
    /// The longest delay, in whole seconds; the delays double up to it.
    pub delay_max: Duration,
}

/// One counter of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// When the last failure is forgiven: from then on this counter says nothing.
    pub forgiven_at: UnixTime,
    /// No attempt is judged before.
    pub blocked_until: UnixTime,
}

impl Tally {
    /// A counter of nothing.
    pub const NONE: Tally = Tally { forgiven_at: UnixTime(0), blocked_until: UnixTime(0) };

    /// Failures that are not forgiven at `now`.
    pub fn failures(&self, allowance: &Allowance, now: UnixTime) -> u64 {
        let debt = self.forgiven_at.since(now).as_secs();
        debt.div_ceil(allowance.delay_s()).min(allowance.most())
    }

    /// How long the next attempt must wait; zero when it need not. A wait beyond the longest delay is of a clock
    /// that was set back since, or of a knob that was turned down: it is none, or it might last for ever.
    pub fn wait(&self, allowance: &Allowance, now: UnixTime) -> Duration {
        let wait = self.blocked_until.since(now);
        if wait.as_secs() > allowance.delay_s() { Duration::ZERO } else { wait }
    }

    /// The counter after one more failure at `now`.
    pub fn failed(&self, allowance: &Allowance, now: UnixTime) -> Tally {
        let delay_s = allowance.delay_s();
        let most = allowance.most().saturating_mul(delay_s);
        let debt = self.forgiven_at.since(now).as_secs().saturating_add(delay_s).min(most);
        let forgiven_at = now.plus(Duration::from_secs(debt));
        let after = Tally { forgiven_at, blocked_until: UnixTime(0) };
        let delay = allowance.delay(after.failures(allowance, now));
        // One that began before may end after one that began later.
        let wait = self.wait(allowance, now).max(delay);
        Tally { forgiven_at, blocked_until: now.plus(wait) }
    }
}

impl Allowance {
    /// The delay after this many failures: none while they are free, then 1 s, 2 s, 4 s, … up to the longest.
    pub fn delay(&self, failures: u64) -> Duration {
        let Some(over) = failures.checked_sub(self.free) else { return Duration::ZERO };
        let doubled = 1_u64.checked_shl(u32::try_from(over).unwrap_or(u32::MAX));
        Duration::from_secs(doubled.unwrap_or(u64::MAX).min(self.delay_s()))
    }

    /// The most failures that are ever counted: those at which the delay has become the longest.
    pub fn most(&self) -> u64 {
        let doublings = self.delay_s().next_power_of_two().trailing_zeros();
        self.free.saturating_add(u64::from(doublings))
    }

    /// The longest delay in seconds, at least one.
    pub(in crate::store) fn delay_s(&self) -> u64 {
        self.delay_max.as_secs().clamp(1, u64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: Allowance = Allowance { free: 5, delay_max: Duration::from_secs(60) };
    const PAIR: Allowance = Allowance { free: 5, delay_max: Duration::from_secs(900) };
    const ADDRESS: Allowance = Allowance { free: 20, delay_max: Duration::from_secs(900) };
    const START: UnixTime = UnixTime(1_000_000);

    fn at(seconds: u64) -> UnixTime {
        UnixTime(START.0 + seconds)
    }

    fn fail(allowance: &Allowance, times: usize) -> Tally {
        (0..times).fold(Tally::NONE, |tally, _| tally.failed(allowance, START))
    }

    #[test]
    fn first_failures_are_free_and_then_delays_double_up_to_the_longest() {
        let mut tally = Tally::NONE;
        let mut now = START;
        let mut waits = Vec::new();
        for _ in 0..13 {
            tally = tally.failed(&ACCOUNT, now);
            waits.push(tally.wait(&ACCOUNT, now).as_secs());
            now = now.plus(tally.wait(&ACCOUNT, now));
        }
        // After a minute the first of them is forgiven.
        assert_eq!(waits, [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 32, 60, 60]);
    }

    #[test]
    fn the_wait_is_exact_to_the_second() {
        let tally = fail(&ACCOUNT, 8);
        assert_eq!(tally.wait(&ACCOUNT, START), Duration::from_secs(8));
        assert_eq!(tally.wait(&ACCOUNT, at(7)), Duration::from_secs(1));
        assert_eq!(tally.wait(&ACCOUNT, at(8)), Duration::ZERO);
    }

    #[test]
    fn one_failure_is_forgiven_in_each_longest_delay() {
        let tally = fail(&ACCOUNT, 4);
        assert_eq!(tally.failures(&ACCOUNT, START), 4);
        assert_eq!(tally.failures(&ACCOUNT, at(60)), 3);
        assert_eq!(tally.failures(&ACCOUNT, at(239)), 1);
        assert_eq!(tally.failures(&ACCOUNT, at(240)), 0);
        assert_eq!(tally.failed(&ACCOUNT, at(240)), Tally::NONE.failed(&ACCOUNT, at(240)));
    }

    #[test]
    fn an_office_that_mistypes_four_times_an_hour_never_waits() {
        let mut tally = Tally::NONE;
        for quarter in 0..400 {
            tally = tally.failed(&ADDRESS, at(quarter * 900));
            assert_eq!(tally.wait(&ADDRESS, at(quarter * 900)), Duration::ZERO);
        }
    }

    /// How many attempts anybody gets within a span who tries whenever it is allowed. The pages of `docs/` say
    /// these numbers.
    fn guesses(allowance: &Allowance, span: u64) -> u64 {
        let mut tally = Tally::NONE;
        let (mut now, mut count) = (START, 0);
        while now < at(span) {
            tally = tally.failed(allowance, now);
            count += 1;
            now = now.plus(tally.wait(allowance, now));
        }
        count
    }

    #[test]
    fn guesses_in_an_hour_and_in_a_day_are_those_that_the_documentation_says() {
        const HOUR: u64 = 3600;
        let page = include_str!("../../../docs/login-throttling.md");
        for (allowance, minutes, hour, day) in [
            (&ACCOUNT, "`login_delay_account`, 1 minute", 70, 1450),
            (&PAIR, "`login_delay_address`, 15 minutes", 18, 110),
            (&ADDRESS, "`login_delay_address`, 15 minutes", 33, 125),
        ] {
            let found = (guesses(allowance, HOUR), guesses(allowance, 24 * HOUR));
            assert_eq!(found, (hour, day));
            let row = format!("| {minutes} | {hour} | {day} |");
            assert!(page.contains(&row), "docs/login-throttling.md does not say: {row}");
        }
    }

    #[test]
    fn patience_wins_no_more_guesses_than_the_bound() {
        // Attackers who pause as long as they like between guesses, in every rhythm.
        for allowance in [ACCOUNT, PAIR, ADDRESS] {
            for pause in [0, 1, 59, 60, 61, 300, 899, 900, 901, 5000] {
                for burst in [1, 2, 5, 11, 40] {
                    let mut tally = Tally::NONE;
                    let (mut now, mut count) = (START, 0);
                    while now < at(86_400) {
                        tally = tally.failed(&allowance, now);
                        count += 1;
                        now = now.plus(tally.wait(&allowance, now));
                        now = UnixTime(now.0 + if count % burst == 0 { pause } else { 0 });
                    }
                    let bound = allowance.most() + 86_400 / allowance.delay_max.as_secs();
                    assert!(count <= bound, "{allowance:?} {pause} {burst}: {count} > {bound}");
                }
            }
        }
    }

    #[test]
    fn a_clock_set_back_and_odd_knobs_never_lock_for_longer() {
        let tally = fail(&ACCOUNT, 100);
        let before = UnixTime(START.0 - 500_000);
        assert_eq!(tally.wait(&ACCOUNT, before), Duration::ZERO);
        let next = tally.failed(&ACCOUNT, before);
        assert_eq!(next.wait(&ACCOUNT, before), Duration::from_secs(60));
        assert_eq!(next.failures(&ACCOUNT, before), 11);
        assert_eq!(next.failures(&ACCOUNT, UnixTime(before.0 + 11 * 60)), 0);
        // Knobs that were turned down hold from the next failure on.
        let turned = fail(&PAIR, 100);
        assert_eq!(turned.wait(&ACCOUNT, START), Duration::ZERO);
        assert_eq!(turned.failed(&ACCOUNT, START).wait(&ACCOUNT, START), Duration::from_secs(60));
        let odd = Allowance { free: 0, delay_max: Duration::ZERO };
        assert_eq!(fail(&odd, 3).wait(&odd, START), Duration::from_secs(1));
        let huge = Allowance { free: u64::MAX, delay_max: Duration::MAX };
        assert_eq!(fail(&huge, 1000).wait(&huge, START), Duration::ZERO);
    }
}
