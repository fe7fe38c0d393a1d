//! Steps 2 to 6: the path, its route, the token in the request, what it proves, and the decision.

use std::sync::Arc;
use std::time::Duration;

use freshgate::gateway::judge::{Asked, View, judge};
use freshgate::gateway::tokens::{Budget, TokenCache};
use freshgate::policy::path::{CanonicalPath, PathRules};
use freshgate::policy::pattern::Pattern;
use freshgate::policy::route::{Action, Endpoint, Route, RouteTable};
use freshgate::policy::{Requirement, decide};
use freshgate::telemetry::Metrics;
use freshgate::token::TokenKind;
use freshgate::token::extract::{Accept, Cookies, Location};
use freshgate::token::keys::{Algorithm, Family, Key, KeyMaterial, KeyRing, KeySpec, generate};
use freshgate::token::mint::Mint;
use freshgate::token::trust::KeySet;
use freshgate::token::verify::read;
use http::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderValue};
use serde_json::Map;

use super::Stage;
use super::world::{ADDRESS, World};

/// Forged tokens that one address may send in a second.
const FORGED_MAX: usize = 100;

pub(super) fn stages() -> Vec<Stage> {
    let world = World::new();
    let mut all = paths();
    all.extend(matches());
    all.extend(extracting(&world));
    all.extend(verifying(&world));
    all.extend(deciding(&world));
    all
}

fn paths() -> Vec<Stage> {
    let of = |name, raw: &'static str| {
        Stage::of("path", name, move || {
            CanonicalPath::parse(std::hint::black_box(raw), &PathRules::default()).is_ok()
        })
    };
    vec![
        of("plain", "/service/7/orders/2026/11/23"),
        of("escaped", "/service/7/%6frders/caf%c3%a9/%7Euser"),
        of("refused", "/service/7/..%2f..%2fetc/passwd"),
    ]
}

/// A route that ends at an endpoint of ours.
pub(super) fn route(pattern: &str) -> Route {
    let parsed = Pattern::parse(pattern).expect("a pattern");
    Route::new(pattern, parsed, Requirement::Access, Action::Endpoint(Endpoint::Me))
}

fn matches() -> Vec<Stage> {
    let mut all = Vec::new();
    for size in [10, 1_000, 10_000] {
        let routes = (0..size).map(|at| route(&format!("/service/{at}/{{item}}/**"))).collect();
        let table = Arc::new(RouteTable::build(routes).expect("no two tie"));
        for (name, raw) in
            [("found", "/service/7/orders/2026"), ("not found", "/elsewhere/7/orders")]
        {
            let table = Arc::clone(&table);
            let path = CanonicalPath::parse(raw, &PathRules::default()).expect("a plain path");
            all.push(Stage::of("match", format!("{name}, {size} routes"), move || {
                table.find(std::hint::black_box("GET"), "app.test", &path).is_some()
            }));
        }
    }
    all
}

fn extracting(world: &Arc<World>) -> Vec<Stage> {
    let everywhere = Accept::of([Location::Header, Location::Cookie, Location::Query]);
    let query = format!("page=2&access_token={}&sort=date", world.token);
    let mut header = world.headers(10);
    let mut cookie = header.clone();
    header.remove(COOKIE);
    cookie.remove(AUTHORIZATION);
    let none = cookie.clone();
    let with = format!("theme=dark; lang=en; access_token={}; seen=2026-11-23", world.token);
    cookie.insert(COOKIE, HeaderValue::try_from(with).expect("a field"));
    let of = |name: &str, headers: HeaderMap, query: Option<String>, found: bool| {
        let world = Arc::clone(world);
        Stage::of("extract", name, move || {
            let locations = &world.snapshot.config.locations;
            let query = query.as_deref();
            let here = locations.find(everywhere, Cookies::Access, &headers, query).location;
            assert_eq!(here.is_some(), found);
        })
    };
    vec![
        of("from the header", header, None, true),
        of("from one of 4 cookies", cookie, None, true),
        of("from the query", none.clone(), Some(query), true),
        of("none in header, 3 cookies and query", none, Some("page=2&sort=date".into()), false),
    ]
}

/// A key for each algorithm; RSA keys take long to make, so all six share one.
fn rings() -> Vec<(Algorithm, KeyRing)> {
    let mut rsa: Option<KeyMaterial> = None;
    let mut material = |algorithm: Algorithm| match algorithm.family() {
        Family::Rsa => rsa.get_or_insert_with(|| generate(algorithm).expect("a new key")).clone(),
        _ => generate(algorithm).expect("a new key"),
    };
    let mut ring = |algorithm| {
        let spec = KeySpec { id: "k".to_owned(), algorithm, material: material(algorithm) };
        KeyRing::new(vec![Key::parse(&spec).expect("a good key")])
    };
    Algorithm::ALL.into_iter().map(|algorithm| (algorithm, ring(algorithm))).collect()
}

/// Signs a token with this ring.
fn sign(world: &World, ring: &KeyRing) -> String {
    let no_claims = Map::new();
    let mint = Mint {
        subject: "alice",
        kind: TokenKind::Access,
        fresh: true,
        auth_time: Some(world.now),
        session: Some("5f7ff519-beeb-4128-88a9-b9662896024a"),
        claims: &no_claims,
        ttl: Duration::from_secs(900),
    };
    let rules = &world.snapshot.config.tokens;
    mint.sign(ring, rules, world.now).expect("the ring signs").token
}

fn verifying(world: &Arc<World>) -> Vec<Stage> {
    let mut all = Vec::new();
    for (algorithm, ring) in rings() {
        let token = sign(world, &ring);
        let keys = Arc::new(KeySet::new(ring, Vec::new()));
        let name = algorithm.name();
        let (again, known) = (token.clone(), Arc::clone(&keys));
        let (here, signer) = (Arc::clone(world), Arc::clone(&keys));
        all.push(Stage::of("sign", name, move || sign(&here, signer.own())));
        let here = Arc::clone(world);
        all.push(Stage::of("verify", format!("{name}, by its signature"), move || {
            let rules = &here.snapshot.config.tokens;
            assert!(read(&token, keys.own(), rules).is_ok());
        }));
        let metrics = Arc::new(Metrics::new());
        let cache = TokenCache::new(16, metrics.thread(0), metrics);
        let here = Arc::clone(world);
        let budget = Budget { address: ADDRESS, each_second: FORGED_MAX };
        all.push(Stage::of("verify", format!("{name}, remembered"), move || {
            let rules = &here.snapshot.config.tokens;
            assert!(cache.read(&again, (&known, rules), budget).is_ok());
        }));
    }
    let rules = &world.snapshot.config.tokens;
    let signed = world.snapshot.keys.read(&world.token, rules).expect("its own token");
    let (here, same) = (Arc::clone(world), signed.clone());
    all.push(Stage::of("verify", "not among 1000 revoked sessions", move || {
        assert!(here.snapshot.state.revocations().fault(same.claims(), here.now).is_none());
    }));
    let here = Arc::clone(world);
    all.push(Stage::of("verify", "issuer, audience and times", move || {
        here.snapshot.keys.standing(&signed, &here.snapshot.config.tokens, here.now)
    }));
    all
}

fn deciding(world: &Arc<World>) -> Vec<Stage> {
    let mut all = Vec::new();
    for (name, raw) in [
        ("public", "/public/x"),
        ("access-required", "/account/7/x"),
        ("fresh-required with max_age", "/safe/x"),
        ("access-required with two claims", "/team/blue/x"),
    ] {
        let path = CanonicalPath::parse(raw, &PathRules::default()).expect("a plain path");
        let route = world.snapshot.config.routes.find("GET", "app.test", &path);
        let route = Arc::clone(route.expect("a route"));
        let (make, here) = (Arc::clone(world), Arc::clone(world));
        all.push(Stage::on(
            "decide",
            name,
            move || make.snapshot.keys.judge(&make.token, &make.snapshot.config.tokens, make.now),
            move |standing| decide(&route, &path, standing, here.now).expect("passes"),
        ));
    }
    let here = Arc::clone(world);
    let headers = world.headers(10);
    let metrics = Arc::new(Metrics::new());
    let cache = TokenCache::new(16, metrics.thread(0), metrics);
    let budget = Budget { address: ADDRESS, each_second: FORGED_MAX };
    all.push(Stage::of("decide", "all from path to decision, token remembered", move || {
        let world = &*here.snapshot;
        let rules = &world.config.tokens;
        let asked = Asked {
            method: "GET",
            host: "app.test",
            path: "/account/7/x",
            query: None,
            headers: &headers,
        };
        let prove = |presented: freshgate::token::extract::Presented<'_>| {
            let token = presented.token().expect("one token");
            let signed = cache.read(token, (&world.keys, rules), budget).expect("its own token");
            assert!(world.state.revocations().fault(signed.claims(), here.now).is_none());
            world.keys.standing(&signed, rules, here.now)
        };
        judge(View::of(&world.config), &asked, prove, here.now).decision.expect("passes")
    }));
    all
}
