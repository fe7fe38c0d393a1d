//! `freshgate explain`: what would happen to a request, and why. It asks the same `judge` as a live request.

use std::fmt::Write;
use std::time::Duration;

use clap::Args;
use http::{HeaderMap, HeaderValue, Uri, header};
use serde_json::{Map, Value, json};

use super::{ConfigArg, Failure};
use crate::gateway::judge::{Asked, Judged, View, judge};
use crate::policy::pattern::{Pattern, Segment};
use crate::policy::route::Action;
use crate::policy::rules::{ClaimRule, Wanted};
use crate::policy::{Permit, Refusal, Requirement, host};
use crate::proxy::headers::Firewall;
use crate::server::{build, wire};
use crate::telemetry;
use crate::token::extract::Presented;
use crate::token::{self, Claims, Standing, TokenFault, UnixTime, verify};

/// Say what would happen to a request, and why.
#[derive(Debug, Args)]
pub struct Explain {
    #[command(flatten)]
    config: ConfigArg,
    /// The method, such as GET.
    method: String,
    /// A path such as /account/settings, or a whole URL whose host then counts.
    url: String,
    /// With this token.
    #[arg(long, conflicts_with = "as_claims")]
    token: Option<String>,
    /// With a token that says this; what is missing is filled in: '{"sub":"a","fresh":false}'.
    #[arg(long = "as", value_name = "JSON")]
    as_claims: Option<String>,
}

impl Explain {
    /// Prints the explanation.
    ///
    /// # Errors
    /// A mistake in the configuration or in the arguments; never a refusal, which is an answer.
    pub fn run(&self) -> Result<(), Failure> {
        let config = self.config.load()?;
        let now = UnixTime::of(telemetry::clock());
        if wire::check_method(self.method.as_bytes()).is_err() {
            let why = "a method is upper-case letters and `-`, and neither TRACE nor CONNECT";
            return Err(Failure::Words(format!(
                "`{}` is refused as a method: 501 bad-method; {why}",
                self.method
            )));
        }
        let (host, target) = self.target()?;
        let headers = self.headers()?;
        let assumed = self.assumed(now)?;
        // Keys are read, and made on a first run, only when there is a token to verify.
        let ring = self.token.as_ref().map(|_| build::key_ring(&config)).transpose()?;
        let asked = Asked { method: &self.method, host: &host, path: &target, headers: &headers };
        let prove = |presented: Presented<'_>| match (assumed, presented, &ring) {
            (Some(claims), ..) => Standing::assumed(claims),
            (None, Presented::Token(token), Some(ring)) => match verify::read(token, ring) {
                Ok(signed) => signed.standing(&config.tokens, now),
                Err(fault) => Standing::Unproven(fault),
            },
            (None, Presented::Nothing, _) => Standing::Anonymous,
            (None, ..) => Standing::Unproven(TokenFault::Malformed),
        };
        let view = View { routes: &config.routes, paths: &config.paths };
        let judged = judge(view, &asked, prove, now);
        let firewall = Firewall::new(&config.identity);
        let upstream = judged.route.as_ref().and_then(|route| match &route.action {
            Action::Forward(plan) => Some(&*config.upstreams[plan.upstream].name),
            Action::Endpoint(_) => None,
        });
        print!("{}", text(&judged, upstream, &firewall));
        Ok(())
    }

    /// The host in canonical spelling and the path as given, which a URL parser must not tidy.
    fn target(&self) -> Result<(String, String), Failure> {
        let (authority, target) = match self.url.split_once("://") {
            None => ("", self.url.as_str()),
            Some((_, rest)) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        };
        let host = match authority {
            "" => String::new(),
            authority => host::canonical(authority)
                .map_err(|fault| Failure::Words(fault.0.to_owned()))?
                .into_owned(),
        };
        let target = if target.is_empty() { "/" } else { target };
        if !target.starts_with('/') || target.contains('#') || target.parse::<Uri>().is_err() {
            return Err(Failure::Words(format!(
                "`{target}` is refused as a target: 400 bad-target; write a path such as /account/"
            )));
        }
        let path = target.split('?').next().unwrap_or(target);
        Ok((host, path.to_owned()))
    }

    fn headers(&self) -> Result<HeaderMap, Failure> {
        let mut headers = HeaderMap::new();
        if let Some(token) = &self.token {
            let value = HeaderValue::try_from(format!("Bearer {token}"))
                .map_err(|_| Failure::Words("--token cannot be a header field".to_owned()))?;
            headers.insert(header::AUTHORIZATION, value);
        }
        Ok(headers)
    }

    /// The claims of `--as`, with what every token has filled in.
    fn assumed(&self, now: UnixTime) -> Result<Option<Claims>, Failure> {
        let Some(text) = &self.as_claims else {
            return Ok(None);
        };
        let given = token::json::object(text.as_bytes())
            .map_err(|error| Failure::Words(format!("--as is not a JSON object: {error}")))?;
        let mut all: Map<String, Value> = match json!({
            "sub": "someone", "type": "access", "fresh": true, "jti": "assumed",
            "iat": now.0, "exp": now.plus(Duration::from_secs(900)).0,
        }) {
            Value::Object(all) => all,
            _ => Map::new(),
        };
        all.extend(given);
        let claims = Claims::from_json(all)
            .map_err(|_| Failure::Words("--as: a claim has the wrong type".to_owned()))?;
        Ok(Some(claims))
    }
}

fn text(judged: &Judged<'_>, upstream: Option<&str>, firewall: &Firewall) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _infallible = writeln!(text, "{name:<10}{value}");
    };
    match &judged.path {
        Ok(path) => line("path", path.as_str()),
        Err(fault) => line("path", &format!("refused: {}", fault.0)),
    }
    if let Some(route) = &judged.route {
        line("pattern", &route.id);
        line("policy", route.requirement.name());
        if let Requirement::Fresh { max_age: Some(age) } = route.requirement {
            line("max_age", &humantime::format_duration(age).to_string());
        }
        for rule in &route.claims {
            line("claims", &wants(rule, &route.pattern));
        }
        match &route.action {
            Action::Forward(_) => line("upstream", upstream.unwrap_or("-")),
            Action::Endpoint(_) => line("upstream", "none: the gateway answers itself"),
        }
    }
    match &judged.decision {
        Ok(permit) => {
            line("decision", "pass");
            line("because", &why_passed(permit));
            headers(permit, firewall, &mut line);
        }
        Err(refusal) => {
            let (status, code, _, sentence) = refusal.parts();
            line("decision", &format!("refuse {status} {code}"));
            line("because", why_refused(*refusal).unwrap_or(sentence));
        }
    }
    text
}

fn why_passed(permit: &Permit) -> String {
    let policy = permit.route().requirement.name();
    match permit.claims() {
        None => format!("`{policy}` lets anybody pass"),
        Some(claims) => format!("`{policy}` is met by `{}`", claims.subject),
    }
}

/// What the public is not told in as many words.
fn why_refused(refusal: Refusal) -> Option<&'static str> {
    let why = match refusal {
        Refusal::NoRoute => "no pattern matches: nothing is open by omission",
        Refusal::Denied => "the policy is `deny`; the client is told that nothing is there",
        Refusal::TokenMissing => "no token was given; --as or --token gives one",
        Refusal::TokenNotFresh { max_age: None } => {
            "the token is stale: it comes from a refresh, not from a password"
        }
        Refusal::TokenNotFresh { max_age: Some(_) } => {
            "the token is stale, or its password was checked longer than `max_age` ago"
        }
        Refusal::ClaimsRefused => "the token does not say what `claims` wants",
        _ => return None,
    };
    Some(why)
}

/// `roles = "admin" or "editor"`, `sub = {id}`
fn wants(rule: &ClaimRule, pattern: &Pattern) -> String {
    let wanted = rule.wanted.iter().map(|wanted| match wanted {
        Wanted::Value(value) => value.to_string(),
        Wanted::Capture(index) => match pattern.segments.get(*index) {
            Some(Segment::Named(name)) => format!("{{{name}}}"),
            _ => "*".to_owned(),
        },
    });
    format!("{} = {}", rule.claim, wanted.collect::<Vec<_>>().join(" or "))
}

fn headers(permit: &Permit, firewall: &Firewall, line: &mut impl FnMut(&str, &str)) {
    let fields = permit.claims().map(|claims| firewall.identity_fields(claims)).unwrap_or_default();
    if fields.is_empty() {
        line("headers", "no identity");
    }
    for (name, value) in fields {
        line("headers", &format!("{name}: {}", value.to_str().unwrap_or("?")));
    }
}
