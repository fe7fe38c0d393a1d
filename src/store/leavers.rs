//! Ends what users have who may no longer have it: those who were removed, disabled or given another password.
//!
//! What could not be ended, because the state store is away, is tried again each time that somebody looks. Called
//! by the threads that watch and open the users; never from inside a runtime.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest;
use tokio::task::JoinSet;

use super::events::Events;
use super::{CredentialStore, Revoked, StateStore, StoreFault};
use crate::telemetry::{self, Event, EventKind};
use crate::token::UnixTime;

/// Most subjects that are revoked at once; the store writes them together.
const AT_ONCE_MAX: usize = 256;
/// How often a state store that was away at the start is asked again.
const COMPARE_AGAIN: Duration = Duration::from_millis(200);
/// Bytes of a mark: nobody finds another hash with the same one.
const MARK_BYTES: usize = 16;

/// The short hash by which a session remembers the credential that it began with. It is one of the hash *as the operator
/// wrote it*: an upgrade that the gateway makes for itself keeps the mark, and so the sessions.
pub fn mark(stored_hash: &str) -> String {
    let digest = digest::digest(&digest::SHA256, stored_hash.as_bytes());
    digest.as_ref()[..MARK_BYTES].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a subject may still have what began with this mark.
///
/// # Errors
/// [`StoreFault`]: the users cannot be asked.
pub async fn may_stay(
    credentials: &dyn CredentialStore,
    subject: &str,
    mark: Option<&str>,
) -> Result<bool, StoreFault> {
    if !credentials.can_be_asked() {
        return Ok(true);
    }
    let is_there = credentials.claims_of(subject, None).await?.is_some();
    let today = credentials.mark_of(subject).await?;
    // Where either is not known there is nothing to compare.
    let differs = mark.zip(today.as_deref()).is_some_and(|(then, today)| then != today);
    Ok(is_there && !differs)
}

/// Who has to go, and where that is written.
pub struct Leavers {
    state: Arc<dyn StateStore>,
    events: Arc<Events>,
    /// The longest life of a token, in seconds.
    life: AtomicU64,
    /// Whose revocation was not written yet.
    pending: Mutex<BTreeSet<String>>,
}

impl fmt::Debug for Leavers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leavers").finish_non_exhaustive()
    }
}

impl Leavers {
    /// In this store, where no token lives longer than `life`; each one who goes is told.
    pub fn new(state: Arc<dyn StateStore>, life: Duration, events: Arc<Events>) -> Leavers {
        Leavers { state, events, life: life.as_secs().into(), pending: Mutex::default() }
    }

    /// Another configuration gives tokens another life.
    pub fn set_life(&self, life: Duration) {
        self.life.store(life.as_secs(), Ordering::Relaxed);
    }

    /// Revokes everything that these subjects have, and what was left from before.
    ///
    /// # Errors
    /// [`StoreFault`]: what is left is tried again the next time.
    pub fn end(&self, subjects: Vec<String>) -> Result<(), StoreFault> {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.extend(subjects);
        while !pending.is_empty() {
            let some: Vec<String> = pending.iter().take(AT_ONCE_MAX).cloned().collect();
            let ended = blocking(self.revoke(some))?;
            let mut fault = None;
            for (subject, outcome) in ended {
                match outcome {
                    Ok(()) => {
                        let event = Event::now(EventKind::Revocation).of(&subject);
                        self.events.tell(event.revoked("users", "user"));
                        pending.remove(&subject);
                    }
                    Err(error) => fault = Some(error),
                }
            }
            if let Some(fault) = fault {
                return Err(fault);
            }
        }
        Ok(())
    }

    /// Compares every living session with the users of today, and ends what is of others: they may have changed while
    /// no gateway ran.
    ///
    /// # Errors
    /// [`StoreFault`]: a gateway that cannot tell must not serve these sessions.
    pub fn compare(&self, credentials: &dyn CredentialStore) -> Result<(), StoreFault> {
        let lost = blocking(async {
            let mut lost = Vec::new();
            for (subject, mark) in self.state.marks(now()).await? {
                if !may_stay(credentials, &subject, mark.as_deref()).await? {
                    lost.push(subject);
                }
            }
            Ok::<_, StoreFault>(lost)
        })??;
        self.end(lost)
    }

    /// [Compares](Leavers::compare) as soon as the state store is there, on a thread of its own: for a gateway that starts
    /// while it is away.
    ///
    /// # Errors
    /// The machine gives no thread.
    pub fn compare_later(
        self: &Arc<Self>,
        credentials: Arc<dyn CredentialStore>,
    ) -> std::io::Result<()> {
        let leavers = Arc::clone(self);
        let look = move || {
            while leavers.compare(credentials.as_ref()).is_err() {
                std::thread::sleep(COMPARE_AGAIN);
            }
        };
        std::thread::Builder::new().name("leavers".into()).spawn(look).map(drop)
    }

    async fn revoke(&self, subjects: Vec<String>) -> Vec<(String, Result<(), StoreFault>)> {
        let at = now();
        let until = at.plus(Duration::from_secs(self.life.load(Ordering::Relaxed)));
        let mut under_way = JoinSet::new();
        for subject in subjects {
            let state = Arc::clone(&self.state);
            under_way.spawn(async move {
                let what = Revoked::Subject { subject: subject.clone(), at };
                let outcome = state.revoke(what, until).await;
                (subject, outcome)
            });
        }
        under_way.join_all().await
    }
}

fn now() -> UnixTime {
    UnixTime::of(telemetry::clock())
}

fn blocking<T>(work: impl Future<Output = T>) -> Result<T, StoreFault> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.map_err(|error| StoreFault(format!("no runtime to wait on: {error}")))?;
    Ok(runtime.block_on(work))
}
