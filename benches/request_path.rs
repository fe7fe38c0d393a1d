//! The pure steps of a request's life, each alone: path, route, decision, token.
//!
//! `cargo bench --bench request_path`; more about routes alone is in `routes.rs`; `cargo test --benches` runs each once.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use freshgate::gateway::tokens::{Budget, TokenCache};
use freshgate::policy::path::{CanonicalPath, PathRules};
use freshgate::policy::pattern::Pattern;
use freshgate::policy::route::{Action, Forward, Route, RouteTable};
use freshgate::policy::{Requirement, decide};
use freshgate::telemetry::Metrics;
use freshgate::token::keys::{Algorithm, Key, KeyRing, KeySpec, generate};
use freshgate::token::mint::Mint;
use freshgate::token::trust::KeySet;
use freshgate::token::verify::{TokenRules, read};
use freshgate::token::{TokenKind, UnixTime};
use serde_json::Map;

const NOW: UnixTime = UnixTime(1_800_000_000);

fn route(pattern: &str, requirement: Requirement) -> Route {
    let forward =
        Forward { upstream: 0, rewrite: None, timeout: None, body_max: None, forward_token: false };
    let parsed = Pattern::parse(pattern).expect("a pattern");
    Route::new(pattern, parsed, requirement, Action::Forward(forward))
}

fn table(routes: usize) -> RouteTable {
    let all = (0..routes)
        .map(|index| route(&format!("/service/{index}/{{item}}/**"), Requirement::Access))
        .collect();
    RouteTable::build(all).expect("no two tie")
}

fn paths(criterion: &mut Criterion) {
    let rules = PathRules::default();
    let mut group = criterion.benchmark_group("path");
    for (name, raw) in [
        ("plain", "/service/7/orders/2026/11/23"),
        ("escaped", "/service/7/%6frders/caf%c3%a9/%7Euser"),
        ("refused", "/service/7/..%2f..%2fetc/passwd"),
    ] {
        group.bench_function(name, |bench| {
            bench.iter(|| CanonicalPath::parse(black_box(raw), &rules).is_ok());
        });
    }
}

fn routes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("find");
    for count in [10, 1_000, 10_000] {
        let table = table(count);
        let path = CanonicalPath::parse("/service/7/orders/2026", &PathRules::default())
            .expect("a plain path");
        group.bench_with_input(BenchmarkId::from_parameter(count), &path, |bench, path| {
            bench.iter(|| table.find(black_box("GET"), "app.example", path).is_some());
        });
    }
}

fn ring(algorithm: Algorithm) -> KeyRing {
    let material = generate(algorithm).expect("a new key");
    let spec = KeySpec { id: "k".to_owned(), algorithm, material };
    KeyRing::new(vec![Key::parse(&spec).expect("a good key")])
}

fn tokens(criterion: &mut Criterion) {
    let rules = TokenRules {
        issuer: Some("https://issuer.example".to_owned()),
        audience: Some("app".to_owned()),
        access_ttl: Duration::from_secs(900),
        refresh_ttl: Duration::from_secs(86_400),
        leeway: Duration::ZERO,
        csrf: false,
        identity_claim: "sub".to_owned(),
        others: false,
    };
    let mint = Mint {
        subject: "alice",
        kind: TokenKind::Access,
        fresh: true,
        auth_time: Some(NOW),
        session: Some("5f7ff519-beeb-4128-88a9-b9662896024a"),
        claims: &Map::new(),
        ttl: Duration::from_secs(900),
    };
    let mut group = criterion.benchmark_group("token");
    for algorithm in Algorithm::ALL {
        let ring = ring(algorithm);
        let token = mint.sign(&ring, &rules, NOW).expect("the ring signs").token;
        group.bench_function(format!("read {}", algorithm.name()), |bench| {
            bench.iter(|| read(black_box(&token), &ring, &rules).is_ok());
        });
        group.bench_function(format!("mint {}", algorithm.name()), |bench| {
            bench.iter(|| mint.sign(black_box(&ring), &rules, NOW).is_ok());
        });
        let metrics = Arc::new(Metrics::new());
        let cache = TokenCache::new(16, metrics.thread(0), metrics);
        let budget = Budget { address: [192, 0, 2, 1].into(), each_second: 100 };
        let keys = KeySet::new(ring, Vec::new());
        group.bench_function(format!("read again {}", algorithm.name()), |bench| {
            bench.iter(|| cache.read(black_box(&token), (&keys, &rules), budget).is_ok());
        });
    }
    let ring = ring(Algorithm::Hs256);
    let token = mint.sign(&ring, &rules, NOW).expect("the ring signs").token;
    let signed = read(&token, &ring, &rules).expect("its own token");
    let route = Arc::new(route("/account/**", Requirement::Fresh { max_age: None }));
    let path = CanonicalPath::parse("/account/x", &PathRules::default()).expect("a plain path");
    group.bench_function("judge a known token", |bench| {
        bench.iter(|| decide(&route, &path, signed.standing(&rules, black_box(NOW)), NOW).is_ok());
    });
}

criterion_group!(benches, paths, routes, tokens);
criterion_main!(benches);
