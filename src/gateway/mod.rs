//! A request's life, top to bottom: [`handle`] is the table of contents.
//!
//! `client` says who asks, `judge` holds steps 2 to 6 for every caller, `prove` finds out who asks by a token, `tokens` remembers verified ones and `forgers` who sends
//! forged ones, `assertions` what is signed for backends, `limits` counts those that are reached here, `answer` turns refusals into responses, as `profile` has them, and
//! writes the access line.

pub mod answer;
mod assertions;
mod client;
mod forgers;
pub mod judge;
mod keepsakes;
mod limits;
pub mod profile;
mod prove;
pub mod selftest;
pub mod tokens;

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use http::request::Parts;
use http::{Request, Response};
use hyper::body::Incoming;

use crate::auth::{self, AuthContext, Jar};
use crate::config::Config;
use crate::policy::route::{Action, Endpoint, Route};
use crate::policy::{Permit, Refusal};
use crate::proxy::headers::{Client, Firewall, Peer, REQUEST_ID};
use crate::proxy::pool::Pool;
use crate::proxy::relay::ResponseBody;
use crate::proxy::room::Room;
use crate::proxy::{self, Way};
use crate::store::events::Events;
use crate::store::issuers::RemoteKeys;
use crate::store::{CredentialStore, StateStore, throttle};
use crate::telemetry::{self, Metrics, RouteMeter, ThreadMeter, panics};
use crate::token::trust::KeySet;
use crate::token::{Secret, UnixTime};
use answer::{Answer, Line, Record};
use assertions::Assertions;
use client::{asked_host, identify};
use judge::{Asked, View, judge, token_of};
use tokens::TokenCache;

/// The whole world a request sees: loaded once, never changed, replaced whole.
pub struct Snapshot {
    /// The configuration.
    pub config: Arc<Config>,
    /// Our keys and those of other issuers.
    pub keys: KeySet,
    /// Who fetches the keys of each other issuer; `None` where they are in a file. May be shorter than the list of them.
    pub issuers: Vec<Option<Arc<RemoteKeys>>>,
    /// The header firewall.
    pub firewall: Firewall,
    /// Users; `None` when login is switched off.
    pub credentials: Option<Arc<dyn CredentialStore>>,
    /// Sessions and revocations.
    pub state: Arc<dyn StateStore>,
    /// Whom is told what happens to logins.
    pub events: Arc<Events>,
    /// The places at each upstream, by its index: all data threads take theirs here.
    pub places: Vec<Arc<Room>>,
    /// Counters, by route index.
    pub meters: Arc<Vec<RouteMeter>>,
    /// Counters of requests that no route matched.
    pub no_route: Arc<RouteMeter>,
    /// The process's metrics.
    pub metrics: Arc<Metrics>,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").field("config", &self.config).finish_non_exhaustive()
    }
}

/// What one data thread has for itself: no other thread ever takes its locks.
#[derive(Debug)]
pub struct Data {
    world: Arc<ArcSwap<Snapshot>>,
    pools: Mutex<Pools>,
    tokens: TokenCache,
    assertions: Mutex<Assertions>,
    /// What this thread counts.
    pub meter: ThreadMeter,
}

/// The connections to each upstream of a configuration, by its index there.
#[derive(Debug, Default)]
struct Pools {
    made_for: Option<Arc<Snapshot>>,
    by_upstream: Vec<Arc<Pool>>,
}

impl Data {
    /// What a new data thread starts with.
    pub fn new(world: Arc<ArcSwap<Snapshot>>, meter: ThreadMeter) -> Arc<Data> {
        let snapshot = world.load();
        let (capacity, metrics) = (snapshot.config.limits.token_cache, &snapshot.metrics);
        let tokens = TokenCache::new(capacity, meter.clone(), Arc::clone(metrics));
        Arc::new(Data {
            world,
            pools: Mutex::default(),
            tokens,
            assertions: Mutex::default(),
            meter,
        })
    }

    /// The world as it is now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.world.load_full()
    }

    /// The connections to an upstream. An upstream that is the same in the next snapshot keeps its own.
    fn pool(&self, snapshot: &Arc<Snapshot>, index: usize) -> Arc<Pool> {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if !pools.made_for.as_ref().is_some_and(|made_for| Arc::ptr_eq(made_for, snapshot)) {
            let kept = std::mem::take(&mut pools.by_upstream);
            let limits = &snapshot.config.limits;
            let all = snapshot.config.upstreams.iter().zip(&snapshot.places);
            pools.by_upstream = all
                .map(|(one, places)| {
                    let same = kept.iter().find(|pool| pool.fits(one, limits, places)).cloned();
                    same.unwrap_or_else(|| Pool::new(one.clone(), limits, Arc::clone(places)))
                })
                .collect();
            pools.made_for = Some(Arc::clone(snapshot));
        }
        Arc::clone(&pools.by_upstream[index])
    }
}

/// Answers one request. `head` is what the wire guard found in its head.
pub async fn handle(
    data: Arc<Data>,
    peer: Peer,
    head: Result<(), Refusal>,
    request: Request<Incoming>,
) -> Response<Answer> {
    // 1. The world, once; the clock, once.
    let snapshot = data.snapshot();
    let clock = telemetry::clock();
    let now = UnixTime::of(clock);
    let (mut parts, body) = request.into_parts();
    if parts.uri.scheme().is_some() {
        parts.uri = proxy::origin_form(&parts.uri);
    }
    let client = identify(&snapshot, peer, &parts.headers, clock);
    let mut line = snapshot.config.log.access.then(|| access_line(&client, &parts));
    if let (Some(line), Err(_)) = (&mut line, head) {
        // The wire guard put another head in the place of the bad one: what stands there was not asked.
        "-".clone_into(&mut line.method);
    }
    let in_query = snapshot.firewall.credentials.in_query(parts.uri.query());
    let mut record = Record::open(&data, &snapshot, line);
    let scene = Scene { data: &data, snapshot: &snapshot, client: &client, now };
    // 2.–8.
    let outcome = match head.and_then(|()| limits::within(&snapshot, &parts)) {
        Ok(()) => scene.serve_or_own_up(parts, body, &mut record).await,
        Err(refusal) => Err(refusal),
    };
    // 9. One place turns any refusal into a response and writes the access line.
    let mut response = outcome.unwrap_or_else(|refusal| {
        record.decision = refusal.code();
        answer::refuse(refusal, snapshot.config.profile, record.told.take(), &client.request_id)
    });
    if in_query {
        answer::keep_private(response.headers_mut());
    }
    record.follow(response)
}

/// What every step of one request shares.
#[derive(Clone, Copy)]
struct Scene<'a> {
    data: &'a Data,
    snapshot: &'a Arc<Snapshot>,
    client: &'a Client,
    now: UnixTime,
}

impl Scene<'_> {
    /// A panic in one request is a 500 for that one alone.
    async fn serve_or_own_up(
        &self,
        parts: Parts,
        body: Incoming,
        record: &mut Record,
    ) -> Result<Response<ResponseBody>, Refusal> {
        panics::caught(self.serve(parts, body, record)).await.unwrap_or_else(|panicked| {
            panicked.report(self.client.request_id.to_str().unwrap_or_default());
            Err(Refusal::Internal)
        })
    }

    async fn serve(
        &self,
        parts: Parts,
        body: Incoming,
        record: &mut Record,
    ) -> Result<Response<ResponseBody>, Refusal> {
        // 2.–6. Path, route, token, standing, decision.
        let asked_host = asked_host(&parts.headers)?;
        let target = parts.uri.clone();
        let asked = Asked {
            method: parts.method.as_str(),
            host: &asked_host,
            path: target.path(),
            query: target.query(),
            headers: &parts.headers,
        };
        let view = View::of(&self.snapshot.config);
        let judged = judge(view, &asked, |presented| self.prove(presented), self.now);
        record.route = judged.route;
        let path = judged.path.map_err(|_| Refusal::BadPath)?;
        // Before the decision: of a refused request too, the operator wants to know who asked for what.
        if let Some(line) = record.line() {
            path.as_str().clone_into(&mut line.path);
            line.subject = judged.proved.map(|token| token.claims().subject.clone());
        }
        let permit = judged.decision.inspect_err(|refusal| {
            let config = &self.snapshot.config;
            record.told = profile::of_request(*refusal, config, record.route.as_deref(), &asked);
        })?;
        if let Some(refusal) = permit.reported() {
            self.report_only(permit.route(), refusal);
            record.reported = Some(refusal.code());
        }
        let route = Arc::clone(permit.route());
        match &route.action {
            // 7. Ours.
            Action::Endpoint(endpoint) => {
                // On the heap: they are large, and what proxied requests carry with them is small.
                Box::pin(self.answer((permit, *endpoint), path.judged(), parts, body)).await
            }
            // 8. The backend's.
            Action::Forward(plan) => {
                let pool = self.data.pool(self.snapshot, plan.upstream);
                let cookies = self.session_cookies(&permit, plan.upstream);
                let assertion = self.assertion(&permit, plan.upstream)?;
                let way = Way {
                    pool: &pool,
                    firewall: &self.snapshot.firewall,
                    limits: &self.snapshot.config.limits,
                    paths: &self.snapshot.config.paths,
                    client: self.client,
                    cookies: cookies.as_ref(),
                    assertion: assertion.as_ref(),
                    metrics: &self.snapshot.metrics,
                };
                let sent = proxy::forward(&permit, plan, &path, (parts, body), way).await;
                let mut answer = sent.map_err(|error| self.report(&pool, &error))?;
                if cookies.is_some() {
                    self.keep_cookies(&permit, plan.upstream, answer.headers_mut());
                }
                Ok(answer)
            }
        }
    }

    async fn answer(
        &self,
        (permit, endpoint): (Permit, Endpoint),
        path: &str,
        parts: Parts,
        body: Incoming,
    ) -> Result<Response<ResponseBody>, Refusal> {
        let locations = &self.snapshot.config.locations;
        let token = matches!(endpoint, Endpoint::Refresh)
            .then(|| token_of(permit.route(), locations, &parts.headers, parts.uri.query()))
            .flatten()
            .map(Secret::new);
        let context = AuthContext {
            ring: self.snapshot.keys.own(),
            rules: &self.snapshot.config.tokens,
            sessions: &self.snapshot.config.sessions,
            token: token.as_ref(),
            credentials: self.snapshot.credentials.as_deref(),
            state: self.snapshot.state.as_ref(),
            body_idle: self.snapshot.config.limits.body_idle,
            guesses: throttle::Rules::of_limits(&self.snapshot.config.limits),
            metrics: &self.snapshot.metrics,
            events: &self.snapshot.events,
            profile: self.snapshot.config.profile,
            path,
            cookies: Jar::of(&self.snapshot.config),
            request_id: self.client.request_id.to_str().unwrap_or_default(),
            address: self.client.origin,
        };
        let answered = auth::answer(permit, endpoint, (parts, body), &context, self.now).await;
        let metrics = &self.snapshot.metrics;
        let answer = answered.inspect_err(|refusal| limits::count_ours(*refusal, metrics))?;
        let mut response = answer.map(ResponseBody::full);
        response.headers_mut().insert(REQUEST_ID, self.client.request_id.clone());
        Ok(response)
    }

    /// A route in report mode: the operator learns what the policy would do, the client does not.
    fn report_only(&self, route: &Route, refusal: Refusal) {
        tracing::info!(
            event = "report",
            request_id = self.client.request_id.to_str().unwrap_or_default(),
            route.id = route.id,
            policy = route.requirement.name(),
            refusal.code = refusal.code(),
            "would be refused"
        );
    }

    fn report(&self, pool: &Pool, error: &proxy::UpstreamError) -> Refusal {
        let refusal = error.refusal();
        if !error.is_the_backends() {
            return refusal;
        }
        if let Some(limit) = error.limit() {
            self.snapshot.metrics.limit_reached(limit);
        }
        let upstream = &pool.upstream().name;
        self.snapshot.metrics.upstream_error(upstream, refusal.code());
        if refusal == Refusal::Overloaded {
            // Counted; a line for each would make a flood of requests one of the log too.
            return refusal;
        }
        tracing::warn!(
            request_id = self.client.request_id.to_str().unwrap_or_default(),
            upstream.name = %upstream,
            refusal.code = refusal.code(),
            %error,
            "the backend did not answer"
        );
        refusal
    }
}

fn access_line(client: &Client, parts: &Parts) -> Line {
    Line {
        request_id: client.request_id.to_str().unwrap_or_default().to_owned(),
        client: client.origin.to_string(),
        method: parts.method.to_string(),
        path: "-".to_owned(),
        subject: None,
    }
}
