//! A hash table of 128-bit keys, each with one word: anybody reads it without a lock while one writer fills it.
//!
//! Beside each slot stands one byte of its key's hash, the tag, and a reader walks the tags: of a million keys they are
//! two megabytes, which stay in the processor's caches better than fifty of slots. So a key that is not there touches no slot
//! in about 99 of 100 cases, and one that is there touches one.
//!
//! A slot is never emptied or given to another key, so a reader finds a whole one or none. What is to be forgotten is
//! left out of the next table, which then takes the place of this one. Only `revocations` uses it, and keeps
//! writers apart.

use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};

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
    /// One for each slot, written after it and read before it: [`EMPTY`], or some of the hash of its key.
    tags: Box<[AtomicU8]>,
    all: Box<[Slot]>,
    hasher: RandomState,
}

/// The tag of a slot that no key has.
const EMPTY: u8 = 0;

/// 24 bytes.
#[derive(Debug, Default)]
struct Slot {
    high: AtomicU64,
    low: AtomicU64,
    word: AtomicU64,
}

impl Slot {
    fn key(&self) -> u128 {
        let (high, low) = (self.high.load(Ordering::Relaxed), self.low.load(Ordering::Relaxed));
        u128::from(high) << 64 | u128::from(low)
    }
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
        let slots = self.slots.load();
        std::mem::size_of_val::<[Slot]>(&slots.all) + slots.tags.len()
    }
}

impl Slots {
    /// The tag of a key, and the tags and places from where it would stand, once around.
    fn from(&self, key: u128) -> (u8, impl Iterator<Item = (&AtomicU8, usize)>) {
        let hash = self.hasher.hash_one(key);
        let start = ((u128::from(hash) * self.tags.len() as u128) >> 64) as usize;
        let (before, after) = self.tags.split_at(start);
        let places = (start..self.tags.len()).chain(0..start);
        ((hash as u8).max(EMPTY + 1), after.iter().chain(before).zip(places))
    }

    fn find(&self, key: u128) -> Option<&Slot> {
        let (tag, tags) = self.from(key);
        for (found, place) in tags {
            match found.load(Ordering::Acquire) {
                EMPTY => return None,
                found if found == tag && self.all[place].key() == key => {
                    return Some(&self.all[place]);
                }
                _ => {}
            }
        }
        None
    }

    /// There is an empty slot, and the key is not there.
    fn put(&self, key: u128, word: u64) {
        let (tag, mut tags) = self.from(key);
        if let Some((empty, place)) = tags.find(|(tag, _)| tag.load(Ordering::Relaxed) == EMPTY) {
            let slot = &self.all[place];
            slot.high.store((key >> 64) as u64, Ordering::Relaxed);
            slot.low.store(key as u64, Ordering::Relaxed);
            slot.word.store(word, Ordering::Relaxed);
            empty.store(tag, Ordering::Release);
        }
    }

    fn entries(&self) -> impl Iterator<Item = (u128, u64)> {
        let full = |(tag, _): &(&AtomicU8, &Slot)| tag.load(Ordering::Relaxed) != EMPTY;
        let entry = |(_, slot): (_, &Slot)| (slot.key(), slot.word.load(Ordering::Relaxed));
        self.tags.iter().zip(&self.all).filter(full).map(entry)
    }

    /// Another table with what stays, and room for this many.
    fn copied(&self, entries: usize, stays: impl Fn(u128, u64) -> bool) -> Slots {
        let count = if entries == 0 { 0 } else { (entries * SLOTS_EACH).max(SLOTS_MIN) };
        let tags = (0..count).map(|_| AtomicU8::new(EMPTY)).collect();
        let all = (0..count).map(|_| Slot::default()).collect();
        let copy = Slots { tags, all, hasher: self.hasher.clone() };
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
                let key = key << 100 | key;
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
                let key = key << 100 | key;
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
        assert!(table.bytes() <= 3000 * 25 * 8 / 3, "{}", table.bytes());
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
