//! One question to the real `judge`: from words to a request, and from the decision to what the backend gets.

use std::cell::OnceCell;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::candidates::{Candidate, candidates};
use super::show::{self, Answer, Pairs, Sent};
use crate::cli::Failure;
use crate::config::Config;
use crate::gateway::judge::{Asked, Judged, View, judge};
use crate::policy::path::CanonicalPath;
use crate::policy::route::{Action, Forward};
use crate::policy::{Permit, Refusal, host};
use crate::proxy::credentials::Kept;
use crate::proxy::headers::{Client, Facts, Firewall, Hops, REQUEST_ID, count_hop};
use crate::proxy::{self, UpstreamError, upstream};
use crate::server::{build, wire};
use crate::token::extract::Presented;
use crate::token::trust::KeySet;
use crate::token::{Claims, Standing, UnixTime, VerifiedToken};

/// A request in words.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The method.
    pub method: String,
    /// A path, or a whole URL.
    pub url: String,
    /// `Host`, whatever the URL says.
    #[serde(default)]
    pub host: Option<String>,
    /// Header fields, in order.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// The address it comes from; this machine if none is given.
    #[serde(default)]
    pub from: Option<String>,
    /// A bearer token.
    #[serde(default)]
    pub token: Option<String>,
    /// What a token would say.
    #[serde(default, rename = "as")]
    pub assumed: Option<Map<String, Value>>,
}

/// The configuration and what is made of it: once for many questions.
pub struct World {
    config: Config,
    firewall: Firewall,
    keys: OnceCell<KeySet>,
}

/// The words as a request.
struct Request {
    host: String,
    method: Method,
    uri: Uri,
    path: String,
    query: Option<String>,
    headers: HeaderMap,
    client: Client,
}

impl World {
    /// Of this configuration.
    pub fn new(config: Config) -> World {
        World { firewall: Firewall::new(&config), config, keys: OnceCell::new() }
    }

    /// Answers one question.
    ///
    /// # Errors
    /// The question is no request; a refusal is an answer.
    pub fn answer(&self, question: &Question, now: UnixTime) -> Result<Answer, Failure> {
        let request = self.request(question)?;
        let assumed = question.assumed.as_ref().map(|given| assumed(given, now)).transpose()?;
        let Request { host, path, query, headers, .. } = &request;
        let mut failure = None;
        let prove = |presented: Presented<'_>| {
            self.prove(assumed, presented, now).unwrap_or_else(|no_keys| {
                failure = Some(no_keys);
                Standing::Anonymous
            })
        };
        let asked =
            Asked { method: &question.method, host, path, query: query.as_deref(), headers };
        let mut view = View::of(&self.config);
        if question.token.is_some() || question.assumed.is_some() {
            view = view.presented_well();
        }
        let judged = judge(view, &asked, prove, now);
        if let Some(failure) = failure {
            return Err(failure);
        }
        let (tried, others) = match &judged.path {
            Ok(path) => candidates(view.routes, &asked, path, judged.route.as_deref()),
            Err(_) => (Vec::new(), 0),
        };
        let answer = self.tell(&request, judged, (tried, others), now);
        Ok(answer.with_keys(question.token.as_deref(), self.keys.get()))
    }

    fn tell(
        &self,
        request: &Request,
        judged: Judged<'_>,
        (candidates, candidates_left_out): (Vec<Candidate>, usize),
        now: UnixTime,
    ) -> Answer {
        let route = judged.route;
        let claims = judged.proved.as_ref().map(VerifiedToken::claims);
        let upstream = route.as_ref().and_then(|route| self.config.upstream_name(route));
        let upstream = upstream.map(str::to_owned);
        let (path, fault) = match &judged.path {
            Ok(path) => (Some(path.as_str().to_owned()), None),
            Err(fault) => (None, Some(fault.0)),
        };
        let outcome = match (judged.decision, &judged.path) {
            (Ok(permit), Ok(path)) => self.sent(&permit, path, request).map(|sent| (permit, sent)),
            (Ok(_), Err(fault)) => Err((Refusal::BadPath, Some(fault.0.to_owned()))),
            (Err(refusal), path) => {
                let why = match (&route, path) {
                    (Some(route), Ok(path)) => show::why_refused(refusal, route, path, claims, now),
                    _ => None,
                };
                Err((refusal, why))
            }
        };
        let (refusal, because, sent) = match outcome {
            Ok((permit, sent)) => (None, show::why_passed(&permit), sent),
            Err((refusal, why)) => {
                let because = why.unwrap_or_else(|| show::sentence(refusal).to_owned());
                (Some(refusal), because, None)
            }
        };
        Answer {
            path,
            fault,
            route,
            upstream,
            refusal,
            profile: self.config.profile,
            because,
            sent,
            candidates,
            candidates_left_out,
        }
    }

    /// What the backend gets, by the code that sends it; `None` where we answer ourselves.
    fn sent(
        &self,
        permit: &Permit,
        path: &CanonicalPath<'_>,
        request: &Request,
    ) -> Result<Option<Sent>, (Refusal, Option<String>)> {
        let Action::Forward(plan) = &permit.route().action else { return Ok(None) };
        let refused = |error: UpstreamError| (error.refusal(), Some(error.to_string()));
        let (rules, credentials) = (&self.config.paths, &self.firewall.credentials);
        let target = proxy::backend_uri(permit, plan, path, &request.uri, rules, credentials)
            .map_err(refused)?;
        let mut headers = request.headers.clone();
        let kept = credentials.kept(permit, plan, &headers, request.query.as_deref());
        match count_hop(&request.method, &mut headers) {
            Hops::On => {}
            Hops::End => return Ok(None),
            Hops::Malformed => return Err(refused(UpstreamError::MaxForwards)),
        }
        let asked = (&request.method, &target);
        self.toward_backend(&mut headers, asked, (permit, kept), plan, &request.client);
        let identity: Vec<&HeaderName> = self.firewall.identity_names().collect();
        let (own, forwarded): (Vec<_>, Vec<_>) =
            headers.into_iter_pairs().partition(|(name, _)| identity.contains(&name));
        Ok(Some(Sent { target: target.to_string(), identity: own, forwarded }))
    }

    fn toward_backend(
        &self,
        headers: &mut HeaderMap,
        asked: (&Method, &Uri),
        (permit, kept): (&Permit, Kept),
        plan: &Forward,
        client: &Client,
    ) {
        let upstream = &self.config.upstreams[plan.upstream];
        // Nothing is signed for a question.
        let asserted = (upstream.assertion && permit.claims().is_some())
            .then(|| HeaderValue::from_static("(signed for each request)"));
        let length = headers.get(header::CONTENT_LENGTH).cloned();
        let facts = Facts {
            asked,
            permit,
            client,
            host: &upstream.host,
            authority: &upstream::authority(&upstream.target),
            kept,
            // What is kept of a session's login is not known here.
            cookies: None,
            assertion: asserted.as_ref(),
        };
        *headers = self.firewall.toward_backend(headers, &facts).to_headers();
        // Who sends the body says how long it is.
        headers.extend(length.map(|length| (header::CONTENT_LENGTH, length)));
        // It is another one for each request.
        headers.remove(REQUEST_ID);
    }

    fn prove(
        &self,
        assumed: Option<Claims>,
        presented: Presented<'_>,
        now: UnixTime,
    ) -> Result<Standing, Failure> {
        match (assumed, presented.token()) {
            (Some(claims), Ok(_) | Err(Standing::Anonymous)) => Ok(Standing::assumed(claims)),
            (_, Err(standing)) => Ok(standing),
            // Keys are read, and made on a first run, only when there is a token to verify.
            (None, Ok(token)) => Ok(self.keys(now)?.judge(token, &self.config.tokens, now)),
        }
    }

    fn keys(&self, now: UnixTime) -> Result<&KeySet, Failure> {
        if let Some(keys) = self.keys.get() {
            return Ok(keys);
        }
        let keys = build::key_set(&self.config, now)?;
        Ok(self.keys.get_or_init(|| keys))
    }

    fn request(&self, question: &Question) -> Result<Request, Failure> {
        let mut headers = HeaderMap::new();
        for (name, value) in &question.headers {
            let name = HeaderName::try_from(name.trim())
                .map_err(|_| Failure::Words(format!("`{name}` is no name of a header field")))?;
            let value = HeaderValue::try_from(value.as_str())
                .map_err(|_| Failure::Words(format!("`{name}` has a value that cannot be sent")))?;
            headers.append(name, value);
        }
        if wire::check_method(question.method.as_bytes()).is_err() {
            return Err(Failure::Words(format!(
                "`{}` is refused as a method: 501 bad-method; a method is upper-case letters and `-`, and neither \
                 TRACE nor CONNECT",
                question.method
            )));
        }
        let method = Method::from_bytes(question.method.as_bytes())
            .map_err(|_| Failure::Words(format!("`{}` is no method", question.method)))?;
        let (authority, target) = split(&question.url);
        let named = question.host.as_deref().unwrap_or(authority);
        if !authority.is_empty() && host::with_port(authority) != host::with_port(named) {
            return Err(Failure::Words(format!(
                "`{}` names another host than `{named}`: 400 bad-target; name one of them",
                question.url
            )));
        }
        if !named.is_empty() {
            let value = HeaderValue::try_from(named)
                .map_err(|_| Failure::Words(format!("`{named}` is no host")))?;
            headers.insert(header::HOST, value);
        }
        let host = match headers.get(header::HOST).map(HeaderValue::to_str) {
            None => String::new(),
            Some(Ok(host)) => host::canonical(host)
                .map_err(|fault| Failure::Words(fault.0.to_owned()))?
                .into_owned(),
            Some(Err(_)) => return Err(Failure::Words("the host is no ASCII text".to_owned())),
        };
        let uri = match target.parse::<Uri>() {
            Ok(uri) if target.starts_with('/') && !target.contains('#') => uri,
            _ => {
                return Err(Failure::Words(format!(
                    "`{}` is refused as a target: 400 bad-target; write a path such as /account/",
                    // What stands behind it may be a token.
                    target.split('?').next().unwrap_or(target)
                )));
            }
        };
        let address = match question.from.as_deref().map(str::parse::<IpAddr>) {
            None => IpAddr::V4(Ipv4Addr::LOCALHOST),
            Some(Ok(address)) => address,
            Some(Err(_)) => return Err(Failure::Words("`from` is no IP address".to_owned())),
        };
        let trusted = self.config.trusts(address);
        let request_id = HeaderValue::from_static("-");
        let client = Client { peer: address.into(), origin: address, trusted, request_id };
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
            None => (target.to_owned(), None),
        };
        let mut request = Request { host, method, uri, path, query, headers, client };
        self.present(question, &mut request)?;
        Ok(request)
    }

    /// Puts the token where the route that wins looks first; one that is assumed too, so that it is seen where the
    /// route forwards it.
    fn present(&self, question: &Question, request: &mut Request) -> Result<(), Failure> {
        let token = match (&question.token, &question.assumed) {
            (Some(token), _) => token.as_str(),
            (None, Some(_)) if !request.headers.contains_key(&self.config.locations.header) => {
                "assumed"
            }
            (None, _) => return Ok(()),
        };
        if HeaderValue::try_from(token).is_err() || token.contains(['&', ';', '#']) {
            return Err(Failure::Words("no request can carry this token".to_owned()));
        }
        let Request { host, path, query, headers, uri, .. } = request;
        let asked = (&*question.method, &**host, &**path);
        View::of(&self.config).present(asked, token, headers, query);
        if let Some(query) = query {
            *uri = format!("{path}?{query}")
                .parse()
                .map_err(|_| Failure::Words("no request can carry this token".to_owned()))?;
        }
        Ok(())
    }
}

/// The authority and the target as given, which a URL parser must not tidy.
fn split(url: &str) -> (&str, &str) {
    let (authority, target) = match url.split_once("://") {
        Some((scheme, rest)) if !scheme.contains(['/', '?']) => {
            rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()))
        }
        _ => ("", url),
    };
    (authority, if target.is_empty() { "/" } else { target })
}

/// The claims of `--as`, with what every token has filled in.
fn assumed(given: &Map<String, Value>, now: UnixTime) -> Result<Claims, Failure> {
    let mut all: Map<String, Value> = match json!({
        "sub": "someone", "type": "access", "fresh": true, "jti": "assumed",
        "iat": now.0, "exp": now.plus(Duration::from_secs(900)).0,
    }) {
        Value::Object(all) => all,
        _ => Map::new(),
    };
    all.extend(given.clone());
    Claims::from_json(all)
        .map_err(|_| Failure::Words("--as: a claim has the wrong type".to_owned()))
}
