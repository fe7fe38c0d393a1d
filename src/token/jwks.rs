//! The public half of the key ring, as others may read it (RFC 7517 §5). Shared secrets are never in it.

use jsonwebtoken::jwk::JwkSet;

use super::keys::{Key, KeyRing};

/// The JSON text of `/.well-known/jwks.json`.
pub fn document(ring: &KeyRing) -> String {
    let keys = ring.keys().iter().filter_map(Key::public).cloned().collect();
    serde_json::to_string(&JwkSet { keys }).expect("a JWK set of strings is always JSON")
}
