//! The decision: may this caller pass this route at this moment?
//!
//! Pure: borrowed facts in, a value out; no I/O, no clocks, no logging. [`decide`] is the only maker of
//! a [`Permit`], and nothing is forwarded, answered or told to a backend without one.

pub mod double_submit;
pub mod host;
pub mod origin;
pub mod path;
pub mod pattern;
pub mod refusal;
pub mod rewrite;
pub mod route;
pub mod rules;
mod spelling;
mod table;
pub mod weaker;
pub mod witness;

use std::sync::Arc;
use std::time::Duration;

use crate::token::extract::Cookies;
use crate::token::{Claims, Standing, TokenFault, UnixTime, VerifiedToken};
use path::CanonicalPath;
pub use refusal::{Challenge, Refusal};
use route::Route;

/// A policy lowered to what must be proved. Closed: `decide` matches every pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// `public`: the token is never looked at.
    Public,
    /// `optional`: no token, or a good access token.
    Optional,
    /// `access-required`: a good access token.
    Access,
    /// `fresh-required`: a good access token from a credential check, at most `max_age` ago if set.
    Fresh {
        /// The greatest age of the credential check.
        max_age: Option<Duration>,
    },
    /// `refresh-only`: a good refresh token.
    Refresh,
    /// A good token of either kind. Only our logout endpoint asks for it; no route can.
    AnyToken,
    /// `deny`: nobody.
    Deny,
}

impl Requirement {
    /// The policy's name in the configuration, in logs and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Requirement::Public => "public",
            Requirement::Optional => "optional",
            Requirement::Access => "access-required",
            Requirement::Fresh { .. } => "fresh-required",
            Requirement::Refresh => "refresh-only",
            Requirement::AnyToken => "any-token",
            Requirement::Deny => "deny",
        }
    }

    /// Which cookie can hold what it asks for.
    pub fn cookies(self) -> Cookies {
        match self {
            Requirement::Refresh => Cookies::Refresh,
            Requirement::AnyToken => Cookies::Either,
            Requirement::Public
            | Requirement::Optional
            | Requirement::Access
            | Requirement::Fresh { .. }
            | Requirement::Deny => Cookies::Access,
        }
    }
}

/// Proof that a route's requirement was met. Made only by [`decide`], used once.
#[derive(Debug)]
pub struct Permit {
    route: Arc<Route>,
    token: Option<VerifiedToken>,
    fresh: bool,
    reported: Option<Refusal>,
}

impl Permit {
    /// The route that was passed.
    pub fn route(&self) -> &Arc<Route> {
        &self.route
    }

    /// What the policy would have answered, had the route not been in report mode.
    pub fn reported(&self) -> Option<Refusal> {
        self.reported
    }

    /// Whether the caller's token was fresh when this was judged.
    pub fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// What the caller's token says; `None` for an anonymous caller.
    pub fn claims(&self) -> Option<&Claims> {
        self.token().map(VerifiedToken::claims)
    }

    /// The caller's token; `None` for an anonymous caller.
    pub fn token(&self) -> Option<&VerifiedToken> {
        self.token.as_ref()
    }
}

/// What a standing is worth at `now`: the columns of the policy table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grade {
    None,
    Bad(TokenFault),
    Refresh,
    Stale,
    Fresh,
}

/// Judges one request: the requirement first, then the route's claim rules. A route in report mode passes
/// what it would refuse, and the permit says so; a token that proves nothing is then nobody's.
///
/// # Errors
/// The [`Refusal`] that the client is told.
pub fn decide(
    route: &Arc<Route>,
    path: &CanonicalPath<'_>,
    standing: Standing,
    now: UnixTime,
) -> Result<Permit, Refusal> {
    let grade = grade(route.requirement, &standing, now);
    let token = standing.into_token();
    let claims = token.as_ref().map(VerifiedToken::claims);
    let capture = |index| route.pattern.capture(path, index);
    let judged =
        meets(route.requirement, grade).and_then(|()| rules::hold(&route.claims, claims, capture));
    let reported = match judged {
        Ok(()) => None,
        Err(refusal) if route.report => Some(refusal),
        Err(refusal) => return Err(refusal),
    };
    // A token of the wrong kind names nobody, even where it is only reported.
    let token = token.filter(|_| reported.is_none_or(Refusal::knows_who));
    let fresh = token.as_ref().is_some_and(|token| token.claims().is_fresh(now));
    Ok(Permit { route: Arc::clone(route), token, fresh, reported })
}

/// Judges a CORS preflight on a route that says `preflight = true`: it carries no token by definition
/// (Fetch standard, CORS-preflight fetch), so it passes as nobody, unless the route is denied.
pub fn decide_preflight(route: &Arc<Route>) -> Result<Permit, Refusal> {
    match route.requirement {
        Requirement::Deny if !route.report => Err(Refusal::Denied),
        requirement => {
            let denied = requirement == Requirement::Deny;
            let reported = denied.then_some(Refusal::Denied);
            Ok(Permit { route: Arc::clone(route), token: None, fresh: false, reported })
        }
    }
}

/// The policy table: every requirement against every grade, each arm a cell or a row of it.
fn meets(requirement: Requirement, grade: Grade) -> Result<(), Refusal> {
    use Grade as G;
    use Requirement as R;
    match (requirement, grade) {
        // Nobody passes, and nobody learns that the route exists.
        (R::Deny, G::None | G::Bad(_) | G::Refresh | G::Stale | G::Fresh) => Err(Refusal::Denied),
        // Whatever is presented is never looked at.
        (R::Public, G::None | G::Bad(_) | G::Refresh | G::Stale | G::Fresh) => Ok(()),
        // Optional means none or a good one.
        (R::Optional, G::None) => Ok(()),
        (R::Access | R::Fresh { .. } | R::Refresh | R::AnyToken, G::None) => {
            Err(Refusal::TokenMissing)
        }
        (R::Optional | R::Access | R::Fresh { .. } | R::Refresh | R::AnyToken, G::Bad(fault)) => {
            Err(Refusal::from(fault))
        }
        // A refresh token never opens an access route, nor the reverse.
        (R::Refresh | R::AnyToken, G::Refresh) => Ok(()),
        (R::Optional | R::Access | R::Fresh { .. }, G::Refresh) => Err(Refusal::TokenWrongType),
        (R::Refresh, G::Stale | G::Fresh) => Err(Refusal::TokenWrongType),
        (R::Optional | R::Access | R::AnyToken, G::Stale | G::Fresh) => Ok(()),
        (R::Fresh { max_age }, G::Stale) => Err(Refusal::TokenNotFresh { max_age }),
        (R::Fresh { .. }, G::Fresh) => Ok(()),
    }
}

/// A token older than the route's `max_age` is stale for this route, however fresh it says it is.
fn grade(requirement: Requirement, standing: &Standing, now: UnixTime) -> Grade {
    match standing {
        Standing::Anonymous => Grade::None,
        Standing::Unproven(fault) => Grade::Bad(*fault),
        Standing::Refresh(_) => Grade::Refresh,
        Standing::Access(token) => {
            let claims = token.claims();
            let in_time = match requirement {
                Requirement::Fresh { max_age: Some(max_age) } => {
                    claims.auth_age(now).is_some_and(|age| age <= max_age)
                }
                _ => true,
            };
            if claims.is_fresh(now) && in_time { Grade::Fresh } else { Grade::Stale }
        }
    }
}

#[cfg(test)]
mod tests;
