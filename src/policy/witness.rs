//! Requests that tell two route tables apart: a finite set in which every pair of winning routes that any
//! request can meet, one in each table, is met by at least one.
//!
//! Two paths are the same to both tables when they run through the same literals, so one text that is no
//! literal stands for all others. Branches where both tables say the same are left out. Never decides
//! anything; called by `freshgate diff`, which asks both tables about each.

use std::collections::{BTreeMap, BTreeSet};

use super::pattern::Segment;
use super::route::{Route, RouteTable};
use super::rules::Wanted;

/// Places visited at most: tables with many wildcards above many literals can have more than anybody can look at.
pub const PLACES_MAX: usize = 2_000_000;

/// A path, with the hosts and methods that matter there; an empty host is one that no pattern names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place<'t> {
    /// In canonical spelling.
    pub path: String,
    /// Every host that a pattern names here, and none.
    pub hosts: Vec<&'t str>,
    /// Every method that a pattern names here, `HEAD` beside `GET`, and another one.
    pub methods: Vec<&'t str>,
    /// Whether a route lets preflights pass here.
    pub preflight: bool,
}

/// There are more than [`PLACES_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

/// Both tables in one trie.
struct Walk<'t> {
    nodes: Vec<Node<'t>>,
    /// What segments that are no literal are called: no literal and no wanted value begins like this and
    /// goes on with digits.
    fresh: String,
    seen: usize,
    visit: &'t mut dyn FnMut(&Place<'t>),
}

#[derive(Default)]
struct Node<'t> {
    literals: BTreeMap<&'t str, usize>,
    any: Option<usize>,
    here: Terminal<'t>,
    rest: Terminal<'t>,
    /// Whether the tables differ here or further down.
    differs_below: bool,
}

/// The routes of both tables with one and the same path.
#[derive(Default)]
struct Terminal<'t> {
    old: Vec<&'t Route>,
    new: Vec<&'t Route>,
    differs: bool,
}

/// Shows every place where the tables may answer differently. `same` says whether two routes with the same
/// pattern do the same.
///
/// # Errors
/// [`TooMany`]: then not every place was shown.
pub fn walk<'t>(
    old: &'t RouteTable,
    new: &'t RouteTable,
    same: impl Fn(&Route, &Route) -> bool,
    visit: &'t mut dyn FnMut(&Place<'t>),
) -> Result<(), TooMany> {
    let mut nodes = vec![Node::default()];
    for route in old.routes() {
        terminal(&mut nodes, route).old.push(route);
    }
    for route in new.routes() {
        terminal(&mut nodes, route).new.push(route);
    }
    // Children stand behind their parents.
    for index in (0..nodes.len()).rev() {
        nodes[index].here.compare(&same);
        nodes[index].rest.compare(&same);
        let node = &nodes[index];
        let below = node.literals.values().chain(&node.any).any(|one| nodes[*one].differs_below);
        let differs = node.here.differs || node.rest.differs || below;
        nodes[index].differs_below = differs;
    }
    let fresh = fresh_name(old.routes().iter().chain(new.routes()).map(AsRef::as_ref));
    let mut walk = Walk { nodes, fresh, seen: 0, visit };
    walk.step(&mut Vec::new(), 0, &[0], &[])
}

fn terminal<'n, 't>(nodes: &'n mut Vec<Node<'t>>, route: &'t Route) -> &'n mut Terminal<'t> {
    let mut at = 0;
    for segment in &route.pattern.segments {
        let next = nodes.len();
        let child = match segment {
            Segment::Literal(text) => *nodes[at].literals.entry(text).or_insert(next),
            Segment::Any | Segment::Named(_) => *nodes[at].any.get_or_insert(next),
            Segment::Rest => return &mut nodes[at].rest,
        };
        if child == next {
            nodes.push(Node::default());
        }
        at = child;
    }
    &mut nodes[at].here
}

impl<'t> Terminal<'t> {
    fn compare(&mut self, same: &impl Fn(&Route, &Route) -> bool) {
        fn key(route: &Route) -> (Option<&str>, BTreeSet<&str>) {
            let methods = route.pattern.methods.iter().map(String::as_str).collect();
            (route.pattern.host.as_deref(), methods)
        }
        self.old.sort_by_cached_key(|route| key(route));
        self.new.sort_by_cached_key(|route| key(route));
        let equal = |(old, new): (&&Route, &&Route)| key(old) == key(new) && same(old, new);
        self.differs =
            self.old.len() != self.new.len() || !self.old.iter().zip(&self.new).all(equal);
    }

    fn routes(&self) -> impl Iterator<Item = &'t Route> {
        self.old.iter().chain(&self.new).copied()
    }
}

/// A name that neither table nor any claim rule knows, whatever digits follow it.
fn fresh_name<'t>(routes: impl Iterator<Item = &'t Route>) -> String {
    let mut known: BTreeSet<&str> = BTreeSet::new();
    for route in routes {
        known.extend(route.pattern.segments.iter().filter_map(|segment| match segment {
            Segment::Literal(text) => Some(text.as_str()),
            _ => None,
        }));
        let wanted = route.claims.iter().flat_map(|rule| &rule.wanted);
        known.extend(wanted.filter_map(|wanted| match wanted {
            Wanted::Value(value) => value.as_str(),
            Wanted::Capture(_) => None,
        }));
    }
    let mut name = "x".to_owned();
    let digits = |rest: &str| rest.bytes().all(|byte| byte.is_ascii_digit());
    while known.iter().any(|one| one.strip_prefix(name.as_str()).is_some_and(digits)) {
        name.push('x');
    }
    name
}

impl<'t> Walk<'t> {
    /// One place and all below it. `live` are the nodes whose patterns match so far; `rests` those above
    /// whose `**` takes all that follows.
    fn step(
        &mut self,
        path: &mut Vec<String>,
        unknown: usize,
        live: &[usize],
        rests: &[usize],
    ) -> Result<(), TooMany> {
        let differs_above = rests.iter().any(|one| self.nodes[*one].rest.differs);
        if !differs_above && !live.iter().any(|one| self.nodes[*one].differs_below) {
            return Ok(());
        }
        self.seen += 1;
        let has_rest = |one: &&usize| self.nodes[**one].rest.routes().next().is_some();
        let rests: Vec<usize> = rests.iter().chain(live.iter().filter(has_rest)).copied().collect();
        self.show(path, live, &rests)?;
        let child = |one: &usize, text: &str| self.nodes[*one].literals.get(text).copied();
        let any = |one: &usize| self.nodes[*one].any;
        let literals: BTreeSet<&'t str> =
            live.iter().flat_map(|one| self.nodes[*one].literals.keys().copied()).collect();
        let other: Vec<usize> = live.iter().filter_map(any).collect();
        let below: Vec<(&'t str, Vec<usize>)> = literals
            .into_iter()
            .map(|text| {
                let nodes = live.iter().flat_map(|one| [child(one, text), any(one)]);
                (text, nodes.flatten().collect())
            })
            .collect();
        for (text, nodes) in &below {
            path.push((*text).to_owned());
            self.step(path, unknown, nodes, &rests)?;
            path.pop();
        }
        // Below `**` alone, one more segment of no name stands for any number.
        let deeper = !other.is_empty() || (!live.is_empty() && !rests.is_empty());
        if deeper {
            let number = if unknown == 0 { String::new() } else { (unknown + 1).to_string() };
            path.push(format!("{}{number}", self.fresh));
            self.step(path, unknown + 1, &other, &rests)?;
            path.pop();
        }
        Ok(())
    }

    fn show(&mut self, path: &[String], live: &[usize], rests: &[usize]) -> Result<(), TooMany> {
        let here = live.iter().map(|one| &self.nodes[*one].here);
        let terminals: Vec<&Terminal<'t>> =
            here.chain(rests.iter().map(|one| &self.nodes[*one].rest)).collect();
        if !terminals.iter().any(|terminal| terminal.differs) {
            return Ok(());
        }
        let mut hosts = BTreeSet::from([""]);
        let mut named = BTreeSet::new();
        let mut preflight = false;
        for route in terminals.iter().flat_map(|terminal| terminal.routes()) {
            hosts.extend(route.pattern.host.as_deref());
            named.extend(route.pattern.methods.iter().map(String::as_str));
            preflight |= route.preflight;
        }
        let place = Place {
            path: format!("/{}", path.join("/")),
            hosts: hosts.into_iter().collect(),
            methods: methods(&named),
            preflight,
        };
        self.seen += place.hosts.len() * place.methods.len();
        if self.seen > PLACES_MAX {
            return Err(TooMany);
        }
        (self.visit)(&place);
        Ok(())
    }
}

/// The methods that matter where these are named: those, `HEAD` where it follows `GET`, and one that is not named.
fn methods<'t>(named: &BTreeSet<&'t str>) -> Vec<&'t str> {
    // The last can be in no pattern: a digit is refused there.
    const OTHERS: [&str; 7] = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "M0"];
    let mut all: Vec<&str> = named.iter().copied().collect();
    if named.contains("GET") && !named.contains("HEAD") {
        all.push("HEAD");
    }
    all.extend(OTHERS.iter().find(|other| !named.contains(*other)));
    all
}
