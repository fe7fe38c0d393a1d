//! Finding a route among 10, 1,000 and 10,000: hits of every kind, misses, and the deepest search there is.
//!
//! `cargo bench --bench routes`; `cargo test --benches` runs each once. That none of it allocates is a test:
//! `tests/allocations.rs`.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use freshgate::policy::Requirement;
use freshgate::policy::path::{CanonicalPath, PathRules};
use freshgate::policy::pattern::Pattern;
use freshgate::policy::route::{Action, Endpoint, Route, RouteTable};

const SIZES: [usize; 3] = [10, 1_000, 10_000];

fn route(pattern: &str) -> Route {
    let parsed = Pattern::parse(pattern).expect("a pattern");
    Route::new(pattern, parsed, Requirement::Access, Action::Endpoint(Endpoint::Me))
}

/// A table as people write it: exact pages, names in the middle, trees, methods, hosts.
fn table(size: usize) -> RouteTable {
    let patterns = (0..size).map(|at| match at % 5 {
        0 => format!("/service/{at}"),
        1 => format!("/service/{at}/{{item}}/edit"),
        2 => format!("/service/{at}/**"),
        3 => format!("POST /service/{at}/*"),
        _ => format!("h{at}.test/service/{at}/**"),
    });
    RouteTable::build(patterns.map(|one| route(&one)).collect()).expect("no two tie")
}

fn find(criterion: &mut Criterion) {
    for (name, method, host, raw, found) in [
        ("hit literal", "GET", "app.test", "/service/5", true),
        ("hit name", "GET", "app.test", "/service/6/x/edit", true),
        ("hit rest", "GET", "app.test", "/service/7/a/b/c/d/e", true),
        ("hit method", "POST", "app.test", "/service/8/x", true),
        ("hit host", "GET", "h9.test", "/service/9/x", true),
        ("miss at once", "GET", "app.test", "/elsewhere/6", false),
        ("miss late", "GET", "app.test", "/service/6/x/remove", false),
        ("miss method", "GET", "app.test", "/service/8/x", false),
    ] {
        let path = CanonicalPath::parse(raw, &PathRules::default()).expect("a plain path");
        let mut group = criterion.benchmark_group(format!("find {name}"));
        for size in SIZES {
            let table = table(size);
            assert_eq!(table.find(method, host, &path).is_some(), found, "{name}");
            group.bench_with_input(BenchmarkId::from_parameter(size), &path, |bench, path| {
                bench.iter(|| table.find(black_box(method), host, path).is_some());
            });
        }
    }
}

/// Every segment both literal and `*`: a search that must try both everywhere.
fn both_ways(criterion: &mut Criterion) {
    const DEPTH: u32 = 10;
    let patterns = (0..1u32 << DEPTH).map(|bits| {
        let segments = (0..DEPTH).map(|at| if bits >> at & 1 == 1 { "/*" } else { "/a" });
        segments.collect::<String>() + "/end"
    });
    let table = RouteTable::build(patterns.map(|one| route(&one)).collect()).expect("no two tie");
    let raw = "/a".repeat(DEPTH as usize) + "/other";
    let path = CanonicalPath::parse(&raw, &PathRules::default()).expect("a plain path");
    criterion.bench_function("find miss among 1024 that share every prefix", |bench| {
        bench.iter(|| table.find(black_box("GET"), "app.test", &path).is_some());
    });
}

criterion_group!(benches, find, both_ways);
criterion_main!(benches);
