//! The failed attempts in memory: where every attempt begins, and what the state store writes down.
//!
//! One lock, held for a few look-ups, and only on the way of a login. Names and addresses are kept as keyed
//! hashes: people type passwords where their name belongs. Bounded: a full book forgets the counters that
//! would be forgiven first, so a flood of made-up names forgets itself.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::hmac;
use foldhash::fast::RandomState;

use super::tally::{Allowance, Tally};
use super::under_way::UnderWay;
use super::{Kind, Rules, Throttled};
use crate::config::network;
use crate::store::Account;
use crate::token::UnixTime;

/// Most counters of one kind, and most known addresses. One takes some 60 bytes.
pub const TALLIES_MAX: usize = 100_000;
/// The part of a full book that is forgotten at once, so that looking for the first ones costs little.
const FORGOTTEN_PART: usize = 8;
/// What an attempt is told that meets too many others under way.
const RETRY_WHILE_UNDER_WAY: Duration = Duration::from_secs(1);
/// Bytes of the key of the hashes.
pub const KEY_BYTES: usize = 32;

/// The keyed hash of an account, an address, or both.
pub type Id = [u8; 16];

/// Whom an attempt is counted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids([Id; 3]);

/// One row of what the store keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// A counter, or `None`: an address at which the account has logged in.
    pub kind: Option<Kind>,
    /// Of whom.
    pub id: Id,
    /// The counter; of a known address only `forgiven_at`, until when it is known. [`Tally::NONE`] is no row.
    pub tally: Tally,
}

/// Every counter that is not forgiven, and every known address.
pub struct Tallies {
    key: hmac::Key,
    books: Mutex<Books>,
}

#[derive(Debug, Default)]
pub(super) struct Books {
    tallies: [Book; 3],
    known: HashMap<Id, UnixTime, RandomState>,
    /// The latest moment at which an attempt began.
    latest: UnixTime,
}

type Book = HashMap<Id, Entry, RandomState>;

#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) tally: Tally,
    /// Attempts that have begun and not ended: they count as if they had failed.
    pub(super) under_way: u32,
}

const NEW: Entry = Entry { tally: Tally::NONE, under_way: 0 };

impl Tallies {
    /// No failures yet; `key` makes the hashes.
    pub fn new(key: &[u8; KEY_BYTES]) -> Tallies {
        Tallies { key: hmac::Key::new(hmac::HMAC_SHA256, key), books: Mutex::default() }
    }

    /// Begins an attempt, which is counted from now on. `now` is when its request began, and a client may have taken
    /// its time since: an attempt is never judged earlier than one before it, for then a wait would look too long
    /// to be true.
    ///
    /// # Errors
    /// [`Throttled`]: how long to wait; nothing was counted.
    pub fn begin(
        &self,
        account: &Account,
        address: IpAddr,
        rules: &Rules,
        now: UnixTime,
    ) -> Result<UnderWay<'_>, Throttled> {
        let ids = self.ids(account, address);
        let mut books = self.books();
        let now = books.latest.max(now);
        books.latest = now;
        let known = books.known.get(ids.of(Kind::Pair)).is_some_and(|until| *until > now);
        let longest = judged_by(known)
            .iter()
            .filter_map(|&by| {
                let retry_after = books.wait(by, ids.of(by), rules.of(by, known), now)?;
                Some(Throttled { retry_after, by })
            })
            .max_by_key(|throttled| throttled.retry_after);
        if let Some(throttled) = longest {
            return Err(throttled);
        }
        for &kind in judged_by(known) {
            books.entry(kind, *ids.of(kind), now).under_way += 1;
        }
        drop(books);
        Ok(UnderWay::here(self, ids, rules, (known, now)))
    }

    /// What the store is to keep of these: one row for each counter and one for the known address.
    pub(in crate::store) fn rows(&self, ids: &Ids) -> [Row; 4] {
        let books = self.books();
        let row = |kind: Kind| {
            let entry = books.tallies[kind as usize].get(ids.of(kind));
            Row { kind: Some(kind), id: *ids.of(kind), tally: entry.unwrap_or(&NEW).tally }
        };
        let id = *ids.of(Kind::Pair);
        let known_until = books.known.get(&id).copied().unwrap_or(UnixTime(0));
        let tally = Tally { forgiven_at: known_until, ..Tally::NONE };
        let known = Row { kind: None, id, tally };
        [row(Kind::Account), row(Kind::Pair), row(Kind::Address), known]
    }

    /// Puts a row back that the store kept.
    pub(in crate::store) fn load(&self, row: Row, now: UnixTime) {
        let mut books = self.books();
        match row.kind {
            Some(kind) => books.entry(kind, row.id, now).tally = row.tally,
            None => books.know(row.id, row.tally.forgiven_at, now),
        }
    }

    /// Forgets what is forgiven at `now`.
    pub(in crate::store) fn purge(&self, now: UnixTime) {
        self.books().purge(now);
    }

    /// How many counters and known addresses there are, for tests.
    #[cfg(test)]
    pub(in crate::store) fn len(&self) -> usize {
        let books = self.books();
        books.tallies.iter().map(HashMap::len).sum::<usize>() + books.known.len()
    }

    /// Whom an attempt is counted for.
    pub(in crate::store) fn ids(&self, account: &Account, address: IpAddr) -> Ids {
        let network = network(address).to_string();
        let id = |kind: Kind, account: &str, network: &str| {
            let mut context = hmac::Context::with_key(&self.key);
            // No address holds a line feed, so no two triples run together to one text.
            context.update(&[kind as u8]);
            context.update(network.as_bytes());
            context.update(b"\n");
            context.update(account.as_bytes());
            let mut id = Id::default();
            id.copy_from_slice(&context.sign().as_ref()[..size_of::<Id>()]);
            id
        };
        let account = account.as_str();
        Ids([
            id(Kind::Account, account, ""),
            id(Kind::Pair, account, &network),
            id(Kind::Address, "", &network),
        ])
    }

    pub(super) fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Tallies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tallies").finish_non_exhaustive()
    }
}

impl Ids {
    pub(in crate::store) fn of(&self, kind: Kind) -> &Id {
        &self.0[kind as usize]
    }
}

/// Which counters may make an attempt wait. Where the account has logged in before, only its own there: nobody
/// else can lock it out of that address, neither from afar nor from beside it.
pub(super) fn judged_by(known: bool) -> &'static [Kind] {
    if known { &[Kind::Pair] } else { &[Kind::Account, Kind::Pair, Kind::Address] }
}

impl Books {
    /// How long an attempt must wait for this counter. While failures are free, those under way may use them
    /// up; after that one attempt at a time is judged.
    fn wait(&self, kind: Kind, id: &Id, allowance: &Allowance, now: UnixTime) -> Option<Duration> {
        let entry = self.tallies[kind as usize].get(id)?;
        let wait = entry.tally.wait(allowance, now);
        if !wait.is_zero() {
            return Some(wait);
        }
        let counted = entry.tally.failures(allowance, now).saturating_add(entry.under_way.into());
        let full = entry.under_way > 0 && counted >= allowance.free;
        full.then_some(RETRY_WHILE_UNDER_WAY)
    }

    pub(super) fn entry(&mut self, kind: Kind, id: Id, now: UnixTime) -> &mut Entry {
        let book = &mut self.tallies[kind as usize];
        if book.len() >= TALLIES_MAX && !book.contains_key(&id) {
            book.retain(|_, entry| entry.under_way > 0 || entry.tally.forgiven_at > now);
            let mut ends: Vec<UnixTime> = book
                .values()
                .filter(|one| one.under_way == 0)
                .map(|one| one.tally.forgiven_at)
                .collect();
            if let Some(end) = first_part(&mut ends, book.len()) {
                book.retain(|_, entry| entry.under_way > 0 || entry.tally.forgiven_at > end);
            }
        }
        book.entry(id).or_insert(NEW)
    }

    pub(super) fn know(&mut self, id: Id, until: UnixTime, now: UnixTime) {
        if self.known.len() >= TALLIES_MAX && !self.known.contains_key(&id) {
            self.known.retain(|_, until| *until > now);
            let mut ends: Vec<UnixTime> = self.known.values().copied().collect();
            if let Some(end) = first_part(&mut ends, self.known.len()) {
                self.known.retain(|_, until| *until > end);
            }
        }
        self.known.insert(id, until);
    }

    pub(super) fn forget_if_empty(&mut self, kind: Kind, id: &Id, now: UnixTime) {
        let book = &mut self.tallies[kind as usize];
        if book.get(id).is_some_and(|one| one.under_way == 0 && one.tally.forgiven_at <= now) {
            book.remove(id);
        }
    }

    fn purge(&mut self, now: UnixTime) {
        for book in &mut self.tallies {
            book.retain(|_, entry| entry.under_way > 0 || entry.tally.forgiven_at > now);
        }
        self.known.retain(|_, until| *until > now);
    }
}

/// The moment up to which a full book is forgotten; `None` while it has room.
fn first_part(ends: &mut [UnixTime], length: usize) -> Option<UnixTime> {
    let last = (TALLIES_MAX / FORGOTTEN_PART).min(ends.len().checked_sub(1)?);
    (length >= TALLIES_MAX).then(|| *ends.select_nth_unstable(last).1)
}
