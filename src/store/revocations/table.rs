//! A hash table of 128-bit keys, each with one word: anybody reads it without a lock while one writer fills it.
//!
//! A slot is never emptied or given to another key, so a reader finds a whole one or none. What is to be forgotten is
//! left out of the next table, which then takes the place of this one. Only `revocations` uses it, and keeps
//! writers apart.

use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use foldhash::fast::RandomState;

/// Slots of the smallest table that holds something.
const SLOTS_MIN: usize = 16;
/// A table is replaced by one of this many slots for each entry when it is…
const SLOTS_EACH: usize = 2;
/// …fuller than this many quarters.
const FULL_QUARTERS: usize = 3;
/// A larger table is only replaced for what may be forgotten when that is this part of it: copying a million entries
/// takes tens of milliseconds.
const FORGOTTEN_PART: usize = 8;
const SMALL: usize = 4096;

/// Keys and their words.
#[derive(Debug, Default)]
pub(super) struct Table {
    slots: ArcSwap<Slots>,
    /// Raised after an entry is in.
    len: AtomicUsize,
}

#[derive(Debug, Default)]
struct Slots {
    all: Box<[Slot]>,
    hasher: RandomState,
}

/// 24 bytes. `low` is written last and read first: zero says that the slot is empty.
#[derive(Debug, Default)]
struct Slot {
    low: AtomicU64,
    high: AtomicU64,
    word: AtomicU64,
}

/// The two halves. The low one must not be zero: `revocations` makes none such.
fn halves(key: u128) -> (u64, u64) {
    ((key >> 64) as u64, key as u64)
}

impl Table {
    /// How many keys there are.
    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    /// The word of a key.
    pub(super) fn get(&self, key: impl FnOnce() -> u128) -> Option<u64> {
        match self.len() {
            0 => None,
            _ => self.slots.load().find(key()).map(|slot| slot.word.load(Ordering::Acquire)),
        }
    }

    /// Gives a key this word, or keeps the one that it has if that is higher; `true` for a new key. The caller is the
    /// only writer.
    pub(super) fn raise(&self, key: u128, word: u64) -> bool {
        let slots = self.slots.load();
        if let Some(slot) = slots.find(key) {
            slot.word.fetch_max(word, Ordering::AcqRel);
            return false;
        }
        let len = self.len();
        if (len + 1) * 4 <= slots.all.len() * FULL_QUARTERS {
            slots.put(key, word);
        } else {
            let larger = slots.copied(len + 1, |_, _| true);
            larger.put(key, word);
            self.slots.store(Arc::new(larger));
        }
        self.len.store(len + 1, Ordering::Release);
        true
    }

    /// Forgets what is not to stay; in a large table only when that is much of it. The caller is the only writer.
    pub(super) fn retain(&self, stays: impl Fn(u128, u64) -> bool) {
        let slots = self.slots.load();
        let len = self.len();
        let left = slots.entries().filter(|(key, word)| stays(*key, *word)).count();
        let forgotten = len - left;
        if forgotten == 0 || (len > SMALL && forgotten * FORGOTTEN_PART < len) {
            return;
        }
        self.slots.store(Arc::new(slots.copied(left, stays)));
        self.len.store(left, Ordering::Release);
    }

    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        std::mem::size_of_val::<[Slot]>(&self.slots.load().all)
    }
}

impl Slots {
    /// Slots from where the key would stand, once around.
    fn from(&self, key: u128) -> impl Iterator<Item = &Slot> {
        let spread = u128::from(self.hasher.hash_one(halves(key)));
        let start = (spread * self.all.len() as u128) >> 64;
        let (before, after) = self.all.split_at(start as usize);
        after.iter().chain(before)
    }

    fn find(&self, key: u128) -> Option<&Slot> {
        let (high, low) = halves(key);
        for slot in self.from(key) {
            match slot.low.load(Ordering::Acquire) {
                0 => return None,
                found if found == low && slot.high.load(Ordering::Relaxed) == high => {
                    return Some(slot);
                }
                _ => {}
            }
        }
        None
    }

    /// There is an empty slot, and the key is not there.
    fn put(&self, key: u128, word: u64) {
        let (high, low) = halves(key);
        let mut slots = self.from(key);
        if let Some(empty) = slots.find(|slot| slot.low.load(Ordering::Relaxed) == 0) {
            empty.word.store(word, Ordering::Relaxed);
            empty.high.store(high, Ordering::Relaxed);
            empty.low.store(low, Ordering::Release);
        }
    }

    fn entries(&self) -> impl Iterator<Item = (u128, u64)> {
        self.all.iter().filter_map(|slot| {
            let low = slot.low.load(Ordering::Relaxed);
            let key = u128::from(slot.high.load(Ordering::Relaxed)) << 64 | u128::from(low);
            (low != 0).then(|| (key, slot.word.load(Ordering::Relaxed)))
        })
    }

    /// Another table with what stays, and room for this many.
    fn copied(&self, entries: usize, stays: impl Fn(u128, u64) -> bool) -> Slots {
        let count = if entries == 0 { 0 } else { (entries * SLOTS_EACH).max(SLOTS_MIN) };
        let all = (0..count).map(|_| Slot::default()).collect();
        let copy = Slots { all, hasher: self.hasher.clone() };
        for (key, word) in self.entries().filter(|(key, word)| stays(*key, *word)) {
            copy.put(key, word);
        }
        copy
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    proptest::proptest! {
        /// Keys of a few bits meet in every way there is.
        #[test]
        fn it_holds_what_a_map_would(steps in proptest::collection::vec((0_u128..40, 0_u64..50), 0..300)) {
            let (table, mut model) = (Table::default(), HashMap::<u128, u64>::new());
            for (index, (key, word)) in steps.into_iter().enumerate() {
                let key = key << 100 | (key + 1);
                let new = table.raise(key, word);
                proptest::prop_assert_eq!(new, !model.contains_key(&key));
                let kept = model.entry(key).or_insert(word);
                *kept = word.max(*kept);
                if index % 37 == 36 {
                    table.retain(|_, word| word > 20);
                    model.retain(|_, word| *word > 20);
                }
            }
            proptest::prop_assert_eq!(table.len(), model.len());
            for key in 0..41 {
                let key = key << 100 | (key + 1);
                proptest::prop_assert_eq!(table.get(|| key), model.get(&key).copied());
            }
        }
    }

    #[test]
    fn readers_never_miss_what_is_in_while_it_grows() {
        let table = Table::default();
        let done = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    loop {
                        let known = done.load(Ordering::Acquire) as u128;
                        let all = (1..=known).all(|key| table.get(|| key << 64 | key).is_some());
                        assert!(all, "one of {known} is missing");
                        if known == 3000 {
                            break;
                        }
                    }
                });
            }
            for key in 1..=3000_u128 {
                assert!(table.raise(key << 64 | key, 1));
                done.store(key as usize, Ordering::Release);
            }
        });
        assert!(table.bytes() <= 3000 * 24 * 8 / 3, "{}", table.bytes());
    }

    #[test]
    fn an_empty_table_takes_nothing_and_a_forgotten_one_again() {
        let table = Table::default();
        assert_eq!((table.bytes(), table.get(|| 1)), (0, None));
        table.raise(1, 5);
        assert_eq!(table.get(|| 1), Some(5));
        table.retain(|_, _| false);
        assert_eq!((table.bytes(), table.len()), (0, 0));
    }

    #[test]
    fn a_large_table_is_copied_only_for_much() {
        let table = Table::default();
        (1..=SMALL as u128 * 2).for_each(|key| assert!(table.raise(key, key as u64)));
        table.retain(|_, word| word > 1000);
        assert_eq!(table.len(), SMALL * 2);
        table.retain(|_, word| word > 2000);
        assert_eq!(table.len(), SMALL * 2 - 2000);
    }
}
