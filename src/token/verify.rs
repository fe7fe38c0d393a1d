//! From the text of a token to a [`Standing`]: who the caller proved to be at `now`.
//!
//! 1. Size, three parts, canonical base64url, a header that is a JSON object without duplicate members.
//! 2. `crit`, `zip` and encryption are refused; `jku`, `x5u`, `jwk`, `x5c` are never looked at.
//! 3. `kid` picks the key; without one every key of the token's algorithm is tried. The algorithm is the
//!    key's, and the token's must equal it (RFC 8725 §3.1). Then the signature.
//! 4. The payload is parsed by the same rules, and its claims are typed. What comes out, [`SignedClaims`], may be remembered: it never changes.
//! 5. [`SignedClaims::standing`]: the key's own end, issuer, audience and times, on every request anew.
//!
//! `keys` does the cryptography. The claim checks of `jsonwebtoken` differ from ours in nine places (leeway 60 s,
//! `nbf` off, `exp == now` good, missing `iss` good, unknown `crit` ignored, …), so none of them is used.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::assertion::HEADER_TYPE;
use super::claims::TIME_MAX;
use super::keys::{Key, KeyRing};
use super::{Claims, TokenKind, UnixTime, json};

/// A longer token is refused before anything of it is decoded.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// Longest `[tokens] leeway`: clocks that are further apart are broken, not different.
pub const LEEWAY_MAX: Duration = Duration::from_secs(5 * 60);

/// Why a token proves nothing. Closed, and without the token's own words: they are the attacker's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFault {
    /// Not a compact JWS of three base64url parts holding JSON objects, or larger than we read.
    Malformed,
    /// More than one credential in one request (RFC 6750 §2).
    Duplicated,
    /// The key, the algorithm, the issuer, the audience or a claim's type is wrong.
    Invalid,
    /// A key of ours was tried, and the signature is not its own: the one fault that costs cryptography.
    Forged,
    /// Not looked at: too many forged ones came from the same address.
    Unchecked,
    /// `exp` is now or earlier.
    Expired,
    /// `nbf`, `iat` or `auth_time` is later than now.
    NotYetValid,
    /// The token, its session or its subject was revoked.
    Revoked,
    /// It came in a cookie, and the page of another site may have sent the request.
    CrossSite,
    /// Nobody knows whether it is revoked: the store that would say so has been silent for too long.
    Unconfirmed,
}

/// `[tokens]`: what a token must say to be believed, and how long ours live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRules {
    /// `iss` of ours, and the only one believed; `None`: not written, not looked at.
    pub issuer: Option<String>,
    /// `aud` of ours, and one of a token's must be it; `None`: not written, not looked at.
    pub audience: Option<String>,
    /// Life of an access token.
    pub access_ttl: Duration,
    /// Life of a refresh token, and so of a session.
    pub refresh_ttl: Duration,
    /// Clock difference forgiven for `exp`, `nbf` and `iat`; at most 5 minutes.
    pub leeway: Duration,
    /// Whether ours carry a random `csrf` claim, which backends compare with a header of the request.
    pub csrf: bool,
    /// The claim that says who; ours carry it beside `sub`.
    pub identity_claim: String,
    /// Whether tokens of other issuers are taken too: how long theirs live is theirs to say.
    pub others: bool,
}

impl TokenRules {
    /// The longest life of a token that the gateway signs, from its mint to the moment when nobody takes it any more.
    pub fn longest_life(&self) -> Duration {
        self.access_ttl.max(self.refresh_ttl) + self.leeway
    }

    /// How long it must be remembered that everything of a subject was revoked: as long as a token from before may live.
    pub fn revoked_life(&self) -> Duration {
        if self.others { Duration::from_secs(TIME_MAX as u64) } else { self.longest_life() }
    }
}

/// Claims under a good signature of a key of ours: *what the token says*, never a decision.
#[derive(Clone, Debug)]
pub struct SignedClaims {
    claims: Arc<Claims>,
    /// When the key that verified them ends.
    key_retires_at: Option<UnixTime>,
    /// The other issuer that said them, by its place in the key set; `None`: ours.
    pub(super) trust: Option<usize>,
}

/// Claims whose signature, issuer, audience and times were good at the `now` of this request.
#[derive(Clone, Debug)]
pub struct VerifiedToken(Arc<Claims>);

/// Who the caller proved to be.
#[derive(Clone, Debug)]
pub enum Standing {
    /// No token was presented.
    Anonymous,
    /// A token was presented and proves nothing.
    Unproven(TokenFault),
    /// A good refresh token.
    Refresh(VerifiedToken),
    /// A good access token; whether it is fresh is judged with `now`.
    Access(VerifiedToken),
}

/// Reads a token: steps 1 to 4.
///
/// # Errors
/// [`TokenFault::Malformed`] for the form, [`TokenFault::Forged`] for the signature, [`TokenFault::Invalid`] for the
/// key and claim types.
pub fn read(token: &str, ring: &KeyRing, rules: &TokenRules) -> Result<SignedClaims, TokenFault> {
    read_own(&Parts::of(token)?, ring, rules)
}

pub(super) fn read_own(
    parts: &Parts<'_>,
    ring: &KeyRing,
    rules: &TokenRules,
) -> Result<SignedClaims, TokenFault> {
    // What we tell backends is no token, also where nobody looks at `type`.
    if parts.is_assertion() {
        return Err(TokenFault::Invalid);
    }
    // Nothing of a payload is believed before its signature is good.
    let (payload, key) = parts.believed(ring)?;
    let all = json::object(&payload).map_err(|_| TokenFault::Malformed)?;
    // A backend that compares it must find a text.
    if rules.csrf && all.get("csrf").is_some_and(|csrf| !csrf.is_string()) {
        return Err(TokenFault::Invalid);
    }
    Ok(SignedClaims::by(key, Claims::identified_by(&rules.identity_claim, all)?, None))
}

/// A token taken apart: three parts of canonical base64url, the first a JSON object.
pub(super) struct Parts<'t> {
    pub header: Map<String, Value>,
    pub payload: &'t str,
    /// What is signed: header, dot, payload.
    pub message: &'t str,
    pub signature: Vec<u8>,
}

impl<'t> Parts<'t> {
    pub fn of(token: &'t str) -> Result<Parts<'t>, TokenFault> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenFault::Malformed);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(TokenFault::Malformed)?;
        let (header, payload) = message.split_once('.').ok_or(TokenFault::Malformed)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| TokenFault::Malformed)?;
        Ok(Parts { header: object(header)?, payload, message, signature })
    }

    /// The payload, and the key that checked it.
    pub fn believed<'r>(&self, ring: &'r KeyRing) -> Result<(Vec<u8>, &'r Key), TokenFault> {
        let payload = URL_SAFE_NO_PAD.decode(self.payload).map_err(|_| TokenFault::Malformed)?;
        Ok((payload, self.key(ring)?))
    }

    /// Whether its header says so, in the spellings that mean one media type (RFC 7515 §4.1.9).
    fn is_assertion(&self) -> bool {
        let typ = self.header.get("typ").and_then(Value::as_str).map(str::to_ascii_lowercase);
        typ.is_some_and(|typ| typ.trim_start_matches("application/") == HEADER_TYPE)
    }

    /// The key whose signature this is.
    pub fn key<'r>(&self, ring: &'r KeyRing) -> Result<&'r Key, TokenFault> {
        let keys = candidates(&self.header, ring)?;
        if keys.is_empty() {
            return Err(TokenFault::Invalid);
        }
        let mut keys = keys.into_iter();
        keys.find(|key| key.verifies(self.message.as_bytes(), &self.signature))
            .ok_or(TokenFault::Forged)
    }
}

impl SignedClaims {
    /// What the token says.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// What this key said.
    pub(super) fn by(key: &Key, claims: Claims, trust: Option<usize>) -> SignedClaims {
        SignedClaims { claims: Arc::new(claims), key_retires_at: key.life().retires_at, trust }
    }

    /// Judges issuer, audience and times at `now`: step 5. What a key said that has ended since is nobody's word. What
    /// another issuer said is not good here: its keys must be asked, see [`KeySet::standing`](super::trust::KeySet::standing).
    pub fn standing(&self, rules: &TokenRules, now: UnixTime) -> Standing {
        let ours = rules.issuer.is_none() || self.claims.issuer == rules.issuer;
        let for_us = rules.audience.as_ref().is_none_or(|one| self.claims.audience.contains(one));
        if self.trust.is_some() || !ours || !for_us {
            return Standing::Unproven(TokenFault::Invalid);
        }
        self.in_time(rules, now)
    }

    /// The same for what needs no look at issuer and audience any more.
    pub(super) fn in_time(&self, rules: &TokenRules, now: UnixTime) -> Standing {
        if self.key_retires_at.is_some_and(|end| end <= now) {
            return Standing::Unproven(TokenFault::Invalid);
        }
        match good_now(&self.claims, rules, now) {
            Ok(()) => Standing::of(VerifiedToken(Arc::clone(&self.claims))),
            Err(fault) => Standing::Unproven(fault),
        }
    }
}

impl VerifiedToken {
    /// What the token says.
    pub fn claims(&self) -> &Claims {
        &self.0
    }

    /// Whether both come from the same reading of one token: from then on it was remembered.
    pub fn is_same(&self, other: &VerifiedToken) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// A number for that reading; another one has it only when all that came from this one is dropped.
    pub fn reading(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }
}

impl Standing {
    /// A standing nobody proved, for `explain`: what *would* happen with these claims.
    /// Never called on the way of a live request.
    pub fn assumed(claims: Claims) -> Standing {
        Standing::of(VerifiedToken(Arc::new(claims)))
    }

    /// The token behind it, if one was proved.
    pub fn into_token(self) -> Option<VerifiedToken> {
        match self {
            Standing::Access(token) | Standing::Refresh(token) => Some(token),
            Standing::Anonymous | Standing::Unproven(_) => None,
        }
    }

    fn of(token: VerifiedToken) -> Standing {
        match token.claims().kind {
            TokenKind::Access => Standing::Access(token),
            TokenKind::Refresh => Standing::Refresh(token),
        }
    }
}

fn object(part: &str) -> Result<Map<String, Value>, TokenFault> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenFault::Malformed)?;
    json::object(&bytes).map_err(|_| TokenFault::Malformed)
}

/// The keys that may have signed this header: at most one with `kid`, else all of its algorithm.
fn candidates<'r>(
    header: &Map<String, Value>,
    ring: &'r KeyRing,
) -> Result<Vec<&'r Key>, TokenFault> {
    let (id, algorithm) = possible(header)?;
    let matches = |key: &&Key| key.algorithm().name() == algorithm;
    match id {
        None => Ok(ring.keys().iter().filter(matches).collect()),
        Some(id) => Ok(ring.find(id).filter(matches).into_iter().collect()),
    }
}

/// What a header says of its key: `kid` and `alg`. What else it says of one (`jwk`, `jku`, `x5c`, `x5u`) is never read.
pub(super) fn possible(header: &Map<String, Value>) -> Result<(Option<&str>, &str), TokenFault> {
    // We understand no extension, so every critical one is unknown (RFC 7515 §4.1.11).
    if ["crit", "zip", "enc", "b64"].iter().any(|name| header.contains_key(*name)) {
        return Err(TokenFault::Invalid);
    }
    let Some(Value::String(algorithm)) = header.get("alg") else {
        return Err(TokenFault::Invalid);
    };
    match header.get("kid") {
        None => Ok((None, algorithm)),
        Some(Value::String(id)) => Ok((Some(id), algorithm)),
        Some(_) => Err(TokenFault::Malformed),
    }
}

fn good_now(claims: &Claims, rules: &TokenRules, now: UnixTime) -> Result<(), TokenFault> {
    let horizon = now.plus(rules.leeway);
    // A credential check in the future would have no age, and so meet any `max_age`.
    let starts = [Some(claims.issued_at), claims.not_before, claims.auth_time];
    if starts.into_iter().flatten().any(|start| start > horizon) {
        return Err(TokenFault::NotYetValid);
    }
    // Last, as others do it: of an expired token all else was good, so a client may refresh it.
    if claims.expires_at.plus(rules.leeway) <= now {
        return Err(TokenFault::Expired);
    }
    Ok(())
}
