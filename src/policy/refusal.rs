//! Every way a request can be refused: closed, without strings, and each with its status, its stable
//! code, its challenge and the one sentence that the public may read (RFC 9457, RFC 6750 §3, RFC 9470 §3).

use std::time::Duration;

use crate::token::TokenFault;

/// Why a request was refused. The code of each is stable: clients and dashboards rely on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No route matches: nothing is open by omission.
    NoRoute,
    /// The route's policy is `deny`; told as [`Refusal::NoRoute`], so that nobody learns it exists.
    Denied,
    /// The path has more than one reading.
    BadPath,
    /// The request target is not a path (RFC 9112 §3.2.1), or the request line is not one.
    BadTarget,
    /// A header field is malformed, repeated or contradicts another (RFC 9112 §5, §6.3).
    BadHeader,
    /// The method is not one that we handle.
    BadMethod,
    /// The request line is longer than `[limits] target_max`.
    TargetTooLong,
    /// The header section is larger than `[limits] header_max` or has more than `header_count` fields.
    HeaderTooLarge,
    /// The request head or body did not arrive in time.
    RequestTimeout,
    /// A body that is not what one of our endpoints takes, or not what its headers say.
    BadBody,
    /// The body is larger than the route's `body_max`.
    BodyTooLarge,
    /// No credential was presented.
    TokenMissing,
    /// What was presented is not a token.
    TokenMalformed,
    /// More than one credential was presented.
    TokenDuplicated,
    /// The token is not one of ours, or not for us.
    TokenInvalid,
    /// The token has expired.
    TokenExpired,
    /// The token is not valid yet.
    TokenNotYetValid,
    /// The token, its session or its subject was revoked.
    TokenRevoked,
    /// A refresh token where an access token is wanted, or the reverse.
    TokenWrongType,
    /// The credentials must be checked again, at most `max_age` ago (RFC 9470 §3).
    TokenNotFresh {
        /// The route's `max_age`.
        max_age: Option<Duration>,
    },
    /// A claim rule of the route failed.
    ClaimsRefused,
    /// The token is in a cookie, the method changes things, and nothing says that a page of ours sent the request.
    CrossSite,
    /// The user name or the password is wrong; which of them is never told.
    CredentialsInvalid,
    /// Too many failed attempts; try again after this long.
    LoginThrottled {
        /// How long to wait.
        retry_after: Duration,
    },
    /// The backend cannot be reached or broke the protocol.
    UpstreamUnreachable,
    /// The backend did not answer in time.
    UpstreamTimeout,
    /// The state or credential store is away; nothing was changed.
    StoreUnavailable,
    /// A limit on work in progress is reached.
    Overloaded,
    /// Our own mistake: a panic in one request is that request's alone.
    Internal,
}

/// The `WWW-Authenticate` challenge that goes with a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// No challenge: the refusal is not about a credential.
    None,
    /// `Bearer` alone: no credential was sent, so no error is told (RFC 6750 §3.1).
    Bare,
    /// `Bearer error="…"`.
    Error(&'static str),
    /// `insufficient_user_authentication`, with the age wanted if there is one (RFC 9470 §3).
    StepUp(Option<Duration>),
}

impl Refusal {
    /// One of each, for lists of what can happen.
    pub const ALL: [Refusal; 29] = [
        Refusal::NoRoute,
        Refusal::Denied,
        Refusal::BadPath,
        Refusal::BadTarget,
        Refusal::BadHeader,
        Refusal::BadMethod,
        Refusal::TargetTooLong,
        Refusal::HeaderTooLarge,
        Refusal::RequestTimeout,
        Refusal::BadBody,
        Refusal::BodyTooLarge,
        Refusal::TokenMissing,
        Refusal::TokenMalformed,
        Refusal::TokenDuplicated,
        Refusal::TokenInvalid,
        Refusal::TokenExpired,
        Refusal::TokenNotYetValid,
        Refusal::TokenRevoked,
        Refusal::TokenWrongType,
        Refusal::TokenNotFresh { max_age: None },
        Refusal::ClaimsRefused,
        Refusal::CrossSite,
        Refusal::CredentialsInvalid,
        Refusal::LoginThrottled { retry_after: Duration::ZERO },
        Refusal::UpstreamUnreachable,
        Refusal::UpstreamTimeout,
        Refusal::StoreUnavailable,
        Refusal::Overloaded,
        Refusal::Internal,
    ];

    /// The codes of [`Refusal::ALL`], in its order.
    pub const CODES: [&'static str; Refusal::ALL.len()] = {
        let mut codes = [""; Refusal::ALL.len()];
        let mut index = 0;
        while index < codes.len() {
            codes[index] = Refusal::ALL[index].parts().1;
            index += 1;
        }
        codes
    };

    /// Status, code, challenge and public sentence, all in one place.
    #[rustfmt::skip]
    pub const fn parts(self) -> (u16, &'static str, Challenge, &'static str) {
        use Challenge::{Bare, Error, None, StepUp};
        const INVALID: Challenge = Error("invalid_token");
        match self {
            Refusal::NoRoute | Refusal::Denied => (404, "no-route", None, "No such resource."),
            Refusal::BadPath => (400, "bad-path", None, "The path has more than one reading."),
            Refusal::BadTarget => (400, "bad-target", None, "The request target is not a path."),
            Refusal::BadHeader => (400, "bad-header", None, "A header field is malformed, repeated or contradicts another."),
            Refusal::BadMethod => (501, "bad-method", None, "The method is not supported."),
            Refusal::TargetTooLong => (414, "target-too-long", None, "The request target is too long."),
            Refusal::HeaderTooLarge => (431, "header-too-large", None, "The header section is too large."),
            Refusal::RequestTimeout => (408, "request-timeout", None, "The request did not arrive in time."),
            Refusal::BadBody => (400, "bad-body", None, "The body is not what is wanted here, or not what its headers say."),
            Refusal::BodyTooLarge => (413, "body-too-large", None, "The body is larger than this route accepts."),
            Refusal::TokenMissing => (401, "token-missing", Bare, "A token is required."),
            Refusal::TokenMalformed => (401, "token-malformed", INVALID, "What was presented is not a token."),
            Refusal::TokenDuplicated => (400, "token-duplicated", Error("invalid_request"), "More than one credential was presented."),
            Refusal::TokenInvalid => (401, "token-invalid", INVALID, "The token is not accepted here."),
            Refusal::TokenExpired => (401, "token-expired", INVALID, "The token has expired."),
            Refusal::TokenNotYetValid => (401, "token-not-yet-valid", INVALID, "The token is not valid yet."),
            Refusal::TokenRevoked => (401, "token-revoked", INVALID, "The token has been revoked."),
            Refusal::TokenWrongType => (401, "token-wrong-type", INVALID, "This kind of token is not accepted here."),
            Refusal::TokenNotFresh { max_age } => (401, "token-not-fresh", StepUp(max_age), "Prove again that it is you."),
            Refusal::ClaimsRefused => (403, "claims-refused", Error("insufficient_scope"), "The token does not grant this."),
            Refusal::CrossSite => (403, "cross-site", None, "The request may come from another site."),
            Refusal::CredentialsInvalid => (401, "credentials-invalid", Bare, "The user name or the password is wrong."),
            Refusal::LoginThrottled { .. } => (429, "login-throttled", None, "Too many attempts; wait before the next one."),
            Refusal::UpstreamUnreachable => (502, "upstream-unreachable", None, "The backend cannot be reached."),
            Refusal::UpstreamTimeout => (504, "upstream-timeout", None, "The backend did not answer in time."),
            Refusal::StoreUnavailable => (503, "store-unavailable", None, "The store is away; nothing was changed."),
            Refusal::Overloaded => (503, "overloaded", None, "Too much is in progress; try again."),
            Refusal::Internal => (500, "internal", None, "Something went wrong here."),
        }
    }

    /// Whether a good access token was presented all the same.
    pub fn knows_who(self) -> bool {
        matches!(self, Refusal::TokenNotFresh { .. } | Refusal::ClaimsRefused)
    }

    /// The stable code, the same in answers, logs and metrics.
    pub fn code(self) -> &'static str {
        self.parts().1
    }
}

impl From<TokenFault> for Refusal {
    fn from(fault: TokenFault) -> Refusal {
        match fault {
            TokenFault::Malformed => Refusal::TokenMalformed,
            TokenFault::Duplicated => Refusal::TokenDuplicated,
            TokenFault::Invalid | TokenFault::Forged => Refusal::TokenInvalid,
            TokenFault::Unchecked => Refusal::Overloaded,
            TokenFault::Expired => Refusal::TokenExpired,
            TokenFault::NotYetValid => Refusal::TokenNotYetValid,
            TokenFault::Revoked => Refusal::TokenRevoked,
            TokenFault::CrossSite => Refusal::CrossSite,
            TokenFault::Unconfirmed => Refusal::StoreUnavailable,
        }
    }
}
