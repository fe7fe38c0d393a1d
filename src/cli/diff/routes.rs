//! The routes of two configurations, compared on every request that could tell them apart.

use std::collections::HashSet;
use std::fmt;

use serde_json::{Value, json};

use super::{Verdict, effect};
use crate::config::Config;
use crate::policy::path::{CanonicalPath, PathRules};
use crate::policy::route::Route;
use crate::policy::weaker::Passing;
use crate::policy::witness::{self, Place, TooMany};
use crate::token::extract::Location;

/// One way in which requests are treated differently, with one of them.
pub struct RouteChange {
    /// The pattern that wins now, or that won before where none does.
    pub route: String,
    /// One request that shows it.
    pub example: Example,
    /// What it means.
    pub verdict: Verdict,
    proofs: [String; 2],
    others: Vec<(&'static str, [String; 2])>,
    /// The pattern that won before, where it was another.
    before: Option<String>,
    sides: [Value; 2],
    order: (usize, usize),
}

/// A request, as short as it can be said.
#[derive(Clone)]
pub struct Example {
    method: String,
    host: String,
    path: String,
    preflight: bool,
}

impl fmt::Display for Example {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let note = if self.preflight { " (preflight)" } else { "" };
        write!(f, "{} {}{}{note}", self.method, self.host, self.path)
    }
}

/// Compares two route tables. Every place where a request could get another answer is looked at.
///
/// # Errors
/// [`TooMany`] places.
pub fn compare(old: &Config, new: &Config) -> Result<Vec<RouteChange>, TooMany> {
    let mut found = Found { old, new, changes: Vec::new(), known: HashSet::new() };
    let same = |one: &Route, other: &Route| effect::same((old, one), (new, other));
    witness::walk(&old.routes, &new.routes, same, &mut |place| found.look(place))?;
    let mut changes = found.changes;
    changes.sort_by_key(|one| one.order);
    Ok(changes)
}

/// What tells two changes apart: the winners, whether it is a preflight, and what it means.
type Known = (Option<usize>, Option<usize>, bool, Verdict);

struct Found<'c> {
    old: &'c Config,
    new: &'c Config,
    changes: Vec<RouteChange>,
    known: HashSet<Known>,
}

impl Found<'_> {
    fn look(&mut self, place: &Place<'_>) {
        // The loosest rules are not needed: it is made of literals, which are in canonical spelling.
        let Ok(path) = CanonicalPath::parse(&place.path, &PathRules::default()) else { return };
        for host in &place.hosts {
            for method in &place.methods {
                self.ask(method, host, &path, false);
            }
            if place.preflight {
                self.ask("OPTIONS", host, &path, true);
            }
        }
    }

    fn ask(&mut self, method: &str, host: &str, path: &CanonicalPath<'_>, preflight: bool) {
        let winner = |config: &Config| {
            config.routes.find(method, host, path).map(|route| (route.index, route.clone()))
        };
        let (old, new) = (winner(self.old), winner(self.new));
        let (before, after) = (old.as_ref().map(|one| &*one.1), new.as_ref().map(|one| &*one.1));
        if let (Some(one), Some(other)) = (before, after)
            && effect::same((self.old, one), (self.new, other))
            && one.pattern.segments == other.pattern.segments
        {
            return;
        }
        let (gains, loses) = self.passing(before, after, path, preflight);
        let reached = Passing::of(after, path, preflight) != Passing::default();
        let others = self.others(before, after, preflight);
        let gives_token =
            others.iter().any(|(name, [_, now])| *name == effect::FORWARD_TOKEN && now == "on");
        let verdict = match (gains, loses) {
            (true, _) => Verdict::Weaker,
            (false, _) if gives_token && reached => Verdict::Weaker,
            (false, true) => Verdict::Stricter,
            (false, false) if others.is_empty() => return,
            (false, false) => Verdict::Changed,
        };
        let [left, right] = [&old, &new].map(|one| one.as_ref().map(|one| one.0));
        // A preflight that fares as any other request of its kind is not worth a line of its own.
        let plain = (left, right, false, verdict);
        if self.known.contains(&plain) || !self.known.insert((left, right, preflight, verdict)) {
            return;
        }
        let example = Example {
            method: method.to_owned(),
            host: host.to_owned(),
            path: path.as_str().to_owned(),
            preflight,
        };
        let name = after.or(before).map(|route| route.id.clone()).unwrap_or_default();
        self.changes.push(RouteChange {
            before: before.map(|route| route.id.clone()).filter(|id| *id != name),
            route: name,
            example,
            verdict,
            proofs: [effect::proof(before), effect::proof(after)],
            others,
            sides: [effect::json(self.old, before), effect::json(self.new, after)],
            order: (right.unwrap_or(usize::MAX), left.unwrap_or(usize::MAX)),
        });
    }

    /// Whether somebody passes who did not, and the reverse, with a token in any one place.
    fn passing(
        &self,
        before: Option<&Route>,
        after: Option<&Route>,
        path: &CanonicalPath<'_>,
        preflight: bool,
    ) -> (bool, bool) {
        let at = |location, config: &Config, route: Option<&Route>| {
            let passing = Passing::of(route, path, preflight);
            let seen = route.is_none_or(|one| one.accepts(&config.locations).holds(location));
            if seen { passing } else { passing.unseen() }
        };
        let places = [Location::Header, Location::Cookie, Location::Query];
        let each = places.map(|place| {
            let (was, now) = (at(place, self.old, before), at(place, self.new, after));
            (now.beyond(&was), was.beyond(&now))
        });
        (each.iter().any(|one| one.0), each.iter().any(|one| one.1))
    }

    /// What differs besides the proof, where both sides have a route that anybody can pass.
    fn others(
        &self,
        before: Option<&Route>,
        after: Option<&Route>,
        preflight: bool,
    ) -> Vec<(&'static str, [String; 2])> {
        let (Some(before), Some(after)) = (before, after) else { return Vec::new() };
        let deaf =
            |route: &Route| route.requirement == crate::policy::Requirement::Deny && !route.report;
        if deaf(before) || deaf(after) {
            return Vec::new();
        }
        let old = effect::rest(self.old, before);
        let new = effect::rest(self.new, after);
        let pair = |(name, now): (&'static str, String)| {
            let was = old.iter().find(|(own, _)| *own == name).map_or("none", |(_, was)| was);
            let matters = was != now && !(was == "none" && now == "off");
            (matters && (preflight || name != effect::PREFLIGHT))
                .then(|| (name, [was.to_owned(), now]))
        };
        new.into_iter().filter_map(pair).collect()
    }
}

impl RouteChange {
    /// `fresh-required → public; upstream app → wiki`.
    pub fn what(&self) -> String {
        let [was, now] = &self.proofs;
        let mut parts = Vec::new();
        if was != now {
            parts.push(format!("{was} → {now}"));
        } else if self.others.is_empty() {
            parts.push(was.clone());
        }
        parts.extend(self.others.iter().map(|(name, [was, now])| format!("{name} {was} → {now}")));
        let mut text = parts.join("; ");
        if let Some(before) = &self.before {
            text.push_str(&format!(" (was {before})"));
        }
        text
    }

    /// The change as JSON.
    pub fn json(&self) -> Value {
        let Example { method, host, path, preflight } = &self.example;
        let [old, new] = &self.sides;
        let differs: Vec<&str> = self.others.iter().map(|(name, _)| *name).collect();
        json!({
            "verdict": self.verdict.name(),
            "route": self.route,
            "example": { "method": method, "host": host, "path": path, "preflight": preflight },
            "old": old,
            "new": new,
            "differs": differs,
        })
    }
}
