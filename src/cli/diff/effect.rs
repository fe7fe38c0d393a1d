//! What a route does, in words and as JSON: the part of it that `diff` shows and compares.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::config::Config;
use crate::policy::Requirement;
use crate::policy::pattern::{Pattern, Segment};
use crate::policy::route::{Action, Forward, Rewrite, RewritePart, RewriteSegment, Route};
use crate::policy::rules::Wanted;
use crate::token::extract::Accept;

/// Whether two routes of two configurations do the same with a request that both match.
pub fn same((a, old): (&Config, &Route), (b, new): (&Config, &Route)) -> bool {
    let action = match (&old.action, &new.action) {
        (Action::Endpoint(one), Action::Endpoint(other)) => one == other,
        (Action::Forward(one), Action::Forward(other)) => {
            a.upstreams[one.upstream].name == b.upstreams[other.upstream].name
                && Forward { upstream: 0, ..one.clone() }
                    == Forward { upstream: 0, ..other.clone() }
        }
        (Action::Endpoint(_), Action::Forward(_)) | (Action::Forward(_), Action::Endpoint(_)) => {
            false
        }
    };
    action
        && old.requirement == new.requirement
        && old.claims == new.claims
        && accepts(a, old) == accepts(b, new)
        && old.preflight == new.preflight
        && old.report == new.report
}

/// Where a route looks for tokens, if it says so itself: what `[tokens]` says is a setting, and told once.
fn accepts(config: &Config, route: &Route) -> Option<Accept> {
    route.accept.filter(|own| *own != config.locations.accept)
}

/// What must be proved: `fresh-required max_age 5m roles=admin|editor`; `no route` where there is none.
pub fn proof(route: Option<&Route>) -> String {
    let Some(route) = route else { return "no route".to_owned() };
    let mut text = route.requirement.name().to_owned();
    if let Requirement::Fresh { max_age: Some(age) } = route.requirement {
        text.push_str(&format!(" max_age {}", span(age)));
    }
    for rule in &route.claims {
        let wanted: Vec<String> =
            rule.wanted.iter().map(|wanted| shown(&route.pattern, wanted)).collect();
        text.push_str(&format!(" {}={}", rule.claim, wanted.join("|")));
    }
    if route.report {
        text.push_str(" (report only)");
    }
    text
}

fn shown(pattern: &Pattern, wanted: &Wanted) -> String {
    match wanted {
        Wanted::Value(Value::String(text)) => text.clone(),
        Wanted::Value(other) => other.to_string(),
        Wanted::Capture(index) => capture(pattern, *index),
    }
}

fn capture(pattern: &Pattern, index: usize) -> String {
    match pattern.segments.get(index) {
        Some(Segment::Named(name)) => format!("{{{name}}}"),
        _ => "*".to_owned(),
    }
}

/// A duration as it is written in the file.
pub fn span(span: Duration) -> String {
    const DAY: u64 = 24 * 3600;
    match span.as_secs() {
        // Whole days are written in days: nobody knows how long a month is.
        whole if whole > DAY && whole.is_multiple_of(DAY) => format!("{}days", whole / DAY),
        _ => humantime::format_duration(span).to_string(),
    }
}

/// All but the proof, by name, as text: what stands in both and differs is a change.
pub fn rest(config: &Config, route: &Route) -> Vec<(&'static str, String)> {
    let on = |flag: bool| if flag { "on" } else { "off" }.to_owned();
    let Action::Forward(plan) = &route.action else {
        return vec![
            ("upstream", "none: the gateway answers".to_owned()),
            (PREFLIGHT, on(route.preflight)),
        ];
    };
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "none".to_owned());
    vec![
        ("upstream", config.upstreams[plan.upstream].name.to_string()),
        (PREFLIGHT, on(route.preflight)),
        ("accept", accepts(config, route).map_or("as [tokens]".to_owned(), |one| one.to_string())),
        ("rewrite", or_none(plan.rewrite.as_ref().map(|one| rewritten(&route.pattern, one)))),
        ("timeout", or_none(plan.timeout.map(span))),
        ("body_max", or_none(plan.body_max.map(|bytes| format!("{bytes} B")))),
        (FORWARD_TOKEN, on(plan.forward_token)),
    ]
}

/// The one of [`rest`] that only preflights notice.
pub const PREFLIGHT: &str = "preflight";

/// The one of [`rest`] that is a guard.
pub const FORWARD_TOKEN: &str = "forward_token";

fn rewritten(pattern: &Pattern, rewrite: &Rewrite) -> String {
    let part = |part: &RewritePart| match part {
        RewritePart::Text(text) => text.clone(),
        RewritePart::Capture(index) => capture(pattern, *index),
    };
    let segments = rewrite.segments.iter().map(|segment| match segment {
        RewriteSegment::Parts(parts) => parts.iter().map(part).collect(),
        RewriteSegment::Rest => "**".to_owned(),
    });
    format!("/{}", segments.collect::<Vec<String>>().join("/"))
}

/// The route as JSON; `null` where there is none.
pub fn json(config: &Config, route: Option<&Route>) -> Value {
    let Some(route) = route else { return Value::Null };
    let mut object = json!({
        "pattern": route.id,
        "policy": route.requirement.name(),
        "endpoint": matches!(route.action, Action::Endpoint(_)),
    });
    if let Requirement::Fresh { max_age: Some(age) } = route.requirement {
        object["max_age"] = json!(span(age));
    }
    if route.report {
        object["mode"] = json!("report");
    }
    if !route.claims.is_empty() {
        let claims = route.claims.iter().map(|rule| {
            let wanted: Vec<Value> = rule
                .wanted
                .iter()
                .map(|wanted| match wanted {
                    Wanted::Value(value) => value.clone(),
                    Wanted::Capture(index) => Value::from(capture(&route.pattern, *index)),
                })
                .collect();
            (rule.claim.clone(), Value::from(wanted))
        });
        object["claims"] = Value::Object(claims.collect::<Map<String, Value>>());
    }
    for (name, value) in rest(config, route) {
        object[name] = Value::from(value);
    }
    object
}
