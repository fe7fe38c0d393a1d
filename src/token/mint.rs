//! Writes our tokens: JWS compact, the claims of design §5 in the form that Flask-JWT-Extended 4.x reads.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::keys::{Key, KeyRing};
use super::verify::TokenRules;
use super::{RESERVED_CLAIMS, TokenKind, UnixTime, json as strict};

/// What a new token says.
#[derive(Clone, Debug)]
pub struct Mint<'a> {
    /// `sub`.
    pub subject: &'a str,
    /// `type`.
    pub kind: TokenKind,
    /// `fresh`: whether a credential check stands directly behind it.
    pub fresh: bool,
    /// `auth_time`; `None` leaves the claim out.
    pub auth_time: Option<UnixTime>,
    /// `sid`; `None` leaves the claim out.
    pub session: Option<&'a str>,
    /// The user's own claims; reserved names among them are passed over.
    pub claims: &'a Map<String, Value>,
    /// Seconds until `exp`.
    pub ttl: Duration,
}

/// A new token and what its owner must know of it. Prints its id only.
pub struct Minted {
    /// The token itself.
    pub token: String,
    /// `jti`.
    pub id: String,
    /// `csrf`, where ours carry one.
    pub csrf: Option<String>,
    /// `exp`.
    pub expires_at: UnixTime,
}

impl Minted {
    /// One that was minted before and kept where nobody could change it: nothing of it is checked.
    pub fn reread(token: String) -> Option<Minted> {
        let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
        let claims = strict::object(&payload).ok()?;
        let text = |name: &str| Some(claims.get(name)?.as_str()?.to_owned());
        let (id, csrf) = (text("jti")?, text("csrf"));
        let expires_at = UnixTime(claims.get("exp")?.as_u64()?);
        Some(Minted { token, id, csrf, expires_at })
    }
}

impl std::fmt::Debug for Minted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Minted({})", self.id)
    }
}

/// No key of the ring can sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no key can sign: add a [[tokens.key]] with `secret` or `private`")]
pub struct NoSigner;

impl Mint<'_> {
    /// Signs with the key that signs at `now`.
    ///
    /// # Errors
    /// [`NoSigner`] when every key can only verify.
    pub fn sign(
        &self,
        ring: &KeyRing,
        rules: &TokenRules,
        now: UnixTime,
    ) -> Result<Minted, NoSigner> {
        self.sign_with(ring.signer(now).ok_or(NoSigner)?, rules, now)
    }

    /// Signs with this key.
    ///
    /// # Errors
    /// [`NoSigner`] when the key can only verify.
    pub fn sign_with(
        &self,
        key: &Key,
        rules: &TokenRules,
        now: UnixTime,
    ) -> Result<Minted, NoSigner> {
        // 122 random bits from the operating system (RFC 9562 §5.4).
        let id = uuid::Uuid::new_v4().to_string();
        let expires_at = now.plus(self.ttl);
        let payload = self.payload(&id, expires_at, rules, now);
        let csrf = payload.get("csrf").and_then(Value::as_str).map(str::to_owned);
        Ok(Minted { token: compact(key, "JWT", payload)?, id, csrf, expires_at })
    }

    fn payload(
        &self,
        id: &str,
        expires_at: UnixTime,
        rules: &TokenRules,
        now: UnixTime,
    ) -> Map<String, Value> {
        let mut all = Map::new();
        all.extend(rules.issuer.iter().map(|iss| ("iss".to_owned(), json!(iss))));
        all.insert("sub".to_owned(), json!(self.subject));
        all.extend(rules.audience.iter().map(|aud| ("aud".to_owned(), json!(aud))));
        all.insert("iat".to_owned(), json!(now.0));
        all.insert("nbf".to_owned(), json!(now.0));
        all.insert("exp".to_owned(), json!(expires_at.0));
        all.insert("jti".to_owned(), json!(id));
        all.insert("type".to_owned(), json!(self.kind.name()));
        all.insert("fresh".to_owned(), json!(self.fresh));
        all.extend(self.auth_time.map(|time| ("auth_time".to_owned(), json!(time.0))));
        all.extend(self.session.map(|sid| ("sid".to_owned(), json!(sid))));
        all.insert(rules.identity_claim.clone(), json!(self.subject));
        let own = self.claims.iter().filter(|(name, _)| {
            !RESERVED_CLAIMS.contains(&name.as_str()) && **name != rules.identity_claim
        });
        all.extend(own.map(|(name, value)| (name.clone(), value.clone())));
        if rules.csrf {
            all.insert("csrf".to_owned(), json!(uuid::Uuid::new_v4().to_string()));
        }
        all
    }
}

/// The compact form of a JWS (RFC 7515 §7.1) with a header that names the key.
pub(super) fn compact(
    key: &Key,
    typ: &str,
    payload: Map<String, Value>,
) -> Result<String, NoSigner> {
    let header = json!({ "alg": key.algorithm().name(), "typ": typ, "kid": key.id() });
    let mut text = URL_SAFE_NO_PAD.encode(header.to_string());
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(Value::Object(payload).to_string(), &mut text);
    let signature = key.sign(text.as_bytes()).ok_or(NoSigner)?;
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut text);
    Ok(text)
}
