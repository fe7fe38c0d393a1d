//! `freshgate token inspect`: everything that a person needs to know of one token, good or broken. The verdict of each
//! policy comes from the code that judges live requests.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use http::{HeaderMap, HeaderValue, header};
use serde_json::{Value, json};

use super::anatomy::{self, Anatomy, distance, take_apart};
use super::given;
use super::verify::published;
use crate::cli::Failure;
use crate::config::Config;
use crate::gateway::judge::{Asked, View, judge};
use crate::policy::path::PathRules;
use crate::policy::pattern::Pattern;
use crate::policy::route::{Action, Endpoint, Route, RouteTable};
use crate::policy::{Refusal, Requirement};
use crate::token::extract::{Cookies, Locations, Presented};
use crate::token::trust::KeySet;
use crate::token::{Standing, UnixTime};

/// Which token, and for whom.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// The token; `-` or nothing reads it from standard input.
    token: Option<String>,
    /// Take these keys (JWK set, JWK or PEM) for those of the other issuer that the token names, instead of what
    /// `[[tokens.trust]]` says: where that is a URL, nothing is fetched here.
    #[arg(long, value_name = "FILE")]
    jwk: Option<PathBuf>,
    /// Say it in JSON, for programs.
    #[arg(long)]
    json: bool,
}

/// How one policy judges the token.
struct Judged {
    requirement: Requirement,
    refusal: Option<Refusal>,
}

/// What is found out about a token.
struct Findings<'r> {
    anatomy: Anatomy<'r>,
    standing: Standing,
    policies: Vec<Judged>,
}

impl InspectArgs {
    /// Says it. What is no token at all is still taken apart; then the exit status is 1.
    ///
    /// # Errors
    /// It is no token.
    pub(super) fn run(
        self,
        config: &Config,
        mut keys: KeySet,
        now: UnixTime,
    ) -> Result<(), Failure> {
        let token = given(self.token)?;
        if let Some(path) = &self.jwk {
            let none = || {
                let why = "--jwk has the keys of another issuer, and the token names none of [[tokens.trust]]";
                Failure::Words(why.to_owned())
            };
            let algorithms = &keys.named_by(&token).ok_or_else(none)?.trust.algorithms;
            let ring = published(path, algorithms)?;
            keys = keys.with_keys_for(&token, ring).ok_or_else(none)?;
        }
        let found = find(&token, config, &keys, now);
        let text = match self.json {
            true => format!("{:#}\n", program(&found, now)),
            false => person(&found, now),
        };
        print!("{text}");
        match found.standing {
            Standing::Unproven(crate::token::TokenFault::Malformed) => Err(Failure::Told),
            _ => Ok(()),
        }
    }
}

fn find<'r>(token: &str, config: &Config, keys: &'r KeySet, now: UnixTime) -> Findings<'r> {
    // As a request would carry it; what cannot stand in a field is what a field without a token is.
    let field = HeaderValue::from_str(&format!("Bearer {token}"));
    let field = field.unwrap_or(HeaderValue::from_static("Bearer"));
    let headers = HeaderMap::from_iter([(header::AUTHORIZATION, field)]);
    let prove = |token: &str| keys.judge(token, &config.tokens, now);
    let places = Locations::default();
    let presented = places.find(places.accept, Cookies::Access, &headers, None).presented.token();
    Findings {
        anatomy: take_apart(token, keys, &config.tokens, now),
        standing: presented.map_or_else(|standing| standing, prove),
        policies: judge_all(config, &headers, prove, now),
    }
}

/// Every policy, and `fresh-required` with each `max_age` that a route has.
fn requirements(config: &Config) -> Vec<Requirement> {
    let of_route = |route: &std::sync::Arc<Route>| match route.requirement {
        Requirement::Fresh { max_age } => max_age,
        _ => None,
    };
    let mut ages: Vec<Duration> = config.routes.routes().iter().filter_map(of_route).collect();
    ages.sort();
    ages.dedup();
    let mut all = vec![Requirement::Public, Requirement::Optional, Requirement::Access];
    all.push(Requirement::Fresh { max_age: None });
    all.extend(ages.into_iter().rev().map(|age| Requirement::Fresh { max_age: Some(age) }));
    all.extend([Requirement::Refresh, Requirement::Deny]);
    all
}

/// Asks the judge of live requests: a table with one route for each policy.
fn judge_all(
    config: &Config,
    headers: &HeaderMap,
    prove: impl Fn(&str) -> Standing,
    now: UnixTime,
) -> Vec<Judged> {
    let requirements = requirements(config);
    let route = |(index, requirement): (usize, &Requirement)| {
        let path = format!("/{index}");
        let pattern = Pattern::parse(&path).expect("a slash and digits");
        Route::new(path, pattern, *requirement, Action::Endpoint(Endpoint::Me))
    };
    let routes = RouteTable::build(requirements.iter().enumerate().map(route).collect());
    let routes = routes.expect("no two paths are the same");
    // Where a route looks for tokens is not the question here.
    let locations = Locations::default();
    let view =
        View { routes: &routes, paths: &PathRules::default(), locations: &locations, csrf: false };
    let judged = |(index, requirement): (usize, &Requirement)| {
        let path = format!("/{index}");
        let asked = Asked { method: "GET", host: "", path: &path, query: None, headers };
        let standing = |presented: Presented<'_>| match presented.token() {
            Ok(token) => prove(token),
            Err(standing) => standing,
        };
        let refusal = judge(view, &asked, standing, now).decision.err();
        Judged { requirement: *requirement, refusal }
    };
    requirements.iter().enumerate().map(judged).collect()
}

fn verdict(standing: &Standing, now: UnixTime) -> String {
    match standing {
        Standing::Anonymous => format!("refused: {}", Refusal::TokenMissing.code()),
        Standing::Unproven(fault) => format!("refused: {}", Refusal::from(*fault).code()),
        Standing::Refresh(_) => "good refresh token".to_owned(),
        Standing::Access(token) if token.claims().is_fresh(now) => "good, fresh".to_owned(),
        Standing::Access(_) => "good, stale".to_owned(),
    }
}

fn name(requirement: Requirement) -> String {
    match requirement {
        Requirement::Fresh { max_age: Some(age) } => {
            format!("{}, max_age {}", requirement.name(), humantime::format_duration(age))
        }
        _ => requirement.name().to_owned(),
    }
}

/// The claims of another issuer's token in our words, which headers and rules go by.
fn meaning(standing: &Standing) -> Option<Value> {
    let Standing::Access(token) = standing else { return None };
    token.claims().foreign.then(|| Value::Object(token.claims().all.clone()))
}

/// Not known here.
const UNKNOWN: &str = "revocation is known to the running gateway only";

fn person(found: &Findings<'_>, now: UnixTime) -> String {
    let anatomy = &found.anatomy;
    let mut text = String::new();
    for (title, part) in [("header", &anatomy.header), ("claims", &anatomy.claims)] {
        match part {
            Some(value) => line(&mut text, title, &format!("{value:#}")),
            None => line(&mut text, title, "cannot be read"),
        }
    }
    for (name, time) in anatomy.claims.iter().flat_map(anatomy::times) {
        line(&mut text, "time", &format!("{name:<10}{time}  {}", distance(time, now)));
    }
    match &anatomy.key {
        Some((key, state)) => {
            let algorithm = key.algorithm().name();
            line(&mut text, "key", &format!("{} ({algorithm}; {state})", key.id()));
        }
        None => line(&mut text, "key", "none verifies it"),
    }
    if let Some(meaning) = meaning(&found.standing) {
        line(&mut text, "means", &format!("{meaning:#}"));
    }
    for fault in &anatomy.faults {
        line(&mut text, "because", fault);
    }
    line(&mut text, "verdict", &format!("{} ({UNKNOWN})", verdict(&found.standing, now)));
    for Judged { requirement, refusal } in &found.policies {
        let outcome = match refusal {
            None => "passes".to_owned(),
            Some(refusal) => {
                let (status, code, _, sentence) = refusal.parts();
                format!("{status} {code}: {sentence}")
            }
        };
        line(&mut text, "policy", &format!("{:<POLICY_WIDTH$}  {outcome}", name(*requirement)));
    }
    text
}

/// `fresh-required, max_age 15m`.
const POLICY_WIDTH: usize = 27;

fn line(text: &mut String, title: &str, rest: &str) {
    let _infallible = writeln!(text, "{title:<8}{rest}");
}

fn program(found: &Findings<'_>, now: UnixTime) -> Value {
    let anatomy = &found.anatomy;
    let times: serde_json::Map<String, Value> = anatomy
        .claims
        .iter()
        .flat_map(anatomy::times)
        .map(|(name, time)| {
            let words = distance(time, now);
            (name.to_owned(), json!({"at": time.0, "utc": time.to_string(), "words": words}))
        })
        .collect();
    let key = anatomy.key.as_ref().map(|(key, state)| {
        json!({
            "id": key.id(),
            "alg": key.algorithm().name(),
            "state": state,
            "thumbprint": key.thumbprint(),
        })
    });
    let policies: Vec<Value> = found.policies.iter().map(policy).collect();
    let good = !matches!(found.standing, Standing::Anonymous | Standing::Unproven(_));
    json!({
        "header": anatomy.header,
        "claims": anatomy.claims,
        "times": times,
        "key": key,
        "good": good,
        "verdict": verdict(&found.standing, now),
        "means": meaning(&found.standing),
        "because": anatomy.faults,
        "policies": policies,
    })
}

fn policy(judged: &Judged) -> Value {
    let mut value = json!({
        "policy": judged.requirement.name(),
        "passes": judged.refusal.is_none(),
    });
    if let Requirement::Fresh { max_age: Some(age) } = judged.requirement {
        value["max_age"] = json!(age.as_secs());
    }
    if let Some(refusal) = judged.refusal {
        let (status, code, _, sentence) = refusal.parts();
        value["status"] = json!(status);
        value["code"] = json!(code);
        value["sentence"] = json!(sentence);
    }
    value
}
