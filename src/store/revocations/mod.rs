//! The revocations in memory: the only part of the state that the request path asks.
//!
//! Reads take no lock, allocate nothing, and cost one load of a counter while nothing is revoked.
//! A store fills it, *after* the revocation is durable; it is never the only copy. Whether a token has
//! expired is not its business: what is in here is revoked. `table` is what it is kept in.

mod table;

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use super::Revoked;
use crate::token::{Claims, TokenFault, UnixTime};
use table::Table;

/// Every living revocation: by token, by session and by subject.
#[derive(Debug)]
pub struct Revocations {
    /// The word is until when.
    tokens: Table,
    sessions: Table,
    /// The word is the last second of which everything is revoked.
    subjects: Table,
    names: Names,
    writer: Mutex<Writer>,
    /// Until when what is in here may be believed, in seconds of 1970.
    believed_until: AtomicU64,
}

impl Default for Revocations {
    /// None yet, of a store that knows all of them: nobody else can revoke.
    fn default() -> Revocations {
        Revocations::believed_until(u64::MAX)
    }
}

/// What only writers look at; who holds it is the one that writes.
#[derive(Debug, Default)]
struct Writer {
    /// Until when each subject's revocation is kept.
    subjects: HashMap<u128, UnixTime>,
}

/// From an id to the 128 bits that stand for it.
#[derive(Debug, Default)]
struct Names(RandomState, RandomState);

/// The length of a UUID in its one spelling (RFC 9562 §4).
const UUID_CHARS: usize = 36;

impl Names {
    /// A UUID is its own 16 bytes, and two of them are never taken for one. Another text is 128 bits of a keyed hash
    /// (SipHash, by two keys of this process): that one of them is taken for one of a million others has a chance
    /// of 2⁻¹⁰⁸, and would refuse a good token, never pass a revoked one.
    fn key(&self, id: &str) -> u128 {
        let is_spelled =
            id.len() == UUID_CHARS && !id.bytes().any(|sign| sign.is_ascii_uppercase());
        match is_spelled.then(|| Uuid::try_parse_ascii(id.as_bytes())) {
            Some(Ok(uuid)) => uuid.as_u128(),
            _ => u128::from(self.0.hash_one(id)) << 64 | u128::from(self.1.hash_one(id)),
        }
    }
}

impl Revocations {
    /// None yet, of a store that shares them with others and has not asked: nothing may be believed until it
    /// [confirms](Revocations::confirm) them.
    pub(in crate::store) fn unconfirmed() -> Revocations {
        Revocations::believed_until(0)
    }

    fn believed_until(until: u64) -> Revocations {
        Revocations {
            tokens: Table::default(),
            sessions: Table::default(),
            subjects: Table::default(),
            names: Names::default(),
            writer: Mutex::default(),
            believed_until: until.into(),
        }
    }

    /// Whether the last news are so old at `now` that no token may be believed. One load, no lock.
    pub fn is_stale(&self, now: UnixTime) -> bool {
        now.0 > self.believed_until.load(Ordering::Relaxed)
    }

    /// Why a token with these claims is not believed at `now`, whatever its signature says.
    pub fn fault(&self, claims: &Claims, now: UnixTime) -> Option<TokenFault> {
        if self.holds(claims) {
            return Some(TokenFault::Revoked);
        }
        self.is_stale(now).then_some(TokenFault::Unconfirmed)
    }

    /// Says that everything is in here that was revoked until now, and that this is good enough until then.
    pub(in crate::store) fn confirm(&self, until: UnixTime) {
        self.believed_until.store(until.0, Ordering::Relaxed);
    }

    /// Whether the token, its session, or everything that its subject had when it was issued is revoked. Of a
    /// revoked subject the whole second is: a token tells no more of when it was issued.
    pub fn holds(&self, claims: &Claims) -> bool {
        let key = |id: &str| self.names.key(id);
        self.tokens.get(|| key(&claims.id)).is_some()
            || claims.session.as_deref().is_some_and(|sid| self.sessions.get(|| key(sid)).is_some())
            || self.subject(&claims.subject).is_some_and(|last| claims.issued_at <= last)
    }

    /// The last second of which everything of this subject is revoked.
    pub fn subject(&self, subject: &str) -> Option<UnixTime> {
        self.subjects.get(|| self.names.key(subject)).map(UnixTime)
    }

    /// How many there are, for metrics and tests.
    pub fn len(&self) -> usize {
        self.tokens.len() + self.sessions.len() + self.subjects.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that they take in memory.
    pub fn bytes(&self) -> usize {
        self.tokens.bytes() + self.sessions.bytes() + self.subjects.bytes()
    }

    /// Adds one, or lengthens the one that is there; it is never shortened.
    pub(in crate::store) fn add(&self, what: Revoked, expires_at: UnixTime) {
        match what {
            Revoked::Token(id) => self.add_token(&id, expires_at),
            Revoked::Session(id) => self.add_session(&id, expires_at),
            Revoked::Subject { subject, at } => self.add_subject(&subject, at, expires_at),
        }
    }

    /// One token, by `jti`.
    pub(in crate::store) fn add_token(&self, id: &str, expires_at: UnixTime) {
        let _only_writer = self.writer();
        self.tokens.raise(self.names.key(id), expires_at.0);
    }

    /// A session, by `sid`.
    pub(in crate::store) fn add_session(&self, id: &str, expires_at: UnixTime) {
        let _only_writer = self.writer();
        self.sessions.raise(self.names.key(id), expires_at.0);
    }

    /// Everything of a subject up to and in the second `at`.
    pub(in crate::store) fn add_subject(&self, subject: &str, at: UnixTime, expires_at: UnixTime) {
        let mut writer = self.writer();
        let key = self.names.key(subject);
        let until = writer.subjects.entry(key).or_insert(expires_at);
        *until = expires_at.max(*until);
        self.subjects.raise(key, at.0);
    }

    /// Forgets those that expired at `now` or earlier: their tokens are dead anyway. Where that is a small part of
    /// many, a later call does.
    pub(in crate::store) fn purge(&self, now: UnixTime) {
        let mut writer = self.writer();
        for table in [&self.tokens, &self.sessions] {
            table.retain(|_, until| until > now.0);
        }
        let of_subject = &mut writer.subjects;
        self.subjects.retain(|key, _| of_subject.get(&key).is_some_and(|until| *until > now));
        of_subject.retain(|key, _| self.subjects.get(|| *key).is_some());
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        // A writer that panicked left whole entries.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn claims(id: &str, session: Option<&str>) -> Claims {
        issued(id, session, 1)
    }

    fn issued(id: &str, session: Option<&str>, at: u64) -> Claims {
        let mut all = json!({"sub": "a", "type": "access", "jti": id, "iat": at, "exp": 2});
        if let Some(session) = session {
            all["sid"] = json!(session);
        }
        Claims::from_json(all.as_object().unwrap().clone()).unwrap()
    }

    fn subject(subject: &str, at: u64) -> Revoked {
        Revoked::Subject { subject: subject.into(), at: UnixTime(at) }
    }

    #[test]
    fn tokens_and_sessions_are_told_apart() {
        let revocations = Revocations::default();
        assert!(!revocations.holds(&claims("t", Some("s"))));
        revocations.add(Revoked::Token("t".into()), UnixTime(10));
        revocations.add(Revoked::Session("s".into()), UnixTime(20));
        assert!(revocations.holds(&claims("t", None)));
        assert!(revocations.holds(&claims("other", Some("s"))));
        assert!(!revocations.holds(&claims("s", Some("t"))));
        assert!(!revocations.holds(&claims("other", None)));
        assert!(!revocations.holds(&claims("a", Some("a"))));
    }

    #[test]
    fn of_a_subject_everything_up_to_the_second_is_revoked() {
        let revocations = Revocations::default();
        revocations.add(subject("a", 100), UnixTime(1000));
        revocations.add(subject("A", 200), UnixTime(1000));
        for (at, is_dead) in [(1, true), (99, true), (100, true), (101, false), (200, false)] {
            assert_eq!(revocations.holds(&issued("t", Some("s"), at)), is_dead, "issued at {at}");
        }
        // An earlier one brings nothing back, and is kept as long as the longer of the two.
        revocations.add(subject("a", 50), UnixTime(2000));
        assert_eq!(revocations.subject("a"), Some(UnixTime(100)));
        revocations.purge(UnixTime(1500));
        assert!(revocations.holds(&issued("t", None, 100)) && revocations.len() == 1);
        revocations.purge(UnixTime(2000));
        assert!(!revocations.holds(&issued("t", None, 1)) && revocations.is_empty());
    }

    #[test]
    fn without_news_no_token_is_believed_and_a_revoked_one_stays_so() {
        let revocations = Revocations::unconfirmed();
        let (good, dead) = (claims("t", Some("s")), claims("u", Some("s")));
        revocations.add(Revoked::Token("u".into()), UnixTime(1000));
        assert_eq!(revocations.fault(&good, UnixTime(1)), Some(TokenFault::Unconfirmed));
        revocations.confirm(UnixTime(100));
        for (now, fault) in [(99, None), (100, None), (101, Some(TokenFault::Unconfirmed))] {
            assert_eq!(revocations.fault(&good, UnixTime(now)), fault);
            assert_eq!(revocations.fault(&dead, UnixTime(now)), Some(TokenFault::Revoked));
        }
        assert_eq!(Revocations::default().fault(&good, UnixTime(u64::MAX)), None);
    }

    #[test]
    fn the_zero_uuid_is_an_id_like_any_other() {
        let revocations = Revocations::default();
        let zeros = "00000000-0000-0000-0000-000000000000";
        revocations.add(subject(zeros, 5), UnixTime(20));
        revocations.add(Revoked::Session(zeros.into()), UnixTime(20));
        revocations.purge(UnixTime(10));
        assert_eq!(revocations.subject(zeros), Some(UnixTime(5)));
        assert!(revocations.holds(&claims("t", Some(zeros))));
    }

    #[test]
    fn expired_ones_are_forgotten_and_none_is_shortened() {
        let revocations = Revocations::default();
        revocations.add(Revoked::Token("t".into()), UnixTime(20));
        revocations.add(Revoked::Token("t".into()), UnixTime(10));
        revocations.add(Revoked::Session("s".into()), UnixTime(10));
        assert_eq!(revocations.len(), 2);
        revocations.purge(UnixTime(10));
        assert_eq!(revocations.len(), 1);
        assert!(revocations.holds(&claims("t", Some("s"))));
        revocations.purge(UnixTime(20));
        assert!(revocations.is_empty());
        assert!(!revocations.holds(&claims("t", Some("s"))));
    }

    #[test]
    fn only_the_one_spelling_of_a_uuid_is_its_bytes() {
        let names = Names::default();
        let id = "5f7ff519-beeb-4128-88a9-b9662896024a";
        assert_eq!(names.key(id), 0x5f7f_f519_beeb_4128_88a9_b966_2896_024a);
        let upper = id.to_uppercase();
        let braced = format!("{{{id}}}");
        let long = format!("{id} ");
        let zeros = "00000000-0000-0000-0000-000000000000";
        let all = [id, &upper, &braced, &long, &id.replace('-', ""), "", "a", "b", zeros];
        for (index, one) in all.iter().enumerate() {
            for other in &all[index + 1..] {
                assert_ne!(names.key(one), names.key(other), "{one:?} {other:?}");
            }
        }
        // Nobody can tell from one process what another takes a name for.
        assert_ne!(names.key("a"), Names::default().key("a"));
    }
}
