//! A file with the public keys of another issuer: the JWK set that it publishes, one JWK of it, or one key in PEM.

use serde_json::{Value, json};

use super::remote::EXPOSED;
use super::{Algorithm, Key, KeyFault, KeyMaterial, KeyRing, KeySpec, RemoteSet, is_json};
use crate::token::{Secret, json};

const PRIVATE_FILE: KeyFault = KeyFault("a private key or a secret is in it");
const NOT_LISTED: KeyFault = KeyFault("the key is for none of the algorithms that are listed");

impl KeyRing {
    /// The public keys in a file, as far as they are for one of these algorithms. A key in PEM has no name: it is in the
    /// ring once for each that fits its kind.
    ///
    /// # Errors
    /// As [`RemoteSet::read`]. Also where a secret or a private key is among them, since a file can be mended.
    pub fn published(text: &[u8], algorithms: &[Algorithm]) -> Result<KeyRing, KeyFault> {
        if !is_json(text) {
            return pem(text, algorithms);
        }
        let one = json::object(text).ok().filter(|one| one.contains_key("kty"));
        let wrapped = one.map(|one| json!({ "keys": [Value::Object(one)] }).to_string());
        let text = wrapped.as_deref().map_or(text, str::as_bytes);
        let set = RemoteSet::read(text, algorithms)?;
        match set.bad.iter().any(|bad| EXPOSED.contains(&bad.why)) {
            true => Err(PRIVATE_FILE),
            false => Ok(set.ring),
        }
    }
}

fn pem(text: &[u8], algorithms: &[Algorithm]) -> Result<KeyRing, KeyFault> {
    const PRIVATE: &[u8] = b"PRIVATE KEY-----";
    if text.windows(PRIVATE.len()).any(|part| part == PRIVATE) {
        return Err(PRIVATE_FILE);
    }
    let material = KeyMaterial::Public(Secret::new(text));
    let parse = |algorithm: &Algorithm| {
        let spec = KeySpec { id: String::new(), algorithm: *algorithm, material: material.clone() };
        Key::parse(&spec)
    };
    let (keys, faults): (Vec<_>, Vec<_>) = algorithms.iter().map(parse).partition(Result::is_ok);
    let keys: Vec<Key> = keys.into_iter().filter_map(Result::ok).collect();
    if keys.is_empty() {
        return Err(faults.into_iter().find_map(Result::err).unwrap_or(NOT_LISTED));
    }
    Ok(KeyRing::new(keys))
}
