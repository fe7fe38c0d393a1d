//! A session, and what presenting a refresh token does to it.
//!
//! [`Session::judge`] is the one place that judges reuse; a store does what it says, in the same step in which it
//! read the row. Pure: no I/O, no clocks.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

pub use crate::config::sessions::REUSE_WINDOW_MAX;
use crate::token::UnixTime;
use crate::token::seal::Sealed;

/// What one login started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// `sid`.
    pub id: String,
    /// `sub`.
    pub subject: String,
    /// When the login was.
    pub started_at: UnixTime,
    /// When the credentials were last checked; a step-up moves it.
    pub auth_time: UnixTime,
    /// When it last gave a token: at the login, a refresh or a step-up.
    pub last_used_at: UnixTime,
    /// When it ends, whatever it is used for; never moves.
    pub expires_at: UnixTime,
    /// When the last token that it has given expires, and with it the session: nothing of it is kept after that. Each
    /// refresh and step-up moves it, never beyond `expires_at`.
    pub tokens_until: UnixTime,
    /// `jti` of its one living refresh token; `None` in a session of a version that did not rotate, whose first presented
    /// one is taken for it.
    pub refresh_id: Option<String>,
    /// What the living one replaced; a store forgets it after [`REUSE_WINDOW_MAX`].
    pub replaced: Option<Replaced>,
    /// Where the login came from.
    pub address: Option<IpAddr>,
    /// What the login's client called itself.
    pub device: Option<Device>,
    /// What the user's credential looked like at the login, as a short hash, if the users' store knows.
    pub credential_mark: Option<String>,
}

/// The refresh token that was living before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// Its `jti`.
    pub id: String,
    /// When it was replaced.
    pub at: UnixTime,
    /// Its successor, for whoever still has it.
    pub successor: Sealed,
}

/// A refresh token that is to be the living one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Successor {
    /// Its `jti`.
    pub id: String,
    /// The token, sealed under the one that it replaces.
    pub sealed: Sealed,
}

/// A refresh token was presented to get another access token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// The session's `sid`.
    pub session: String,
    /// The token's `jti`.
    pub id: String,
    /// When.
    pub now: UnixTime,
    /// What replaces it; `None` while nothing is rotated, and then the living one stays.
    pub successor: Option<Successor>,
    /// For how long after a rotation the replaced token gives the same successor, at most [`REUSE_WINDOW_MAX`].
    pub window: Duration,
    /// When the last token expires that this gives.
    pub tokens_until: UnixTime,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// It was the living one. Now its successor is, if there was one.
    Rotated,
    /// It was replaced inside the window: this is the successor that it has already.
    Again(Sealed),
    /// The session lived, and another refresh token is its living one: either this or that one was stolen. The session is
    /// revoked, in the file and in memory.
    Reused {
        /// Until when the revocation is kept.
        revoked_until: UnixTime,
    },
    /// There is no such living session, and nothing was changed.
    Ended,
}

impl Session {
    /// What presenting this token means, while the session lives. Changes nothing: the store does.
    pub fn judge(&self, renewal: &Renewal) -> Rotation {
        match (&self.refresh_id, &self.replaced) {
            (None, _) => Rotation::Rotated,
            (Some(living), _) if *living == renewal.id => Rotation::Rotated,
            (Some(_), Some(replaced))
                if replaced.id == renewal.id && renewal.now.since(replaced.at) < renewal.window =>
            {
                Rotation::Again(replaced.successor.clone())
            }
            _ => Rotation::Reused { revoked_until: self.revoked_until() },
        }
    }

    /// Until when a revocation of the session must be kept: no token of it is accepted after that.
    pub fn revoked_until(&self) -> UnixTime {
        self.tokens_until.plus(crate::token::verify::LEEWAY_MAX)
    }
}

/// What a client calls itself (`User-Agent`), cut; printed on one line, whatever is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device(String);

impl Device {
    /// Most characters that are kept.
    pub const CHARS_MAX: usize = 200;

    /// The beginning of this text; `None` when there is none.
    pub fn of(text: &str) -> Option<Device> {
        let cut: String = text.trim().chars().take(Device::CHARS_MAX).collect();
        (!cut.is_empty()).then_some(Device(cut))
    }

    /// As it was sent, to be kept; print the device itself instead.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| write!(f, "{}", character.escape_debug()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::contract;

    fn rotated_at(second: u64) -> Session {
        let successor = Sealed::from_bytes(vec![7]);
        Session {
            refresh_id: Some("b".into()),
            replaced: Some(Replaced { id: "a".into(), at: UnixTime(second), successor }),
            ..contract::session("s")
        }
    }

    fn present(id: &str, now: u64, window: u64) -> Rotation {
        let window = Duration::from_secs(window);
        let renewal = Renewal { window, ..contract::present("s", id, now) };
        rotated_at(1500).judge(&renewal)
    }

    #[test]
    fn window_ends_in_its_last_second() {
        let again = Rotation::Again(Sealed::from_bytes(vec![7]));
        let reused = Rotation::Reused { revoked_until: UnixTime(2300) };
        for (now, window, outcome) in [
            (1500, 10, &again),
            (1509, 10, &again),
            (1510, 10, &reused),
            (1900, 10, &reused),
            (1500, 1, &again),
            (1501, 1, &reused),
            // No window: not even in the same second.
            (1500, 0, &reused),
            // Another gateway's clock is ahead.
            (1490, 10, &again),
        ] {
            assert_eq!(&present("a", now, window), outcome, "{now} {window}");
        }
    }

    #[test]
    fn living_one_is_good_and_every_other_is_reuse() {
        assert_eq!(present("b", 1501, 10), Rotation::Rotated);
        for other in ["c", "", "A"] {
            assert!(matches!(present(other, 1501, 10), Rotation::Reused { .. }), "{other:?}");
        }
    }

    #[test]
    fn device_is_cut_and_printed_on_one_line() {
        assert_eq!(Device::of("a\n\u{1b}[31m\"").unwrap().to_string(), r#"a\n\u{1b}[31m\""#);
        let long = Device::of(&"é".repeat(Device::CHARS_MAX + 1)).unwrap();
        assert_eq!(long.as_str().chars().count(), Device::CHARS_MAX);
        assert_eq!((Device::of(""), Device::of("  ")), (None, None));
    }
}
