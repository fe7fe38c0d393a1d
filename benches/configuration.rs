//! What a reload costs before anything is swapped: reading, checking and lowering the whole file.
//!
//! `cargo bench --bench configuration`; `cargo test --bench configuration` runs each once.

use std::fmt::Write;
use std::hint::black_box;
use std::path::Path;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use freshgate::config::lower::lower;

fn file(routes: usize) -> String {
    let mut text =
        "upstream = \"http://127.0.0.1:9000\"\n[login]\nenabled = false\n[routes]\n".to_owned();
    for index in 0..routes {
        writeln!(text, "\"/service/{index}/{{item}}/**\" = \"access-required\"").expect("a string");
    }
    text
}

fn lowering(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("lower");
    group.sample_size(20);
    for routes in [10, 1_000, 10_000] {
        let text = file(routes);
        group.bench_with_input(BenchmarkId::from_parameter(routes), &text, |bench, text| {
            bench.iter(|| lower(black_box(text), None, Path::new("")).is_ok());
        });
    }
}

criterion_group!(benches, lowering);
criterion_main!(benches);
