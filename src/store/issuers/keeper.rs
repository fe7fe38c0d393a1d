//! The task that keeps one key set: one fetch at a time, early enough, after failures with patience, and for an unknown
//! `kid` as often as `refetch_min` allows. Gives the keys up when they are too old.

use std::future::{Future, pending};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use aws_lc_rs::rand;
use tokio::time::{Instant, sleep_until};

use super::fetch::Answer;
use super::schedule::{backoff, refresh_after};
use super::{Fetched, Freshness, Shared, Source};
use crate::telemetry;
use crate::token::UnixTime;
use crate::token::keys::BadKey;

/// Most signs of a `kid` of somebody else's that are logged.
const LOGGED_ID_MAX: usize = 64;

/// What is so far away that nobody waits for it.
const FAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

pub(super) struct Keeper<Ask, Change> {
    url: String,
    refresh: Duration,
    refetch_min: Duration,
    stale_max: Duration,
    shared: Arc<Shared>,
    ask: Ask,
    on_change: Change,
    /// Which keys the ring has.
    held: Option<[u8; 32]>,
    /// When they are given up.
    gone_at: Option<Instant>,
    /// Failures since the last success.
    failures: u64,
    /// The bad keys of the last good answer, which were logged.
    bad: Vec<BadKey>,
}

impl<Ask, Asking, Change> Keeper<Ask, Change>
where
    Ask: Fn() -> Asking,
    Asking: Future<Output = Result<Answer, String>>,
    Change: Fn(),
{
    pub(super) fn new(source: &Source, shared: Arc<Shared>, ask: Ask, on_change: Change) -> Self {
        Keeper {
            url: super::super::outbound::shown(&source.url),
            // Time for some failures must be left before the keys are given up.
            refresh: source.refresh.min(source.stale_max / 2),
            refetch_min: source.refetch_min,
            stale_max: source.stale_max,
            shared,
            ask,
            on_change,
            held: None,
            gone_at: None,
            failures: 0,
            bad: Vec::new(),
        }
    }

    /// Never ends by itself.
    pub(super) async fn run(mut self) {
        loop {
            // Who asks from here on may not be answered by this fetch.
            self.shared.wanted.store(false, Ordering::Release);
            let (began, time) = (Instant::now(), UnixTime::of(telemetry::clock()));
            let answer = self.asked().await;
            let wait = match answer {
                Ok(answer) => self.take(answer, began, time),
                Err(fault) => self.fail(fault),
            };
            self.rest(began, later(Instant::now(), wait)).await;
        }
    }

    /// One fetch. The keys of before may grow too old meanwhile.
    async fn asked(&mut self) -> Result<Answer, String> {
        let mut asking = pin!((self.ask)());
        loop {
            tokio::select! {
                biased;
                answer = &mut asking => return answer,
                () = at(self.gone_at) => self.give_up(),
            }
        }
    }

    /// Until `next`, or until somebody wants keys that are not here and the last fetch began long enough ago.
    async fn rest(&mut self, began: Instant, next: Instant) {
        loop {
            let wanted = self.shared.wanted.load(Ordering::Acquire);
            let until = if wanted { next.min(later(began, self.refetch_min)) } else { next };
            let shared = Arc::clone(&self.shared);
            tokio::select! {
                biased;
                () = at(self.gone_at) => self.give_up(),
                () = sleep_until(until) => return,
                () = shared.nudge.notified(), if !wanted => {}
            }
        }
    }

    /// Takes a good answer; gives how long to wait.
    fn take(&mut self, answer: Answer, began: Instant, fetched_at: UnixTime) -> Duration {
        let Answer { set, max_age } = answer;
        if !set.bad.is_empty() && set.bad != self.bad {
            self.report(&set.bad);
        }
        self.bad = set.bad;
        self.failures = 0;
        self.gone_at = began.checked_add(self.stale_max);
        let (keys, now) = (set.ring.keys().len(), Some(set.ring.fingerprint()));
        let ring = Arc::new(set.ring);
        self.shared.ring.store(Some(Arc::new(Fetched { ring, fetched_at })));
        let recovered = {
            let mut status = self.shared.status();
            status.freshness = Freshness::Fresh { fetched_at };
            status.fetched += 1;
            status.last_fault.take().is_some()
        };
        if now != self.held {
            self.held = now;
            tracing::info!(
                event = "issuer_keys",
                url = self.url,
                keys,
                "the keys of an issuer are new"
            );
            (self.on_change)();
        } else if recovered {
            tracing::info!(
                event = "issuer_keys",
                url = self.url,
                keys,
                "the keys of an issuer came again"
            );
        }
        refresh_after(self.refresh, self.refetch_min, max_age, random())
    }

    /// Counts a failure; gives how long to wait.
    fn fail(&mut self, fault: String) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let mut status = self.shared.status();
        status.failed += 1;
        if let Freshness::Fresh { .. } = status.freshness {
            status.freshness = Freshness::Stale { since: UnixTime::of(telemetry::clock()) };
        }
        // The same sentence again says nothing new.
        if status.last_fault.as_ref() != Some(&fault) {
            tracing::warn!(event = "issuer_keys_failed", "{fault}");
        }
        status.last_fault = Some(fault);
        backoff(self.failures, self.refresh, random())
    }

    /// The keys are too old to be believed.
    fn give_up(&mut self) {
        self.gone_at = None;
        self.held = None;
        self.shared.ring.store(None);
        self.shared.status().freshness =
            Freshness::Expired { since: UnixTime::of(telemetry::clock()) };
        tracing::error!(
            event = "issuer_keys_expired",
            url = self.url,
            "the keys of an issuer are too old; its tokens are refused until they come again"
        );
        (self.on_change)();
    }

    fn report(&self, bad: &[BadKey]) {
        for key in bad {
            let id: String = key.id.iter().flat_map(|id| id.chars()).take(LOGGED_ID_MAX).collect();
            let place = key.place;
            tracing::warn!(
                event = "issuer_key_bad",
                url = self.url,
                place,
                kid = ?id,
                "a key of an issuer is not used: {}",
                key.why
            );
        }
    }
}

fn later(moment: Instant, span: Duration) -> Instant {
    moment.checked_add(span).unwrap_or(moment + FAR)
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => pending().await,
    }
}

/// A random number; 0 where the machine gives none, which only makes gateways ask at the same time.
fn random() -> u64 {
    let mut bytes = [0; 8];
    match rand::fill(&mut bytes) {
        Ok(()) => u64::from_le_bytes(bytes),
        Err(_) => 0,
    }
}
