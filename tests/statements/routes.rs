//! The route table agrees with docs/policies.md, "Patterns", read word by word over the texts of the patterns.

use std::cmp::Ordering;

use freshgate::policy::Requirement;
use freshgate::policy::host;
use freshgate::policy::path::{CanonicalPath, PathRules};
use freshgate::policy::pattern::Pattern;
use freshgate::policy::route::{Action, Endpoint, Route, RouteTable};

use super::bytes::Bytes;
use super::readings::decode;

/// A request as a route sees it.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its `Host`, as sent; empty where there is none.
    pub host: &'a str,
    /// Its path, as sent.
    pub path: &'a str,
}

/// The first line is `METHOD host /path`, each other a pattern.
pub fn hold(input: &[u8]) {
    let mut input = Bytes(input);
    let request = input.text();
    let patterns = input.lines();
    let (method, rest) = request.split_once(' ').unwrap_or(("GET", ""));
    let (host, path) = rest.split_once(' ').unwrap_or(("", "/"));
    hold_for(&patterns, &[Asked { method, host, path }]);
}

/// All statements on one table and these requests.
pub fn hold_for(patterns: &[String], requests: &[Asked<'_>]) {
    /// More would only make each try slower.
    const PATTERNS_MAX: usize = 40;
    let mut kept: Vec<(Route, Written)> = Vec::new();
    for text in patterns.iter().take(PATTERNS_MAX) {
        let Ok(pattern) = Pattern::parse(text) else { continue };
        let written = Written::of(text);
        assert_eq!(written.capital, pattern.methods, "{text}");
        let route = Route::new(text, pattern, Requirement::Public, Action::Endpoint(Endpoint::Me));
        // A table that ties is refused, and only that: what ties is left out, so that the rest is a table.
        let ties = kept.iter().any(|(_, other)| written.ties_with(other));
        let mut all: Vec<Route> = kept.iter().map(|(route, _)| route.clone()).collect();
        all.push(route.clone());
        assert_eq!(RouteTable::build(all).is_err(), ties, "{text} among {:?}", texts(&kept));
        if !ties {
            kept.push((route, written));
        }
    }
    let table = RouteTable::build(kept.iter().map(|(route, _)| route.clone()).collect())
        .expect("ties were left out");
    let mut reversed: Vec<Route> = kept.iter().map(|(route, _)| route.clone()).collect();
    reversed.reverse();
    let reversed = RouteTable::build(reversed).expect("order is no difference");
    for request in requests {
        let host = match (request.host, host::canonical(request.host)) {
            ("", _) => "".into(),
            (_, Ok(host)) => host,
            (_, Err(_)) => continue,
        };
        let Ok(path) = CanonicalPath::parse(request.path, &PathRules::default()) else { continue };
        let wanted = wanted(&kept, request);
        let found = ids(&table.candidates(request.method, &host, &path));
        assert_eq!(found, wanted, "{request:?} among {:?}", texts(&kept));
        for table in [&table, &reversed] {
            let first = table.find(request.method, &host, &path).map(|one| one.id.as_str());
            assert_eq!(first, wanted.first().copied(), "{request:?} among {:?}", texts(&kept));
        }
        let on_path = ids(&table.on_path(&path));
        assert!(wanted.iter().all(|one| on_path.contains(one)), "{request:?}");
    }
}

fn texts(kept: &[(Route, Written)]) -> Vec<&str> {
    kept.iter().map(|(route, _)| route.id.as_str()).collect()
}

fn ids<'t>(routes: &[&'t std::sync::Arc<Route>]) -> Vec<&'t str> {
    routes.iter().map(|one| one.id.as_str()).collect()
}

/// Those that match, the most specific first.
fn wanted<'k>(kept: &'k [(Route, Written)], request: &Asked<'_>) -> Vec<&'k str> {
    let mut wanted: Vec<&(Route, Written)> =
        kept.iter().filter(|(_, written)| written.matches(request)).collect();
    wanted.sort_by(|one, other| one.1.closer(&other.1, request.method));
    wanted.iter().map(|(route, _)| route.id.as_str()).collect()
}

/// A pattern that is one, taken apart by its text.
#[derive(Clone, Debug)]
struct Written {
    capital: Vec<String>,
    host: Option<String>,
    segments: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// The octets that the segment stands for.
    Literal(Vec<u8>),
    One,
    Rest,
}

impl Written {
    fn of(text: &str) -> Written {
        let (front, path) = text.split_at(text.find('/').expect("a pattern has a path"));
        let (methods, host) = front.rsplit_once(' ').unwrap_or(("", front));
        let segments = parts_of(path).into_iter().map(|one| match one {
            "**" => Part::Rest,
            "*" => Part::One,
            name if name.starts_with('{') => Part::One,
            literal => Part::Literal(decode(literal.as_bytes())),
        });
        let methods = methods.split(',').filter(|one| !one.is_empty());
        Written {
            capital: methods.map(str::to_owned).collect(),
            host: Some(spelled(host)).filter(|host| !host.is_empty()),
            segments: segments.collect(),
        }
    }

    fn matches(&self, request: &Asked<'_>) -> bool {
        let path: Vec<Vec<u8>> =
            parts_of(request.path).into_iter().map(|one| decode(one.as_bytes())).collect();
        let fits = |parts: &[Part]| {
            parts.iter().zip(&path).all(|(part, found)| match part {
                Part::Literal(own) => own == found,
                Part::One | Part::Rest => true,
            })
        };
        let path_fits = match self.segments.split_last() {
            Some((Part::Rest, before)) => path.len() >= before.len() && fits(before),
            _ => path.len() == self.segments.len() && fits(&self.segments),
        };
        let names = |method: &str| self.capital.iter().any(|own| own == method);
        let method_fits = self.capital.is_empty()
            || names(request.method)
            || (request.method == "HEAD" && names("GET"));
        let host_fits = self.host.as_ref().is_none_or(|own| *own == spelled(request.host));
        path_fits && method_fits && host_fits
    }

    /// Segment by segment from the left: literal, then one segment, then the rest; then a named host over any; then
    /// a named method over any, where `HEAD` itself is closer than the `GET` that it follows.
    fn closer(&self, other: &Written, method: &str) -> Ordering {
        let rank = |part: Option<&Part>| match part {
            Some(Part::Literal(_)) | None => 0,
            Some(Part::One) => 1,
            Some(Part::Rest) => 2,
        };
        let longest = self.segments.len().max(other.segments.len());
        let by_path = (0..longest)
            .map(|at| rank(self.segments.get(at)).cmp(&rank(other.segments.get(at))))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal);
        let by_method = |one: &Written| match &one.capital {
            own if own.iter().any(|own| own == method) => 0,
            own if !own.is_empty() => 1,
            _ => 2,
        };
        by_path
            .then(self.host.is_none().cmp(&other.host.is_none()))
            .then(by_method(self).cmp(&by_method(other)))
    }

    /// Whether some method leads to both and nothing tells them apart.
    fn ties_with(&self, other: &Written) -> bool {
        let methods = (self.capital.is_empty() && other.capital.is_empty())
            || self.capital.iter().any(|own| other.capital.contains(own));
        self.segments == other.segments && self.host == other.host && methods
    }
}

/// The segments of a path; a trailing slash is no difference.
fn parts_of(path: &str) -> Vec<&str> {
    path.split('/').filter(|one| !one.is_empty()).collect()
}

/// A host without its port and trailing dot, in small letters; an IPv6 address as RFC 5952 writes it.
fn spelled(host: &str) -> String {
    if let Some((address, _)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address
            .parse::<std::net::Ipv6Addr>()
            .map_or_else(|_| host.to_owned(), |address| format!("[{address}]"));
    }
    let name = host.split(':').next().unwrap_or_default();
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}
