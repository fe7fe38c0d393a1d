//! The benchmark kit: freshgate beside nginx, HAProxy and Envoy on this machine, in turn, in one run.
//!
//! `benches/compare/run` calls it and explains it; `cargo test --bench compare` runs every part of it in a small size, with
//! whatever is installed, which proves that it works and measures nothing. Everything is on loopback.

mod backend;
mod bodies;
mod chart;
mod idle;
mod load;
mod page;
mod peers;
mod pressure;
mod process;
mod report;
mod rows;
mod soak;
mod table;
mod tokens;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Parser, ValueEnum};

use crate::load::{OHA_REMEDY, Oha};
use crate::peers::{Place, Programs};
use crate::process::{Cores, Running};
use crate::report::Report;
use crate::tokens::Keys;

/// Most connections that a proxy has at once, but for idle ones.
const CONNECTIONS_MAX: usize = 1000;

/// What to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// The table of all proxies (some 12 minutes)
    Table,
    /// Memory of 10,000 idle connections
    Idle,
    /// Memory while 50 bodies of 1 GB stream through, down and up
    Bodies,
    /// Memory over --minutes of mixed load and attack
    Soak,
    /// Waiting times: at 70 % of capacity, during logins, beside a backend that hangs
    Pressure,
    /// All of these
    All,
    /// Nothing: write the page and the chart anew from what was measured before
    Page,
}

/// Measures freshgate beside nginx, HAProxy and Envoy, each where it is installed.
#[derive(Clone, Debug, Parser)]
#[command(name = "benches/compare/run")]
struct Options {
    #[arg(value_enum, default_value = "table")]
    what: What,
    /// Seconds of load for each figure of the table and of `pressure`
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Rounds; the median is shown
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Minutes of `soak`
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// Connections of `idle`
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
    /// Bodies of `bodies`
    #[arg(long, default_value_t = 50)]
    bodies: usize,
    /// Bytes of each
    #[arg(long, default_value_t = 1_000_000_000)]
    bytes: u64,
    /// Rows of the table, by id
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Proxies beside freshgate: nginx,haproxy,envoy
    #[arg(long, value_delimiter = ',')]
    peers: Vec<String>,
    /// Pin nothing to cores
    #[arg(long)]
    unpinned: bool,
    /// Write docs/benchmarks.md, docs/benchmarks/results.json and the charts
    #[arg(long)]
    write: bool,
    /// Where to write the results besides, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Another freshgate than the one that was built with the kit
    #[arg(long, value_name = "FILE", default_value = env!("CARGO_BIN_EXE_freshgate"))]
    freshgate: PathBuf,
    #[arg(skip)]
    small: bool,
}

impl Options {
    /// Enough of everything to see that it works.
    fn small() -> Options {
        let mut options = Options::parse_from(["compare", "all"]);
        options.small = true;
        options.seconds = 0.25;
        options.rounds = 1;
        options.minutes = 0.05;
        options.connections = 50;
        options.bodies = 3;
        options.bytes = 3_000_000;
        let rows = ["es256", "cold-hs256", "forged", "access-log", "64k-up", "routes"];
        options.only = rows.map(str::to_owned).to_vec();
        options
    }
}

/// What every measurement needs.
struct Kit {
    options: Options,
    cores: Cores,
    programs: Programs,
    keys: Keys,
    backend: SocketAddr,
    // In the order in which they must end.
    _backend: Running,
    root: tempfile::TempDir,
}

impl Kit {
    fn new(options: Options) -> Kit {
        let cores = Cores::split(!options.unpinned);
        let root = tempfile::tempdir().expect("a folder");
        let keys = Keys::make(root.path());
        let (running, backend) = backend::start(cores.load.as_ref());
        let programs = Programs::find(options.freshgate.clone(), &options.peers);
        Kit { options, cores, programs, keys, backend, _backend: running, root }
    }

    /// A folder of this run, which ends with it.
    fn folder(&self, name: &str) -> PathBuf {
        let folder = self.root.path().join(name);
        fs::create_dir_all(&folder).expect("a folder");
        folder
    }

    fn place<'a>(&'a self, folder: &'a Path) -> Place<'a> {
        let Kit { keys, cores, backend, .. } = self;
        let key_folder = self.root.path();
        Place { folder, backend: *backend, keys, cores, key_folder, connections: CONNECTIONS_MAX }
    }

    fn oha(&self) -> Result<Oha, String> {
        Oha::find(&self.cores).ok_or_else(|| OHA_REMEDY.to_owned())
    }

    fn versions(&self) -> Vec<String> {
        let oha = self.oha().map(|oha| oha.version()).ok();
        self.programs.versions().into_iter().chain(oha).collect()
    }
}

fn main() {
    let mut args: Vec<String> = std::env::args().collect();
    if args.get(1).is_some_and(|first| first == "backend") {
        return backend::serve();
    }
    let measures = args.iter().any(|arg| arg == "--bench");
    args.retain(|arg| arg != "--bench" && arg != "--quiet");
    let options = if measures { Options::parse_from(args) } else { Options::small() };
    if let Err(error) = run(options) {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

fn run(options: Options) -> Result<(), String> {
    if options.what == What::Page {
        return page::write(&Report::read(&page::results())?);
    }
    let small = options.small;
    if small {
        page::is_what_was_measured()?;
    }
    if cfg!(debug_assertions) && !small {
        eprintln!("this is a debug build: use benches/compare/run, or read no figure of this one");
    }
    let kept = if small { Report::default() } else { Report::read(&page::results())? };
    let mut kit = Kit::new(options);
    let measured = measure(&mut kit, kept)?;
    if let Some(file) = &kit.options.json {
        fs::write(file, measured.text()).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    if small {
        // Everything that would be written is made, and nothing is.
        let (text, charts) = (page::text(&measured), chart::all(&measured));
        assert!(text.contains("| freshgate |") && charts.len() == 2, "{text}");
        println!("the kit works; benches/compare/run measures");
    } else {
        println!("{}", page::text(&measured));
    }
    if kit.options.write {
        page::write(&measured)?;
    }
    Ok(())
}

/// The parts that were asked for, beside those of before.
fn measure(kit: &mut Kit, mut report: Report) -> Result<Report, String> {
    let what = kit.options.what;
    let asked = |one: What| what == one || what == What::All;
    if asked(What::Table) {
        report.table = Some(table::measure(kit)?);
    }
    if asked(What::Idle) {
        report.idle = Some(idle::measure(kit)?);
    }
    if asked(What::Bodies) {
        report.bodies = Some(bodies::measure(kit)?);
    }
    if asked(What::Pressure) {
        report.pressure = Some(pressure::measure(kit)?);
    }
    if asked(What::Soak) {
        report.soak = Some(soak::measure(kit)?);
    }
    Ok(report)
}
