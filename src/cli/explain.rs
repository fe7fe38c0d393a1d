//! `freshgate explain`: what would happen to a request, and why. It asks the same `judge` as a live request.

use std::fmt::Write;
use std::time::Duration;

use clap::Args;
use http::{HeaderMap, HeaderValue, Uri, header};
use serde_json::{Map, Value, json};

use super::{ConfigArg, Failure};
use crate::config::Config;
use crate::gateway::judge::{Asked, Judged, View, judge};
use crate::policy::path::{CanonicalPath, PathFault, PathRules};
use crate::policy::route::Action;
use crate::policy::{Permit, Refusal, host};
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
    /// The method.
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
        let (host, target) = self.target()?;
        wire::check_method(self.method.as_bytes()).map_err(|refusal| {
            let (status, code, ..) = refusal.parts();
            Failure(format!("`{}` is refused as a method: {status} {code}", self.method))
        })?;
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
        print!("{}", text(&judged, &config, &firewall));
        if self.token.is_some() && judged.decision.is_ok() {
            println!("note      only the running gateway knows whether the token is revoked");
        }
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
                .map_err(|fault| Failure(fault.0.to_owned()))?
                .into_owned(),
        };
        let target = if target.is_empty() { "/" } else { target };
        if !target.starts_with('/') || target.contains('#') || target.parse::<Uri>().is_err() {
            return Err(Failure(format!("`{target}` is refused as a target: 400 bad-target")));
        }
        let path = target.split('?').next().unwrap_or(target);
        Ok((host, path.to_owned()))
    }

    fn headers(&self) -> Result<HeaderMap, Failure> {
        let mut headers = HeaderMap::new();
        if let Some(token) = &self.token {
            let value = HeaderValue::try_from(format!("Bearer {token}"))
                .map_err(|_| Failure("--token cannot be a header field".to_owned()))?;
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
            .map_err(|error| Failure(format!("--as is not a JSON object: {error}")))?;
        let mut all: Map<String, Value> = match json!({
            "sub": "someone", "type": "access", "fresh": true, "jti": "assumed",
            "iat": now.0, "exp": now.plus(Duration::from_secs(900)).0,
        }) {
            Value::Object(all) => all,
            _ => Map::new(),
        };
        all.extend(given);
        let claims = Claims::from_json(all)
            .map_err(|_| Failure("--as: a claim has the wrong type".to_owned()))?;
        Ok(Some(claims))
    }
}

fn text(judged: &Judged<'_>, config: &Config, firewall: &Firewall) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _infallible = writeln!(text, "{name:<10}{value}");
    };
    match &judged.path {
        Ok(path) => line("path", path.as_str()),
        Err(fault) => line("path", &format!("refused: {}", fault.0)),
    }
    let rewritten = rewritten(judged, &config.paths);
    if let Some(route) = &judged.route {
        line("pattern", &route.id);
        line("policy", route.requirement.name());
        match &route.action {
            Action::Forward(plan) => line("upstream", &config.upstreams[plan.upstream].name),
            Action::Endpoint(_) => line("upstream", "none: the gateway answers itself"),
        }
    }
    match &rewritten {
        Some(Ok(path)) => line("rewrite", path.as_str()),
        Some(Err(fault)) => line("rewrite", &format!("refused: {}", fault.0)),
        None => {}
    }
    match (&judged.decision, rewritten) {
        (Ok(_), Some(Err(_))) => refused(Refusal::BadPath, &mut line),
        (Ok(permit), _) => {
            line("decision", "pass");
            line("because", &why_passed(permit));
            headers(permit, firewall, &mut line);
        }
        (Err(refusal), _) => refused(*refusal, &mut line),
    }
    text
}

/// The path that the backend would get, where the route rewrites it.
fn rewritten(
    judged: &Judged<'_>,
    rules: &PathRules,
) -> Option<Result<CanonicalPath<'static>, PathFault>> {
    let (Ok(path), Some(route)) = (&judged.path, &judged.route) else { return None };
    let Action::Forward(plan) = &route.action else { return None };
    Some(plan.rewrite.as_ref()?.apply(&route.pattern, path, rules))
}

fn refused(refusal: Refusal, line: &mut impl FnMut(&str, &str)) {
    let (status, code, _, sentence) = refusal.parts();
    line("decision", &format!("refuse {status} {code}"));
    line("because", why_refused(refusal).unwrap_or(sentence));
}

fn why_passed(permit: &Permit) -> String {
    let policy = permit.route().requirement.name();
    match permit.claims() {
        None => format!("`{policy}` lets anybody pass"),
        Some(claims) => format!("`{policy}` is met by `{}`", claims.subject),
    }
}

fn why_refused(refusal: Refusal) -> Option<&'static str> {
    match refusal {
        Refusal::NoRoute => Some("no pattern matches: nothing is open by omission"),
        Refusal::Denied => Some("the policy is `deny`; the client is told that nothing is there"),
        _ => None,
    }
}

/// What the backend would be told. The values of those that every request gets depend on the connection.
fn headers(permit: &Permit, firewall: &Firewall, line: &mut impl FnMut(&str, &str)) {
    let Action::Forward(plan) = &permit.route().action else { return };
    let fields = permit.claims().map(|claims| firewall.identity_fields(claims)).unwrap_or_default();
    if fields.is_empty() {
        line("headers", "no identity");
    }
    for (name, value) in fields {
        line("headers", &format!("{name}: {}", value.to_str().unwrap_or("?")));
    }
    if plan.forward_token && permit.claims().is_some() {
        line("headers", "authorization: Bearer (the token itself)");
    }
    line("headers", "x-forwarded-for, -proto, -host, forwarded, via, x-request-id");
}
