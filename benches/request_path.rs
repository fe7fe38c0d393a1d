//! The time of each stage of a request's life, by group, and of what an attacker sends to make one of them slow.
//!
//! `cargo bench --bench request_path [FILTER]`; `cargo test --bench request_path` runs each once. More about routes alone is in
//! `routes.rs`; `instructions.rs` counts what the processor executes for the same stages.

#[path = "kit/stages/mod.rs"]
mod stages;

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use stages::{Stage, hostile};

/// So many at a time: their input is made before the clock runs, and must stay in the processor's caches.
const BATCH: usize = 64;

/// The time of so many runs.
fn time(stage: &mut Stage, mut runs: u64) -> Duration {
    let mut total = Duration::ZERO;
    while runs > 0 {
        let batch = runs.min(BATCH as u64);
        stage.repeat(batch as usize, &mut |work| {
            let begun = Instant::now();
            work();
            total += begun.elapsed();
        });
        runs -= batch;
    }
    total
}

fn request(criterion: &mut Criterion) {
    for mut stage in stages::all() {
        let mut group = criterion.benchmark_group(stage.group);
        group.bench_function(stage.name.clone(), |bench| {
            bench.iter_custom(|runs| time(&mut stage, runs));
        });
    }
}

fn adversarial(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("adversarial");
    for attack in hostile::all() {
        // Figures for each element show whether it is linear: the two sizes must cost alike.
        for size in attack.sizes {
            let mut stage = (attack.stage)(size);
            group.throughput(Throughput::Elements(size as u64));
            let id = BenchmarkId::new(attack.name, format!("{size} {}", attack.unit));
            group.bench_function(id, |bench| bench.iter_custom(|runs| time(&mut stage, runs)));
        }
    }
}

criterion_group!(benches, request, adversarial);
criterion_main!(benches);
