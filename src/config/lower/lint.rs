//! What is allowed and was probably not meant: doors opened by mistake, lines without effect. Only warns.
//!
//! It asks the route table itself, with a sample path for each pattern, so that it can never disagree with what is served.
//! Each route costs a few look-ups, whatever the number of routes.

use super::Lowering;
use super::routes::Routes;
use crate::config::diagnostic::Span;
use crate::policy::Requirement;
use crate::policy::path::{CanonicalPath, PathRules};
use crate::policy::pattern::{PATTERN_SEGMENTS_MAX, Pattern, Segment};
use crate::policy::route::Route;
use crate::policy::weaker::Passing;

/// A segment that no pattern names: what only wildcards match.
const SAMPLE: &str = "~any~";
/// A method that no pattern names.
const ANY_METHOD: &str = "ANY";
/// Methods that change things (RFC 9110 §9.2.1, RFC 5789).
const CHANGING: [&str; 4] = ["POST", "PUT", "PATCH", "DELETE"];
/// Named hosts and methods that a route for any of them is asked with, at most.
const ASKED_MAX: usize = 4;
/// Routes in report mode that are told by name, at most.
const REPORTED_MAX: usize = 10;

impl Lowering<'_> {
    pub(super) fn lint(&mut self, routes: &Routes, target_max: usize) {
        let asked = Asked::of(routes);
        let deepest = own(routes).map(|(route, _)| route.pattern.segments.len()).max();
        let deepest = deepest.unwrap_or(0).min(PATTERN_SEGMENTS_MAX);
        for (route, place) in own(routes) {
            if shortest(&route.pattern) > target_max {
                self.out.unreachable(place, true);
                continue;
            }
            if !is_reached(routes, route, deepest) {
                self.out.unreachable(place, false);
            }
            if !self.opened(routes, route, place, &asked) {
                self.changed_around(routes, route, place);
            }
            self.weaker_methods(routes, route, place);
        }
        self.rewrites_around(routes);
        self.report_mode(routes);
    }

    /// A route that anybody passes, in the middle of one that needs a token. A pattern without any literal, such as
    /// `/**`, is a default: exceptions to it are what it is for. A line that names `GET` and one page is explicit.
    fn opened(&mut self, routes: &Routes, route: &Route, place: &Span, asked: &Asked<'_>) -> bool {
        let meant = routes.exceptions[route.index] || is_one_page(&route.pattern);
        if meant || strength(route) >= PROTECTED {
            return false;
        }
        let Some(path) = sample(&route.pattern, 1) else { return false };
        let one_host = [route.pattern.host.as_deref().unwrap_or("")];
        let hosts = if route.pattern.host.is_some() { &one_host } else { &asked.hosts[..] };
        let named: Vec<&str> = route.pattern.methods.iter().map(String::as_str).collect();
        let methods = if named.is_empty() { &asked.methods } else { &named };
        for (host, method) in
            hosts.iter().flat_map(|host| methods.iter().map(move |one| (host, one)))
        {
            let found = routes.table.candidates(method, host, &path);
            let around =
                found.iter().skip_while(|one| one.index != route.index).skip(1).find(|one| {
                    routes.places[one.index].is_some() && covers(&one.pattern, &route.pattern)
                });
            let Some(around) = around else { continue };
            // The same path with a method or a host of its own says itself what it is.
            let beside = is_beside(&around.pattern, &route.pattern);
            let named =
                around.pattern.segments.iter().any(|one| matches!(one, Segment::Literal(_)));
            let Some(outer) = &routes.places[around.index] else { continue };
            if !beside && named && strength(around) >= PROTECTED {
                self.out.opened(
                    (place, &route.id, route.requirement.name()),
                    (outer, &around.id, around.requirement.name()),
                );
                return true;
            }
        }
        false
    }

    /// `POST /c/x` that anybody passes, where `GET /c/*`, which names its method, needs a token.
    fn changed_around(&mut self, routes: &Routes, route: &Route, place: &Span) {
        let own = &route.pattern.methods;
        let methods: Vec<&str> =
            CHANGING.into_iter().filter(|method| own.iter().any(|one| one == method)).collect();
        let meant = routes.exceptions[route.index] || own.iter().any(|method| method == "GET");
        if methods.is_empty() || meant || strength(route) >= PROTECTED {
            return;
        }
        let Some(path) = sample(&route.pattern, 1) else { return };
        let host = route.pattern.host.as_deref().unwrap_or("");
        let Some(read) = routes.table.find("GET", host, &path) else { return };
        let named = read.pattern.segments.iter().any(|one| matches!(one, Segment::Literal(_)));
        // Of the line beside it `weaker_methods` tells; who denies reading says how to write.
        let told = is_beside(&read.pattern, &route.pattern);
        let deny = read.requirement == Requirement::Deny;
        let Some(outer) = &routes.places[read.index] else { return };
        if named && !told && !deny && strength(read) >= PROTECTED && !routes.exceptions[read.index]
        {
            let (reads, changes) = (needs(read), needs(route));
            let (read, change) = ((outer, &*read.id, &*reads), (place, &*route.id, &*changes));
            self.out.weaker_method(read, change, &methods);
        }
    }

    /// Methods that change things and need less than `GET` does, because a line says so or because no line does and a
    /// more general one takes them.
    fn weaker_methods(&mut self, routes: &Routes, route: &Route, place: &Span) {
        let own = &route.pattern.methods;
        let reads = own.is_empty() || own.iter().any(|method| method == "GET");
        if !reads || strength(route) < PROTECTED || routes.exceptions[route.index] {
            return;
        }
        let Some(path) = sample(&route.pattern, 1) else { return };
        let host = route.pattern.host.as_deref().unwrap_or("");
        // Where even GET goes to a more specific line, that line is the one to compare with.
        if routes.table.find("GET", host, &path).is_none_or(|got| got.index != route.index) {
            return;
        }
        let mut weaker: Vec<(&Route, Vec<&str>)> = Vec::new();
        for method in CHANGING.iter().filter(|method| !own.iter().any(|one| one == *method)) {
            let Some(taken) = routes.table.find(method, host, &path) else { continue };
            // A line that denies reading and says how to write is no slip of the pen.
            let said = taken.pattern.methods.iter().any(|one| one == method);
            let deliberate = route.requirement == Requirement::Deny && said;
            let weak = strength(taken) < strength(route)
                || is_older(taken, route)
                || is_wider(taken, route, &path);
            if routes.exceptions[taken.index] || deliberate || !weak {
                continue;
            }
            match weaker.iter_mut().find(|(other, _)| other.index == taken.index) {
                Some((_, methods)) => methods.push(method),
                None => weaker.push((taken, vec![method])),
            }
        }
        for (taken, methods) in weaker {
            let Some(other) = &routes.places[taken.index] else { continue };
            let (reads, mut changes) = (needs(route), needs(taken));
            if reads == changes {
                changes.push_str(" that more callers meet");
            }
            let read = (place, route.id.as_str(), reads.as_str());
            let change = (other, taken.id.as_str(), changes.as_str());
            if is_beside(&taken.pattern, &route.pattern) {
                self.out.weaker_method(read, change, &methods);
            } else {
                self.out.forgotten_method(read, change, &methods);
            }
        }
    }

    fn report_mode(&mut self, routes: &Routes) {
        let trying: Vec<(&Route, &Span)> = own(routes)
            .filter(|(route, _)| route.report && route.requirement != Requirement::Public)
            .collect();
        if let Some((_, place)) = trying.first() {
            let names = trying.iter().take(REPORTED_MAX).map(|(route, _)| route.id.as_str());
            let more = trying.len().saturating_sub(REPORTED_MAX);
            self.out.report_mode(place, &names.collect::<Vec<_>>(), more);
        }
    }
}

/// The routes of the file, without our endpoints.
pub(super) fn own(routes: &Routes) -> impl Iterator<Item = (&Route, &Span)> {
    let all = routes.table.routes().iter().zip(&routes.places);
    all.filter_map(|(route, place)| Some((&**route, place.as_ref()?)))
}

/// Which hosts and methods a route for any of them is asked with: none in particular, and the first ones that a
/// protected route names.
struct Asked<'r> {
    hosts: Vec<&'r str>,
    methods: Vec<&'r str>,
}

impl<'r> Asked<'r> {
    fn of(routes: &'r Routes) -> Asked<'r> {
        let mut asked = Asked { hosts: vec![""], methods: vec![ANY_METHOD] };
        for (route, _) in own(routes).filter(|(route, _)| strength(route) >= PROTECTED) {
            let pattern = &route.pattern;
            add(&mut asked.hosts, pattern.host.as_deref());
            add(&mut asked.methods, pattern.methods.iter().map(String::as_str));
        }
        asked
    }
}

fn add<'r>(list: &mut Vec<&'r str>, more: impl IntoIterator<Item = &'r str>) {
    for one in more {
        if list.len() <= ASKED_MAX && !list.contains(&one) {
            list.push(one);
        }
    }
}

/// How much must be proved: twice the rank of the policy, and one more where claims are wanted too.
pub(super) fn strength(route: &Route) -> u8 {
    let claims = u8::from(!route.claims.is_empty());
    let rank = match route.requirement {
        Requirement::Public => 0,
        // With a claim rule nobody passes without a token.
        Requirement::Optional => claims,
        Requirement::Access | Requirement::Refresh | Requirement::AnyToken => 2,
        Requirement::Fresh { .. } => 3,
        Requirement::Deny => 4,
    };
    2 * rank + claims
}

/// Whether both want a password, and this one takes an older one.
fn is_older(this: &Route, other: &Route) -> bool {
    let age = |route: &Route| match route.requirement {
        Requirement::Fresh { max_age } => Some(max_age.unwrap_or(std::time::Duration::MAX)),
        _ => None,
    };
    strength(this) == strength(other) && age(this) > age(other)
}

/// Whether both want claims, and this one takes all that the other takes and more besides.
fn is_wider(this: &Route, other: &Route, path: &CanonicalPath<'_>) -> bool {
    let (this_set, other_set) =
        (Passing::of(Some(this), path, false), Passing::of(Some(other), path, false));
    let claims = !this.claims.is_empty() && !other.claims.is_empty();
    claims && this_set.beyond(&other_set) && !other_set.beyond(&this_set)
}

/// From this strength on nobody passes without a token.
pub(super) const PROTECTED: u8 = 3;

/// A path that the pattern matches and, of all patterns, only those that match each of its paths as well: wildcards
/// stand for a segment that nobody names. `rest` segments stand for `**`.
pub(super) fn sample(pattern: &Pattern, rest: usize) -> Option<CanonicalPath<'static>> {
    let mut text = String::new();
    for segment in &pattern.segments {
        match segment {
            Segment::Literal(literal) => text.extend(["/", literal]),
            Segment::Any | Segment::Named(_) => text.extend(["/", SAMPLE]),
            Segment::Rest => text.extend(std::iter::repeat_n(["/", SAMPLE], rest).flatten()),
        }
    }
    if text.is_empty() {
        text.push('/');
    }
    CanonicalPath::parse(&text, &PathRules::default()).ok().map(CanonicalPath::into_owned)
}

/// Whether two patterns have one path.
fn is_beside(one: &Pattern, other: &Pattern) -> bool {
    covers(one, other) && covers(other, one)
}

/// Whether the route is for reading one page: who writes that has thought of that page.
fn is_one_page(pattern: &Pattern) -> bool {
    !pattern.methods.is_empty()
        && pattern.methods.iter().all(|method| matches!(method.as_str(), "GET" | "HEAD"))
        && pattern.segments.iter().all(|segment| matches!(segment, Segment::Literal(_)))
}

/// What must be proved, in words.
pub(super) fn needs(route: &Route) -> String {
    let claims = if route.claims.is_empty() { "" } else { " with claims" };
    let age = match route.requirement {
        Requirement::Fresh { max_age: Some(age) } => {
            format!(" of {}", humantime::format_duration(age))
        }
        _ => String::new(),
    };
    format!("{}{age}{claims}", route.requirement.name())
}

/// Bytes of the shortest path that the pattern matches.
fn shortest(pattern: &Pattern) -> usize {
    let each = pattern.segments.iter().map(|segment| match segment {
        Segment::Literal(literal) => 1 + literal.len(),
        Segment::Any | Segment::Named(_) => 2,
        Segment::Rest => 0,
    });
    each.sum::<usize>().max(1)
}

/// Whether every path of `inner` is one of `outer`.
pub(super) fn covers(outer: &Pattern, inner: &Pattern) -> bool {
    let mut theirs = inner.segments.iter();
    for own in &outer.segments {
        let fits = match (own, theirs.next()) {
            (Segment::Rest, _) => return true,
            (Segment::Any | Segment::Named(_), Some(other)) => *other != Segment::Rest,
            (own, Some(other)) => own == other,
            (_, None) => false,
        };
        if !fits {
            return false;
        }
    }
    theirs.next().is_none()
}

/// Whether some request gets to the route: of those paths that only wildcards match, as deep as patterns go.
fn is_reached(routes: &Routes, route: &Route, deepest: usize) -> bool {
    let pattern = &route.pattern;
    let host = pattern.host.as_deref().unwrap_or("");
    let depths =
        if pattern.has_rest() { deepest + 3 - pattern.segments.len().min(deepest) } else { 1 };
    // As deep as one segment more than any pattern has. One segment for `**` first: nearly every route is reached there.
    (0..depths).map(|depth| if depth < 2 { 1 - depth } else { depth }).any(|rest| {
        let Some(path) = sample(pattern, rest) else { return true };
        let reaches = |method: &str| {
            let found = routes.table.find(method, host, &path);
            found.is_some_and(|found| found.index == route.index)
        };
        match pattern.methods.as_slice() {
            [] => reaches(ANY_METHOD),
            methods => methods.iter().any(|method| reaches(method)),
        }
    })
}
