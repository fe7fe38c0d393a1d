//! `[routes]`, and our own endpoints beside them: one table, one way to judge.

use std::collections::HashMap;

use serde_json::Value;

use super::Lowering;
use super::endpoints::endpoints;
use super::rewrite::{self, RewriteFault};
use super::upstreams::DEFAULT_UPSTREAM;
use crate::config::diagnostic::Span;
use crate::config::raw::{RawFile, RawRoute};
use crate::config::read::Spanned;
use crate::config::words::{Mode, Policy};
use crate::config::{Login, Profile, Upstream};
use crate::policy::Requirement;
use crate::policy::path::PathRules;
use crate::policy::pattern::{Pattern, Segment};
use crate::policy::route::{Action, Forward, Route, RouteTable, Tie};
use crate::policy::rules::{ClaimRule, Wanted};
use crate::token::extract::Accept;

/// The table, and what else the file says of its routes, by their index.
pub(super) struct Routes {
    pub(super) table: RouteTable,
    /// Where its pattern stands; `None` for our endpoints.
    pub(super) places: Vec<Option<Span>>,
    /// Whether it is meant to be more open than those around it.
    pub(super) exceptions: Vec<bool>,
}

/// What every route of the file is checked against.
struct Around<'a> {
    /// Upstreams by name.
    upstreams: HashMap<&'a str, usize>,
    /// Their names, in the order of the file.
    names: Vec<&'a str>,
    paths: PathRules,
    /// Where a token may be that a route does not say it of.
    accept: Accept,
    /// Only the first route without an upstream is told.
    told_no_upstream: bool,
}

impl Lowering<'_> {
    /// The table of all routes; `None` after a mistake.
    pub(super) fn routes(
        &mut self,
        raw: &RawFile,
        upstreams: &[Upstream],
        ours: (Option<&Login>, bool, Profile),
        accept: Accept,
    ) -> Option<Routes> {
        let paths = self.paths(raw.paths.get());
        let names: Vec<&str> = upstreams.iter().map(|one| &*one.name).collect();
        let places = names.iter().enumerate().rev().map(|(index, name)| (*name, index));
        let mut around =
            Around { upstreams: places.collect(), names, paths, accept, told_no_upstream: false };
        let table = raw.routes.get();
        let lines = table.map(|table| table.value.0.as_slice()).unwrap_or_default();
        if lines.is_empty() && (table.is_some() || raw.routes.is_missing()) {
            self.out.no_routes(table.map(|table| &table.span));
        }
        let mut routes = Vec::new();
        let mut places: Vec<Option<Span>> = Vec::new();
        let mut exceptions = Vec::new();
        for (pattern, line) in lines {
            let parsed = self.pattern(pattern);
            let Some(line) = line.get() else { continue };
            if let Some(parsed) = parsed {
                routes.push(self.route(pattern, parsed, &line.value.0, &line.span, &mut around));
                places.push(Some(pattern.span.clone()));
                exceptions.push(line.value.0.exception().value);
            }
        }
        for (id, requirement, endpoint) in endpoints(ours) {
            // A broken `at` was reported.
            if let Ok(pattern) = Pattern::parse(&id) {
                routes.push(Route::new(id, pattern, requirement, Action::Endpoint(endpoint)));
                places.push(None);
            }
        }
        exceptions.resize(routes.len(), false);
        let ids: Vec<String> = routes.iter().map(|route| route.id.clone()).collect();
        match RouteTable::build(routes) {
            Ok(table) => Some(Routes { table, places, exceptions }),
            Err(ties) => {
                self.ties(&ties, &places, &ids);
                None
            }
        }
    }

    fn ties(&mut self, ties: &[Tie], places: &[Option<Span>], ids: &[String]) {
        for tie in ties {
            match (&places[tie.0], &places[tie.1]) {
                (Some(first), Some(second)) => self.out.tie(second, first),
                (Some(span), None) => self.out.endpoint_taken(span, &ids[tie.1]),
                (None, Some(span)) => self.out.endpoint_taken(span, &ids[tie.0]),
                (None, None) => {}
            }
        }
    }

    fn pattern(&mut self, text: &Spanned<String>) -> Option<Pattern> {
        match Pattern::parse(&text.value) {
            Ok(pattern) => {
                if let Some(host) = pattern.host.as_deref().filter(|host| is_odd_host(host)) {
                    self.out.path_like_host(&text.span, host);
                }
                Some(pattern)
            }
            Err(fault) => {
                let place = self.out.within(&text.span, &text.value, &fault.at);
                self.out.bad_pattern(&place, &fault.what);
                None
            }
        }
    }

    /// `GTE` for `GET`: a line that no client's request gets to, while a more general one takes what was meant.
    fn odd_methods(&mut self, text: &Spanned<String>, pattern: &Pattern, raw: &RawRoute) {
        for method in &pattern.methods {
            if let Some(meant) = misspelt(method) {
                let place = raw.methods.get().map_or(&text.span, |methods| &methods.span);
                self.out.odd_method(place, method, meant);
            }
        }
    }

    fn route(
        &mut self,
        text: &Spanned<String>,
        mut pattern: Pattern,
        raw: &RawRoute,
        here: &Span,
        around: &mut Around<'_>,
    ) -> Route {
        self.methods(text, &mut pattern, raw);
        self.odd_methods(text, &pattern, raw);
        let requirement = self.requirement(text, raw, here);
        let claims = self.claims(text, &pattern, raw);
        let accept = self.route_accept(raw, requirement, around.accept);
        let rewrite = raw.rewrite.get().and_then(|rewrite| {
            match rewrite::parse(&rewrite.value, &pattern, &around.paths) {
                Ok(parsed) => Some(parsed),
                Err(RewriteFault::UnknownCapture(name)) => {
                    let place = self.out.within(&rewrite.span, &rewrite.value, &name);
                    let name = &rewrite.value[name];
                    self.out.unknown_capture(&place, name, &text.span, &names(&pattern));
                    None
                }
                Err(RewriteFault::Bad(at, what, help)) => {
                    let place = self.out.within(&rewrite.span, &rewrite.value, &at);
                    self.out.bad_rewrite(&place, &what, help);
                    None
                }
            }
        });
        let forward = Forward {
            upstream: self.route_upstream(text, raw, around),
            rewrite,
            timeout: raw.timeout.get().map(|timeout| timeout.value),
            body_max: raw.body_max.get().map(|size| size.value.0),
            forward_token: raw.forward_token().value,
        };
        Route {
            id: text.value.clone(),
            index: 0,
            pattern,
            requirement,
            claims,
            accept,
            preflight: raw.preflight().value,
            report: raw.mode().value == Mode::Report,
            action: Action::Forward(forward),
        }
    }

    fn requirement(&mut self, text: &Spanned<String>, raw: &RawRoute, here: &Span) -> Requirement {
        if raw.policy.is_missing() {
            let at = format!("routes.\"{}\"", text.value);
            self.out.missing_key(here, &at, "policy", "policy = \"access-required\"");
        }
        // Where there is none, that was reported: deny is what nothing can hide behind.
        let policy = raw.policy.get().map_or(Policy::Deny, |policy| policy.value);
        let max_age = raw.max_age.get();
        let requirement = match policy {
            Policy::Public => Requirement::Public,
            Policy::Optional => Requirement::Optional,
            Policy::Access => Requirement::Access,
            Policy::Fresh => Requirement::Fresh { max_age: max_age.map(|age| age.value) },
            Policy::Refresh => Requirement::Refresh,
            Policy::Deny => Requirement::Deny,
        };
        let known = raw.policy.get().is_some();
        if let (Some(age), true) = (max_age, known && policy != Policy::Fresh) {
            let help =
                "only \"fresh-required\" looks at the age: use that policy, or remove `max_age`";
            self.out.ignored_by_policy(&age.span, "max_age", requirement.name(), help);
        }
        let deaf = matches!(policy, Policy::Public | Policy::Deny);
        if let (Some(claims), true) = (raw.claims.get(), known && deaf) {
            let help = "it never looks at a token: use \"access-required\", or remove `claims`";
            self.out.ignored_by_policy(&claims.span, "claims", requirement.name(), help);
        }
        let mode = raw.mode();
        if mode.value == Mode::Report && policy == Policy::Public {
            let help = "it refuses nobody: remove `mode`";
            self.out.ignored_by_policy(&mode.span, "mode", requirement.name(), help);
        }
        requirement
    }

    fn methods(&mut self, text: &Spanned<String>, pattern: &mut Pattern, raw: &RawRoute) {
        let Some(methods) = raw.methods.get() else { return };
        if !pattern.methods.is_empty() {
            self.out.methods_twice(&methods.span, &text.span);
            return;
        }
        if methods.value.is_empty() {
            self.out.no_methods(&methods.span);
        }
        if methods.value.len() > METHODS_MAX {
            self.out.too_many_methods(&methods.span, METHODS_MAX);
            return;
        }
        for method in &methods.value {
            // The same parser as for a method in front of a pattern, which takes several with commas.
            match Pattern::parse(&format!("{} /", method.value)) {
                Ok(Pattern { methods, .. }) if methods.len() == 1 => {
                    if !pattern.methods.contains(&methods[0]) {
                        pattern.methods.extend(methods);
                    }
                }
                Ok(_) => self.out.bad_method(&method.span, "it is not one method"),
                Err(fault) => self.out.bad_method(&method.span, &fault.what),
            }
        }
    }

    fn claims(
        &mut self,
        text: &Spanned<String>,
        pattern: &Pattern,
        raw: &RawRoute,
    ) -> Vec<ClaimRule> {
        let mut rules = Vec::new();
        for (claim, values) in raw.claims.get().iter().flat_map(|claims| &claims.value.0) {
            if claim.value.is_empty() {
                self.out.empty_claim(&claim.span);
            }
            let mut wanted = Vec::new();
            for value in values {
                if let Some(inside) = capture_inside(&value.value) {
                    self.out.partial_capture(&value.span, inside);
                }
                let Some(name) = capture_name(&value.value) else {
                    wanted.push(Wanted::Value(value.value.clone()));
                    continue;
                };
                match pattern.named(name) {
                    Some(index) => wanted.push(Wanted::Capture(index)),
                    None => {
                        let known = names(pattern);
                        self.out.unknown_capture(&value.span, name, &text.span, &known);
                    }
                }
            }
            rules.push(ClaimRule { claim: claim.value.clone(), wanted });
        }
        rules
    }

    /// The index of the route's upstream; 0 after a mistake.
    fn route_upstream(
        &mut self,
        text: &Spanned<String>,
        raw: &RawRoute,
        around: &mut Around<'_>,
    ) -> usize {
        let find = |name: &str| around.upstreams.get(name).copied();
        if let Some(name) = raw.upstream.get() {
            return find(&name.value).unwrap_or_else(|| {
                self.out.unknown_upstream(&name.span, &name.value, &around.names);
                0
            });
        }
        if !raw.upstream.is_missing() || around.names.len() == 1 {
            return 0;
        }
        // Nothing is ever sent by a route that denies: any upstream will do.
        let denies = raw.policy.get().is_some_and(|policy| policy.value == Policy::Deny)
            && raw.mode().value == Mode::Enforce;
        if denies && !around.names.is_empty() {
            return 0;
        }
        find(DEFAULT_UPSTREAM).unwrap_or_else(|| {
            if !around.told_no_upstream {
                self.out.no_upstream(&text.span, &around.names);
                around.told_no_upstream = true;
            }
            0
        })
    }
}

/// More methods than these has no application.
const METHODS_MAX: usize = 64;

/// The methods that are mistyped: those of RFC 9110 and RFC 5789.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// The well-known method that this one is but for one letter, or for two that changed places.
fn misspelt(method: &str) -> Option<&'static str> {
    // No method in IANA's registry is as near to one of these.
    METHODS.into_iter().find(|known| strsim::osa_distance(known, method) == 1)
}

/// A host that looks like a path whose slash was forgotten.
fn is_odd_host(host: &str) -> bool {
    host != "localhost" && !host.contains(['.', ':', '['])
}

/// `{name}` and nothing else.
fn capture_name(value: &Value) -> Option<&str> {
    let name = value.as_str()?.strip_prefix('{')?.strip_suffix('}')?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    (!name.is_empty() && name.chars().all(plain)).then_some(name)
}

/// `{name}` with more text around it: no segment is put in there.
fn capture_inside(value: &Value) -> Option<&str> {
    let text = value.as_str()?;
    text.match_indices('{').find_map(|(from, _)| {
        let whole = &text[from..=from + text[from..].find('}')?];
        capture_name(&Value::from(whole)).filter(|_| whole.len() < text.len()).map(|_| whole)
    })
}

fn names(pattern: &Pattern) -> Vec<&str> {
    let named = pattern.segments.iter().filter_map(|segment| match segment {
        Segment::Named(name) => Some(name.as_str()),
        _ => None,
    });
    named.collect()
}
