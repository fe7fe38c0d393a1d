//! Steps 2 to 6 of a request's life, in one function for everybody who asks: live requests, our endpoints and
//! `explain`. A second implementation may not exist.

use std::sync::Arc;

use http::header::{ACCESS_CONTROL_REQUEST_METHOD, ORIGIN};
use http::{HeaderMap, Method};

use crate::config::Config;
use crate::policy::path::{CanonicalPath, PathFault, PathRules};
use crate::policy::route::{Route, RouteTable};
use crate::policy::{self, Permit, Refusal, Requirement, double_submit, origin};
use crate::token::extract::{Cookies, Location, Locations, Presented};
use crate::token::{Standing, TokenFault, UnixTime, VerifiedToken};

/// The part of the configuration that judges.
#[derive(Clone, Copy, Debug)]
pub struct View<'c> {
    /// Every route.
    pub routes: &'c RouteTable,
    /// What `[paths]` lets pass.
    pub paths: &'c PathRules,
    /// Where tokens are looked for.
    pub locations: &'c Locations,
    /// Whether a token from a cookie needs its `csrf` claim in a field, on a method that changes things.
    pub csrf: bool,
}

impl<'c> View<'c> {
    /// Of this configuration.
    pub fn of(config: &'c Config) -> View<'c> {
        View {
            routes: &config.routes,
            paths: &config.paths,
            locations: &config.locations,
            csrf: config.tokens.csrf,
        }
    }

    /// The same for a token that is presented as it should be: for tests and questions that say who asks, and not how.
    pub fn presented_well(self) -> View<'c> {
        View { csrf: false, ..self }
    }

    /// Puts a token where the route of this request looks first: for tests and questions that say who asks, and not
    /// how.
    pub fn present(
        self,
        (method, host, path): (&str, &str, &str),
        token: &str,
        headers: &mut HeaderMap,
        query: &mut Option<String>,
    ) {
        let path = CanonicalPath::parse(path, self.paths).ok();
        let route = path.and_then(|path| self.routes.find(method, host, &path));
        let first = route.and_then(|route| route.accepts(self.locations).iter().next());
        let cookies = route.map_or(Cookies::Access, |route| route.requirement.cookies());
        let place = (first.unwrap_or(Location::Header), cookies);
        self.locations.place(place, token, headers, query);
    }
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
    /// The query of the target, as sent. It never decides the route.
    pub query: Option<&'r str>,
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
    let (proved, decision) = match stand(route, view, asked, prove) {
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
    view: View<'_>,
    asked: &Asked<'_, '_>,
    prove: impl FnOnce(Presented<'_>) -> Standing,
) -> Result<Standing, Result<Permit, Refusal>> {
    if route.preflight && is_preflight(asked) {
        return Err(policy::decide_preflight(route));
    }
    let (accept, cookies) = (route.accepts(view.locations), route.requirement.cookies());
    let found = view.locations.find(accept, cookies, asked.headers, asked.query);
    match (route.requirement, found.presented, found.location) {
        // Never looked at, but a backend behind a public route must not have to choose between two either. Cookies are
        // not the client's own doing, and are removed: two of them must not shut the way to the login.
        (Requirement::Public, Presented::Duplicated, Some(Location::Header)) => {
            Err(Err(TokenFault::Duplicated.into()))
        }
        (Requirement::Public | Requirement::Deny, ..) => Ok(Standing::Anonymous),
        (_, _, Some(Location::Cookie))
            if !origin::is_own(asked.method, asked.host, asked.headers) =>
        {
            Ok(Standing::Unproven(TokenFault::CrossSite))
        }
        (_, presented, Some(Location::Cookie)) if view.csrf && !origin::is_safe(asked.method) => {
            Ok(submitted_twice(asked.headers, || prove(presented)))
        }
        (_, presented, _) => Ok(prove(presented)),
    }
}

/// Nothing is proved where there is nothing to compare; what was proved counts only if it was submitted twice.
fn submitted_twice(headers: &HeaderMap, prove: impl FnOnce() -> Standing) -> Standing {
    if !double_submit::is_sent(headers) {
        return Standing::Unproven(TokenFault::CrossSite);
    }
    let standing = prove();
    match &standing {
        Standing::Access(token) | Standing::Refresh(token) => {
            match double_submit::matches(headers, token.claims()) {
                Ok(()) => standing,
                Err(fault) => Standing::Unproven(fault),
            }
        }
        Standing::Anonymous | Standing::Unproven(_) => standing,
    }
}

/// The token that was presented to this route, as text: for the one endpoint that keeps something under it.
pub fn token_of<'r>(
    route: &Route,
    locations: &Locations,
    headers: &'r HeaderMap,
    query: Option<&'r str>,
) -> Option<&'r str> {
    let (accept, cookies) = (route.accepts(locations), route.requirement.cookies());
    locations.find(accept, cookies, headers, query).presented.token().ok()
}

/// A CORS preflight by its form (Fetch standard, CORS protocol).
fn is_preflight(asked: &Asked<'_, '_>) -> bool {
    asked.method == Method::OPTIONS.as_str()
        && asked.headers.contains_key(ORIGIN)
        && asked.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}
