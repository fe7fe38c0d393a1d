//! Every pattern that the path of a request meets: what each scored, which one won, and why the others did not.

use serde_json::{Value, json};

use crate::gateway::judge::Asked;
use crate::policy::path::CanonicalPath;
use crate::policy::pattern::{Pattern, Segment};
use crate::policy::route::{Route, RouteTable};

/// Candidates shown at most: a tree may be shared by thousands of hosts.
pub const CANDIDATES_MAX: usize = 100;

/// One pattern whose path matches.
#[derive(Debug)]
pub struct Candidate {
    /// The pattern as written.
    pub pattern: String,
    /// Segment by segment: `literal`, `any` or `rest`.
    pub score: Vec<&'static str>,
    /// `host named` or `any host`.
    pub host: &'static str,
    /// `method named`, `HEAD follows GET` or `any method`.
    pub method: &'static str,
    /// Whether it is the one.
    pub wins: bool,
    /// Why it is, or why not.
    pub why: String,
}

/// All candidates, the most specific first, and how many were left out.
pub fn candidates(
    routes: &RouteTable,
    asked: &Asked<'_, '_>,
    path: &CanonicalPath<'_>,
    winner: Option<&Route>,
) -> (Vec<Candidate>, usize) {
    let all = routes.on_path(path);
    let left_out = all.len().saturating_sub(CANDIDATES_MAX);
    // The winner is always among those that are shown.
    let is_winner = |route: &Route| winner.is_some_and(|winner| winner.index == route.index);
    let shown = all.iter().enumerate().filter(|(at, one)| *at < CANDIDATES_MAX || is_winner(one));
    let list = shown
        .map(|(_, route)| {
            let wins = is_winner(route);
            let why = match (wins, winner) {
                (true, _) => "wins".to_owned(),
                (false, winner) => why_not(&route.pattern, asked, winner.map(|one| &one.pattern)),
            };
            candidate(route, asked, wins, why)
        })
        .collect();
    (list, left_out)
}

fn candidate(route: &Route, asked: &Asked<'_, '_>, wins: bool, why: String) -> Candidate {
    let pattern = &route.pattern;
    let named = |method: &str| pattern.methods.iter().any(|own| own == method);
    Candidate {
        pattern: route.id.clone(),
        score: pattern.segments.iter().map(kind).collect(),
        host: if pattern.host.is_some() { "host named" } else { "any host" },
        method: match pattern.methods.is_empty() {
            true => "any method",
            false if asked.method == "HEAD" && !named("HEAD") && named("GET") => "HEAD follows GET",
            false => "method named",
        },
        wins,
        why,
    }
}

fn kind(segment: &Segment) -> &'static str {
    match segment {
        Segment::Literal(_) => "literal",
        Segment::Any | Segment::Named(_) => "any",
        Segment::Rest => "rest",
    }
}

fn why_not(pattern: &Pattern, asked: &Asked<'_, '_>, winner: Option<&Pattern>) -> String {
    if let Some(host) = pattern.host.as_deref().filter(|host| *host != asked.host) {
        return format!("does not match: only for the host {host}");
    }
    let named = |method: &str| pattern.methods.iter().any(|own| own == method);
    let matches = pattern.methods.is_empty()
        || named(asked.method)
        || (asked.method == "HEAD" && named("GET"));
    if !matches {
        return format!("does not match: only for {}", pattern.methods.join(", "));
    }
    match winner {
        Some(winner) => less_specific(pattern, winner),
        None => "does not match".to_owned(),
    }
}

/// The first place where the winner is more specific.
fn less_specific(pattern: &Pattern, winner: &Pattern) -> String {
    let places = pattern.segments.len().max(winner.segments.len());
    for at in 0..places {
        let [own, theirs] =
            [pattern, winner].map(|one| one.segments.get(at).map_or("the end", kind));
        if own != theirs {
            return format!("less specific: segment {} is {own}, the winner's is {theirs}", at + 1);
        }
    }
    if pattern.host.is_none() && winner.host.is_some() {
        return "less specific: the winner names the host".to_owned();
    }
    if pattern.methods.is_empty() {
        return "less specific: the winner names the method".to_owned();
    }
    "less specific: the winner names HEAD".to_owned()
}

impl Candidate {
    /// One line: `/a/*  literal any, any host, method named: wins`.
    pub fn text(&self) -> String {
        let score = if self.score.is_empty() { "root".to_owned() } else { self.score.join(" ") };
        format!("{}  [{score}; {}; {}]  {}", self.pattern, self.host, self.method, self.why)
    }

    /// The same as JSON.
    pub fn json(&self) -> Value {
        json!({
            "pattern": self.pattern, "score": self.score, "host": self.host, "method": self.method,
            "wins": self.wins, "why": self.why,
        })
    }
}
