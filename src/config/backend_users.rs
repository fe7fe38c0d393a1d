//! `[login.users] backend`: the login of the legacy application, as the store of users asks it.

use std::sync::Arc;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, StatusCode};

use super::HostRule;
use crate::token::extract::NamePattern;
use crate::token::trust::ClaimPath;

/// How a name and a password are checked by the login of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendUsers {
    /// The upstream whose login it is.
    pub upstream: Arc<str>,
    /// Its host, as written, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What `Host` it sees.
    pub host_rule: HostRule,
    /// The path that takes the login, and its query.
    pub post: PathAndQuery,
    /// How name and password are written.
    pub format: LoginFormat,
    /// The field of the name.
    pub username: String,
    /// The field of the password.
    pub password: String,
    /// What is sent besides, as it is.
    pub fields: Vec<(String, String)>,
    /// Header fields that are sent besides.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Whether the name is sent as typed, or in its one spelling.
    pub as_typed: bool,
    /// Which answer says that the password is right. At least one condition.
    pub success: Success,
    /// Where a JSON answer says who it is; `None`: the name that was sent.
    pub subject: Option<ClaimPath>,
    /// The claims that a JSON answer gives.
    pub claims: Vec<(String, ClaimPath)>,
    /// Which cookies of the answer are kept and sent with the user's requests.
    pub keep_cookies: Vec<CookieName>,
    /// The longest a check may take.
    pub timeout: Duration,
}

/// How name and password are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginFormat {
    /// `application/x-www-form-urlencoded`.
    Form,
    /// A flat JSON object.
    Json,
    /// `Authorization: Basic` (RFC 7617).
    Basic,
}

/// Conditions that an answer must meet, all of those that are given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Success {
    /// One of these; none: any that is no error (below 400).
    pub status: Vec<StatusCode>,
    /// This field is there and not empty.
    pub header: Option<HeaderName>,
    /// A cookie of this name is set.
    pub cookie: Option<CookieName>,
    /// The JSON body has this, and it is neither `null`, `false`, `0` nor empty.
    pub json: Option<ClaimPath>,
    /// The answer is a redirect, and not to this path or below it.
    pub redirect_not_to: Option<String>,
}

impl Success {
    /// Whether there is anything to tell a right password by.
    pub fn is_empty(&self) -> bool {
        *self == Success::default()
    }
}

/// The name of a cookie, or with `*` at its end the beginning of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieName(pub String);

impl CookieName {
    /// What some backend may take for it.
    pub fn pattern(&self) -> NamePattern {
        NamePattern::of(&self.0)
    }

    /// Whether it means this cookie. Names of cookies tell upper from lower case.
    pub fn means(&self, name: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == self.0,
        }
    }
}
