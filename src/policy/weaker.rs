//! Who passes a route, as a set that can be compared with another: what `diff` calls *weaker*.
//!
//! Says the same as `decide`, for all callers at once: a property test compares the two. Never judges a
//! request; called by `freshgate diff`.

use serde_json::Value;

use super::path::CanonicalPath;
use super::route::Route;
use super::rules::Wanted;
use super::{Grade, Requirement, meets};
use crate::token::TokenFault;

/// The callers that one request lets pass: by what they prove, and what their token must say besides.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Passing {
    /// Nobody in particular.
    anonymous: bool,
    /// A token that proves nothing.
    bad: bool,
    /// A refresh token.
    refresh: bool,
    /// A stale access token.
    stale: bool,
    /// A fresh access token, at most this many seconds old.
    fresh: Option<u64>,
    /// What a token must say: each claim and its values, on this path. No value is none at all.
    rules: Vec<(String, Vec<Value>)>,
}

impl Passing {
    /// Those that `route` lets pass on `path`; no route lets nobody pass.
    pub fn of(route: Option<&Route>, path: &CanonicalPath<'_>, preflight: bool) -> Passing {
        let Some(route) = route else { return Passing::default() };
        let requirement = route.requirement;
        let preflight = preflight && route.preflight && requirement != Requirement::Deny;
        // Report mode only notes what it would refuse.
        if preflight || route.report {
            let all = Passing {
                anonymous: true,
                bad: true,
                refresh: true,
                stale: true,
                ..Passing::default()
            };
            return Passing { fresh: Some(u64::MAX), ..all };
        }
        let passes = |grade| meets(requirement, grade).is_ok();
        let age_max = match requirement {
            Requirement::Fresh { max_age: Some(age) } => age.as_secs(),
            _ => u64::MAX,
        };
        let rules: Vec<(String, Vec<Value>)> = route
            .claims
            .iter()
            .map(|rule| {
                let wanted = rule.wanted.iter().filter_map(|wanted| match wanted {
                    Wanted::Value(value) => Some(value.clone()),
                    Wanted::Capture(index) => {
                        route.pattern.capture(path, *index).map(|text| Value::from(text.as_ref()))
                    }
                });
                (rule.claim.clone(), wanted.collect())
            })
            .collect();
        // Without a token every rule fails, and a rule without a value fails always.
        let free = rules.is_empty();
        let can = rules.iter().all(|(_, wanted)| !wanted.is_empty());
        Passing {
            anonymous: free && passes(Grade::None),
            bad: free && passes(Grade::Bad(TokenFault::Invalid)),
            refresh: can && passes(Grade::Refresh),
            stale: can && passes(Grade::Stale),
            fresh: (can && passes(Grade::Fresh)).then_some(age_max),
            rules,
        }
    }

    /// The same for tokens in a place that the route does not look at: who presents one there is nobody in particular.
    pub fn unseen(self) -> Passing {
        let all = self.anonymous;
        let fresh = all.then_some(u64::MAX);
        Passing { anonymous: all, bad: all, refresh: all, stale: all, fresh, rules: Vec::new() }
    }

    /// Whether somebody passes here who does not pass there. Rules are compared claim by claim: where two
    /// sets of rules mean the same in different words, the answer is yes.
    pub fn beyond(&self, other: &Passing) -> bool {
        let token = self.refresh || self.stale || self.fresh.is_some();
        (self.anonymous && !other.anonymous)
            || (self.bad && !other.bad)
            || (self.refresh && !other.refresh)
            || (self.stale && !other.stale)
            || self.fresh > other.fresh
            || (token && !self.implies(&other.rules))
    }

    /// Whether every token that meets our rules meets these too. A claim may be a list, of which one element
    /// is enough: so a rule is implied by one rule with the same claim and no other values.
    fn implies(&self, rules: &[(String, Vec<Value>)]) -> bool {
        rules.iter().all(|(claim, wanted)| {
            self.rules
                .iter()
                .any(|(own, values)| own == claim && values.iter().all(|one| wanted.contains(one)))
        })
    }
}
