//! What a route is: its pattern, what must be proved, and what it leads to. Plain values, made when the
//! configuration is read; the table that finds them is in `policy/table.rs`.

use std::time::Duration;

use super::Requirement;
use super::pattern::Pattern;
use super::rules::ClaimRule;
pub use super::table::{RouteTable, Tie};
use crate::token::extract::{Accept, Locations};

/// One line of `[routes]`, or one of our endpoints.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// The pattern as written: the route's name in logs, metrics and `explain`.
    pub id: String,
    /// Its position in the table's list of routes.
    pub index: usize,
    /// The pattern, parsed.
    pub pattern: Pattern,
    /// What must be proved.
    pub requirement: Requirement,
    /// What the token must say besides.
    pub claims: Vec<ClaimRule>,
    /// Where the token may be; `None`: as `[tokens]` says.
    pub accept: Option<Accept>,
    /// A CORS preflight passes without a token.
    pub preflight: bool,
    /// `mode = "report"`: what would be refused is logged and counted, and passes.
    pub report: bool,
    /// What happens once the requirement is met.
    pub action: Action,
}

impl Route {
    /// Where its token may be, in a configuration with these locations.
    pub fn accepts(&self, locations: &Locations) -> Accept {
        self.accept.unwrap_or(locations.accept)
    }

    /// A route without claim rules, preflight or report mode; its index is given by the table.
    pub fn new(
        id: impl Into<String>,
        pattern: Pattern,
        requirement: Requirement,
        action: Action,
    ) -> Route {
        Route {
            id: id.into(),
            index: 0,
            pattern,
            requirement,
            claims: Vec::new(),
            accept: None,
            preflight: false,
            report: false,
            action,
        }
    }
}

/// What a route leads to.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// The gateway answers itself.
    Endpoint(Endpoint),
    /// The request goes to a backend.
    Forward(Forward),
}

/// Our own URLs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `POST /auth/login`
    Login,
    /// `POST /auth/refresh`
    Refresh,
    /// `POST /auth/reauth`
    Reauth,
    /// `POST /auth/logout`
    Logout,
    /// `GET /auth/me`
    Me,
    /// `GET /auth/sessions`
    Sessions,
    /// `DELETE /auth/sessions/{sid}`
    EndSession,
    /// `DELETE /auth/sessions`
    EndSessions,
    /// `GET /.well-known/jwks.json`
    Jwks,
}

/// How a request goes to its backend.
#[derive(Clone, Debug, PartialEq)]
pub struct Forward {
    /// Index into the configuration's upstreams.
    pub upstream: usize,
    /// The path the backend gets, where it differs.
    pub rewrite: Option<Rewrite>,
    /// Replaces the upstream's first-byte timeout.
    pub timeout: Option<Duration>,
    /// Replaces `[limits] body_max`, in bytes.
    pub body_max: Option<u64>,
    /// Whether the backend gets the token itself.
    pub forward_token: bool,
}

/// A parsed `rewrite`: the parts of the backend's path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrite {
    /// Joined with `/` in front of each.
    pub segments: Vec<RewriteSegment>,
}

/// One segment of a rewrite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RewriteSegment {
    /// Text and captured segments, concatenated: `v{version}` is two parts.
    Parts(Vec<RewritePart>),
    /// `**`: what the pattern's `**` matched.
    Rest,
}

/// A piece of a rewritten segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RewritePart {
    /// As written, in canonical spelling.
    Text(String),
    /// The text of the pattern's segment with this index.
    Capture(usize),
}
