//! What another issuer's token must say to be believed, and what it then says in our words: `[[tokens.trust]]`.
//!
//! Only what the configuration maps comes through. Everything else that the issuer says means nothing here, so that a
//! claim of theirs with the name of one of ours opens nothing. Such a token is an access token or nothing, belongs to no session of
//! ours, and is fresh only where its issuer says when the credentials were checked. `path` finds claims, `keyset` picks the
//! issuer and its keys. Pure, as all of `token`.

mod keyset;
mod path;
#[cfg(test)]
mod tests;

use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::keys::Algorithm;
use super::verify::TokenRules;
use super::{Claims, SUBJECT, TokenFault, TokenKind, UnixTime, claims};
pub use keyset::{KeySet, Trusted, Unread};
pub use path::ClaimPath;

/// One `[[tokens.trust]]` without its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    /// `iss`, character by character (RFC 7519 §4.1.1).
    pub issuer: String,
    /// One of these must be among `aud`. Never empty.
    pub audience: Vec<String>,
    /// What its keys may be for; never a shared secret.
    pub algorithms: Vec<Algorithm>,
    /// Stands in front of its subjects; none but this issuer's may begin with it.
    pub subject_prefix: String,
    /// Where the subject is.
    pub subject: ClaimPath,
    /// Claims of ours, and where they are in a token of theirs.
    pub claims: Vec<(String, ClaimPath)>,
    /// When the credentials were checked; `None`: its tokens are never fresh.
    pub freshness: Option<CheckedAt>,
}

/// How a foreign token can be fresh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedAt {
    /// Where the time is.
    pub path: ClaimPath,
    /// How long after it a token is fresh; a route's `max_age` may be shorter.
    pub fresh_for: Duration,
}

/// A verified token of theirs, of which only the meaning is open.
pub(super) struct Foreign<'t> {
    pub header: &'t Map<String, Value>,
    pub payload: &'t Map<String, Value>,
    /// What is signed. Not the signature: one message can have several (RFC 7518 §3.4 sets no form for ECDSA's).
    pub message: &'t str,
}

/// Kinds of tokens that open something, in lower case: Keycloak writes `Bearer` into the payload, RFC 9068 §2.1 `at+jwt`
/// into the header. ID, refresh and logout tokens, and what nobody knows yet, say something else.
pub const ACCESS_TYPES: [&str; 5] = ["bearer", "jwt", "at+jwt", "application/at+jwt", "access"];

/// Claims that only other kinds of tokens have (OIDC Core §3.3.2.11, RFC 8417 §2.2), and the one that asks for a proof
/// which nobody here checks (RFC 7800 §3.1).
const NOT_HERE: [&str; 4] = ["at_hash", "c_hash", "events", "cnf"];

/// What is taken over as it is.
const TAKEN_OVER: [&str; 5] = ["iss", "aud", "iat", "nbf", "exp"];

impl Trust {
    /// What a token under a good signature of this issuer says, in our words.
    ///
    /// # Errors
    /// [`TokenFault::Invalid`]: it is not for us, not an access token, or a claim is absent or of the wrong type.
    pub(super) fn claims(
        &self,
        token: &Foreign<'_>,
        rules: &TokenRules,
    ) -> Result<Claims, TokenFault> {
        let theirs = token.payload;
        only_access(token.header, theirs)?;
        let text = |value: Option<&Value>| match value {
            Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
            _ => Err(TokenFault::Invalid),
        };
        let mut ours = Map::new();
        for name in TAKEN_OVER {
            if let Some(value) = theirs.get(name) {
                ours.insert(name.to_owned(), value.clone());
            }
        }
        for (name, path) in &self.claims {
            if let Some(value) = path.find(theirs)? {
                ours.insert(name.clone(), value.clone());
            }
        }
        let subject = format!("{}{}", self.subject_prefix, text(self.subject.find(theirs)?)?);
        ours.insert(SUBJECT.to_owned(), json!(subject));
        ours.insert(rules.identity_claim.clone(), json!(subject));
        ours.insert("type".to_owned(), json!(TokenKind::Access.name()));
        let id = match theirs.get("jti") {
            None => self.name_of("message", token.message),
            Some(id) => self.name_of("jti", &text(Some(id))?),
        };
        ours.insert("jti".to_owned(), json!(id));
        ours.insert("fresh".to_owned(), json!(false));
        if let Some((checked, until)) = self.freshness(theirs)? {
            ours.insert("auth_time".to_owned(), json!(checked.0));
            ours.insert("fresh".to_owned(), json!(until.0));
        }
        let claims = Claims { foreign: true, ..Claims::from_json(ours)? };
        let meant = |one: &String| claims.audience.contains(one);
        if claims.issuer.as_ref() != Some(&self.issuer) || !self.audience.iter().any(meant) {
            return Err(TokenFault::Invalid);
        }
        Ok(claims)
    }

    /// When the credentials were checked, and until when that is fresh.
    fn freshness(
        &self,
        theirs: &Map<String, Value>,
    ) -> Result<Option<(UnixTime, UnixTime)>, TokenFault> {
        let Some(CheckedAt { path, fresh_for }) = &self.freshness else { return Ok(None) };
        let Some(value) = path.find(theirs)? else { return Ok(None) };
        let checked = claims::numeric_date(value).ok_or(TokenFault::Invalid)?;
        Ok(Some((checked, checked.plus(*fresh_for))))
    }

    /// A name for revocation that no token of ours and none of another issuer has.
    fn name_of(&self, kind: &str, what: &str) -> String {
        let mut hash = digest::Context::new(&digest::SHA256);
        for part in [&self.issuer, kind, what] {
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        format!("{kind}:{}", URL_SAFE_NO_PAD.encode(hash.finish()))
    }

    /// Whether a subject is one of this issuer's by its prefix.
    fn claims_subject(&self, subject: &str) -> bool {
        !self.subject_prefix.is_empty() && subject.starts_with(&self.subject_prefix)
    }
}

/// RFC 8725 §3.11, §3.12: no other kind of token stands in for an access token.
fn only_access(header: &Map<String, Value>, theirs: &Map<String, Value>) -> Result<(), TokenFault> {
    let is_access = |value: Option<&Value>| match value {
        None => true,
        Some(Value::String(name)) => ACCESS_TYPES.contains(&name.to_ascii_lowercase().as_str()),
        Some(_) => false,
    };
    // `token_use` is Amazon Cognito's.
    let said = [header.get("typ"), theirs.get("typ"), theirs.get("type"), theirs.get("token_use")];
    let other = NOT_HERE.iter().any(|name| theirs.contains_key(*name));
    if said.into_iter().all(is_access) && !other { Ok(()) } else { Err(TokenFault::Invalid) }
}
