//! What is counted, and the text that a metrics server reads. Handles for the request path are resolved once.

use std::sync::OnceLock;
use std::sync::atomic::Ordering;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::{EventKind, Limit, WebhookMeter};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    policy: &'static str,
    decision: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct UpstreamLabels {
    upstream: String,
    code: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct HashLabels {
    hash: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ResultLabels {
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct LimitLabels {
    limit: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ThreadLabels {
    thread: usize,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct IssuerLabels {
    issuer: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct FetchLabels {
    issuer: String,
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct EventLabels {
    event: &'static str,
}

/// All metrics of the process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    reports: Family<RequestLabels, Counter>,
    upstream_errors: Family<UpstreamLabels, Counter>,
    token_cache_hits: Family<ThreadLabels, Counter>,
    token_cache_misses: Family<ThreadLabels, Counter>,
    duration: Family<ThreadLabels, Histogram, fn() -> Histogram>,
    configuration: Family<HashLabels, Gauge>,
    reloads: Family<ResultLabels, Counter>,
    reload_refused: Gauge,
    limits_reached: Family<LimitLabels, Counter>,
    /// Refresh tokens that came back after they had been replaced.
    pub refresh_reuse: Counter,
    /// By number of [`Limit`], each there from the start, so that a rate over it is defined.
    limits: Box<[Counter]>,
    events_by_kind: Family<EventLabels, Counter>,
    /// By number of [`EventKind`], each there from the start.
    events: Box<[Counter]>,
    /// What the webhook does.
    pub webhook: WebhookMeter,
    issuer_fetches: Family<FetchLabels, Counter>,
    issuer_keys_age: Family<IssuerLabels, Gauge>,
    /// Connections open now.
    pub connections: Gauge,
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics::new()
    }
}

impl Metrics {
    /// A fresh set, all zero.
    pub fn new() -> Metrics {
        let limits_reached = Family::<LimitLabels, Counter>::default();
        let of = |limit: &Limit| LimitLabels { limit: limit.name() };
        let each = Limit::ALL.iter().map(|limit| limits_reached.get_or_create_owned(&of(limit)));
        let limits = each.collect();
        let events_by_kind = Family::<EventLabels, Counter>::default();
        let of = |kind: &EventKind| EventLabels { event: kind.name() };
        let each = EventKind::ALL.iter().map(|kind| events_by_kind.get_or_create_owned(&of(kind)));
        let events = each.collect();
        let mut metrics = Metrics {
            registry: Registry::with_prefix("freshgate"),
            requests: Family::default(),
            reports: Family::default(),
            upstream_errors: Family::default(),
            token_cache_hits: Family::default(),
            token_cache_misses: Family::default(),
            duration: Family::new_with_constructor(duration_histogram),
            configuration: Family::default(),
            reloads: Family::default(),
            reload_refused: Gauge::default(),
            refresh_reuse: Counter::default(),
            limits_reached,
            limits,
            events_by_kind,
            events,
            webhook: WebhookMeter::new(),
            issuer_fetches: Family::default(),
            issuer_keys_age: Family::default(),
            connections: Gauge::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        let requests = "Requests, by route, policy and decision code";
        registry.register("requests", requests, self.requests.clone());
        let reports = "Requests that passed a route in report mode and would be refused";
        registry.register("reports", reports, self.reports.clone());
        let errors = "Requests that a backend did not answer, by upstream and code";
        registry.register("upstream_errors", errors, self.upstream_errors.clone());
        let hits = "Tokens found among those verified before";
        registry.register("token_cache_hits", hits, self.token_cache_hits.clone());
        let misses = "Tokens whose signature had to be checked";
        registry.register("token_cache_misses", misses, self.token_cache_misses.clone());
        let duration = "From the end of the request head to the end of the response, in seconds";
        registry.register("request_duration_seconds", duration, self.duration.clone());
        registry.register("connections", "Connections open now", self.connections.clone());
        let hash = "The hash of the configuration that serves";
        registry.register("configuration", hash, self.configuration.clone());
        let reloads = "Reloads of the configuration, by result";
        registry.register("reloads", reloads, self.reloads.clone());
        let refused = "1 while the file is refused and an older configuration serves";
        registry.register("reload_refused", refused, self.reload_refused.clone());
        let reuse = "Sessions that ended because a replaced refresh token came back";
        registry.register("refresh_reuse", reuse, self.refresh_reuse.clone());
        let reached = "How often each limit was reached, by its key in [limits]";
        registry.register("limits_reached", reached, self.limits_reached.clone());
        let events = "What happened to people's logins, by event";
        registry.register("events", events, self.events_by_kind.clone());
        self.webhook.register(registry);
        let fetches = "Fetches of the keys of another issuer, by result";
        registry.register("issuer_fetches", fetches, self.issuer_fetches.clone());
        let age = "Seconds since the keys of another issuer were fetched; absent where it has none";
        registry.register("issuer_keys_age_seconds", age, self.issuer_keys_age.clone());
        let lost = "Lines of the log that nobody took: its disk is full, or its reader too slow";
        registry.register("log_lines_lost", lost, super::log::lost().clone());
    }

    /// Everything, in the OpenMetrics text format.
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail; what is there is sent either way.
        let _infallible = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }

    /// The counters of one route, resolved once; `codes` are all decisions there can be.
    pub fn route(
        &self,
        route: &str,
        policy: &'static str,
        codes: &'static [&'static str],
    ) -> RouteMeter {
        let (family, reports) = (self.requests.clone(), self.reports.clone());
        let (first, others) = (OnceLock::new(), OnceLock::new());
        RouteMeter { family, reports, route: route.to_owned(), policy, codes, first, others }
    }

    /// The counters of one data thread, resolved once.
    pub fn thread(&self, thread: usize) -> ThreadMeter {
        let labels = ThreadLabels { thread };
        ThreadMeter {
            token_cache_hits: self.token_cache_hits.get_or_create_owned(&labels),
            token_cache_misses: self.token_cache_misses.get_or_create_owned(&labels),
            duration: self.duration.get_or_create_owned(&labels),
        }
    }

    /// Forgets what was counted of other issuers, of which each is told anew.
    pub fn no_issuers(&self) {
        self.issuer_fetches.clear();
        self.issuer_keys_age.clear();
    }

    /// Tells how the keys of another issuer stand: fetches that succeeded, that failed, and the age of the keys in seconds.
    pub fn issuer(&self, issuer: &str, (ok, failed): (u64, u64), age: Option<u64>) {
        for (result, count) in [("ok", ok), ("failed", failed)] {
            let labels = FetchLabels { issuer: issuer.to_owned(), result };
            let counter = self.issuer_fetches.get_or_create(&labels);
            counter.inner().store(count, Ordering::Relaxed);
        }
        if let Some(age) = age {
            let labels = IssuerLabels { issuer: issuer.to_owned() };
            self.issuer_keys_age.get_or_create(&labels).set(i64::try_from(age).unwrap_or(i64::MAX));
        }
    }

    /// Names the configuration that serves.
    pub fn configuration(&self, hash: &str) {
        self.configuration.clear();
        self.configuration.get_or_create(&HashLabels { hash: hash.to_owned() }).set(1);
    }

    /// Counts a reload; a refused one shows until one succeeds.
    pub fn reloaded(&self, succeeded: bool) {
        let result = if succeeded { "ok" } else { "refused" };
        self.reloads.get_or_create(&ResultLabels { result }).inc();
        self.reload_refused.set(i64::from(!succeeded));
    }

    /// Counts that a limit was reached. Lock-free.
    pub fn limit_reached(&self, limit: Limit) {
        self.limits[limit as usize].inc();
    }

    /// Counts an event. Lock-free.
    pub fn event(&self, kind: EventKind) {
        self.events[kind as usize].inc();
    }

    /// Counts a request that a backend did not answer.
    pub fn upstream_error(&self, upstream: &str, code: &'static str) {
        let labels = UpstreamLabels { upstream: upstream.to_owned(), code };
        self.upstream_errors.get_or_create(&labels).inc();
    }
}

fn duration_histogram() -> Histogram {
    // 100 µs to 26 s, each bucket twice the one before.
    Histogram::new(exponential_buckets(0.0001, 2.0, 19))
}

/// Counts the decisions of one route without a lock. Most routes see few decisions, and a configuration may have
/// ten thousand: a counter exists from its first use.
#[derive(Debug)]
pub struct RouteMeter {
    family: Family<RequestLabels, Counter>,
    reports: Family<RequestLabels, Counter>,
    route: String,
    policy: &'static str,
    codes: &'static [&'static str],
    /// The first code, which is by far the most frequent.
    first: OnceLock<Counter>,
    others: OnceLock<Box<[OnceLock<Counter>]>>,
}

impl RouteMeter {
    /// Counts one decision; a code that was not named before is not counted.
    pub fn count(&self, code: &'static str) {
        let slot = match self.codes.iter().position(|known| *known == code) {
            None => return,
            Some(0) => &self.first,
            Some(index) => {
                let all = || self.codes.iter().map(|_| OnceLock::new()).collect();
                &self.others.get_or_init(all)[index]
            }
        };
        slot.get_or_init(|| self.family.get_or_create_owned(&self.labels(code))).inc();
    }

    /// Counts what a route in report mode would have refused.
    pub fn report(&self, code: &'static str) {
        self.reports.get_or_create(&self.labels(code)).inc();
    }

    fn labels(&self, decision: &'static str) -> RequestLabels {
        RequestLabels { route: self.route.clone(), policy: self.policy, decision }
    }
}

/// What one data thread counts alone.
#[derive(Clone, Debug)]
pub struct ThreadMeter {
    /// Tokens found among those verified before.
    pub token_cache_hits: Counter,
    /// Tokens whose signature had to be checked.
    pub token_cache_misses: Counter,
    /// Whole requests, in seconds.
    pub duration: Histogram,
}
