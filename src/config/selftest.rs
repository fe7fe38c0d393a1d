//! What `[[test]]` means: a request that can be judged, and what must come of it.
//!
//! Made by `lower`; run by `gateway::selftest`, which knows how requests are judged.

use std::time::Duration;

use http::HeaderMap;
use serde_json::{Map, Value, json};

use super::diagnostic::Span;
use crate::token::claims::TokenKind;
use crate::token::{Claims, TokenFault, UnixTime};

/// One `[[test]]`.
#[derive(Clone, Debug)]
pub struct FileTest {
    /// The request as written, for messages.
    pub request: String,
    /// The method.
    pub method: String,
    /// The host in canonical spelling; empty when the request names none.
    pub host: String,
    /// The path part of the target, as it would be sent.
    pub path: String,
    /// The query part, as it would be sent; it never decides the route.
    pub query: Option<String>,
    /// `headers`.
    pub headers: HeaderMap,
    /// Who asks; `None` for nobody in particular.
    pub caller: Option<Caller>,
    /// `"pass"`, or the code of a refusal.
    pub expect: &'static str,
    /// The upstream that must get it, by its index.
    pub upstream: Option<usize>,
    /// The path that the backend must get.
    pub upstream_path: Option<String>,
    /// Where the parts stand in the file.
    pub places: Places,
}

/// Where the parts of a test stand in the file.
#[derive(Clone, Debug)]
pub struct Places {
    /// The request.
    pub request: Span,
    /// `expect`.
    pub expect: Span,
    /// `upstream`, or where there is none, the request.
    pub upstream: Span,
    /// `path`, or where there is none, the request.
    pub path: Span,
}

/// A caller with a good token that says this.
#[derive(Clone, Debug, PartialEq)]
pub struct Caller {
    /// `sub`.
    pub subject: String,
    /// `type`.
    pub kind: TokenKind,
    /// `fresh`.
    pub fresh: bool,
    /// How long before the request the credentials were checked.
    pub auth_age: Duration,
    /// What the token says besides.
    pub claims: Map<String, Value>,
}

impl Caller {
    /// What the token says when it is presented at `now`.
    ///
    /// # Errors
    /// [`TokenFault::Invalid`] when `sub` is empty: no token has that.
    pub fn claims(&self, now: UnixTime) -> Result<Claims, TokenFault> {
        let checked = now.0.saturating_sub(self.auth_age.as_secs());
        let mut all = self.claims.clone();
        let own = json!({
            "sub": self.subject, "type": self.kind.name(), "fresh": self.fresh, "jti": "test",
            "iat": now.0, "auth_time": checked, "exp": now.plus(LIFE).0,
        });
        if let Value::Object(own) = own {
            all.extend(own);
        }
        Claims::from_json(all)
    }
}

/// How long the token of a test is good: any time will do.
const LIFE: Duration = Duration::from_secs(15 * 60);
