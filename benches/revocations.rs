//! What a request pays for revocations, and what a start pays to know them: none, a thousand, a million revoked sessions.
//!
//! `cargo bench --bench revocations`; `cargo test --benches` runs a small size once.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion};
use freshgate::store::StateStore as _;
use freshgate::store::embedded::Embedded;
use freshgate::token::Claims;
use serde_json::json;

/// How often a start is measured.
const STARTS: usize = 5;
/// Year 2100: no row expires.
const EXPIRES_AT: i64 = 4_102_444_800;

/// The `n`th session id, in the form of every other.
fn sid(n: usize) -> String {
    // Spread as random ones are: consecutive keys would lie side by side in the file.
    let mixed = (n as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    uuid::Builder::from_random_bytes(mixed.to_be_bytes()).into_uuid().to_string()
}

fn claims(sid: &str) -> Claims {
    let all = json!({
        "sub": "alice", "type": "access", "jti": "5f7ff519-beeb-4128-88a9-b9662896024a", "sid": sid, "iat": 1, "exp": 2
    });
    Claims::from_json(all.as_object().expect("an object").clone()).expect("good claims")
}

/// A state directory with so many revoked sessions.
fn filled(dir: &Path, count: usize) {
    drop(Embedded::open(dir).expect("a new state"));
    let mut sql = rusqlite::Connection::open(dir.join("state.db")).expect("the file");
    let batch = sql.transaction().expect("a transaction");
    let mut ids: Vec<String> = (0..count).map(sid).collect();
    ids.sort_unstable();
    for id in ids {
        let row = "INSERT INTO revocations (kind, id, expires_at) VALUES ('session', ?1, ?2)";
        let mut row = batch.prepare_cached(row).expect("a statement");
        row.execute(rusqlite::params![id, EXPIRES_AT]).expect("a row");
    }
    batch.commit().expect("a commit");
}

/// Opens the state several times; the last one, and the median time.
fn started(dir: &Path) -> (Embedded, Duration) {
    let mut times = Vec::new();
    let mut state = None;
    for _ in 0..STARTS {
        drop(state.take());
        let begun = Instant::now();
        state = Some(Embedded::open(dir).expect("the state"));
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    (state.expect("one start"), times[STARTS / 2])
}

fn main() {
    // `cargo bench` says so, `cargo test` does not.
    let is_small = !std::env::args().any(|arg| arg == "--bench");
    let sizes = if is_small { [0, 1_000, 10_000] } else { [0, 1_000, 1_000_000] };
    let mut criterion = Criterion::default().configure_from_args();
    for count in sizes {
        let dir = tempfile::tempdir().expect("a directory");
        filled(dir.path(), count);
        let (state, time) = started(dir.path());
        let revocations = state.revocations();
        assert_eq!(revocations.len(), count);
        let bytes = revocations.bytes();
        let file = std::fs::metadata(dir.path().join("state.db")).expect("the file").len();
        println!(
            "{count} revoked sessions: start {time:?}, {bytes} bytes in memory, {file} in the file"
        );
        let mut group = criterion.benchmark_group("revoked");
        // A thousand in turn, whose places in the table the processor has at hand; then so many that it has to fetch from memory,
        // and what fetching the tokens alone costs. Good ones have ids that come after all those revoked.
        for (name, is_dead) in [("good", false), ("revoked", true)] {
            for (from, tokens) in [("at hand", 1_000), ("from memory", 100_000)] {
                let id = |n: usize| if is_dead { sid(n * 7 % count) } else { sid(count + n * 7) };
                let tokens = if is_dead { tokens.min(count) } else { tokens };
                let many: Vec<Claims> = (0..tokens).map(|n| claims(&id(n))).collect();
                assert!(many.iter().all(|one| revocations.holds(one) == is_dead));
                let Some(first) = many.first() else { continue };
                let mut next = many.iter().cycle();
                let name = format!("{name}, {from}");
                group.bench_function(BenchmarkId::new(&name, count), |bench| {
                    bench.iter(|| revocations.holds(black_box(next.next().unwrap_or(first))));
                });
                let ids = |one: &Claims| {
                    let sid = one.session.as_ref().map_or(0, |sid| sid.as_bytes()[7]);
                    u32::from(one.id.as_bytes()[7]) + u32::from(sid)
                };
                let name = format!("{name}: the ids alone");
                group.bench_function(BenchmarkId::new(name, count), |bench| {
                    bench.iter(|| ids(black_box(next.next().unwrap_or(first))));
                });
            }
        }
        group.finish();
    }
    criterion.final_summary();
}
