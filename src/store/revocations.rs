//! The revocations in memory: the only part of the state that the request path asks.
//!
//! Reads take no lock, allocate nothing, and cost one load of a counter while nothing is revoked.
//! A store fills it, *after* the revocation is durable; it is never the only copy. Whether a token has
//! expired is not its business: what is in here is revoked.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use foldhash::fast::RandomState;
use papaya::{Compute, HashMap, Operation};

use super::Revoked;
use crate::token::{Claims, UnixTime};

/// Until when each id is revoked.
type Until = HashMap<Box<str>, UnixTime, RandomState>;

/// Every living revocation, by token and by session.
#[derive(Debug)]
pub struct Revocations {
    tokens: Until,
    sessions: Until,
    /// Entries of both maps. Raised after an entry is in, lowered after it is out.
    count: AtomicUsize,
    /// Until when what is in here may be believed, in seconds of 1970.
    believed_until: AtomicU64,
}

impl Default for Revocations {
    /// None yet, of a store that knows all of them: nobody else can revoke.
    fn default() -> Revocations {
        Revocations::believed_until(u64::MAX)
    }
}

impl Revocations {
    /// None yet, of a store that shares them with others and has not asked: nothing may be believed until it
    /// [confirms](Revocations::confirm) them.
    pub(in crate::store) fn unconfirmed() -> Revocations {
        Revocations::believed_until(0)
    }

    fn believed_until(until: u64) -> Revocations {
        let (tokens, sessions) = (Until::default(), Until::default());
        Revocations { tokens, sessions, count: AtomicUsize::new(0), believed_until: until.into() }
    }

    /// Whether the last news are so old at `now` that no token may be believed. One load, no lock.
    pub fn is_stale(&self, now: UnixTime) -> bool {
        now.0 > self.believed_until.load(Ordering::Relaxed)
    }

    /// Says that everything is in here that was revoked until now, and that this is good enough until then.
    pub(in crate::store) fn confirm(&self, until: UnixTime) {
        self.believed_until.store(until.0, Ordering::Relaxed);
    }

    /// Whether the token or its session is revoked.
    pub fn holds(&self, claims: &Claims) -> bool {
        if self.count.load(Ordering::Acquire) == 0 {
            return false;
        }
        self.tokens.pin().contains_key(claims.id.as_str())
            || claims.session.as_deref().is_some_and(|sid| self.sessions.pin().contains_key(sid))
    }

    /// How many there are, for metrics and tests.
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds one, or lengthens the one that is there; it is never shortened.
    pub(in crate::store) fn add(&self, what: Revoked, expires_at: UnixTime) {
        let (map, id) = match what {
            Revoked::Token(id) => (&self.tokens, id),
            Revoked::Session(id) => (&self.sessions, id),
        };
        let pinned = map.pin();
        let outcome = pinned.compute(id.into_boxed_str(), |entry| {
            let until = entry.map_or(expires_at, |(_, old)| expires_at.max(*old));
            Operation::<_, ()>::Insert(until)
        });
        if let Compute::Inserted(..) = outcome {
            self.count.fetch_add(1, Ordering::Release);
        }
    }

    /// Forgets those that expired at `now` or earlier: their tokens are dead anyway.
    pub(in crate::store) fn purge(&self, now: UnixTime) {
        for map in [&self.tokens, &self.sessions] {
            let pinned = map.pin();
            for (id, until) in &pinned {
                if *until <= now
                    && let Ok(Some(_)) = pinned.remove_if(id, |_, until| *until <= now)
                {
                    self.count.fetch_sub(1, Ordering::Release);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn claims(id: &str, session: Option<&str>) -> Claims {
        let mut all = json!({"sub": "a", "type": "access", "jti": id, "iat": 1, "exp": 2});
        if let Some(session) = session {
            all["sid"] = json!(session);
        }
        Claims::from_json(all.as_object().unwrap().clone()).unwrap()
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
}
