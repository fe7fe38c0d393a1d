//! The ring: every key that may verify, and which one signs at a moment. A key ends by itself when its time has come;
//! nothing has to be loaded again for that. Pure: `now` is an argument.

use std::fmt;

use aws_lc_rs::digest;

use super::{Algorithm, Key, KeyFault, NO_ALGORITHM, fingerprint, jwk};
use crate::token::UnixTime;

/// All keys, in the order of the configuration, or of the key folder: oldest first.
#[derive(Debug)]
pub struct KeyRing {
    keys: Vec<Key>,
    fingerprint: [u8; digest::SHA256_OUTPUT_LEN],
}

/// What a key of a ring does at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It is in the JWK set and verifies; it could sign and does not yet.
    Published,
    /// The same, and it signs from then on.
    SignsFrom(UnixTime),
    /// It signs every new token.
    Signs,
    /// It verifies, and nothing says how long.
    Verifies,
    /// It verifies until then, since tokens that it signed may live so long.
    VerifiesUntil(UnixTime),
    /// It ended then.
    Retired(UnixTime),
}

impl KeyRing {
    /// A ring of these keys. The caller has refused duplicate ids.
    pub fn new(keys: Vec<Key>) -> KeyRing {
        let parts: Vec<Vec<u8>> = keys.iter().map(in_full).collect();
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let fingerprint = fingerprint(&parts);
        KeyRing { keys, fingerprint }
    }

    /// The keys of a JWK or a JWK set. `unsaid` is the algorithm of those that do not say theirs.
    ///
    /// # Errors
    /// A key is not for signatures, too weak or of a kind that is not known; two have the same `kid`; or secrets stand
    /// beside public keys.
    pub fn from_jwks(text: &[u8], unsaid: Option<Algorithm>) -> Result<KeyRing, KeyFault> {
        let members = jwk::members(text)?;
        let named = members.iter().map(jwk::Named::of).collect::<Result<Vec<_>, _>>()?;
        let secrets = named.iter().filter(|key| key.is_secret()).count();
        if secrets > 0 && secrets < named.len() {
            return Err(KeyFault("the set mixes shared secrets with public keys"));
        }
        let mut keys: Vec<Key> = Vec::new();
        for key in &named {
            let algorithm = key.algorithm.or(unsaid).ok_or(NO_ALGORITHM)?;
            let id = key.id.unwrap_or_default();
            if keys.iter().any(|known| known.id == id) {
                return Err(KeyFault("two keys of the set have the same `kid`"));
            }
            keys.push(Key::of(id.to_owned(), algorithm, key.parse(algorithm)?, text));
        }
        Ok(KeyRing::new(keys))
    }

    /// Every key, those that have ended too.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// The keys that may verify at `now`.
    pub fn living(&self, now: UnixTime) -> impl Iterator<Item = &Key> {
        self.keys.iter().filter(move |key| !key.is_retired(now))
    }

    /// Equal for equal rings, and only for those: what was verified by one was verified by the other.
    pub fn fingerprint(&self) -> [u8; digest::SHA256_OUTPUT_LEN] {
        self.fingerprint
    }

    /// The key that signs at `now`: the last that began to; where none has, the first that can.
    pub fn signer(&self, now: UnixTime) -> Option<&Key> {
        self.signer_among(now, |_| true)
    }

    /// The one of these keys that signs at `now`, by the same rule.
    pub fn signer_among(&self, now: UnixTime, fits: impl Fn(&Key) -> bool) -> Option<&Key> {
        let able = || self.living(now).filter(|key| key.signs() && fits(key));
        let began = |key: &&Key| key.life.signs_from.is_some_and(|from| from <= now);
        // Of two that began in one second, the one that was followed has an end.
        let rank = |key: &&Key| (key.life.signs_from, key.life.retires_at.is_none());
        able().filter(began).max_by_key(rank).or_else(|| able().next())
    }

    /// The key with this id.
    pub fn find(&self, id: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.id == id)
    }

    /// What a key of this ring does at `now`.
    pub fn state(&self, key: &Key, now: UnixTime) -> KeyState {
        let signs = self.signer(now).is_some_and(|signer| signer.id == key.id);
        match (key.life.signs_from, key.life.retires_at) {
            (_, Some(end)) if end <= now => KeyState::Retired(end),
            _ if signs => KeyState::Signs,
            (_, Some(end)) => KeyState::VerifiesUntil(end),
            (Some(from), None) if from > now => KeyState::SignsFrom(from),
            (None, None) if key.signs() => KeyState::Published,
            _ => KeyState::Verifies,
        }
    }
}

/// The key and its times, told apart from every other.
fn in_full(key: &Key) -> Vec<u8> {
    let mut all = key.fingerprint.to_vec();
    for time in [key.life.signs_from, key.life.retires_at] {
        match time {
            Some(time) => {
                all.push(1);
                all.extend(time.0.to_be_bytes());
            }
            None => all.push(0),
        }
    }
    all
}

impl fmt::Display for KeyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyState::Published => f.write_str("published"),
            KeyState::SignsFrom(from) => write!(f, "published, signs from {from}"),
            KeyState::Signs => f.write_str("signs"),
            KeyState::Verifies => f.write_str("verifies"),
            KeyState::VerifiesUntil(end) => write!(f, "verifies until {end}"),
            KeyState::Retired(end) => write!(f, "retired since {end}"),
        }
    }
}
