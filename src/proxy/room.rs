//! The room at one upstream: its places, the last of which no address gets that has many already. One client that uploads
//! slowly, or takes an answer slowly, over a thousand connections would else fill every place, and keep everybody out.
//!
//! Two sets of [`Places`], each with its own queue: most are common, and a few are kept for addresses that hold few. How
//! many an address holds is counted in slots that a keyed hash chooses: without a lock, and in a fixed amount of memory.
//! Made by `server::build`, kept over reloads; used by `forward`.

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::places::{NoPlace, Place, Places};
use crate::config::network;

/// One of so many places is kept; an upstream with fewer places than this keeps none.
const KEPT_ONE_OF: usize = 16;
/// An address gets one of those as long as it holds less than this part of them.
const FEW_ONE_OF: usize = 2;
/// Slots that requests of addresses are counted in. Two addresses in one slot are counted as one.
const SLOTS: usize = 4096;

/// The room at one upstream.
#[derive(Debug)]
pub struct Room {
    common: Arc<Places>,
    kept: Arc<Places>,
    /// With this many requests an address no longer gets a kept place.
    few: AtomicUsize,
    held: Box<[AtomicUsize]>,
    hash: foldhash::quality::RandomState,
}

/// A request's stay: its place, and that its address has one more. Both end when it is dropped.
#[derive(Debug)]
pub struct Stay {
    _place: Place,
    _held: Held,
}

/// One more request of an address.
#[derive(Debug)]
struct Held {
    room: Arc<Room>,
    slot: usize,
    /// How many the address had before.
    before: usize,
}

/// Of `all`, how many are common and how many kept.
fn split(all: usize) -> (usize, usize) {
    let kept = all / KEPT_ONE_OF;
    (all - kept, kept)
}

impl Room {
    /// Room for `max` requests at once, and for `queue_max` that wait.
    pub fn new(max: usize, queue_max: usize) -> Arc<Room> {
        let room = Room {
            common: Places::new(0, 0),
            kept: Places::new(0, 0),
            few: AtomicUsize::new(0),
            held: (0..SLOTS).map(|_| AtomicUsize::new(0)).collect(),
            hash: foldhash::quality::RandomState::default(),
        };
        room.resize(max, queue_max);
        Arc::new(room)
    }

    /// Changes both numbers; see [`Places::resize`].
    pub fn resize(&self, max: usize, queue_max: usize) {
        let ((common, kept), (queue, kept_queue)) = (split(max), split(queue_max));
        self.common.resize(common, queue);
        self.kept.resize(kept, kept_queue);
        self.few.store(kept.div_ceil(FEW_ONE_OF), Ordering::Relaxed);
    }

    /// A place for a request of this address (of IPv6, of its /64 network), now or after a wait of at most `patience`,
    /// which `waits` is told of.
    ///
    /// # Errors
    /// [`NoPlace`].
    pub async fn enter(
        self: &Arc<Room>,
        address: IpAddr,
        patience: Duration,
        waits: impl FnOnce(),
    ) -> Result<Stay, NoPlace> {
        let held = self.hold(address);
        let few = held.before < self.few.load(Ordering::Relaxed);
        let kept = || if few { self.kept.try_take() } else { None };
        if let Some(place) = self.common.try_take().or_else(kept) {
            return Ok(Stay { _place: place, _held: held });
        }
        waits();
        let mut waited = Err(NoPlace::QueueFull);
        if few {
            waited = Box::pin(self.kept.wait(patience)).await;
        }
        if matches!(waited, Err(NoPlace::QueueFull)) {
            waited = Box::pin(self.common.wait(patience)).await;
        }
        waited.map(|place| Stay { _place: place, _held: held })
    }

    fn hold(self: &Arc<Room>, address: IpAddr) -> Held {
        let slot = self.hash.hash_one(network(address)) as usize % SLOTS;
        let before = self.held[slot].fetch_add(1, Ordering::Relaxed);
        Held { room: Arc::clone(self), slot, before }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.room.held[self.slot].fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_TIME: Duration = Duration::ZERO;

    fn enter(room: &Arc<Room>, address: &str) -> Option<Stay> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let address = address.parse().expect("an address");
        runtime.expect("a runtime").block_on(room.enter(address, NO_TIME, || {})).ok()
    }

    #[test]
    fn one_address_never_has_all_places_and_each_can_be_taken_again() {
        let room = Room::new(64, 0);
        let all: Vec<Stay> = std::iter::from_fn(|| enter(&room, "192.0.2.1")).collect();
        assert_eq!(all.len(), 60);
        let others = [enter(&room, "192.0.2.2"), enter(&room, "2001:db8::1")];
        assert!(others.iter().all(Option::is_some));
        let six = [enter(&room, "2001:db8::2"), enter(&room, "2001:db8::3")];
        assert!(six[0].is_some() && six[1].is_none(), "one /64 network");
        drop((all, others, six));
        let all: Vec<Stay> = std::iter::from_fn(|| enter(&room, "192.0.2.1")).collect();
        assert_eq!(all.len(), 60);
    }

    #[test]
    fn a_small_upstream_keeps_no_place_and_the_numbers_can_change() {
        let room = Room::new(15, 0);
        let all: Vec<Stay> = std::iter::from_fn(|| enter(&room, "192.0.2.1")).collect();
        assert_eq!(all.len(), 15);
        assert!(enter(&room, "192.0.2.2").is_none());
        room.resize(16, 0);
        assert!(enter(&room, "192.0.2.1").is_none());
        assert!(enter(&room, "192.0.2.2").is_some());
    }
}
