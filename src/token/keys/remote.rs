//! The key set of another issuer (RFC 7517 §5), as its server gives it out. Read key by key: others publish keys of kinds
//! that are of no use here, and one bad key must not lock out everybody whose tokens the good ones signed. What is kept
//! can check signatures and nothing else.

use serde_json::{Map, Value};

use super::jwk::{self, Named, SET_KEYS_MAX};
use super::{Algorithm, Family, Key, KeyFault, KeyRing};
use crate::token::json;

/// Members that only a private key has (RFC 7518 §6.2.2, §6.3.2, RFC 8037 §2).
const PRIVATE_MEMBERS: [&str; 7] = ["d", "p", "q", "dp", "dq", "qi", "oth"];

const NONE_USABLE: KeyFault =
    KeyFault("no key of the set is for signatures with an algorithm that is accepted");

const NO_SECRET_HERE: KeyFault = KeyFault("a shared secret that everybody can fetch is none");
const PRIVATE: KeyFault = KeyFault("the issuer gives out the private half of this key");

/// What is wrong with a key that must not be where it was found.
pub(super) const EXPOSED: [KeyFault; 2] = [NO_SECRET_HERE, PRIVATE];

/// What a set holds.
#[derive(Debug)]
pub struct RemoteSet {
    /// The keys that may be used, at least one, in the order of their ids: equal for sets that say the same.
    pub ring: KeyRing,
    /// The keys that are bad. Those for encryption, and for algorithms that are not accepted, are not among them.
    pub bad: Vec<BadKey>,
}

/// A key of a set that is never used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadKey {
    /// Its place in the set, from 1.
    pub place: usize,
    /// `kid`, where it has one.
    pub id: Option<String>,
    /// What is wrong with it.
    pub why: KeyFault,
}

impl RemoteSet {
    /// Reads a set. Kept are the keys for one of `algorithms`; an RSA key that does not say its `alg` is for the first of
    /// them that RSA keys are for. A key without `kid` gets its thumbprint (RFC 7638) for one. Shared secrets and private
    /// keys are bad, whatever is accepted: what everybody can fetch proves nothing.
    ///
    /// # Errors
    /// It is no set, has more than [`SET_KEYS_MAX`] keys, none that can be used (then the first bad one says why), or two of
    /// those with the same `kid`.
    pub fn read(text: &[u8], algorithms: &[Algorithm]) -> Result<RemoteSet, KeyFault> {
        let set = json::object(text);
        let mut set = set.map_err(|_| KeyFault("the key set is not a JSON object"))?;
        let Some(Value::Array(members)) = set.remove("keys") else {
            return Err(KeyFault("the key set has no list `keys`"));
        };
        if members.len() > SET_KEYS_MAX {
            return Err(KeyFault("the key set has more than 100 keys"));
        }
        let mut keys: Vec<Key> = Vec::new();
        let mut bad = Vec::new();
        for (place, key) in (1..).zip(&members) {
            match read_key(key, algorithms) {
                Ok(key) => keys.extend(key),
                Err(why) => {
                    let id = key.get("kid").and_then(Value::as_str).map(str::to_owned);
                    bad.push(BadKey { place, id, why });
                }
            }
        }
        keys.sort_by(|one, other| one.id.cmp(&other.id));
        if keys.windows(2).any(|two| two[0].id == two[1].id) {
            return Err(KeyFault("two keys of the set have the same `kid`"));
        }
        if keys.is_empty() {
            return Err(bad.first().map_or(NONE_USABLE, |key| key.why));
        }
        Ok(RemoteSet { ring: KeyRing::new(keys), bad })
    }
}

/// A key that may be used; `None` for one that is for something else.
fn read_key(key: &Value, algorithms: &[Algorithm]) -> Result<Option<Key>, KeyFault> {
    let Value::Object(members) = key else {
        return Err(KeyFault("a key of the set is not an object"));
    };
    if members.get("kty").and_then(Value::as_str) == Some("oct") {
        return Err(NO_SECRET_HERE);
    }
    if PRIVATE_MEMBERS.iter().any(|name| members.contains_key(*name)) {
        return Err(PRIVATE);
    }
    if is_for_something_else(members) {
        return Ok(None);
    }
    let named = Named::of(members)?;
    let rsa = || algorithms.iter().copied().find(|one| one.family() == Family::Rsa);
    let Some(algorithm) = named.algorithm.or_else(rsa) else { return Ok(None) };
    if algorithm.is_symmetric() || !algorithms.contains(&algorithm) {
        return Ok(None);
    }
    let parsed = named.parse(algorithm)?;
    let Some(public) = &parsed.public else { return Ok(None) };
    // What the key is, not how its JSON is written: the same key is the same after it was written anew.
    let said = serde_json::to_vec(&jwk::write("", algorithm, public));
    let said = said.map_err(|_| KeyFault("the key cannot be written"))?;
    let mut key = Key::of(named.id.unwrap_or_default().to_owned(), algorithm, parsed, &said);
    if named.id.is_none() {
        key.id = key.thumbprint().unwrap_or_default();
    }
    Ok(Some(key))
}

/// Whether it says that signatures are not what it is for.
fn is_for_something_else(members: &Map<String, Value>) -> bool {
    let used = members.get("use").and_then(Value::as_str);
    used.is_some_and(|used| used != "sig")
        || members
            .get("key_ops")
            .and_then(Value::as_array)
            .is_some_and(|all| !all.iter().any(|one| one.as_str() == Some("verify")))
}
