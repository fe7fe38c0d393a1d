//! `docs/benchmarks.md`, from what was measured and from nothing else.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::chart;
use crate::report::{Bodies, Facts, Idle, Pressure, Report, Soak, Table, median};
use crate::rows::{ENVOY_CACHED, HAPROXY_JWT, NGINX, RELAY};

/// What freshgate is held to: its row, against whom, and the largest part of their CPU.
const GOALS: [(&str, &str, &str, f64); 5] = [
    ("es256", NGINX, "nginx, `proxy_pass`, no authentication", 1.0),
    ("hs256", HAPROXY_JWT, "HAProxy, `jwt_verify`, HS256", 0.65),
    ("rs256", HAPROXY_JWT, "HAProxy, `jwt_verify`, RS256", 0.28),
    ("rs256", ENVOY_CACHED, "Envoy, `jwt_authn` with its cache, RS256", 0.25),
    ("es256", RELAY, "HAProxy as a layer-4 relay, the floor", 1.45),
];

/// Largest memory of an idle connection, in KiB.
const IDLE_KIB_MAX: f64 = 16.0;

const INTRODUCTION: &str = "# Benchmarks

<!-- Written by benches/compare/run from docs/benchmarks/results.json. Measure anew: benches/compare/run all --write -->

freshgate beside nginx, HAProxy and Envoy, on one machine, in the same run and in turn. Every figure of this page comes from
`benches/compare/run`, which anybody can run: it says what it does and how to install what it lacks. Read the ratios, which hold from one
machine to the next better than microseconds do. [Load testing](load-testing.md) shows how to put load on your own gateway.
";

const METHOD: &str = "
## How it is measured

- **CPU** is what the whole process tree of the proxy spent, user and system, all threads, divided by the answers
  (`/proc/PID/task/*/schedstat`). **Memory** is the most that the tree had resident during the row, shared pages once (PSS).
  Requests a second, p50 and p99 are the load generator's.
- One data thread, worker or `--concurrency 1` for each; keep-alive on both sides; 32 connections; answers of 190 bytes where the row
  says nothing else. The same forwarding headers everywhere; with tokens also `X-User-Id`. Access logs are off, but in their row.
- freshgate as it ships: policies, identity headers, limits, metrics and the admin listener are on.
- Tokens are checked for signature and expiry by all. HAProxy and Envoy verify each time; Envoy with `jwt_cache_config` and freshgate
  remember 10,000 tokens.
- The proxies are asked row by row in turn, and started anew for each round. A ratio is the median of the rounds' own ratios.
- ¹ `oha` sends one header to all: tokens that are each used once are sent by the kit itself, over 32 connections. Compare these rows
  with each other only.
- ² Beyond `token_failures` bad signatures a second freshgate checks no more of them, and answers 503.
- nginx streams request bodies and buffers no answer on disk, as the others do. Open-source nginx checks no JWT: it is measured without.
- TLS has no row until freshgate terminates it.
";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where the results are kept.
pub fn results() -> PathBuf {
    root().join("docs/benchmarks/results.json")
}

/// Everything that is made from the results, by path.
fn files(report: &Report) -> Vec<(PathBuf, String)> {
    let mut files =
        vec![(results(), report.text()), (root().join("docs/benchmarks.md"), text(report))];
    let folder = root().join("docs/benchmarks");
    files.extend(chart::all(report).into_iter().map(|(name, text)| (folder.join(name), text)));
    files
}

pub fn write(report: &Report) -> Result<(), String> {
    fs::create_dir_all(root().join("docs/benchmarks")).map_err(|error| error.to_string())?;
    for (path, text) in files(report) {
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        eprintln!("wrote {}", path.display());
    }
    Ok(())
}

/// Whether page and charts are those of the results beside them.
pub fn is_what_was_measured() -> Result<(), String> {
    for (path, text) in files(&Report::read(&results())?) {
        if fs::read_to_string(&path).ok().as_ref() != Some(&text) {
            let path = path.display();
            return Err(format!("{path} is not what was measured: run `benches/compare/run page`"));
        }
    }
    Ok(())
}

pub fn text(report: &Report) -> String {
    let mut page = INTRODUCTION.to_owned();
    if let Some(table) = &report.table {
        page += &goals(table);
        page += &rows(table);
    }
    page += &report.pressure.as_ref().map(pressure).unwrap_or_default();
    page += &report.idle.as_ref().map(idle).unwrap_or_default();
    page += &report.bodies.as_ref().map(bodies).unwrap_or_default();
    page += &report.soak.as_ref().map(soak).unwrap_or_default();
    page + METHOD
}

fn facts(facts: &Facts) -> String {
    let Facts { date, commit, machine, load_before, cores, command, versions } = facts;
    format!(
        "\n`{command}`, {date}, commit {commit}; {machine}, load average before {load_before:.1}; {cores}; {}.\n",
        versions.join(", ")
    )
}

fn met(is_met: bool) -> &'static str {
    if is_met { "yes" } else { "**no**" }
}

fn goals(table: &Table) -> String {
    let mut page = "\n## What it must hold\n\nCPU per request of an access-required route, as a part of another's:\n\n\
                    | against | at most | measured | met |\n|---|---|---|---|\n"
        .to_owned();
    for (row, who, words, most) in GOALS {
        let ratio = table.cell(row, who).zip(table.cell(row, "freshgate"));
        let ratio = ratio.and_then(|(other, own)| other.ratio(own));
        let shown = ratio.map_or_else(
            || "not measured | ".to_owned(),
            |ratio| format!("{ratio:.2} | {}", met(ratio <= most)),
        );
        let _infallible = writeln!(page, "| {words} | {most:.2} | {shown} |");
    }
    page
}

fn rows(table: &Table) -> String {
    let mut page = format!(
        "\n## All figures\n\n<picture>\n\
         <source media=\"(prefers-color-scheme: dark)\" srcset=\"benchmarks/cpu-dark.svg\">\n\
         <img alt=\"CPU time per request\" src=\"benchmarks/cpu-light.svg\">\n</picture>\n{}\
         {} rounds of {} s, medians. *Ratio* is freshgate's CPU divided by this one's, of the same round.\n\n\
         | what | who | CPU per request | ratio | requests/s | p50 | p99 | memory |\n|---|---|---|---|---|---|---|---|\n",
        facts(&table.facts),
        table.rounds,
        table.seconds
    );
    for row in &table.rows {
        let own = row.cells.iter().find(|cell| cell.who == "freshgate");
        for cell in &row.cells {
            let (name, who) = (&row.name, &cell.who);
            let median =
                |figure: fn(&crate::report::Figures) -> f64| cell.median(figure).unwrap_or(0.0);
            if let Some(wrong) = &cell.wrong {
                let _infallible = writeln!(page, "| {name} | {who} | {wrong} | | | | | |");
                continue;
            }
            let ratio = own.filter(|own| own.who != cell.who).and_then(|own| cell.ratio(own));
            let _infallible = writeln!(
                page,
                "| {name} | {who} | {:.1} µs | {} | {:.0} | {:.2} ms | {:.2} ms | {:.1} MiB |",
                median(|one| one.cpu_us),
                ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
                median(|one| one.per_second),
                median(|one| one.p50_ms),
                median(|one| one.p99_ms),
                median(|one| one.memory_kib / 1024.0),
            );
        }
    }
    page
}

fn pressure(pressure: &Pressure) -> String {
    let mut page = format!(
        "\n## Under pressure\n{}\nBoth at the same rate; a request that goes out late counts from when it was due.\n\n\
         | what | requests/s | measured | against | ratio |\n|---|---|---|---|---|\n",
        facts(&pressure.facts)
    );
    for pair in &pressure.pairs {
        let quotients = pair.ours_ms.iter().zip(&pair.against_ms).map(|(ours, other)| ours / other);
        let ratio = median(quotients.collect()).unwrap_or(0.0);
        let of = |figures: &[f64]| median(figures.to_vec()).unwrap_or(0.0);
        let _infallible = writeln!(
            page,
            "| {} | {:.0} | {:.2} ms | {}: {:.2} ms | {ratio:.2} |",
            pair.name,
            pair.rate,
            of(&pair.ours_ms),
            pair.against,
            of(&pair.against_ms)
        );
    }
    page
}

fn idle(idle: &Idle) -> String {
    let mut page = format!(
        "\n## Idle connections\n{}\n{} connections, each of which had one answer and waits; at most {IDLE_KIB_MAX:.0} KiB each is wanted. \
         Sockets' memory in the kernel is not counted.\n\n\
         | who | memory before | with them | each |\n|---|---|---|---|\n",
        facts(&idle.facts),
        idle.connections
    );
    for peer in &idle.peers {
        let each = peer.after_kib.saturating_sub(peer.before_kib) as f64 / idle.connections as f64;
        let _infallible = writeln!(
            page,
            "| {} | {:.1} MiB | {:.1} MiB | {each:.1} KiB |",
            peer.who,
            peer.before_kib as f64 / 1024.0,
            peer.after_kib as f64 / 1024.0
        );
    }
    page
}

fn bodies(bodies: &Bodies) -> String {
    let mut page = format!(
        "\n## Large bodies\n{}\n{} bodies of {:.3} GB each at the same time, through freshgate on one data thread.\n\n\
         | direction | memory before | at most | after | GB/s |\n|---|---|---|---|---|\n",
        facts(&bodies.facts),
        bodies.count,
        bodies.bytes as f64 / 1e9
    );
    for one in &bodies.directions {
        let mib = |kib: u64| kib as f64 / 1024.0;
        let _infallible = writeln!(
            page,
            "| {} | {:.1} MiB | {:.1} MiB | {:.1} MiB | {:.2} |",
            one.name,
            mib(one.before_kib),
            mib(one.peak_kib),
            mib(one.after_kib),
            bodies.count as f64 * bodies.bytes as f64 / 1e9 / one.seconds
        );
    }
    page
}

fn soak(soak: &Soak) -> String {
    let (early, late) = soak.ends();
    let mut page = format!(
        "\n## Memory over time\n{}\n{:.1} minutes of everything at once. Resident memory, median of the second fifth: {:.1} MiB; of the last \
         fifth: {:.1} MiB ({:+.1} %); at most {:.1} MiB.\n\n| what | how many |\n|---|---|\n",
        facts(&soak.facts),
        soak.seconds / 60.0,
        early / 1024.0,
        late / 1024.0,
        (late / early - 1.0) * 100.0,
        soak.memory_kib.iter().max().copied().unwrap_or(0) as f64 / 1024.0
    );
    for (name, count) in &soak.requests {
        let _infallible = writeln!(page, "| {name} | {count} |");
    }
    page
}
