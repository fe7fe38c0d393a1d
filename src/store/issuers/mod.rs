//! The key sets of other issuers, for tokens that they signed: fetched at the start, kept fresh, and held over failures
//! for a bounded time. One task for each issuer, on the control runtime; it holds nothing that a data thread waits for.
//!
//! `fetch` is one fetch, `schedule` says when the next one is, `keeper` is the task.

mod fetch;
mod keeper;
mod schedule;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use http::Uri;
use ipnet::IpNet;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::outbound::{Options, OptionsFault, Outbound};
use crate::token::UnixTime;
use crate::token::keys::{Algorithm, KeyRing};
pub use fetch::{FETCH_TIMEOUT, SET_BYTES_MAX};
pub use schedule::{BACKOFF_FIRST, BACKOFF_MAX, REFRESH_MIN};

/// Where a key set is, and how it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// `https://` or `http://`, without user and password.
    pub url: Uri,
    /// The algorithms whose keys are used; all others of the set are passed over. HMAC is never used.
    pub algorithms: Vec<Algorithm>,
    /// How long a set is kept before it is fetched again: less where its `Cache-Control: max-age` says so, down to
    /// [`REFRESH_MIN`] and `refetch_min`; never more, and never more than half of `stale_max`.
    pub refresh: Duration,
    /// The least time between a fetch and one for a `kid` that is not known.
    pub refetch_min: Duration,
    /// How long a set serves after it was asked for, while every fetch fails; then no key of it does.
    pub stale_max: Duration,
    /// Networks that the URL may lead into although they are private.
    pub allow_private: Vec<IpNet>,
    /// Certificates in PEM that are roots besides those of the system.
    pub ca: Option<Vec<u8>>,
}

impl Source {
    /// Makes the client of this source: what cannot be used is known before anything is started.
    ///
    /// # Errors
    /// [`OptionsFault`]: what is wrong with `ca`.
    pub fn client(&self) -> Result<Outbound, OptionsFault> {
        let (allow_private, ca) = (self.allow_private.clone(), self.ca.clone());
        Outbound::new(Options { allow_private, ca, ..Options::default() })
    }
}

/// A key set as it was fetched.
#[derive(Debug)]
pub struct Fetched {
    /// Its keys: they check signatures and make none.
    pub ring: Arc<KeyRing>,
    /// When it was asked for.
    pub fetched_at: UnixTime,
}

/// How fresh the keys are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Freshness {
    /// No fetch has succeeded yet: there are no keys.
    #[default]
    Never,
    /// The last fetch succeeded.
    Fresh {
        /// When it was.
        fetched_at: UnixTime,
    },
    /// Fetches fail; the keys of before serve.
    Stale {
        /// When the first of these failures was.
        since: UnixTime,
    },
    /// Fetches failed for longer than `stale_max`: there are no keys.
    Expired {
        /// When the keys were given up.
        since: UnixTime,
    },
}

/// What is known of a source, for `/readyz` and metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// How fresh the keys are.
    pub freshness: Freshness,
    /// What went wrong last, in a sentence that names the URL; `None` after a success.
    pub last_fault: Option<String>,
    /// Fetches that succeeded.
    pub fetched: u64,
    /// Fetches that failed.
    pub failed: u64,
}

/// The keys of one issuer. Dropping it ends its task and whatever request it has under way.
#[derive(Debug)]
pub struct RemoteKeys {
    shared: Arc<Shared>,
    task: Option<AbortHandle>,
}

/// What the task and its owner share.
#[derive(Debug, Default)]
struct Shared {
    ring: ArcSwapOption<Fetched>,
    status: Mutex<Status>,
    /// Whether somebody met a `kid` that is not known since the last fetch began.
    wanted: AtomicBool,
    nudge: Notify,
}

impl RemoteKeys {
    /// Begins to fetch, on `runtime`, and returns at once, before there are keys. `on_change` is called from there, whenever
    /// [`RemoteKeys::ring`] gives other keys than before, or none any more; it must not block, and may be called before this
    /// returns. Where [`Source::client`] fails nothing is ever fetched, and the status says why.
    pub fn start(
        source: Source,
        on_change: impl Fn() + Send + Sync + 'static,
        runtime: &Handle,
    ) -> RemoteKeys {
        let shared = Arc::new(Shared::default());
        let task = match source.client() {
            Ok(client) => {
                let asked = Arc::new((client, source.url.clone(), source.algorithms.clone()));
                let ask = move || {
                    let asked = Arc::clone(&asked);
                    async move { fetch::fetch(&asked.0, &asked.1, &asked.2, fetch::BUDGET).await }
                };
                let keeper = keeper::Keeper::new(&source, Arc::clone(&shared), ask, on_change);
                Some(runtime.spawn(keeper.run()).abort_handle())
            }
            Err(fault) => {
                shared.status().last_fault = Some(format!("the certificates of `ca`: {fault}"));
                None
            }
        };
        RemoteKeys { shared, task }
    }

    /// The keys that are believed now; `None` before the first good answer, and when the last one is older than `stale_max`.
    pub fn ring(&self) -> Option<Arc<Fetched>> {
        self.shared.ring.load_full()
    }

    /// A token named a `kid` that the ring does not have: the set is fetched anew, now or when `refetch_min` has passed since
    /// the last fetch began. Never waits; costs one atomic operation however often it is called.
    pub fn unknown_kid(&self) {
        self.shared.unknown_kid();
    }

    /// Ends its task and whatever request it has under way, before all who hold it have let it go.
    pub fn end(&self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }

    /// How it stands.
    pub fn status(&self) -> Status {
        self.shared.status().clone()
    }
}

impl Drop for RemoteKeys {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn unknown_kid(&self) {
        // Only the first of a flood takes the notifier's lock.
        let known = self.wanted.load(Ordering::Relaxed);
        if !known && !self.wanted.swap(true, Ordering::AcqRel) {
            self.nudge.notify_one();
        }
    }

    fn status(&self) -> MutexGuard<'_, Status> {
        // Each change of it is one whole assignment.
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
