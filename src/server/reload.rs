//! A new configuration, whole or not at all: read, checked, built aside, swapped in one step. A bad one leaves
//! the old one serving, is logged once with its diagnostics, counted, and shown in `/readyz` and `/metrics`.
//!
//! One thread does it, so two reloads never meet. It is asked by the watches on the file and on the key folder, by
//! SIGHUP and by `POST /reload` on the admin listener.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Instant;

use arc_swap::ArcSwap;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::build::{self, StartFault, Users};
use super::issuers::{self, Control};
use crate::config::Config;
use crate::gateway::{Snapshot, selftest};
use crate::store::keys;
use crate::store::watch::{Watch, watch};
use crate::telemetry;
use crate::token::UnixTime;
use crate::token::keys::KeyRing;

/// Who asks for a reload.
#[derive(Debug)]
pub enum Ask {
    /// The file or the key folder may have changed: nothing happens when what they say is what serves.
    File,
    /// SIGHUP: also the secrets and keys that the file names are read again.
    Signal,
    /// The admin listener, which tells the outcome.
    Admin(oneshot::Sender<Result<String, String>>),
    /// Keys of another issuer came, or grew too old: the same configuration serves with what there is now.
    Keys,
}

/// What will be asked of the thread before it runs, and from then on.
#[derive(Debug)]
pub struct Asks {
    sender: Arc<Sender<Ask>>,
    queue: Receiver<Ask>,
}

impl Asks {
    /// Nothing asked yet.
    pub fn new() -> Asks {
        let (sender, queue) = channel();
        Asks { sender: Arc::new(sender), queue }
    }

    /// Who has the keys of other issuers fetched, on this runtime.
    pub fn control(&self, runtime: &Handle) -> Control {
        Control { runtime: runtime.clone(), asks: Arc::downgrade(&self.sender) }
    }
}

impl Default for Asks {
    fn default() -> Asks {
        Asks::new()
    }
}

/// What `/readyz` shows of the configuration.
#[derive(Clone, Debug)]
pub struct Status {
    /// The hash of the text that serves.
    pub hash: String,
    /// Since when it serves.
    pub since: UnixTime,
    /// The last reload, where it was refused: when, and why.
    pub refused: Option<(UnixTime, String)>,
}

/// Where to ask for a reload, and what came of the last one. Clones share it.
#[derive(Clone, Debug)]
pub struct Reload {
    asks: Arc<Sender<Ask>>,
    /// What serves, and what was refused.
    pub status: Arc<ArcSwap<Status>>,
}

struct Reloader {
    /// `None` for the built-in example.
    file: Option<PathBuf>,
    world: Arc<ArcSwap<Snapshot>>,
    users: Option<Users>,
    issuers: Control,
    status: Arc<ArcSwap<Status>>,
    /// The keys as they were told last.
    keys: Keys,
    /// The world before: freed here and not by the data thread that happens to finish with it last.
    _before: Option<Arc<Snapshot>>,
}

impl Reload {
    /// Starts the thread, and the watches on the key folder and on the file where there is one. They live as long as
    /// they are kept.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        world: &Arc<ArcSwap<Snapshot>>,
        users: Option<Users>,
        Asks { sender: asks, queue }: Asks,
        issuers: Control,
    ) -> std::io::Result<(Reload, Vec<Watch>)> {
        let serving = world.load();
        let now = UnixTime::of(telemetry::clock());
        let status = Status { hash: serving.config.hash.clone(), since: now, refused: None };
        serving.metrics.configuration(&status.hash);
        let reload = Reload { asks, status: Arc::new(ArcSwap::from_pointee(status)) };
        let file = serving.config.file.clone();
        let watched = file.iter().cloned().chain([keys::watched(&serving.config.state_dir)]);
        let reloader = Reloader {
            file: file.clone(),
            world: Arc::clone(world),
            users,
            issuers,
            status: Arc::clone(&reload.status),
            keys: Keys::of(serving.keys.own(), now),
            _before: None,
        };
        thread::Builder::new().name("reload".into()).spawn(move || reloader.run(&queue))?;
        let watches = watched.map(|path| {
            let asks = reload.asks.clone();
            watch(&path, move || {
                // The thread lives as long as the process.
                let _ended = asks.send(Ask::File);
            })
        });
        let watches = watches.collect::<std::io::Result<Vec<Watch>>>()?;
        Ok((reload, watches))
    }

    /// Asks without waiting.
    pub fn ask(&self, ask: Ask) {
        if self.asks.send(ask).is_err() {
            tracing::error!("nothing is reloaded: the thread that does it has ended");
        }
    }

    /// Asks and waits: the hash that serves now, or why the old one still does.
    ///
    /// # Errors
    /// The diagnostics, as text.
    pub async fn ask_and_wait(&self) -> Result<String, String> {
        let (tell, told) = oneshot::channel();
        self.ask(Ask::Admin(tell));
        told.await.unwrap_or_else(|_| Err("the thread that reloads has ended".to_owned()))
    }
}

impl Reloader {
    fn run(mut self, queue: &Receiver<Ask>) {
        while let Ok(ask) = queue.recv() {
            if matches!(ask, Ask::Keys) {
                let serving = self.world.load_full();
                self.world.store(Arc::new(issuers::with_their_keys(&serving)));
                self._before = Some(serving);
                continue;
            }
            let only_if_changed = matches!(ask, Ask::File);
            // Keys begin and end at their times, without a reload.
            self.tell_keys();
            let outcome =
                self.reload(only_if_changed).map_err(|fault| self.refuse(fault, only_if_changed));
            if let Ask::Admin(tell) = ask {
                // Whoever asked may have gone.
                let _gone = tell.send(outcome);
            }
        }
    }

    fn reload(&mut self, only_if_changed: bool) -> Result<String, String> {
        let started = Instant::now();
        let read = match &self.file {
            Some(file) => Config::load(file),
            None => Config::embedded(),
        };
        let config = read.map_err(|diagnostics| diagnostics.render(false))?;
        let serving = self.world.load_full();
        let now = UnixTime::of(telemetry::clock());
        if let Err(diagnostics) = selftest::check(&config, now) {
            return Err(diagnostics.render(false));
        }
        if only_if_changed
            && config.hash == serving.config.hash
            && same_keys(&config, &serving, now)?
        {
            // A change that was undone: what was refused before is no longer there.
            self.settle(&config.hash);
            return Ok(config.hash);
        }
        match build::next(&serving, self.users.as_ref(), config) {
            Err(StartFault(fault)) => Err(fault),
            Ok((mut snapshot, users)) => {
                self.issuers.attend(&mut snapshot, Some(&serving));
                issuers::dismiss(&serving, &snapshot);
                Ok(self.swap(serving, snapshot, users, started))
            }
        }
    }

    fn swap(
        &mut self,
        serving: Arc<Snapshot>,
        snapshot: Snapshot,
        users: Option<Users>,
        started: Instant,
    ) -> String {
        let hash = snapshot.config.hash.clone();
        let metrics = Arc::clone(&snapshot.metrics);
        let routes = snapshot.config.routes.routes().len();
        if !snapshot.config.warnings.is_empty() {
            let warnings = snapshot.config.warnings.render(false);
            tracing::warn!(event = "configuration_warnings", "\n{warnings}");
        }
        self.world.store(Arc::new(snapshot));
        self.tell_keys();
        self.users = users;
        self._before = Some(serving);
        let since = UnixTime::of(telemetry::clock());
        self.status.store(Arc::new(Status { hash: hash.clone(), since, refused: None }));
        metrics.configuration(&hash);
        metrics.reloaded(true);
        let took_ms = started.elapsed().as_secs_f64() * 1000.0;
        tracing::info!(event = "reloaded", hash, routes, took_ms, "the configuration was reloaded");
        hash
    }

    /// The old world goes on; the same mistakes are told once. The watch looks again and again: what it
    /// finds unchanged was not asked for and is not counted again.
    fn refuse(&self, diagnostics: String, by_watch: bool) -> String {
        let status = self.status.load_full();
        let known = status.refused.as_ref().is_some_and(|(_, before)| *before == diagnostics);
        if known && by_watch {
            return diagnostics;
        }
        self.world.load().metrics.reloaded(false);
        if !known {
            tracing::error!(
                event = "reload_refused",
                serving = status.hash,
                "the old configuration serves on, because the new one is refused:\n{diagnostics}"
            );
        }
        let now = UnixTime::of(telemetry::clock());
        let refused = Some((now, diagnostics.clone()));
        self.status.store(Arc::new(Status { refused, ..Status::clone(&status) }));
        diagnostics
    }

    /// Says once what the keys do from now on.
    fn tell_keys(&mut self) {
        let now = Keys::of(self.world.load().keys.own(), UnixTime::of(telemetry::clock()));
        if now != self.keys {
            let (signer, verify) = (&now.signer, &now.verify);
            tracing::info!(event = "keys_changed", signer, verify, "the keys changed");
            self.keys = now;
        }
    }

    fn settle(&self, hash: &str) {
        let status = self.status.load_full();
        if status.refused.is_some() {
            tracing::info!(event = "reload_settled", hash, "the file is the one that serves again");
            self.world.load().metrics.reloaded(true);
            self.status.store(Arc::new(Status { refused: None, ..Status::clone(&status) }));
        }
    }
}

/// Whether the key folder says what serves. Keys that the file names are read again only when somebody asks.
fn same_keys(config: &Config, serving: &Snapshot, now: UnixTime) -> Result<bool, String> {
    if !config.keys.is_empty() {
        return Ok(true);
    }
    let ring = build::key_ring(config, now).map_err(|StartFault(fault)| fault)?;
    Ok(ring.fingerprint() == serving.keys.own().fingerprint())
}

/// What the keys do at a moment, by their ids.
#[derive(PartialEq, Eq)]
struct Keys {
    signer: String,
    verify: String,
}

impl Keys {
    fn of(ring: &KeyRing, now: UnixTime) -> Keys {
        let signer = ring.signer(now).map_or("-", |key| key.id()).to_owned();
        let verify: Vec<&str> = ring.living(now).map(|key| key.id()).collect();
        Keys { signer, verify: verify.join(" ") }
    }
}
