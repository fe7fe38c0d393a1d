//! Runs the tests of a configuration: each asks `judge` what a live request would be told. Sends nothing to anybody.
//!
//! Called by `freshgate check`, and before a configuration is swapped in.

use std::sync::Arc;

use http::HeaderMap;

use super::judge::{Asked, Judged, View, judge};
use crate::config::diagnostic::{Diagnostics, Span};
use crate::config::raw_test::Expect;
use crate::config::{Config, FileTest};
use crate::policy::refusal::Refusal;
use crate::policy::route::Action;
use crate::token::extract::Presented;
use crate::token::{Standing, TokenFault, UnixTime};

/// One test whose answer was another than expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The request as written.
    pub request: String,
    /// What was asked about: `decision`, `upstream` or `path`.
    pub about: &'static str,
    /// What the file expects.
    pub expected: String,
    /// What came of it.
    pub actual: String,
    /// The pattern of the route that won, and its index.
    pub route: Option<(String, usize)>,
    /// Where the expectation stands in the file.
    pub place: Span,
}

/// Runs every test of the configuration as if it were `now`; the failures, in the order of the file.
pub fn run(config: &Config, now: UnixTime) -> Vec<Failure> {
    config.tests.iter().filter_map(|test| run_one(config, test, now)).collect()
}

/// Runs every test.
///
/// # Errors
/// The warnings of the configuration and, for each failure, an error that points at the expectation and the route.
pub fn check(config: &Config, now: UnixTime) -> Result<(), Diagnostics> {
    let failures = run(config, now);
    if failures.is_empty() {
        return Ok(());
    }
    let mut out = config.warnings.clone();
    for failure in &failures {
        let route = failure.route.as_ref();
        let place = route.and_then(|(_, index)| config.places[*index].as_ref());
        let help = match (route, place) {
            (None, _) if failure.actual != Refusal::NoRoute.code() => {
                "the gateway refuses this request before it looks at a route: correct the test"
                    .to_owned()
            }
            (None, _) => {
                "no pattern matches this request: add a route, or correct the test".to_owned()
            }
            (Some((id, _)), None) => format!("the endpoint `{id}` of the gateway answers"),
            (Some((id, _)), Some(_)) => format!(
                "`{id}` decides: correct the route or the test; `freshgate explain` shows why"
            ),
        };
        out.test_failed(
            &failure.place,
            format!("`{}`: expected {}, got {}", failure.request, failure.expected, failure.actual),
            &format!("the {} is another", failure.about),
            place.map(|place| (place, "this route decides")),
            &help,
        );
    }
    out.sort();
    Err(out)
}

/// Stands for the token of the test's caller: `judge` finds it like any other.
const TOKEN: &str = "token.of.the-test";

fn run_one(config: &Config, test: &FileTest, now: UnixTime) -> Option<Failure> {
    let mut headers: HeaderMap = test.headers.clone();
    let mut query = test.query.clone();
    let mut view = View::of(config);
    if test.caller.is_some() {
        view = view.presented_well();
        let asked = (&*test.method, &*test.host, &*test.path);
        view.present(asked, TOKEN, &mut headers, &mut query);
    }
    let prove = |presented: Presented<'_>| match (presented.token(), &test.caller) {
        (Err(standing), _) => standing,
        (Ok(TOKEN), Some(caller)) => match caller.claims(now) {
            Ok(claims) => Standing::assumed(claims),
            Err(fault) => Standing::Unproven(fault),
        },
        // A token written into the test is nobody's: there are no keys here.
        (Ok(_), _) => Standing::Unproven(TokenFault::Invalid),
    };
    let query = query.as_deref();
    let (method, host, path) = (&*test.method, &*test.host, &*test.path);
    let asked = Asked { method, host, path, query, headers: &headers };
    let judged = judge(view, &asked, prove, now);
    let fail = |about: &'static str, expected: String, actual: String, place: &Span| {
        let route = judged.route.as_ref().map(|route| (route.id.clone(), route.index));
        let (request, place) = (without_token(config, &test.request), place.clone());
        Some(Failure { request, about, expected, actual, route, place })
    };
    let decision = match &judged.decision {
        Ok(_) => Expect::PASS,
        Err(refusal) => refusal.code(),
    };
    if decision != test.expect {
        let (expected, actual) = (test.expect.to_owned(), decision.to_owned());
        return fail("decision", expected, actual, &test.places.expect);
    }
    if let Some(index) = test.upstream {
        let actual = judged.route.as_deref().and_then(|route| config.upstream_name(route));
        let actual = actual.unwrap_or("none");
        let expected = &*config.upstreams[index].name;
        if actual != expected {
            let told = |name: &str| format!("the upstream `{name}`");
            return fail("upstream", told(expected), told(actual), &test.places.upstream);
        }
    }
    if let Some(expected) = &test.upstream_path {
        let actual = upstream_path(config, &judged).unwrap_or_else(|| "none".to_owned());
        if actual != *expected {
            let told = |path: &str| format!("the path `{path}`");
            return fail("path", told(expected), told(&actual), &test.places.path);
        }
    }
    None
}

/// The request as written, but for a token in its query.
fn without_token(config: &Config, request: &str) -> String {
    let Some((before, query)) = request.split_once('?') else { return request.to_owned() };
    match config.locations.strip_query(query) {
        Some(query) => format!("{before}?{query}"),
        None => before.to_owned(),
    }
}

/// The path that the backend gets; `None` when it gets nothing.
fn upstream_path(config: &Config, judged: &Judged<'_>) -> Option<String> {
    let (route, path) = (judged.route.as_ref().map(Arc::as_ref)?, judged.path.as_ref().ok()?);
    let Action::Forward(plan) = &route.action else { return None };
    Some(match &plan.rewrite {
        None => path.as_str().to_owned(),
        Some(rewrite) => {
            rewrite.apply(&route.pattern, path, &config.paths).ok()?.as_str().to_owned()
        }
    })
}
