//! The signed assertion: what a backend is told of the caller, under a signature of ours, so that it need not trust the
//! network between us (`assertion = true` of an upstream).
//!
//! It is no token: its `type` and its header's `typ` say so, and [`super::verify`] refuses both. Pure, as all of this floor.
//! Called by `gateway`, which remembers what was signed.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::keys::{Key, KeyRing};
use super::verify::{TokenRules, VerifiedToken};
use super::{Claims, RESERVED_CLAIMS, UnixTime, mint};

/// How long one is good.
pub const LIFE: Duration = Duration::from_secs(60);
/// Largest one, in bytes: with its field's name it fits into the 8190 bytes that Apache and gunicorn take for a field.
pub const BYTES_MAX: usize = 8000;
/// `typ` of its header (RFC 8725 §3.11).
pub const HEADER_TYPE: &str = "assertion+jwt";
/// Its `type` claim.
const TYPE: &str = "assertion";

/// Why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssertionFault {
    /// Every key that signs is a shared secret, which no JWK set shows.
    #[error(
        "no key can sign an assertion: it takes one that is not a shared secret, such as ES256"
    )]
    NoSigner,
    /// The claims are too many for one field.
    #[error(
        "the assertion has {0} bytes, and at most {BYTES_MAX} fit into a field: give the user fewer claims"
    )]
    TooLarge(usize),
}

/// A signed assertion and how long it may be used. Prints nothing of the text.
pub struct Assertion {
    /// The JWS.
    pub text: String,
    /// `exp`.
    pub expires_at: UnixTime,
}

impl std::fmt::Debug for Assertion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Assertion(until {})", self.expires_at)
    }
}

impl Assertion {
    /// Signs what `token` says, for the upstream of this name. `None` within the leeway behind the token's own end:
    /// nothing of ours outlives the token.
    ///
    /// # Errors
    /// [`AssertionFault`].
    pub fn sign(
        token: &VerifiedToken,
        audience: &str,
        key: &Key,
        rules: &TokenRules,
        now: UnixTime,
    ) -> Result<Option<Assertion>, AssertionFault> {
        let claims = token.claims();
        let expires_at = now.plus(LIFE).min(claims.expires_at);
        if expires_at <= now {
            return Ok(None);
        }
        let payload = payload(claims, (audience, expires_at), rules, now);
        let text =
            mint::compact(key, HEADER_TYPE, payload).map_err(|_| AssertionFault::NoSigner)?;
        match text.len() {
            ..=BYTES_MAX => Ok(Some(Assertion { text, expires_at })),
            bytes => Err(AssertionFault::TooLarge(bytes)),
        }
    }
}

/// The key that signs assertions at `now`: of those whose public half is in the JWK set, the one that signs.
pub fn signer(ring: &KeyRing, now: UnixTime) -> Option<&Key> {
    ring.signer_among(now, |key| !key.algorithm().is_symmetric())
}

/// Without `jti`: one assertion is sent with every request of half a minute.
fn payload(
    claims: &Claims,
    (audience, expires_at): (&str, UnixTime),
    rules: &TokenRules,
    now: UnixTime,
) -> Map<String, Value> {
    let mut all = Map::new();
    let own = claims.all.iter().filter(|(name, _)| {
        // What pages and cookies are compared with is no backend's business.
        !RESERVED_CLAIMS.contains(&name.as_str()) && *name != "csrf"
    });
    all.extend(own.map(|(name, value)| (name.clone(), value.clone())));
    all.extend(rules.issuer.iter().map(|iss| ("iss".to_owned(), json!(iss))));
    all.insert("sub".to_owned(), json!(claims.subject));
    all.insert("aud".to_owned(), json!(audience));
    all.insert("iat".to_owned(), json!(now.0));
    all.insert("exp".to_owned(), json!(expires_at.0));
    all.insert("type".to_owned(), json!(TYPE));
    all.insert("fresh".to_owned(), json!(claims.is_fresh(now)));
    all.extend(claims.auth_time.map(|time| ("auth_time".to_owned(), json!(time.0))));
    all
}

#[cfg(test)]
mod tests {
    use super::super::keys::{Algorithm, KeySpec, generate};
    use super::super::{Standing, verify};
    use super::*;

    const NOW: UnixTime = UnixTime(1_000_000);

    fn key(id: &str, algorithm: Algorithm) -> Key {
        let material = generate(algorithm).unwrap();
        Key::parse(&KeySpec { id: id.to_owned(), algorithm, material }).unwrap()
    }

    fn rules() -> TokenRules {
        TokenRules {
            issuer: Some("us".to_owned()),
            audience: None,
            access_ttl: Duration::from_secs(900),
            refresh_ttl: Duration::from_secs(9000),
            leeway: Duration::from_secs(100),
            csrf: true,
            identity_claim: "sub".to_owned(),
            others: false,
        }
    }

    fn token(more: Value) -> VerifiedToken {
        let mut all = json!({"sub": "ada", "type": "access", "jti": "j", "iat": NOW.0, "exp": NOW.0 + 900, "csrf": "c"});
        for (name, value) in more.as_object().unwrap() {
            all[name] = value.clone();
        }
        let Value::Object(all) = all else { unreachable!() };
        Standing::assumed(Claims::from_json(all).unwrap()).into_token().unwrap()
    }

    #[test]
    fn it_says_who_for_whom_and_for_how_long_and_is_no_token_of_ours() {
        let ring =
            KeyRing::new(vec![key("shared", Algorithm::Hs256), key("own", Algorithm::Es256)]);
        let keys = crate::token::trust::KeySet::new(ring, Vec::new());
        let ring = keys.own();
        let key = signer(ring, NOW).unwrap();
        assert_eq!((key.id(), ring.signer(NOW).unwrap().id()), ("own", "shared"));
        let token = token(
            json!({"roles": ["a"], "fresh": true, "auth_time": NOW.0 - 5, "sid": "s", "aud": "us"}),
        );
        let made = Assertion::sign(&token, "app", key, &rules(), NOW).unwrap().unwrap();
        let (payload, by) = keys.read_raw(&made.text).unwrap();
        assert_eq!(by.id(), "own");
        let payload: Value = serde_json::from_slice(&payload).unwrap();
        let expected = json!({
            "iss": "us", "sub": "ada", "aud": "app", "iat": NOW.0, "exp": NOW.0 + 60, "type": "assertion",
            "fresh": true, "auth_time": NOW.0 - 5, "roles": ["a"],
        });
        assert_eq!(payload, expected);
        assert_eq!(
            verify::read(&made.text, ring, &rules()).unwrap_err(),
            verify::TokenFault::Invalid
        );
        assert!(!format!("{made:?}").contains(&made.text));
    }

    #[test]
    fn it_never_outlives_the_token() {
        let key = key("own", Algorithm::EdDsa);
        let sign = |left: i64| {
            let token = token(json!({"exp": NOW.0 as i64 + left}));
            let made = Assertion::sign(&token, "app", &key, &rules(), NOW).unwrap();
            made.map(|one| one.expires_at.0 as i64 - NOW.0 as i64)
        };
        assert_eq!([1000, 60, 59, 1].map(sign), [Some(60), Some(60), Some(59), Some(1)]);
        assert_eq!([0, -5].map(sign), [None, None]);
    }

    #[test]
    fn one_that_fits_into_no_field_is_not_made() {
        let key = key("own", Algorithm::Es256);
        let sign = |bytes: usize| {
            let token = token(json!({"note": "x".repeat(bytes)}));
            Assertion::sign(&token, "app", &key, &rules(), NOW)
        };
        assert!(sign(5_600).unwrap().is_some_and(|one| one.text.len() <= BYTES_MAX));
        let fault = sign(6_000).unwrap_err();
        assert!(matches!(fault, AssertionFault::TooLarge(bytes) if bytes > BYTES_MAX), "{fault}");
    }

    #[test]
    fn shared_secrets_sign_none() {
        let ring = KeyRing::new(vec![key("shared", Algorithm::Hs512)]);
        assert!(signer(&ring, NOW).is_none());
    }
}
