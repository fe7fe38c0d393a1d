//! Sessions, revocations and failed attempts in one SQLite file, `<state dir>/state.db`: the [`StateStore`] of a single gateway.
//!
//! `database` opens the file, after a `look`, and `mark` knows how far it must go; `sessions`, `revoked` and `failures` know the SQL of sessions, revocations and failed attempts, and `owner` is the one
//! thread that touches it. Callers send a verb and wait, at most [`VERB_TIMEOUT`]; nothing here blocks a runtime. A state directory belongs to
//! one gateway at a time. The server opens it once and shares it with every data thread.

mod clock;
#[cfg(test)]
mod clock_tests;
pub mod copy;
#[cfg(test)]
mod cut_tests;
mod database;
mod failures;
mod keepsakes;
mod log;
mod look;
mod mark;
mod owner;
mod replacements;
mod revoked;
mod sessions;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod upgrade_tests;

use std::fs::{self, File, TryLockError};
use std::future::ready;
use std::io::{self, Read as _, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Map, Value};
use tokio::sync::oneshot;

use super::throttle::Rules;
use super::throttle::tallies::Ids;
use super::{
    Account, Answer, CheckFault, Keepsakes, Marks, Renewal, Replacement, Revocations, Revoked,
    Rotation, Session, StateStore, StoreFault, Tallies, UnderWay,
};
use crate::telemetry;
use crate::token::UnixTime;
pub use clock::CLOCK_BEHIND_MAX;
use database::Database;
use owner::{Memory, Owner, Reply, Verb};

/// How long a caller waits for a verb: a disk that stands still must not hold requests for ever.
pub const VERB_TIMEOUT: Duration = Duration::from_secs(5);
/// Most verbs waiting for the owner thread; more are refused at once.
pub const QUEUE_MAX: usize = 4096;

/// The store. Dropping it finishes what was accepted, closes the file and frees the directory.
#[derive(Debug)]
pub struct Embedded {
    /// `None` only while dropping.
    queue: Option<SyncSender<Verb>>,
    revocations: Arc<Revocations>,
    tallies: Arc<Tallies>,
    keepsakes: Arc<Keepsakes>,
    thread: Option<JoinHandle<()>>,
    /// The time at the opening, or the highest that the file had seen before, if that is later.
    opened_at: UnixTime,
    /// Held as long as the store lives; the system frees it however the process ends.
    _lock: File,
}

impl Embedded {
    /// Opens the state directory, making it (mode 0700) and `state.db` (mode 0600) when they are not
    /// there, and loads every living revocation.
    ///
    /// # Errors
    /// The directory cannot be written, another gateway uses it, the file is damaged, of a newer version or
    /// not ours, or the clock is more than [`CLOCK_BEHIND_MAX`] behind what this file has seen. The sentence
    /// names the directory or file and the remedy.
    pub fn open(state_dir: &Path) -> Result<Embedded, StoreFault> {
        let store = Embedded::open_at(state_dir, || UnixTime::of(telemetry::clock()))?;
        telemetry::raise_clock(UNIX_EPOCH + Duration::from_secs(store.opened_at.0));
        Ok(store)
    }

    /// As [`Embedded::open`], with the clock that purging reads.
    pub(crate) fn open_at(state_dir: &Path, now: fn() -> UnixTime) -> Result<Embedded, StoreFault> {
        make_dir(state_dir)?;
        let lock = take_lock(state_dir)?;
        let path = state_dir.join("state.db");
        let database = Database::open(&path)?;
        let opened_at = clock::later(now(), database.highest()?, &path)?;
        let revocations = Arc::new(Revocations::default());
        database.load_revocations(opened_at, &revocations)?;
        let tallies = Arc::new(database.load_tallies(opened_at)?);
        let (queue, verbs) = sync_channel(QUEUE_MAX);
        let keepsakes = Arc::new(Keepsakes::default());
        database.load_keepsakes(opened_at, &keepsakes)?;
        let memory = Memory {
            revocations: Arc::clone(&revocations),
            tallies: Arc::clone(&tallies),
            keepsakes: Arc::clone(&keepsakes),
        };
        let mut owner = Owner::new(database, verbs, memory, now);
        owner.told_behind = opened_at > now();
        let thread = thread::Builder::new()
            .name("state".into())
            .spawn(move || owner.run())
            .map_err(|error| StoreFault(format!("no thread for the state store: {error}")))?;
        let (queue, thread) = (Some(queue), Some(thread));
        Ok(Embedded { queue, revocations, tallies, keepsakes, thread, opened_at, _lock: lock })
    }

    /// Makes durable what the memory says of these. The owner reads it when it writes, so a later row is never
    /// overwritten by an earlier one.
    fn keep(&self, ids: Ids) -> Answer<'_, Result<(), StoreFault>> {
        Box::pin(self.ask(move |reply| Verb::Keep(ids, reply)))
    }

    /// Sends a verb to the owner thread and waits for its answer.
    async fn ask<T>(&self, verb: impl FnOnce(Reply<T>) -> Verb) -> Result<T, StoreFault> {
        let (reply, answer) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or_else(gone)?;
        queue.try_send(verb(reply)).map_err(|fault| match fault {
            TrySendError::Full(_) => {
                StoreFault(format!("{QUEUE_MAX} verbs wait for the state store"))
            }
            TrySendError::Disconnected(_) => gone(),
        })?;
        match tokio::time::timeout(VERB_TIMEOUT, answer).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(gone()),
            Err(_) => {
                Err(StoreFault(format!("the state store did not answer within {VERB_TIMEOUT:?}")))
            }
        }
    }
}

fn gone() -> StoreFault {
    StoreFault("the state store failed or has stopped".into())
}

impl StateStore for Embedded {
    fn start(&self, session: Session) -> Answer<'_, Result<(), StoreFault>> {
        Box::pin(self.ask(move |reply| Verb::Start(session, reply)))
    }

    fn session<'a>(
        &'a self,
        id: &'a str,
        now: UnixTime,
    ) -> Answer<'a, Result<Option<Session>, StoreFault>> {
        let id = id.to_owned();
        Box::pin(self.ask(move |reply| Verb::Find(id, now, reply)))
    }

    fn sessions<'a>(
        &'a self,
        of: Option<&'a str>,
        now: UnixTime,
        max: usize,
    ) -> Answer<'a, Result<Vec<Session>, StoreFault>> {
        let of = of.map(str::to_owned);
        Box::pin(self.ask(move |reply| Verb::List { of, now, max, reply }))
    }

    fn marks(&self, now: UnixTime) -> Answer<'_, Result<Marks, StoreFault>> {
        Box::pin(self.ask(move |reply| Verb::Marks(now, reply)))
    }

    fn step_up<'a>(
        &'a self,
        id: &'a str,
        auth_time: UnixTime,
        tokens_until: UnixTime,
    ) -> Answer<'a, Result<bool, StoreFault>> {
        let id = id.to_owned();
        Box::pin(self.ask(move |reply| Verb::StepUp(id, auth_time, tokens_until, reply)))
    }

    fn rotate(&self, renewal: Renewal) -> Answer<'_, Result<Rotation, StoreFault>> {
        Box::pin(self.ask(move |reply| Verb::Rotate(Box::new(renewal), reply)))
    }

    fn revoke(&self, what: Revoked, expires_at: UnixTime) -> Answer<'_, Result<(), StoreFault>> {
        Box::pin(self.ask(move |reply| Verb::Revoke(what, expires_at, reply)))
    }

    fn replacement<'a>(
        &'a self,
        subject: &'a str,
    ) -> Answer<'a, Result<Option<Replacement>, StoreFault>> {
        let subject = subject.to_owned();
        Box::pin(self.ask(move |reply| Verb::Replacement(subject, reply)))
    }

    fn replace<'a>(
        &'a self,
        subject: &'a str,
        new: Replacement,
    ) -> Answer<'a, Result<(), StoreFault>> {
        let subject = subject.to_owned();
        Box::pin(self.ask(move |reply| Verb::Replace(subject, new, reply)))
    }
    fn keep<'a>(
        &'a self,
        id: &'a str,
        cookies: Vec<String>,
        claims: Option<Map<String, Value>>,
    ) -> Answer<'a, Result<(), StoreFault>> {
        let id = id.to_owned();
        Box::pin(self.ask(move |reply| Verb::Remember(id, cookies, claims, reply)))
    }

    fn keepsakes(&self) -> &Keepsakes {
        &self.keepsakes
    }

    fn revocations(&self) -> &Revocations {
        &self.revocations
    }

    fn begin<'a>(
        &'a self,
        account: &Account,
        address: IpAddr,
        rules: &Rules,
        now: UnixTime,
    ) -> Answer<'a, Result<UnderWay<'a>, CheckFault>> {
        let begun = self.tallies.begin(account, address, rules, now);
        Box::pin(ready(begun.map_err(CheckFault::Throttled)))
    }

    fn withdrawn<'a>(&'a self, attempt: UnderWay<'a>) -> Answer<'a, ()> {
        attempt.withdrawn();
        Box::pin(ready(()))
    }

    fn failed<'a>(&'a self, attempt: UnderWay<'a>) -> Answer<'a, Result<(), StoreFault>> {
        let ids = attempt.ids();
        attempt.failed();
        self.keep(ids)
    }

    fn succeeded<'a>(&'a self, attempt: UnderWay<'a>) -> Answer<'a, Result<(), StoreFault>> {
        let ids = attempt.ids();
        attempt.succeeded();
        self.keep(ids)
    }

    fn probe(&self, now: UnixTime) -> Answer<'_, Result<(), StoreFault>> {
        // The revocation, already expired, of a token that never was.
        self.revoke(Revoked::Token("readyz".to_owned()), now)
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        // The owner ends when its queue does, after it has answered what is in it.
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn make_dir(dir: &Path) -> Result<(), StoreFault> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| {
        StoreFault(format!("the state directory {} cannot be made: {error}", dir.display()))
    })
}

/// Makes sure that no other gateway uses the directory. The file itself stays: removing it would let two
/// processes lock two files of the same name.
fn take_lock(dir: &Path) -> Result<File, StoreFault> {
    let opened = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(dir.join("lock"));
    let mut lock = opened.map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => StoreFault(format!(
            "the state directory {} is not writable by this user ({error})",
            dir.display()
        )),
        _ => StoreFault(format!("the state directory {} cannot be locked: {error}", dir.display())),
    })?;
    match lock.try_lock() {
        Ok(()) => {
            // For people only: who holds it.
            let _ = lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id()));
            Ok(lock)
        }
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = (&lock).take(20).read_to_string(&mut holder);
            let holder = holder.trim().parse::<u32>();
            let process = holder.map_or_else(|_| String::new(), |pid| format!(" (process {pid})"));
            Err(StoreFault(format!(
                "another freshgate{process} uses the state directory {}; stop it, or give this one another [state] dir",
                dir.display()
            )))
        }
        Err(TryLockError::Error(error)) => Err(StoreFault(format!(
            "the state directory {} cannot be locked: {error}",
            dir.display()
        ))),
    }
}
