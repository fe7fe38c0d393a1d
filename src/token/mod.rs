//! What a token says, and what it takes to believe it.
//!
//! Pure: no I/O, no clocks, no bodies; `now` is an argument. `extract` finds the token in a request,
//! `verify` turns its text into a [`Standing`], `trust` knows other issuers, `mint` writes ours, `assertion` what backends are told,
//! `seal` keeps one for the holder of another, `keys` and `jwks` hold the key ring.

pub mod assertion;
pub mod claims;
pub mod extract;
pub mod json;
pub mod jwks;
pub mod keys;
pub mod mint;
pub mod seal;
pub mod trust;
pub mod verify;

#[cfg(test)]
mod tests;

pub use claims::{Claims, Freshness, RESERVED_CLAIMS, SUBJECT, TokenKind};
pub use verify::{Standing, TokenFault, VerifiedToken};

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use zeroize::Zeroizing;

/// A moment in whole seconds since 1970, rounded down (RFC 7519 §2, NumericDate).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixTime(pub u64);

impl UnixTime {
    /// Converts the reading of a clock; a clock set before 1970 counts as 1970.
    pub fn of(clock: SystemTime) -> UnixTime {
        UnixTime(clock.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
    }

    /// The moment `span` later, in whole seconds; the far end of time where it would overflow.
    pub fn plus(self, span: Duration) -> UnixTime {
        UnixTime(self.0.saturating_add(span.as_secs()))
    }

    /// Seconds from `earlier` to this moment, 0 when `earlier` is not earlier.
    pub fn since(self, earlier: UnixTime) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }
}

/// As RFC 3339 writes it in UTC: `2026-11-23T16:04:25Z`. The far end of time is shown as the year 9999.
impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LAST_SHOWN: u64 = 253_402_300_799;
        let moment = UNIX_EPOCH + Duration::from_secs(self.0.min(LAST_SHOWN));
        write!(f, "{}", humantime::format_rfc3339_seconds(moment))
    }
}

/// Text or bytes that must never print: a password, a key, a token. Wiped when dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes in; the caller keeps no copy.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Secret {
        Secret(Zeroizing::new(bytes.into()))
    }

    /// The bytes themselves, for the one function that must read them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
