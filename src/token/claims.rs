//! The claims of a token, typed once and never looked up by string again.
//!
//! These are the claims that Flask-JWT-Extended 4.x writes and reads, plus `auth_time` (OIDC Core §2)
//! and `sid` (OIDC Front-Channel Logout §3). [`Claims::from_json`] refuses a wrong type instead of
//! treating the claim as absent (CVE-2026-25537).

use serde_json::{Map, Value};

use super::{TokenFault, UnixTime};

/// Claims that the gateway writes itself: no user's claim of the same name can replace them.
pub const RESERVED_CLAIMS: [&str; 11] =
    ["iss", "sub", "aud", "iat", "nbf", "exp", "jti", "type", "fresh", "auth_time", "sid"];

/// The claim that says who, unless the configuration names another (RFC 7519 §4.1.2).
pub const SUBJECT: &str = "sub";

/// What a token is for; one never stands in for the other (RFC 8725 §3.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// Opens routes.
    Access,
    /// Gets the next access token, and nothing else.
    Refresh,
}

impl TokenKind {
    /// The value of the `type` claim.
    pub fn name(self) -> &'static str {
        match self {
            TokenKind::Access => "access",
            TokenKind::Refresh => "refresh",
        }
    }
}

/// Whether the token came from a credential check.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Freshness {
    /// From a refresh.
    Stale,
    /// From a credential check.
    Fresh,
    /// Fresh until this second, fractions allowed (Flask-JWT-Extended's timed freshness).
    Until(f64),
}

/// What a token with a good signature says. Whether it is good *now* is [`super::verify`]'s business.
#[derive(Clone, Debug)]
pub struct Claims {
    /// `sub`, or what `[tokens] identity_claim` names instead: who.
    pub subject: String,
    /// `type`.
    pub kind: TokenKind,
    /// `jti`: this token.
    pub id: String,
    /// `iat`.
    pub issued_at: UnixTime,
    /// `nbf`, if there is one.
    pub not_before: Option<UnixTime>,
    /// `exp`: the first second in which the token is no longer good.
    pub expires_at: UnixTime,
    /// `fresh`; absent means stale.
    pub freshness: Freshness,
    /// `auth_time`: when the credentials were last checked.
    pub auth_time: Option<UnixTime>,
    /// `sid`: the session, absent on tokens that no login started.
    pub session: Option<String>,
    /// `iss`.
    pub issuer: Option<String>,
    /// `aud`, as a list.
    pub audience: Vec<String>,
    /// Whether another issuer said it, in whose sessions and passwords we have no part.
    pub foreign: bool,
    /// Every member of the payload, for identity headers and claim rules.
    pub all: Map<String, Value>,
}

impl Claims {
    /// Types every claim that means something to us.
    ///
    /// # Errors
    /// [`TokenFault::Invalid`] when a required claim is absent or any claim has the wrong JSON type.
    pub fn from_json(all: Map<String, Value>) -> Result<Claims, TokenFault> {
        Claims::identified_by(SUBJECT, all)
    }

    /// As [`Claims::from_json`], where `identity` says who, and not `sub`. For all that follows it *is* `sub`: no
    /// header and no claim rule may go by another name than revocation does.
    ///
    /// # Errors
    /// As [`Claims::from_json`].
    pub fn identified_by(
        identity: &str,
        mut all: Map<String, Value>,
    ) -> Result<Claims, TokenFault> {
        if identity != SUBJECT {
            let who = all.get(identity).cloned().ok_or(TokenFault::Invalid)?;
            all.insert(SUBJECT.to_owned(), who);
        }
        let text = |name: &str| match all.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(TokenFault::Invalid),
        };
        let time = |name: &str| match all.get(name) {
            None => Ok(None),
            Some(value) => numeric_date(value).map(Some).ok_or(TokenFault::Invalid),
        };
        let kind = match text("type")?.as_deref() {
            Some("access") => TokenKind::Access,
            Some("refresh") => TokenKind::Refresh,
            _ => return Err(TokenFault::Invalid),
        };
        Ok(Claims {
            subject: text(SUBJECT)?.filter(|sub| !sub.is_empty()).ok_or(TokenFault::Invalid)?,
            kind,
            id: text("jti")?.filter(|jti| !jti.is_empty()).ok_or(TokenFault::Invalid)?,
            issued_at: time("iat")?.ok_or(TokenFault::Invalid)?,
            not_before: time("nbf")?,
            expires_at: time("exp")?.ok_or(TokenFault::Invalid)?,
            freshness: freshness(all.get("fresh"))?,
            auth_time: time("auth_time")?,
            session: text("sid")?,
            issuer: text("iss")?,
            audience: audience(all.get("aud"))?,
            foreign: false,
            all,
        })
    }

    /// Whether a credential check stands behind this token at `now`.
    pub fn is_fresh(&self, now: UnixTime) -> bool {
        match self.freshness {
            Freshness::Stale => false,
            Freshness::Fresh => true,
            Freshness::Until(moment) => moment >= now.0 as f64,
        }
    }

    /// How long ago the credentials were checked. Without `auth_time` a fresh token was minted at the
    /// check itself, so its `iat` says when; a stale one says nothing.
    pub fn auth_age(&self, now: UnixTime) -> Option<std::time::Duration> {
        let fallback = match self.freshness {
            Freshness::Stale => None,
            Freshness::Fresh | Freshness::Until(_) => Some(self.issued_at),
        };
        self.auth_time.or(fallback).map(|checked| now.since(checked))
    }
}

/// The largest time we take: the year 9999. Above it arithmetic would be the attacker's.
pub(super) const TIME_MAX: f64 = 253_402_300_800.0;

/// A NumericDate (RFC 7519 §2), rounded down to seconds; `None` for what is no time from 1970 to 9999.
pub fn numeric_date(value: &Value) -> Option<UnixTime> {
    let seconds = value.as_f64()?;
    (0.0..TIME_MAX).contains(&seconds).then_some(UnixTime(seconds as u64))
}

fn freshness(value: Option<&Value>) -> Result<Freshness, TokenFault> {
    match value {
        None | Some(Value::Bool(false)) => Ok(Freshness::Stale),
        Some(Value::Bool(true)) => Ok(Freshness::Fresh),
        Some(Value::Number(moment)) => {
            moment.as_f64().map(Freshness::Until).ok_or(TokenFault::Invalid)
        }
        Some(_) => Err(TokenFault::Invalid),
    }
}

fn audience(value: Option<&Value>) -> Result<Vec<String>, TokenFault> {
    match value {
        None => Ok(Vec::new()),
        Some(Value::String(one)) => Ok(vec![one.clone()]),
        Some(Value::Array(many)) => many
            .iter()
            .map(|one| one.as_str().map(str::to_owned).ok_or(TokenFault::Invalid))
            .collect(),
        Some(_) => Err(TokenFault::Invalid),
    }
}
