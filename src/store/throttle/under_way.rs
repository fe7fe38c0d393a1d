//! An attempt between its beginning and its end: where it is counted meanwhile, and what each end does to the counters.
//!
//! Made by `tallies`, or by a store that counts for many gateways; ended by a store.

use super::tallies::{Books, Ids, Tallies, judged_by};
use super::tally::Tally;
use super::{ADDRESS_KNOWN_FOR, Kind, Rules};
use crate::token::UnixTime;

/// An attempt that is under way. Dropped without a word it counts as failed, in memory: its caller went
/// away, and what it would have learned nobody knows.
#[derive(Debug)]
#[must_use = "it counts as failed when it is dropped"]
pub struct UnderWay<'t> {
    counted: Counted<'t>,
    ids: Ids,
    rules: Rules,
    known: bool,
    now: UnixTime,
}

/// Where an attempt is counted while it is under way.
#[derive(Clone, Copy, Debug)]
enum Counted<'t> {
    /// In memory, as one that may still end well.
    Here(&'t Tallies),
    /// In a store, as failed: only another end has to be told.
    There([Share; 3]),
    /// It has ended.
    NoMore,
}

/// What an attempt added to one counter of a store that counts it as failed from the start.
#[derive(Clone, Copy, Debug, Default)]
pub struct Share {
    /// By how many seconds it moved the end of the counter.
    pub added_s: i64,
    /// Until when it made the counter wait; taken back only while nobody has moved that since.
    pub blocked_until: i64,
}

/// Which counters a failure is counted in. What goes wrong at a known address says nothing about others'
/// attempts at the account, but still something about the address.
fn counted_in(known: bool) -> &'static [Kind] {
    if known { &[Kind::Pair, Kind::Address] } else { &[Kind::Account, Kind::Pair, Kind::Address] }
}

impl UnderWay<'_> {
    /// One that is counted in memory.
    pub(super) fn here<'t>(
        tallies: &'t Tallies,
        ids: Ids,
        rules: &Rules,
        (known, now): (bool, UnixTime),
    ) -> UnderWay<'t> {
        UnderWay { counted: Counted::Here(tallies), ids, rules: *rules, known, now }
    }

    /// One that a store has counted as failed already.
    pub(in crate::store) fn stored(
        ids: Ids,
        rules: &Rules,
        (known, now): (bool, UnixTime),
        shares: [Share; 3],
    ) -> UnderWay<'static> {
        UnderWay { counted: Counted::There(shares), ids, rules: *rules, known, now }
    }

    /// Whom it is counted for.
    pub(in crate::store) fn ids(&self) -> Ids {
        self.ids
    }

    /// Ends it for a store that has counted it: what it added there, and when it began.
    pub(in crate::store) fn shares(mut self) -> ([Share; 3], UnixTime) {
        match std::mem::replace(&mut self.counted, Counted::NoMore) {
            Counted::There(shares) => (shares, self.now),
            Counted::Here(_) | Counted::NoMore => ([Share::default(); 3], self.now),
        }
    }

    /// The password was wrong.
    pub(in crate::store) fn failed(mut self) {
        self.end(UnderWay::count);
    }

    /// The password was right: the account is known at the address, and what failed for it there is forgotten.
    /// What failed for others at the address is not, nor what failed for it elsewhere: an attacker with one
    /// good account wins no guesses at others.
    pub(in crate::store) fn succeeded(mut self) {
        self.end(|under_way, books| {
            let id = *under_way.ids.of(Kind::Pair);
            books.entry(Kind::Pair, id, under_way.now).tally = Tally::NONE;
            books.know(id, under_way.now.plus(ADDRESS_KNOWN_FOR), under_way.now);
        });
    }

    /// Nothing was checked, so nothing is counted.
    pub(in crate::store) fn withdrawn(mut self) {
        self.end(|_, _| {});
    }

    fn end(&mut self, outcome: impl FnOnce(&Self, &mut Books)) {
        let Counted::Here(tallies) = self.counted else { return };
        let mut books = tallies.books();
        for &kind in judged_by(self.known) {
            let entry = books.entry(kind, *self.ids.of(kind), self.now);
            entry.under_way = entry.under_way.saturating_sub(1);
        }
        outcome(self, &mut books);
        for kind in [Kind::Account, Kind::Pair, Kind::Address] {
            books.forget_if_empty(kind, self.ids.of(kind), self.now);
        }
        self.counted = Counted::NoMore;
    }

    fn count(&self, books: &mut Books) {
        for &kind in counted_in(self.known) {
            let entry = books.entry(kind, *self.ids.of(kind), self.now);
            entry.tally = entry.tally.failed(self.rules.of(kind, self.known), self.now);
        }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.end(UnderWay::count);
    }
}
