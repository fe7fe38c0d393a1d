//! Which addresses send forged tokens, and how many: a flood of them costs a bounded part of a data thread, for each
//! checked signature is paid from the budget of its address.
//!
//! The generic cell rate algorithm, in one moment per address: own code, since what the rate-limiting crates
//! offer takes from the budget before the outcome is known, and keeps keys without bound. Called by the cache of
//! verified tokens.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use quick_cache::unsync::Cache;

use crate::config::network;

/// Addresses that are remembered by one data thread. Who has more of them is forgotten in part, and gets their
/// budgets anew.
const ADDRESSES_MAX: usize = 10_000;
/// What an address that was quiet may send at once, as time of its budget.
const BURST: Duration = Duration::from_secs(1);

/// The budgets of one data thread.
#[derive(Debug)]
pub(super) struct Forgers {
    /// When the budget of an address is whole again; who is not here has all of it.
    whole_at: Cache<IpAddr, Instant>,
}

impl Forgers {
    pub(super) fn new() -> Forgers {
        Forgers { whole_at: Cache::new(ADDRESSES_MAX) }
    }

    /// Whether the budget of the address, `each_second`, has no room for one more.
    pub(super) fn over(&self, address: IpAddr, each_second: usize, now: Instant) -> bool {
        // Almost always nobody is here.
        !self.whole_at.is_empty()
            && self
                .whole_at
                .get(&network(address))
                .is_some_and(|whole| *whole + price(each_second) > now + BURST)
    }

    /// The address sent a forged token.
    pub(super) fn count(&mut self, address: IpAddr, each_second: usize, now: Instant) {
        let network = network(address);
        let from = self.whole_at.get(&network).map_or(now, |whole| now.max(*whole));
        self.whole_at.insert(network, from + price(each_second));
    }
}

/// What one forged token costs.
fn price(each_second: usize) -> Duration {
    BURST.div_f64(each_second.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BAD: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const GOOD: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    /// How many of `asked` forged tokens are checked, one at each step of this length.
    fn checked(forgers: &mut Forgers, asked: u32, step: Duration, from: Instant) -> u32 {
        let mut count = 0;
        for at in 0..asked {
            let now = from + step * at;
            if !forgers.over(BAD, 100, now) {
                forgers.count(BAD, 100, now);
                count += 1;
            }
        }
        count
    }

    #[test]
    fn an_address_has_its_budget_and_nobody_elses() {
        let mut forgers = Forgers::new();
        let start = Instant::now();
        assert_eq!(checked(&mut forgers, 5000, Duration::ZERO, start), 100);
        assert!(forgers.over(BAD, 100, start) && !forgers.over(GOOD, 100, start));
        // The budget grows again, a hundred a second and never more than a hundred.
        assert!(forgers.over(BAD, 100, start + Duration::from_millis(9)));
        assert!(!forgers.over(BAD, 100, start + Duration::from_millis(11)));
        let later = start + Duration::from_secs(10);
        assert_eq!(checked(&mut forgers, 5000, Duration::ZERO, later), 100);
        // A flood over ten seconds: what it may at once, and a hundred for each second.
        let later = start + Duration::from_secs(100);
        let flood = checked(&mut forgers, 100_000, Duration::from_micros(100), later);
        assert!((1095..=1100).contains(&flood), "{flood}");
        // Who stays below is never over.
        let later = start + Duration::from_secs(1000);
        assert_eq!(checked(&mut forgers, 1000, Duration::from_millis(11), later), 1000);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut forgers = Forgers::new();
        for number in 0..50_000_u32 {
            forgers.count(IpAddr::V4(number.into()), 100, Instant::now());
        }
        assert!(forgers.whole_at.len() <= ADDRESSES_MAX);
    }
}
