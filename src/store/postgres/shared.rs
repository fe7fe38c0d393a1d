//! What the keeper gives, and the callers take: links while there are any, and the memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::time::timeout;
use tokio_postgres::Client;

use super::link::{Link, worded};
use super::{QUEUE_MAX, VERB_TIMEOUT};
use crate::config::SharedState;
use crate::store::{Keepsakes, Revocations, StoreFault, Tallies};
use crate::token::UnixTime;

/// One for each open store.
pub(super) struct Shared {
    /// The links, while there are any.
    pub(super) live: ArcSwapOption<Live>,
    pub(super) revocations: Revocations,
    pub(super) keepsakes: Keepsakes,
    stale_max: Duration,
    pub(super) clock: Clock,
    /// Verbs under way.
    under_way: AtomicUsize,
    /// Host, port and database.
    pub(super) shown: String,
    /// Why there are no links, as it was found last.
    pub(super) why_away: ArcSwapOption<String>,
}

/// What there is while the database is.
pub(super) struct Live {
    pub(super) clients: Vec<Arc<Client>>,
    next: AtomicUsize,
    /// Names accounts and addresses as every gateway does.
    pub(super) names: Tallies,
}

/// What time it is, and who says so.
#[derive(Clone, Copy)]
pub(crate) struct Clock {
    pub(super) now: fn() -> UnixTime,
    /// Whether the database's clock is looked at: attempts are judged by it, and ours is raised to it.
    pub(super) follows: bool,
}

/// Counts a verb for as long as its caller waits.
pub(super) struct Place<'s>(&'s AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Shared {
    /// Nothing is known yet.
    pub(super) fn new(state: &SharedState, clock: Clock) -> Shared {
        Shared {
            live: ArcSwapOption::empty(),
            revocations: Revocations::unconfirmed(),
            keepsakes: Keepsakes::default(),
            stale_max: state.stale_max,
            clock,
            under_way: AtomicUsize::new(0),
            shown: state.database.to_string(),
            why_away: ArcSwapOption::empty(),
        }
    }

    /// A link, and the place at it.
    pub(super) fn take(&self) -> Result<(Arc<Live>, Arc<Client>, Place<'_>), StoreFault> {
        let live = self.live.load_full().ok_or_else(|| self.away())?;
        let place = Place(&self.under_way);
        if self.under_way.fetch_add(1, Ordering::Relaxed) >= QUEUE_MAX {
            return Err(StoreFault(format!("{QUEUE_MAX} verbs wait for the state store")));
        }
        let turn = live.next.fetch_add(1, Ordering::Relaxed);
        let client = Arc::clone(&live.clients[turn % live.clients.len()]);
        Ok((live, client, place))
    }

    /// Waits for a statement, [`VERB_TIMEOUT`] at most.
    pub(super) async fn bounded<T>(
        &self,
        work: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, StoreFault> {
        match timeout(VERB_TIMEOUT, work).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => {
                Err(StoreFault(format!("PostgreSQL at {}: {}", self.shown, worded(&error))))
            }
            Err(_) => Err(StoreFault(format!(
                "PostgreSQL at {} did not answer within {VERB_TIMEOUT:?}",
                self.shown
            ))),
        }
    }

    pub(super) fn now(&self) -> UnixTime {
        (self.clock.now)()
    }

    /// Everything that was revoked before this moment is in memory.
    pub(super) fn confirm(&self, moment: UnixTime) {
        self.revocations.confirm(moment.plus(self.stale_max));
    }

    pub(super) fn publish(&self, links: &[Link], names: Tallies) {
        let clients = links.iter().map(|link| Arc::clone(&link.client)).collect();
        self.live.store(Some(Arc::new(Live { clients, next: AtomicUsize::new(0), names })));
    }

    pub(super) fn away(&self) -> StoreFault {
        let why = self.why_away.load();
        StoreFault(
            why.as_ref()
                .map_or_else(|| "the state store is not open yet".into(), |why| (**why).clone()),
        )
    }

    pub(super) fn withdraw(&self) {
        self.live.store(None);
    }
}
