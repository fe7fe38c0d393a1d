//! The public half of the key ring, as others may read it (RFC 7517 §5). Shared secrets are never in it.

use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::JwkSet;

use super::UnixTime;
use super::keys::{Key, KeyRing};

/// How long others may keep the set. A rotation waits longer than this before it signs with a new key.
pub const MAX_AGE: Duration = Duration::from_secs(5 * 60);

/// The JSON text of `/.well-known/jwks.json` at `now`: every public half that may verify.
pub fn document(ring: &KeyRing, now: UnixTime) -> String {
    let keys = ring.living(now).filter_map(Key::public).cloned().collect();
    serde_json::to_string(&JwkSet { keys }).expect("a JWK set of strings is always JSON")
}

/// The strong entity tag of a document (RFC 9110 §8.8.3): equal texts, equal tags.
pub fn entity_tag(document: &str) -> String {
    let hash = digest::digest(&digest::SHA256, document.as_bytes());
    format!("\"{}\"", URL_SAFE_NO_PAD.encode(&hash.as_ref()[..TAG_BYTES]))
}

/// Bytes of the hash that make a tag.
const TAG_BYTES: usize = 16;
