//! What was measured, as it is written to `docs/benchmarks/results.json`: each command of the kit renews its own part.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};

use freshgate::telemetry;

/// Everything.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    pub table: Option<Table>,
    pub idle: Option<Idle>,
    pub bodies: Option<Bodies>,
    pub soak: Option<Soak>,
    pub pressure: Option<Pressure>,
}

/// Where and how a part was measured.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Facts {
    pub date: String,
    pub commit: String,
    pub machine: String,
    /// The average number of runnable processes in the minute before.
    pub load_before: f64,
    pub cores: String,
    pub command: String,
    pub versions: Vec<String>,
}

impl Facts {
    /// Of this machine, now.
    pub fn now(cores: String, versions: Vec<String>) -> Facts {
        let given: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
        Facts {
            date: humantime::format_rfc3339_seconds(telemetry::clock()).to_string(),
            commit: commit(),
            machine: machine(),
            load_before: load_average(),
            cores,
            command: format!("benches/compare/run {}", given.join(" ")).trim().to_owned(),
            versions,
        }
    }
}

fn commit() -> String {
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else {
        return "outside a repository".to_owned();
    };
    // What the kit itself writes is no change of what it measures.
    match git(&["status", "--porcelain", "--", "src", "Cargo.toml", "Cargo.lock"]).as_deref() {
        Some("") => commit,
        _ => format!("{commit} with changes"),
    }
}

fn machine() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = memory.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = kib.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel = kernel.split('-').next().unwrap_or("").trim().to_owned();
    format!(
        "{count} cores of {}, {} GiB, Linux {kernel}",
        model.map_or("an unknown processor", |(_, name)| name),
        (kib + (1 << 19)) >> 20
    )
}

fn load_average() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(0.0)
}

/// CPU, time and memory of all proxies, row by row.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Table {
    pub facts: Facts,
    pub rounds: usize,
    pub seconds: f64,
    pub rows: Vec<RowResult>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RowResult {
    pub id: String,
    pub name: String,
    /// freshgate is the first.
    pub cells: Vec<Cell>,
}

/// One proxy in one row.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cell {
    pub who: String,
    pub rounds: Vec<Figures>,
    /// Why there are no figures.
    pub wrong: Option<String>,
}

/// One measurement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Of the whole process tree, for one answer.
    pub cpu_us: f64,
    pub per_second: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub memory_kib: f64,
}

impl Cell {
    /// The median of one figure over the rounds.
    pub fn median(&self, figure: impl Fn(&Figures) -> f64) -> Option<f64> {
        median(self.rounds.iter().map(figure).collect())
    }

    /// How often freshgate's CPU this one's is in the same round: the median of the quotients.
    pub fn ratio(&self, freshgate: &Cell) -> Option<f64> {
        let pairs = freshgate.rounds.iter().zip(&self.rounds);
        median(pairs.map(|(own, other)| own.cpu_us / other.cpu_us).collect())
    }
}

impl Table {
    pub fn cell(&self, row: &str, who: &str) -> Option<&Cell> {
        let row = self.rows.iter().find(|one| one.id == row)?;
        row.cells.iter().find(|cell| cell.who == who)
    }
}

pub fn median(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied()
}

/// Memory of connections that wait.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Idle {
    pub facts: Facts,
    pub connections: usize,
    pub peers: Vec<IdlePeer>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IdlePeer {
    pub who: String,
    pub before_kib: u64,
    pub after_kib: u64,
}

/// Memory while large bodies stream through.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Bodies {
    pub facts: Facts,
    pub count: usize,
    pub bytes: u64,
    pub directions: Vec<Direction>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Direction {
    pub name: String,
    pub before_kib: u64,
    pub peak_kib: u64,
    pub after_kib: u64,
    pub seconds: f64,
}

/// Memory over a long mix of good requests and attacks.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Soak {
    pub facts: Facts,
    pub seconds: f64,
    /// Requests by what they were, answered and not.
    pub requests: BTreeMap<String, u64>,
    /// Resident memory, evenly spaced, in KiB.
    pub memory_kib: Vec<u64>,
}

impl Soak {
    /// The median of the second fifth of the run, and of the last.
    pub fn ends(&self) -> (f64, f64) {
        let fifth = (self.memory_kib.len() / 5).max(1);
        let of = |part: &[u64]| median(part.iter().map(|kib| *kib as f64).collect()).unwrap_or(0.0);
        let early = self.memory_kib.chunks(fifth).nth(1).unwrap_or(&self.memory_kib);
        (of(early), of(&self.memory_kib[self.memory_kib.len().saturating_sub(fifth)..]))
    }
}

/// Waiting times under pressure, in pairs: calm or another's, and ours.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Pressure {
    pub facts: Facts,
    pub pairs: Vec<Pair>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pair {
    pub name: String,
    /// What it is held against, and its p99 in milliseconds, by round.
    pub against: String,
    pub against_ms: Vec<f64>,
    pub ours_ms: Vec<f64>,
    /// Requests a second that both were given.
    pub rate: f64,
}

impl Report {
    /// What was measured before; nothing where the file is not there.
    pub fn read(path: &Path) -> Result<Report, String> {
        match fs::read(path) {
            Err(_) => Ok(Report::default()),
            Ok(text) => serde_json::from_slice(&text)
                .map_err(|error| format!("{}: {error}: remove it", path.display())),
        }
    }

    pub fn text(&self) -> String {
        let text = serde_json::to_string_pretty(self).expect("only text and numbers");
        text + "\n"
    }
}
