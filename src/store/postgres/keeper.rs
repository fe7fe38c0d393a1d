//! The one task that keeps the connections: it dials, raises the schema, reads what is revoked, hands the links to the
//! callers, and listens for news. When any link breaks or falls silent it takes all of them back and begins anew.
//!
//! Runs on the store's own thread, alone there with the tasks that move bytes. Nothing waits for it: callers find links or
//! none. Started by the store.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant, UNIX_EPOCH};

use aws_lc_rs::rand;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use super::feed::Feed;
use super::link::{Dial, Link, LinkFault};
use super::shared::Shared;
use super::{CHANNEL, LINKS, failures, purge, schema};
use crate::store::embedded::CLOCK_BEHIND_MAX;
use crate::telemetry;
use crate::token::UnixTime;

/// How often the feed is read without being told: notifications may be lost, and poolers drop `LISTEN`.
pub const POLL_EVERY: Duration = Duration::from_secs(2);
/// The pauses between attempts to connect.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// How long a notification of our own may take.
const HEARD_WITHIN: Duration = Duration::from_secs(1);
/// A gateway's clock that is this far behind the database's is told.
const BEHIND_TOLD: Duration = Duration::from_secs(2);

/// How the first attempt to connect ended.
pub(super) enum First {
    /// The state is loaded.
    Ready,
    /// The database is away; the keeper goes on trying.
    Away,
    /// It will not work until somebody changes something.
    Refused(String),
}

pub(super) struct Keeper {
    pub(super) dial: Dial,
    pub(super) shared: Arc<Shared>,
    pub(super) stop: watch::Receiver<bool>,
    /// Who waits for the first outcome.
    pub(super) first: Option<SyncSender<First>>,
}

impl Keeper {
    /// Runs until it is told to stop.
    pub(super) async fn run(mut self) {
        let mut stop = self.stop.clone();
        tokio::select! {
            () = self.keep() => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
        self.shared.withdraw();
    }

    async fn keep(&mut self) {
        let mut pause = PAUSE_MIN;
        let mut away_since: Option<Instant> = None;
        loop {
            let fault = match self.connect().await {
                Ok(session) => {
                    if let Some(since) = away_since.take() {
                        let seconds = since.elapsed().as_secs();
                        tracing::info!(
                            event = "state_store_back",
                            seconds,
                            "the state store is back, and all that was missed is read"
                        );
                    }
                    pause = PAUSE_MIN;
                    self.tell(First::Ready);
                    let fault = session.serve(&self.shared).await;
                    self.shared.withdraw();
                    fault
                }
                Err(fault) => fault,
            };
            let text = format!("PostgreSQL at {}: {}", self.shared.shown, fault.text());
            self.shared.why_away.store(Some(Arc::new(text.clone())));
            if away_since.is_none() {
                away_since = Some(Instant::now());
                tracing::error!(
                    event = "state_store_away",
                    error = text,
                    "the state store is away"
                );
            }
            self.tell(match fault {
                LinkFault::Away(_) => First::Away,
                LinkFault::Refused(_) => First::Refused(text),
            });
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    fn tell(&mut self, outcome: First) {
        if let Some(first) = self.first.take() {
            // Whoever asked may have stopped waiting.
            let _late = first.send(outcome);
        }
    }

    /// All the links, with everything read that is revoked.
    async fn connect(&self) -> Result<Session, LinkFault> {
        let bell = Arc::new(Notify::new());
        let main = self.dial.open(Arc::clone(&bell)).await?;
        main.execute("SET statement_timeout = '30s'").await?;
        self.look_at_clock(&main).await?;
        schema::raise(&main).await?;
        // Before the first look, so that nothing falls between.
        main.execute(&format!("LISTEN {CHANNEL}")).await?;
        let mut key = [0; crate::store::throttle::tallies::KEY_BYTES];
        rand::fill(&mut key)
            .map_err(|_| LinkFault::Away("this machine gave no random bytes".into()))?;
        let names = failures::names(&main, key).await?;
        let asked_at = self.shared.now();
        let feed = Feed::start(&main, asked_at, &self.shared.revocations).await?;
        let mut links = Vec::new();
        for _ in 0..LINKS {
            links.push(self.dial.open(Arc::default()).await?);
        }
        self.shared.confirm(asked_at);
        self.shared.publish(&links, names);
        self.listen(&bell, &links).await?;
        // It may have rung for others too.
        bell.notify_one();
        let now = Instant::now();
        Ok(Session { main, links, bell, feed, ping_at: now, purge_at: now })
    }

    /// Tells the operator when no notification comes through: revocations of others are then read as often as the feed is,
    /// and no sooner. A pooler that gives each transaction another connection takes them away in silence.
    async fn listen(&self, bell: &Notify, links: &[Link]) -> Result<(), LinkFault> {
        let [link, ..] = links else { return Ok(()) };
        link.execute(&format!("NOTIFY {CHANNEL}")).await?;
        if timeout(HEARD_WITHIN, bell.notified()).await.is_err() {
            tracing::warn!(
                event = "state_store_deaf",
                "no notification comes from the state store: is there a pooler between that does not keep connections to \
                 their clients? What other gateways revoke is read every {POLL_EVERY:?}, not at once"
            );
        }
        Ok(())
    }

    /// Time goes on from that of the database, where ours is behind: what is revoked is purged by the database's, and
    /// must be dead here by then.
    async fn look_at_clock(&self, main: &Link) -> Result<(), LinkFault> {
        let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
        let rows = main.query(sql, &[]).await?;
        let theirs: i64 = rows.first().ok_or_else(LinkFault::odd)?.try_get(0)?;
        let theirs = Duration::from_micros(u64::try_from(theirs).unwrap_or(0));
        let behind = UnixTime(theirs.as_secs()).since(self.shared.now());
        if behind <= BEHIND_TOLD || !self.shared.clock.follows {
            return Ok(());
        }
        if behind > CLOCK_BEHIND_MAX {
            return Err(LinkFault::Refused(format!(
                "its clock is {} hours ahead of this machine's: set right whichever is wrong",
                behind.as_secs() / 3600
            )));
        }
        tracing::warn!(
            event = "clock_behind",
            seconds = behind.as_secs(),
            "this machine's clock is behind the database's; time goes on from there"
        );
        telemetry::raise_clock(UNIX_EPOCH + theirs);
        Ok(())
    }
}

/// The time while the database is there.
struct Session {
    main: Link,
    links: Vec<Link>,
    bell: Arc<Notify>,
    feed: Feed,
    ping_at: Instant,
    purge_at: Instant,
}

impl Session {
    /// Reads the feed at each ring of the bell and every [`POLL_EVERY`], until a link breaks; says why.
    async fn serve(mut self, shared: &Shared) -> LinkFault {
        loop {
            tokio::select! {
                () = self.bell.notified() => {}
                () = sleep(POLL_EVERY) => {}
                () = ended(&mut self.main, &mut self.links) => {
                    return LinkFault::Away("a connection was closed".into());
                }
            }
            if let Err(fault) = self.look(shared).await {
                return fault;
            }
        }
    }

    async fn look(&mut self, shared: &Shared) -> Result<(), LinkFault> {
        let asked_at = shared.now();
        let feed = self.feed.read(&self.main, &shared.revocations);
        let late = |_| LinkFault::Away(format!("it said nothing for {:?}", super::VERB_TIMEOUT));
        timeout(super::VERB_TIMEOUT, feed).await.map_err(late)??;
        shared.confirm(asked_at);
        if Instant::now() >= self.ping_at {
            for link in &self.links {
                link.ping().await?;
            }
            self.ping_at = Instant::now() + POLL_EVERY;
        }
        if Instant::now() >= self.purge_at {
            purge::memory(shared, asked_at);
            if !purge::database(&self.main, asked_at).await? {
                self.purge_at = Instant::now() + purge::EVERY;
            }
        }
        Ok(())
    }
}

/// Ready when any of them has ended.
async fn ended(main: &mut Link, links: &mut [Link]) {
    let mut all: Vec<_> = links.iter_mut().map(|link| Box::pin(link.ended())).collect();
    all.push(Box::pin(main.ended()));
    std::future::poll_fn(|context| {
        let any = all.iter_mut().any(|one| one.as_mut().poll(context).is_ready());
        if any { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}
