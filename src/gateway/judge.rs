//! Steps 2 to 6 of a request's life, in one function for everybody who asks: live requests, our endpoints and
//! `explain`. A second implementation may not exist.

use std::sync::Arc;

use http::header::{ACCESS_CONTROL_REQUEST_METHOD, ORIGIN};
use http::{HeaderMap, Method};

use crate::policy::path::{CanonicalPath, PathFault, PathRules};
use crate::policy::route::{Route, RouteTable};
use crate::policy::{self, Permit, Refusal, Requirement};
use crate::token::extract::{self, Presented};
use crate::token::{Standing, TokenFault, UnixTime, VerifiedToken};

/// The part of the configuration that judges.
#[derive(Clone, Copy, Debug)]
pub struct View<'c> {
    /// Every route.
    pub routes: &'c RouteTable,
    /// What `[paths]` lets pass.
    pub paths: &'c PathRules,
}

/// What is asked, borrowed from the request.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'p, 'r> {
    /// The method, as sent.
    pub method: &'r str,
    /// The host in canonical spelling; empty when the request named none.
    pub host: &'r str,
    /// The path part of the target, as sent.
    pub path: &'p str,
    /// The header section, as sent.
    pub headers: &'r HeaderMap,
}

/// What came of it, and on the way to what.
#[derive(Debug)]
pub struct Judged<'p> {
    /// The one path; absent when the asked one has several readings, and then says which rule it broke.
    pub path: Result<CanonicalPath<'p>, PathFault>,
    /// The most specific route that matches.
    pub route: Option<Arc<Route>>,
    /// The token that was proved, whatever the decision: for the log only, since a decision needs a permit.
    pub proved: Option<VerifiedToken>,
    /// May it pass?
    pub decision: Result<Permit, Refusal>,
}

/// Judges a request. `prove` turns the text of a presented token into a standing.
pub fn judge<'p>(
    view: View<'_>,
    asked: &Asked<'p, '_>,
    prove: impl FnOnce(Presented<'_>) -> Standing,
    now: UnixTime,
) -> Judged<'p> {
    let path = match CanonicalPath::parse(asked.path, view.paths) {
        Ok(path) => path,
        Err(fault) => {
            return refused(Err(fault), Refusal::BadPath);
        }
    };
    let Some(route) = view.routes.find(asked.method, asked.host, &path) else {
        return refused(Ok(path), Refusal::NoRoute);
    };
    let (proved, decision) = match stand(route, asked, prove) {
        Ok(standing) => {
            let proved = standing.clone().into_token();
            (proved, policy::decide(route, &path, standing, now))
        }
        Err(decision) => (None, decision),
    };
    Judged { path: Ok(path), route: Some(Arc::clone(route)), proved, decision }
}

fn refused(path: Result<CanonicalPath<'_>, PathFault>, refusal: Refusal) -> Judged<'_> {
    Judged { path, route: None, proved: None, decision: Err(refusal) }
}

/// Who asks; or, where that is not the question, the decision itself.
fn stand(
    route: &Arc<Route>,
    asked: &Asked<'_, '_>,
    prove: impl FnOnce(Presented<'_>) -> Standing,
) -> Result<Standing, Result<Permit, Refusal>> {
    if route.preflight && is_preflight(asked) {
        return Err(policy::decide_preflight(route));
    }
    match (route.requirement, extract::bearer(asked.headers)) {
        // Never looked at, but a backend behind a public route must not have to choose between two either.
        (Requirement::Public, Presented::Duplicated) => Err(Err(TokenFault::Duplicated.into())),
        (Requirement::Public | Requirement::Deny, _) => Ok(Standing::Anonymous),
        (_, presented) => Ok(prove(presented)),
    }
}

/// A CORS preflight by its form (Fetch standard, CORS protocol).
fn is_preflight(asked: &Asked<'_, '_>) -> bool {
    asked.method == Method::OPTIONS.as_str()
        && asked.headers.contains_key(ORIGIN)
        && asked.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}
