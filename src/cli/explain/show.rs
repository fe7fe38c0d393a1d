//! The answer of `explain`, for people and for programs. A token or a cookie never prints.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde_json::{Value, json};

use super::candidates::Candidate;
use crate::config::Profile;
use crate::gateway::profile;
use crate::policy::path::CanonicalPath;
use crate::policy::route::{Action, Route};
use crate::policy::rules::{self, ClaimRule, Wanted};
use crate::policy::{Permit, Refusal, Requirement};
use crate::token::trust::KeySet;
use crate::token::{Claims, UnixTime};

/// All that is said about one request.
pub struct Answer {
    /// The one path, or none.
    pub path: Option<String>,
    /// Which rule the path broke.
    pub fault: Option<&'static str>,
    /// The winner.
    pub route: Option<Arc<Route>>,
    /// Where it leads; `None` for an endpoint of ours.
    pub upstream: Option<String>,
    /// `None` when it passes.
    pub refusal: Option<Refusal>,
    /// How a refusal is told.
    pub profile: Profile,
    /// Why.
    pub because: String,
    /// What the backend gets.
    pub sent: Option<Sent>,
    /// Every pattern that the path meets.
    pub candidates: Vec<Candidate>,
    /// How many of them are not shown.
    pub candidates_left_out: usize,
}

impl Answer {
    /// Says where a token was refused because the keys of its issuer are not known here, and not for what it is.
    pub fn with_keys(mut self, token: Option<&str>, keys: Option<&KeySet>) -> Answer {
        let named = token.zip(keys).and_then(|(token, keys)| keys.named_by(token));
        if let (Some(Refusal::TokenInvalid), Some(issuer)) = (self.refusal, named)
            && issuer.keys.is_none()
        {
            self.because = format!(
                "the running gateway fetches the keys of {}, and nothing is fetched here; try `--as`, or \
                 `freshgate token inspect --jwk FILE`",
                issuer.trust.issuer
            );
        }
        self
    }
}

/// What the backend gets.
pub struct Sent {
    /// Path and query.
    pub target: String,
    /// The fields that say who asks.
    pub identity: Vec<(HeaderName, HeaderValue)>,
    /// All others, but the request id.
    pub forwarded: Vec<(HeaderName, HeaderValue)>,
}

/// Why a request passes.
pub fn why_passed(permit: &Permit) -> String {
    let route = permit.route();
    let policy = route.requirement.name();
    if let Some(refusal) = permit.reported() {
        return format!("the route is in report mode; `{policy}` would refuse: {}", refusal.code());
    }
    match permit.claims() {
        Some(claims) => format!("`{policy}` is met by `{}`", claims.subject),
        None if matches!(route.requirement, Requirement::Public | Requirement::Optional) => {
            format!("`{policy}` lets anybody pass")
        }
        // Nobody else passes the other policies without a token.
        None => "a CORS preflight carries no token, and this route lets it pass".to_owned(),
    }
}

/// Why a request is refused, as far as the route and the token say more than the refusal does.
pub fn why_refused(
    refusal: Refusal,
    route: &Route,
    path: &CanonicalPath<'_>,
    claims: Option<&Claims>,
    now: UnixTime,
) -> Option<String> {
    let claims = claims?;
    match refusal {
        Refusal::ClaimsRefused => {
            let capture = |index| route.pattern.capture(path, index);
            let rule = rules::first_broken(&route.claims, claims, capture)?;
            Some(broken(rule, route, path, claims))
        }
        Refusal::TokenNotFresh { max_age } => Some(match (max_age, claims.auth_age(now)) {
            (Some(max_age), Some(age)) if claims.is_fresh(now) => format!(
                "the password was checked {} ago, and `max_age` is {}",
                humantime::format_duration(Duration::from_secs(age.as_secs())),
                humantime::format_duration(max_age)
            ),
            _ => "the token does not come from a password: it is stale".to_owned(),
        }),
        _ => None,
    }
}

fn broken(rule: &ClaimRule, route: &Route, path: &CanonicalPath<'_>, claims: &Claims) -> String {
    let wanted: Vec<String> = rule
        .wanted
        .iter()
        .map(|wanted| match wanted {
            Wanted::Value(value) => value.to_string(),
            Wanted::Capture(index) => match route.pattern.capture(path, *index) {
                Some(text) => Value::from(text.as_ref()).to_string(),
                None => "a segment that is no text".to_owned(),
            },
        })
        .collect();
    let found = claims.all.get(&rule.claim).map_or("absent".to_owned(), Value::to_string);
    format!("the claim `{}` must be {}, and is {found}", rule.claim, wanted.join(" or "))
}

/// What is said of a refusal that needs no more words.
pub fn sentence(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::NoRoute => "no pattern matches: nothing is open by omission",
        Refusal::Denied => "the policy is `deny`; the client is told that nothing is there",
        Refusal::TokenMissing => "no token was given; --as or --token gives one",
        other => other.parts().3,
    }
}

impl Answer {
    /// For people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: &str| {
            let _infallible = writeln!(text, "{name:<10}{value}");
        };
        match (&self.path, self.fault) {
            (Some(path), _) => line("path", path),
            (None, fault) => line("path", &format!("refused: {}", fault.unwrap_or("?"))),
        }
        if let Some(route) = &self.route {
            line("pattern", &route.id);
            line("policy", route.requirement.name());
            line(
                "upstream",
                self.upstream.as_deref().unwrap_or("none: the gateway answers itself"),
            );
        }
        match self.refusal {
            None => line("decision", "pass"),
            Some(refusal) => {
                let status = profile::status(self.profile, refusal);
                line("decision", &format!("refuse {status} {}", refusal.code()));
            }
        }
        line("because", &self.because);
        if let Some(sent) = &self.sent {
            line("target", &sent.target);
            if sent.identity.is_empty() {
                line("headers", "no identity");
            }
            for (name, value) in sent.identity.iter().chain(&sent.forwarded) {
                line("headers", &format!("{name}: {}", shown(name, value)));
            }
        }
        for one in &self.candidates {
            line("candidate", &one.text());
        }
        if self.candidates_left_out > 0 {
            line("candidate", &format!("and {} more", self.candidates_left_out));
        }
        text
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let fields = |list: &[(HeaderName, HeaderValue)]| -> Vec<Value> {
            list.iter().map(|(name, value)| json!([name.as_str(), shown(name, value)])).collect()
        };
        let endpoint =
            self.route.as_ref().is_some_and(|one| matches!(one.action, Action::Endpoint(_)));
        json!({
            "path": self.path,
            "fault": self.fault,
            "pattern": self.route.as_ref().map(|route| &route.id),
            "policy": self.route.as_ref().map(|route| route.requirement.name()),
            "upstream": self.upstream,
            "endpoint": endpoint,
            "decision": if self.refusal.is_some() { "refuse" } else { "pass" },
            "status": self.refusal.map(|refusal| profile::status(self.profile, refusal)),
            "code": self.refusal.map(Refusal::code),
            "because": self.because,
            "target": self.sent.as_ref().map(|sent| &sent.target),
            "identity": self.sent.as_ref().map(|sent| fields(&sent.identity)),
            "headers": self.sent.as_ref().map(|sent| fields(&sent.forwarded)),
            "candidates": self.candidates.iter().map(Candidate::json).collect::<Vec<Value>>(),
            "candidates_left_out": self.candidates_left_out,
        })
    }
}

/// A field's value; credentials are only said to be there.
fn shown(name: &HeaderName, value: &HeaderValue) -> String {
    if [header::AUTHORIZATION, header::COOKIE].contains(name) {
        return "(as sent)".to_owned();
    }
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

/// Every field with its name, also those that repeat one.
pub trait Pairs {
    /// In the order of the names.
    fn into_iter_pairs(self) -> impl Iterator<Item = (HeaderName, HeaderValue)>;
}

impl Pairs for HeaderMap {
    fn into_iter_pairs(self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let mut last = None;
        self.into_iter().filter_map(move |(name, value)| {
            if name.is_some() {
                last = name;
            }
            Some((last.clone()?, value))
        })
    }
}
