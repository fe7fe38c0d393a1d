//! The keys that another issuer publishes (RFC 7517 §5): what can be used of them. Strict where a key of ours would
//! be, but one bad key takes nothing from the good ones beside it: others add kinds of keys that nobody here knows.

use serde_json::{Map, Value};

use super::jwk::{self, Named};
use super::{Algorithm, Key, KeyFault, KeyMaterial, KeyRing, KeySpec, is_json};
use crate::token::{Secret, json};

/// What came of a set of keys.
#[derive(Debug)]
pub struct Published {
    /// The keys that can be used: public ones, for one of the algorithms that were asked for. Never empty. A key that
    /// does not say its algorithm is in it once for each that fits its kind.
    pub ring: KeyRing,
    /// Why each of the others cannot be: for messages.
    pub left_out: Vec<KeyFault>,
    /// Whether a private key or a secret is among those. Who publishes one has lost it.
    pub exposed: bool,
}

const OTHER_ALGORITHM: KeyFault = KeyFault("it is for an algorithm that is not listed");
const EXPOSED: KeyFault = KeyFault("it is a private key or a secret, and not a public one");
const SAME_NAME: KeyFault = KeyFault("another key before it has the same `kid`");
const NO_OBJECT: KeyFault = KeyFault("a key of the set is not an object");

impl KeyRing {
    /// The public keys of a JWK, a JWK set or one key in PEM, as far as they are for one of these algorithms.
    ///
    /// # Errors
    /// It is none of the three, has more than 100 keys, or none that can be used.
    pub fn published(text: &[u8], algorithms: &[Algorithm]) -> Result<Published, KeyFault> {
        let mut all = Gathered::default();
        if is_json(text) {
            for member in members(text)? {
                let read = match &member {
                    Value::Object(member) => public_keys(member, algorithms),
                    _ => Err(NO_OBJECT),
                };
                all.take(read);
            }
        } else {
            all.take(pem_keys(text, algorithms));
        }
        let Gathered { keys, left_out } = all;
        let exposed = left_out.contains(&EXPOSED);
        if keys.is_empty() {
            let why = KeyFault("the set has no key, or none that can be used here");
            // Of one key the reason is known.
            return Err(if let [only] = left_out.as_slice() { *only } else { why });
        }
        Ok(Published { ring: KeyRing::new(keys), left_out, exposed })
    }
}

#[derive(Default)]
struct Gathered {
    keys: Vec<Key>,
    left_out: Vec<KeyFault>,
}

impl Gathered {
    fn take(&mut self, read: Result<Vec<Key>, KeyFault>) {
        match read {
            // Which of two was meant nobody can tell; keys without a name are told apart by what they sign.
            Ok(new) if new.iter().any(|key| self.knows(key)) => self.left_out.push(SAME_NAME),
            Ok(new) => self.keys.extend(new),
            Err(fault) => self.left_out.push(fault),
        }
    }

    fn knows(&self, key: &Key) -> bool {
        !key.id.is_empty() && self.keys.iter().any(|known| known.id == key.id)
    }
}

fn members(text: &[u8]) -> Result<Vec<Value>, KeyFault> {
    let mut object = json::object(text).map_err(|_| KeyFault("the answer is not a JSON object"))?;
    match object.remove("keys") {
        None if object.contains_key("kty") => Ok(vec![Value::Object(object)]),
        Some(Value::Array(keys)) if keys.len() <= jwk::SET_KEYS_MAX => Ok(keys),
        Some(Value::Array(_)) => Err(KeyFault("the set has more than 100 keys")),
        None | Some(_) => Err(KeyFault("the JSON is no set of keys: it has no list `keys`")),
    }
}

/// One key, once for each algorithm that it may be for.
fn public_keys(
    member: &Map<String, Value>,
    algorithms: &[Algorithm],
) -> Result<Vec<Key>, KeyFault> {
    if member.contains_key("d") || member.contains_key("k") {
        return Err(EXPOSED);
    }
    let named = Named::of(member)?;
    let id = named.id.unwrap_or_default();
    let material = serde_json::to_vec(member).unwrap_or_default();
    let wanted = algorithms.iter().filter(|one| named.algorithm.is_none_or(|own| own == **one));
    several(wanted, |algorithm| {
        Ok(Key::of(id.to_owned(), algorithm, named.parse(algorithm)?, &material))
    })
}

fn pem_keys(text: &[u8], algorithms: &[Algorithm]) -> Result<Vec<Key>, KeyFault> {
    if text.windows(PRIVATE.len()).any(|part| part == PRIVATE) {
        return Err(EXPOSED);
    }
    let material = KeyMaterial::Public(Secret::new(text));
    several(algorithms.iter(), |algorithm| {
        Key::parse(&KeySpec { id: String::new(), algorithm, material: material.clone() })
    })
}

const PRIVATE: &[u8] = b"PRIVATE KEY-----";

/// The keys that can be made; a fault where there is none.
fn several<'a>(
    algorithms: impl Iterator<Item = &'a Algorithm>,
    make: impl Fn(Algorithm) -> Result<Key, KeyFault>,
) -> Result<Vec<Key>, KeyFault> {
    let mut why = OTHER_ALGORITHM;
    let mut keys = Vec::new();
    for algorithm in algorithms {
        match make(*algorithm) {
            Ok(key) => keys.push(key),
            Err(fault) => why = fault,
        }
    }
    if keys.is_empty() { Err(why) } else { Ok(keys) }
}
