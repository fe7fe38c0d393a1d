//! The table that finds the most specific route that matches a request; order never matters.
//!
//! A trie of path segments, searched depth first: literal, then `{}`/`*`, then `**`, so matches come in
//! order of specificity, compared segment by segment from the left; then host, named over any; then
//! method, named over any. A path whose methods or hosts do not match falls to the next pattern that
//! does, which is why no ready-made router fits. One matcher for every size (CVE-2026-27588); a
//! search visits a node at most once and recurses as deep as the longest pattern, never deeper.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::path::CanonicalPath;
use super::pattern::{Pattern, Segment};
use super::route::Route;

type Map<T> = HashMap<Box<str>, T, foldhash::fast::RandomState>;

/// All routes, found by path, host and method. Order never matters.
#[derive(Debug, Default)]
pub struct RouteTable {
    routes: Vec<Arc<Route>>,
    root: Node,
}

/// Two routes that no request can tell apart, by their indices in the list given to `build`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tie(pub usize, pub usize);

/// One place in the trie.
#[derive(Debug, Default)]
struct Node {
    literals: Map<Node>,
    /// `*` and `{name}` alike.
    any: Option<Box<Node>>,
    /// Patterns that end here.
    here: Terminal,
    /// Patterns that end here in `**`.
    rest: Terminal,
}

/// The routes with one and the same path: by host, then by method.
#[derive(Debug, Default)]
struct Terminal {
    hosts: Map<Vec<Arc<Route>>>,
    any_host: Vec<Arc<Route>>,
}

impl RouteTable {
    /// Builds the table; each route's `index` becomes its position in `routes`.
    ///
    /// # Errors
    /// Every route that ties, with the first that it ties with, for each of its methods; in order. Of a
    /// thousand that tie with one another each is told once: work and output stay linear.
    pub fn build(routes: Vec<Route>) -> Result<RouteTable, Vec<Tie>> {
        let mut table = RouteTable::default();
        let mut ties = Vec::new();
        let mut firsts: HashMap<(String, String), usize, foldhash::fast::RandomState> =
            HashMap::default();
        for (index, mut route) in routes.into_iter().enumerate() {
            route.index = index;
            let place = place(&route.pattern);
            // `HEAD` that follows `GET` never ties with a `HEAD` that is named: the named one is closer.
            let any = [String::new()];
            let own = &route.pattern.methods;
            for method in if own.is_empty() { &any[..] } else { own } {
                let first = *firsts.entry((place.clone(), method.clone())).or_insert(index);
                if first != index && ties.last() != Some(&Tie(first, index)) {
                    ties.push(Tie(first, index));
                }
            }
            let route = Arc::new(route);
            table.root.entries(&route.pattern).push(Arc::clone(&route));
            table.routes.push(route);
        }
        if ties.is_empty() {
            return Ok(table);
        }
        ties.sort_by_key(|tie| (tie.0, tie.1));
        ties.dedup();
        Err(ties)
    }

    /// All routes, in the order given to `build`.
    pub fn routes(&self) -> &[Arc<Route>] {
        &self.routes
    }

    /// The most specific route that matches; allocates nothing. `host` is canonical (`policy/host.rs`),
    /// or empty if the request names none.
    pub fn find(&self, method: &str, host: &str, path: &CanonicalPath<'_>) -> Option<&Arc<Route>> {
        let mut found = None;
        let _ = self.root.search(remaining(path), &mut |terminal| {
            found = terminal.matches(method, host).next();
            if found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        found
    }

    /// Every route whose path matches, whatever its host and method, the most specific first, for `explain`.
    pub fn on_path(&self, path: &CanonicalPath<'_>) -> Vec<&Arc<Route>> {
        let mut all = Vec::new();
        let _ = self.root.search(remaining(path), &mut |terminal| {
            all.extend(terminal.all());
            ControlFlow::Continue(())
        });
        all
    }

    /// Every route that matches, the most specific first, for `explain`.
    pub fn candidates(
        &self,
        method: &str,
        host: &str,
        path: &CanonicalPath<'_>,
    ) -> Vec<&Arc<Route>> {
        let mut all = Vec::new();
        let _ = self.root.search(remaining(path), &mut |terminal| {
            all.extend(terminal.matches(method, host));
            ControlFlow::Continue(())
        });
        all
    }
}

/// Host and path of a pattern, equal for two that match the same requests but for the method.
fn place(pattern: &Pattern) -> String {
    let mut place = pattern.host.clone().unwrap_or_default();
    for segment in &pattern.segments {
        place.push('/');
        // No literal holds a control character.
        place.push_str(match segment {
            Segment::Literal(text) => text,
            Segment::Any | Segment::Named(_) => "\u{1}",
            Segment::Rest => "\u{2}",
        });
    }
    place
}

/// The judged path without the slashes at its ends, since a trailing one is not a difference; `None`
/// when no segment is left.
fn remaining<'p>(path: &'p CanonicalPath<'_>) -> Option<&'p str> {
    let judged = path.judged();
    let inner = judged.strip_prefix('/').unwrap_or(judged);
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    if inner.is_empty() { None } else { Some(inner) }
}

impl Node {
    /// The place of a pattern's routes, made if it is new.
    fn entries(&mut self, pattern: &Pattern) -> &mut Vec<Arc<Route>> {
        let mut node = self;
        let mut ends_in_rest = false;
        for segment in &pattern.segments {
            node = match segment {
                Segment::Literal(text) => node.literals.entry(text.as_str().into()).or_default(),
                Segment::Any | Segment::Named(_) => node.any.get_or_insert_default(),
                Segment::Rest => {
                    ends_in_rest = true;
                    break;
                }
            };
        }
        let terminal = if ends_in_rest { &mut node.rest } else { &mut node.here };
        match &pattern.host {
            Some(host) => terminal.hosts.entry(host.as_str().into()).or_default(),
            None => &mut terminal.any_host,
        }
    }

    /// Shows every terminal whose path matches, the most specific first, until told to stop.
    fn search<'t>(
        &'t self,
        remaining: Option<&str>,
        visit: &mut impl FnMut(&'t Terminal) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        match remaining {
            None => visit(&self.here)?,
            Some(text) => {
                let (segment, after) = match text.split_once('/') {
                    Some((segment, after)) => (segment, Some(after)),
                    None => (text, None),
                };
                if let Some(child) = self.literals.get(segment) {
                    child.search(after, visit)?;
                }
                if let Some(child) = &self.any {
                    child.search(after, visit)?;
                }
            }
        }
        visit(&self.rest)
    }
}

impl Terminal {
    /// The routes that match, the most specific first.
    fn matches<'t>(&'t self, method: &str, host: &str) -> impl Iterator<Item = &'t Arc<Route>> {
        let named = if self.hosts.is_empty() { None } else { self.hosts.get(host) };
        let named = named.map_or(&[][..], Vec::as_slice);
        by_method(named, method).chain(by_method(&self.any_host, method))
    }
}

impl Terminal {
    /// Every route: by host, named over any; then by method, named over any.
    fn all(&self) -> Vec<&Arc<Route>> {
        let mut all: Vec<&Arc<Route>> =
            self.hosts.values().flatten().chain(&self.any_host).collect();
        all.sort_by_key(|one| {
            let (host, methods) = (&one.pattern.host, &one.pattern.methods);
            (host.is_none(), host.clone(), methods.is_empty(), methods.clone())
        });
        all
    }
}

/// The routes that match a method: the one that names it, the one that `HEAD` follows, the one for any.
fn by_method<'t>(entries: &'t [Arc<Route>], method: &str) -> impl Iterator<Item = &'t Arc<Route>> {
    let naming = |wanted: &str| {
        entries.iter().find(|one| one.pattern.methods.iter().any(|own| own == wanted))
    };
    let exact = naming(method);
    let followed = if method == "HEAD" { naming("GET") } else { None };
    let followed = followed.filter(|one| !one.pattern.methods.iter().any(|own| own == method));
    let any = entries.iter().find(|one| one.pattern.methods.is_empty());
    exact.into_iter().chain(followed).chain(any)
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
