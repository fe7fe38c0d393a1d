//! The table: all rows for all proxies, in turn, round after round.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use freshgate::token::keys::Algorithm;

use crate::Kit;
use crate::load::{Load, Oha, Outcome, each_once};
use crate::peers::{Peer, Place, Proxy, start};
use crate::process::MemoryWatch;
use crate::report::{Cell, Facts, Figures, RowResult, Table};
use crate::rows::{Carries, Row, Use, all};
use crate::tokens::{TTL, name};

/// What warms a proxy up before it is measured, as a part of the measurement's time.
const WARM_PART: u32 = 5;

/// Connections of the comparison.
const CONNECTIONS: usize = 32;

/// How many new tokens a row takes. Signing RS256 takes ten times as long as checking it.
fn new_tokens(algorithm: Algorithm, small: bool) -> usize {
    match (small, algorithm) {
        (true, _) => 200,
        (false, Algorithm::Hs256) => 100_000,
        (false, _) => 30_000,
    }
}

/// Everything that is made once for all rounds.
struct Run<'a> {
    kit: &'a Kit,
    oha: Oha,
    good: BTreeMap<String, String>,
    cold: BTreeMap<String, Vec<String>>,
    seconds: Duration,
}

pub fn measure(kit: &mut Kit) -> Result<Table, String> {
    let rows: Vec<Row> = all()
        .into_iter()
        .filter(|row| kit.options.only.is_empty() || kit.options.only.contains(&row.id))
        .collect();
    if rows.is_empty() {
        let known: Vec<String> = all().into_iter().map(|row| row.id).collect();
        return Err(format!("--only: there is {}", known.join(", ")));
    }
    forget_those_that_do_not_start(kit)?;
    let facts = Facts::now(kit.cores.words(), kit.versions());
    let mut table = Table {
        facts,
        rounds: kit.options.rounds,
        seconds: kit.options.seconds,
        rows: rows.iter().map(|row| empty(row, kit)).collect(),
    };
    let run = Run::prepare(kit, &rows)?;
    for round in 0..kit.options.rounds {
        // New processes each round: no cache knows a token of the round before.
        let proxies = run.start_all(round)?;
        for (row, result) in rows.iter().zip(&mut table.rows) {
            eprint!("round {}, {}:", round + 1, row.name);
            for one in &row.uses {
                let cell = result.cells.iter_mut().find(|cell| cell.who == one.who);
                let Some(cell) = cell.filter(|cell| cell.wrong.is_none()) else { continue };
                match run.row(row, one, &proxies) {
                    Ok(figures) => {
                        eprint!(" {} {:.1} µs", one.who, figures.cpu_us);
                        cell.rounds.push(figures);
                    }
                    Err(error) => {
                        eprint!(" {} {error}", one.who);
                        cell.wrong = Some(error);
                    }
                }
            }
            eprintln!();
        }
    }
    Ok(table)
}

fn empty(row: &Row, kit: &Kit) -> RowResult {
    let uses = row.uses.iter().filter(|one| kit.programs.has(one.peer));
    let cells =
        uses.map(|one| Cell { who: one.who.to_owned(), rounds: Vec::new(), wrong: None }).collect();
    RowResult { id: row.id.clone(), name: row.name.clone(), cells }
}

/// A peer that does not start costs its own figures only.
fn forget_those_that_do_not_start(kit: &mut Kit) -> Result<(), String> {
    for peer in Peer::ALL.into_iter().filter(|peer| kit.programs.has(*peer)).collect::<Vec<_>>() {
        let folder = kit.folder(&format!("try-{}", peer.name()));
        match start(peer, &kit.programs, kit.place(&folder)) {
            Ok(_) => {}
            Err(error) if peer == Peer::Freshgate => return Err(error),
            Err(error) => {
                eprintln!("without {}: {error}", peer.name());
                kit.programs.forget(peer);
            }
        }
    }
    Ok(())
}

impl<'a> Run<'a> {
    fn prepare(kit: &'a Kit, rows: &[Row]) -> Result<Run<'a>, String> {
        let oha = kit.oha()?;
        let (mut good, mut cold) = (BTreeMap::new(), BTreeMap::new());
        for row in rows {
            let keys = &kit.keys;
            match row.carries {
                Carries::Token(algorithm) => {
                    drop(good.insert(row.id.clone(), keys.good(algorithm)))
                }
                Carries::Expired(algorithm) => {
                    drop(good.insert(row.id.clone(), keys.expired(algorithm)));
                }
                Carries::Forged(algorithm) => {
                    drop(good.insert(row.id.clone(), keys.forged(algorithm)));
                }
                Carries::NewTokens(algorithm) => {
                    let count = new_tokens(algorithm, kit.options.small);
                    eprintln!("signing {count} tokens, {}", name(algorithm));
                    let (key, now) = (keys.of(algorithm), crate::tokens::now());
                    let tokens = (0..count).map(|_| key.token(TTL, now)).collect();
                    cold.insert(row.id.clone(), tokens);
                }
                Carries::Nothing | Carries::Body(_) => {}
            }
        }
        let seconds = Duration::from_secs_f64(kit.options.seconds);
        Ok(Run { kit, oha, good, cold, seconds })
    }

    fn start_all(&self, round: usize) -> Result<Vec<(Peer, Proxy)>, String> {
        let folder = self.kit.folder(&format!("round-{round}"));
        let place: Place = self.kit.place(&folder);
        let mut all = Vec::new();
        for peer in Peer::ALL.into_iter().filter(|peer| self.kit.programs.has(*peer)) {
            all.extend(start(peer, &self.kit.programs, place)?.into_iter().map(|one| (peer, one)));
        }
        Ok(all)
    }

    /// One proxy in one row, once.
    fn row(&self, row: &Row, one: &Use, all: &[(Peer, Proxy)]) -> Result<Figures, String> {
        let mut found = all.iter().filter(|(peer, _)| *peer == one.peer);
        let found = found.find_map(|(_, proxy)| Some((proxy, proxy.at(one.listener)?)));
        let (proxy, address) = found.ok_or("it has no such listener")?;
        if let Some(tokens) = self.cold.get(&row.id) {
            return measured(proxy, row, || Ok(each_once(address, &row.path, tokens, CONNECTIONS)));
        }
        let load = self.load(row, address);
        let warm = Load { duration: self.seconds / WARM_PART, ..load.clone() };
        self.oha.run(&warm)?.check(row.statuses)?;
        measured(proxy, row, || self.oha.run(&load))
    }

    fn load(&self, row: &Row, address: SocketAddr) -> Load {
        let load = Load::get(format!("http://{address}{}", row.path), self.seconds);
        let mut load = match self.good.get(&row.id) {
            Some(token) => load.bearer(token),
            None => load,
        };
        if let Carries::Body(size) = row.carries {
            load.method = "POST";
            load.body_file = Some(body_file(&self.kit.folder("bodies"), size));
        }
        load
    }
}

fn body_file(folder: &Path, size: usize) -> std::path::PathBuf {
    let path = folder.join(format!("{size}"));
    if !path.exists() {
        std::fs::write(&path, vec![b'x'; size]).expect("a file");
    }
    path
}

fn measured(
    proxy: &Proxy,
    row: &Row,
    load: impl FnOnce() -> Result<Outcome, String>,
) -> Result<Figures, String> {
    let watch = MemoryWatch::of(&proxy.running);
    let before = proxy.running.cpu_us();
    let outcome = load();
    let spent = proxy.running.cpu_us() - before;
    let memory_kib = watch.peak_kib() as f64;
    let outcome = outcome?;
    outcome.check(row.statuses)?;
    Ok(Figures {
        cpu_us: spent / outcome.answers() as f64,
        per_second: outcome.per_second,
        p50_ms: outcome.p50_ms,
        p99_ms: outcome.p99_ms,
        memory_kib,
    })
}
