//! Tokens that no honest issuer would make: any header, any payload, any secret.
//!
//! Nothing of the library is used, so that a mistake there cannot hide itself here.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// A secret of 32 bytes for tests whose gateway and issuer share one.
pub const SECRET: &str = "a shared secret for tests, 32 B+";

/// The end of a gateway.toml whose gateway shares [`SECRET`] with the test, for [`Gateway::sharing`].
///
/// [`Gateway::sharing`]: super::Gateway::sharing
pub const KEY: &str =
    "\n[[tokens.key]]\nid = \"shared\"\nalg = \"HS256\"\nsecret = { env = \"SHARED\" }\n";

/// Seconds since 1970, now.
#[expect(clippy::disallowed_methods, reason = "a token is made for the clock of another process")]
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

/// Claims of a good, stale access token of `sub` that lives for an hour; change what the test is about.
pub fn claims(sub: &str) -> Value {
    let (now, jti) = (now(), uuid::Uuid::new_v4().to_string());
    json!({"sub": sub, "type": "access", "fresh": false, "jti": jti, "iat": now, "nbf": now, "exp": now + 3600})
}

/// A good, fresh access token of `sub`, its password checked just now.
pub fn fresh(sub: &str) -> String {
    with(sub, json!({"fresh": true, "auth_time": now()}))
}

/// A good, stale access token of `sub`.
pub fn stale(sub: &str) -> String {
    with(sub, json!({}))
}

/// A good refresh token of `sub`.
pub fn refresh(sub: &str) -> String {
    with(sub, json!({"type": "refresh"}))
}

/// A good, stale access token of `sub` that says these things besides, or instead.
pub fn with(sub: &str, more: Value) -> String {
    let mut all = claims(sub);
    for (name, value) in more.as_object().expect("an object") {
        all[name] = value.clone();
    }
    hs256(SECRET, &all)
}

/// Signs claims with HS256.
pub fn hs256(secret: &str, claims: &Value) -> String {
    sign(secret, br#"{"alg":"HS256","typ":"JWT"}"#, claims.to_string().as_bytes())
}

/// Signs any header and payload, JSON or not, with HMAC-SHA256.
pub fn sign(secret: &str, header: &[u8], payload: &[u8]) -> String {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
}

/// The payload of a token, unchecked.
#[track_caller]
pub fn payload(token: &str) -> Value {
    let part = token.split('.').nth(1).unwrap_or_else(|| panic!("not a token: {token}"));
    let bytes = URL_SAFE_NO_PAD.decode(part).expect("base64url");
    serde_json::from_slice(&bytes).expect("JSON")
}
