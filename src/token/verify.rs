//! From the text of a token to a [`Standing`]: who the caller proved to be at `now`.

use std::sync::Arc;

use super::{Claims, TokenKind};

/// Why a token proves nothing. Closed, and without the token's own words: they are the attacker's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFault {
    /// Not a compact JWS of three base64url parts holding JSON objects, or larger than we read.
    Malformed,
    /// More than one credential in one request (RFC 6750 §2).
    Duplicated,
    /// The signature, the key, the algorithm, the issuer, the audience or a claim's type is wrong.
    Invalid,
    /// `exp` is now or earlier.
    Expired,
    /// `nbf` or `iat` is later than now.
    NotYetValid,
    /// The token, its session or its subject was revoked.
    Revoked,
}

/// Claims whose signature, issuer, audience and times were good at the `now` of this request.
/// Only [`crate::token::verify`] makes one.
#[derive(Clone, Debug)]
pub struct VerifiedToken(Arc<Claims>);

impl VerifiedToken {
    /// What the token says.
    pub fn claims(&self) -> &Claims {
        &self.0
    }
}

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

impl Standing {
    /// A standing nobody proved, for `explain`: what *would* happen with these claims.
    /// Never called on the way of a live request.
    pub fn assumed(claims: Claims) -> Standing {
        Standing::of(VerifiedToken(Arc::new(claims)))
    }

    fn of(token: VerifiedToken) -> Standing {
        match token.claims().kind {
            TokenKind::Access => Standing::Access(token),
            TokenKind::Refresh => Standing::Refresh(token),
        }
    }
}

/// `[tokens]`: what a token must say to be believed, and how long ours live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRules {
    /// `iss` of ours, and the only one believed; `None`: not written, not looked at.
    pub issuer: Option<String>,
    /// `aud` of ours, and one of a token's must be it; `None`: not written, not looked at.
    pub audience: Option<String>,
    /// Life of an access token.
    pub access_ttl: std::time::Duration,
    /// Life of a refresh token, and so of a session.
    pub refresh_ttl: std::time::Duration,
    /// Clock difference forgiven for `exp`, `nbf` and `iat`; at most 5 minutes.
    pub leeway: std::time::Duration,
}
