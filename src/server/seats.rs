//! How many connections each client address has now: a seat is taken when one is accepted and given back when it is
//! dropped, however the connection ended.
//!
//! Holds one entry for each address that has a connection, so `connections_max` bounds it. Locked for a moment when
//! a connection opens and closes, never by a request.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::config::network;

/// All seats; clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Seats(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One connection of an address.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Seats,
    network: IpAddr,
}

impl Seats {
    /// Takes a seat for the address, if fewer than `most` of its network are taken.
    pub(super) fn take(&self, address: IpAddr, most: usize) -> Option<Seat> {
        let network = network(address);
        let mut taken = self.lock();
        let count = taken.get(&network).copied().unwrap_or(0);
        if count >= most {
            return None;
        }
        taken.insert(network, count + 1);
        Some(Seat { seats: self.clone(), network })
    }

    /// Whether nobody is connected.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        match taken.get_mut(&self.network) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(taken.remove(&self.network)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_its_seats_and_leaves_nothing_behind() {
        let seats = Seats::default();
        let take = |address: &str| seats.take(address.parse().expect("an address"), 2);
        let (one, two) = (take("192.0.2.1"), take("::ffff:192.0.2.1"));
        assert!(one.is_some() && two.is_some());
        assert!(take("192.0.2.1").is_none(), "the mapped spelling is the same address");
        let six = [take("2001:db8::1"), take("2001:db8::ffff:0:0:2")];
        assert!(six.iter().all(Option::is_some));
        assert!(take("2001:db8::3").is_none(), "one /64 network");
        let others = [take("192.0.2.2"), take("2001:db8:0:1::1")];
        assert!(others.iter().all(Option::is_some));
        drop(one);
        let three = take("192.0.2.1");
        assert!(three.is_some());
        drop((two, three, six, others));
        assert!(seats.is_empty());
    }
}
