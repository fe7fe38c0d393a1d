//! Sessions, revocations and failed attempts in a PostgreSQL database: the [`StateStore`] of many gateways.
//!
//! `keeper` is the task that keeps the connections, on a thread of the store's own, `shared` what it gives to the callers; `link` is one connection, `tls` its
//! certificate; `schema` raises the tables; `feed` brings what others revoked; `sessions`, `rotation`, `revoked` and `failures`
//! are the SQL of the verbs, `purge` forgets. A verb is one statement, sent by the caller itself over one of a few links that all share,
//! and it waits at most [`VERB_TIMEOUT`]. The request path asks the memory alone.

mod failures;
mod feed;
mod keeper;
mod keepsakes;
mod link;
mod purge;
mod replacements;
mod revoked;
mod rotation;
mod schema;
mod sessions;
mod shared;
#[cfg(test)]
mod tests;
mod tls;

use std::future::ready;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::watch;

use super::throttle::Rules;
use super::{
    Account, Answer, CheckFault, Keepsakes, Marks, Renewal, Replacement, Revocations, Revoked,
    Rotation, Session, StateStore, StoreFault, UnderWay,
};
use crate::config::SharedState;
use crate::telemetry;
use crate::token::UnixTime;
pub use keeper::POLL_EVERY;
use keeper::{First, Keeper};
use link::Dial;
use sessions::NotStarted;
pub(crate) use shared::Clock;
use shared::Shared;

/// How long a caller waits for a verb: a database that stands still must not hold requests for ever.
pub const VERB_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections for verbs. Each does one statement at a time; several let their commits share a write to the disk.
pub const LINKS: usize = 4;
/// Most verbs under way; more are refused at once.
pub const QUEUE_MAX: usize = 4096;
/// The channel on which gateways are told that there is something newer.
const CHANNEL: &str = "freshgate";
/// How long the start of a gateway waits for the database.
pub const START_WAIT: Duration = Duration::from_secs(10);
/// How long a command waits for it, which can do nothing before all is read that is revoked.
pub const COMMAND_WAIT: Duration = Duration::from_secs(120);

/// The store. Dropping it closes its connections.
pub struct Postgres {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Postgres {
    /// Connects, makes or raises the schema, and loads every living revocation. When the database is away it starts
    /// all the same, and so it does when that takes longer than `wait`: until it has loaded, no token is believed.
    ///
    /// # Errors
    /// [`StoreFault`] for what will not pass by itself: a wrong password or certificate, no such database, a role that
    /// may not make tables, a schema that is newer, clocks a day apart. The sentence names host and database, never
    /// the password.
    pub fn open(state: &SharedState, wait: Duration) -> Result<Postgres, StoreFault> {
        let now = || UnixTime::of(telemetry::clock());
        Postgres::open_at(state, Clock { now, follows: true }, wait)
    }

    /// As [`Postgres::open`], with the clock.
    pub(crate) fn open_at(
        state: &SharedState,
        clock: Clock,
        wait: Duration,
    ) -> Result<Postgres, StoreFault> {
        let shared = Arc::new(Shared::new(state, clock));
        let (stop, stopped) = watch::channel(false);
        let (first, told) = sync_channel(1);
        let dial = Dial::new(&state.database)?;
        let keeper =
            Keeper { dial, shared: Arc::clone(&shared), stop: stopped, first: Some(first) };
        let cannot = |error| StoreFault(format!("no thread for the state store: {error}"));
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(cannot)?;
        let thread = thread::Builder::new()
            .name("state".into())
            .spawn(move || runtime.block_on(keeper.run()))
            .map_err(cannot)?;
        let store = Postgres { shared, stop, thread: Some(thread) };
        match told.recv_timeout(wait) {
            Ok(First::Ready) => Ok(store),
            Ok(First::Refused(why)) => Err(StoreFault(why)),
            // Told in the log already.
            Ok(First::Away) | Err(_) => Ok(store),
        }
    }
}

impl std::fmt::Debug for Postgres {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Postgres").field("at", &self.shared.shown).finish_non_exhaustive()
    }
}

impl StateStore for Postgres {
    fn start(&self, session: Session) -> Answer<'_, Result<(), StoreFault>> {
        Box::pin(async move {
            let (_live, client, _place) = self.shared.take()?;
            let started = self.shared.bounded(sessions::start(&client, &session)).await?;
            started.map_err(|why| {
                StoreFault(match why {
                    NotStarted::Taken => "a session with this id is there already".into(),
                    NotStarted::BornDead => {
                        "everything of this user was revoked in this second".into()
                    }
                })
            })?;
            if let Some(keepsake) = session.keepsake {
                self.shared.keepsakes.put(&session.id, keepsake.cookies, session.expires_at);
            }
            Ok(())
        })
    }

    fn session<'a>(
        &'a self,
        id: &'a str,
        now: UnixTime,
    ) -> Answer<'a, Result<Option<Session>, StoreFault>> {
        Box::pin(async move {
            let (_live, client, _place) = self.shared.take()?;
            self.shared.bounded(sessions::find(&client, id, now)).await
        })
    }

    fn step_up<'a>(
        &'a self,
        id: &'a str,
        auth_time: UnixTime,
        tokens_until: UnixTime,
    ) -> Answer<'a, Result<bool, StoreFault>> {
        Box::pin(async move {
            let (_live, client, _place) = self.shared.take()?;
            self.shared.bounded(sessions::step_up(&client, id, auth_time, tokens_until)).await
        })
    }

    fn sessions<'a>(
        &'a self,
        of: Option<&'a str>,
        now: UnixTime,
        max: usize,
    ) -> Answer<'a, Result<Vec<Session>, StoreFault>> {
        Box::pin(async move {
            let (_live, client, _place) = self.shared.take()?;
            self.shared.bounded(sessions::list(&client, of, now, max)).await
        })
    }

    fn marks(&self, now: UnixTime) -> Answer<'_, Result<Marks, StoreFault>> {
        Box::pin(async move {
            let (_live, client, _place) = self.shared.take()?;
            self.shared.bounded(sessions::marks(&client, now)).await
        })
    }

    fn rotate(&self, renewal: Renewal) -> Answer<'_, Result<Rotation, StoreFault>> {
        Box::pin(async move {
            let (_live, client, _place) = self.shared.take()?;
            let rotation = self.shared.bounded(rotation::rotate(&client, &renewal)).await?;
            let rotation = rotation.ok_or_else(|| {
                StoreFault("others rotated the same session again and again".into())
            })?;
            if let Rotation::Reused { revoked_until } = rotation {
                self.shared.revocations.add_session(&renewal.session, revoked_until);
            }
            Ok(rotation)
        })
    }

    fn revoke(&self, what: Revoked, expires_at: UnixTime) -> Answer<'_, Result<(), StoreFault>> {
        Box::pin(async move {
            let (_live, client, _place) = self.shared.take()?;
            let rows = self.shared.bounded(revoked::revoke(&client, &what, expires_at)).await?;
            if let Revoked::Session(id) = &what {
                self.shared.keepsakes.forget(id);
            }
            // Here at once; the others hear of it.
            revoked::add(&rows, &self.shared.revocations)
                .map_err(|fault| StoreFault(fault.text().to_owned()))
        })
    }

    fn replacement<'a>(
        &'a self,
        subject: &'a str,
    ) -> Answer<'a, Result<Option<Replacement>, StoreFault>> {
        Box::pin(async move {
            let (_live, client, _place) = self.shared.take()?;
            let row = self.shared.bounded(replacements::find(&client, subject)).await?;
            row.as_ref().map(replacements::read).transpose()
        })
    }

    fn replace<'a>(
        &'a self,
        subject: &'a str,
        new: Replacement,
    ) -> Answer<'a, Result<(), StoreFault>> {
        Box::pin(async move {
            let (_live, client, _place) = self.shared.take()?;
            self.shared.bounded(replacements::keep(&client, subject, &new)).await
        })
    }

    fn keep<'a>(
        &'a self,
        id: &'a str,
        cookies: Vec<String>,
        claims: Option<Map<String, Value>>,
    ) -> Answer<'a, Result<(), StoreFault>> {
        Box::pin(async move {
            let (_live, client, _place) = self.shared.take()?;
            let kept = keepsakes::keep(&client, id, &cookies, claims.as_ref());
            self.shared.bounded(kept).await
        })
    }

    fn keepsakes(&self) -> &Keepsakes {
        &self.shared.keepsakes
    }

    fn revocations(&self) -> &Revocations {
        &self.shared.revocations
    }

    fn begin<'a>(
        &'a self,
        account: &Account,
        address: IpAddr,
        rules: &Rules,
        now: UnixTime,
    ) -> Answer<'a, Result<UnderWay<'a>, CheckFault>> {
        let (live, client, place) = match self.shared.take() {
            Ok(taken) => taken,
            Err(fault) => return Box::pin(ready(Err(CheckFault::Away(fault)))),
        };
        let (ids, rules) = (live.names.ids(account, address), *rules);
        let moment = (!self.shared.clock.follows).then_some(now);
        Box::pin(async move {
            let _place = place;
            let begun = self.shared.bounded(failures::begin(&client, ids, &rules, moment)).await;
            begun.map_err(CheckFault::Away)?.map_err(CheckFault::Throttled)
        })
    }

    fn withdrawn<'a>(&'a self, attempt: UnderWay<'a>) -> Answer<'a, ()> {
        Box::pin(async move {
            let Ok((_live, client, _place)) = self.shared.take() else { return };
            if let Err(fault) = self.shared.bounded(failures::withdrawn(&client, attempt)).await {
                tracing::warn!(event = "attempt_stays_counted", error = %fault, "an attempt stays counted");
            }
        })
    }

    fn failed<'a>(&'a self, _counted: UnderWay<'a>) -> Answer<'a, Result<(), StoreFault>> {
        // It was counted as failed, durably, before anything was checked.
        Box::pin(ready(Ok(())))
    }

    fn succeeded<'a>(&'a self, attempt: UnderWay<'a>) -> Answer<'a, Result<(), StoreFault>> {
        Box::pin(async move {
            let (_live, client, _place) = self.shared.take()?;
            self.shared.bounded(failures::succeeded(&client, attempt)).await
        })
    }

    /// Whether it is there, all is read, and it can be written.
    fn probe(&self, _now: UnixTime) -> Answer<'_, Result<(), StoreFault>> {
        Box::pin(async move {
            let (_live, client, _place) = self.shared.take()?;
            self.shared.bounded(sessions::probe(&client)).await
        })
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ended = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

/// The database's integers have a sign; the far end of time stays the far end.
fn stored(time: UnixTime) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

fn moment(stored: i64) -> UnixTime {
    UnixTime(u64::try_from(stored).unwrap_or(0))
}
