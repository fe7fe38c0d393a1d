//! Rewrites that lead around a policy: `/pub/**` that anybody passes and that reaches, at the same backend, what
//! `/admin/**` protects under its own name. Only warns, and says which path shows it.
//!
//! The policy of a request is chosen by the path as it came (Traefik CVE-2026-48020): a rewrite that was not meant to
//! lead somewhere is seen by nobody at run time. Called by `lint` for each route.

use super::lint::{PROTECTED, covers, needs, own, sample, strength};
use super::{Lowering, routes::Routes};
use crate::config::diagnostic::Span;
use crate::policy::path::{self, CanonicalPath, PathRules};
use crate::policy::pattern::Segment;
use crate::policy::route::{Action, Forward, Rewrite, RewritePart, RewriteSegment, Route};

/// Rewriting routes that are compared with all others, at most.
const COMPARED_MAX: usize = 200;

impl Lowering<'_> {
    pub(super) fn rewrites_around(&mut self, routes: &Routes) {
        let rewriting = own(routes).filter(|(route, _)| !routes.exceptions[route.index]);
        let rewriting: Vec<(&Route, &Span, &Forward, &Rewrite)> = rewriting
            .filter_map(|(route, place)| {
                let plan = plan(route)?;
                Some((route, place, plan, plan.rewrite.as_ref()?))
            })
            .take(COMPARED_MAX)
            .collect();
        for (route, place, plan, rewrite) in rewriting {
            let found = own(routes).find_map(|(other, span)| {
                let theirs = self::plan(other)?;
                let here = theirs.upstream == plan.upstream && theirs.rewrite.is_none();
                // A line below the rewriting one takes something out of it; its path is none of the backend's.
                let below = covers(&route.pattern, &other.pattern);
                let guarded = strength(other) >= PROTECTED && strength(other) > strength(route);
                let asked = if here && guarded && !below {
                    [0, 1]
                        .into_iter()
                        .find_map(|rest| leads_to(routes, route, rewrite, other, rest))?
                } else {
                    return None;
                };
                Some((other, span, asked))
            });
            if let Some((other, span, asked)) = found {
                let (mine, theirs) = (needs(route), needs(other));
                self.out.rewrite_opens(
                    (place, &route.id, &mine),
                    (span, &other.id, &theirs),
                    &asked,
                );
            }
        }
    }
}

fn plan(route: &Route) -> Option<&Forward> {
    match &route.action {
        Action::Forward(plan) => Some(plan),
        Action::Endpoint(_) => None,
    }
}

/// A path that `route` takes and rewrites to one of `other`: through its `**`, for who names the other's path in the
/// rewrite itself has thought of it, and past a literal, for `/**` is a default and not somewhere. `rest` segments stand for the `**` of the other.
fn leads_to(
    routes: &Routes,
    route: &Route,
    rewrite: &Rewrite,
    other: &Route,
    rest: usize,
) -> Option<String> {
    let (RewriteSegment::Rest, fixed) = rewrite.segments.split_last()? else { return None };
    let named = other.pattern.segments.get(fixed.len()..)?;
    if !named.iter().any(|segment| matches!(segment, Segment::Literal(_))) {
        return None;
    }
    let target = sample(&other.pattern, rest)?;
    let mut wanted = path::segments(target.as_str());
    let mut captured: Vec<Option<&str>> = vec![None; route.pattern.segments.len()];
    for (segment, wanted) in fixed.iter().zip(wanted.by_ref()) {
        let RewriteSegment::Parts(parts) = segment else { return None };
        match &parts[..] {
            [RewritePart::Text(text)] if text == wanted => {}
            [RewritePart::Capture(index)] => *captured.get_mut(*index)? = Some(wanted),
            _ => return None,
        }
    }
    let mut asked = String::new();
    for (segment, captured) in route.pattern.segments.iter().zip(captured) {
        match (segment, captured) {
            (Segment::Literal(text), _) => asked.extend(["/", text.as_str()]),
            (_, Some(text)) => asked.extend(["/", text]),
            (Segment::Any | Segment::Named(_), None) => asked.push_str("/x"),
            (Segment::Rest, None) => wanted.by_ref().for_each(|one| asked.extend(["/", one])),
        }
    }
    let rules = PathRules::default();
    let asked = CanonicalPath::parse(&asked, &rules).ok()?;
    let host = route.pattern.host.as_deref().or(other.pattern.host.as_deref()).unwrap_or("");
    let method = route
        .pattern
        .methods
        .first()
        .or(other.pattern.methods.first())
        .map_or("GET", String::as_str);
    let theirs = &other.pattern.methods;
    let taken = routes.table.find(method, host, &asked).is_some_and(|one| one.index == route.index);
    let meets = theirs.is_empty() || theirs.iter().any(|one| one == method);
    let sent = rewrite.apply(&route.pattern, &asked, &rules).ok()?;
    let guarded =
        routes.table.find(method, host, &sent).is_some_and(|one| one.index == other.index);
    (taken && meets && guarded).then(|| asked.as_str().to_owned())
}
