//! The queue before the webhook, and who empties it. `queue` says what is next.
//!
//! Bounded in number and in age. Events are taken in their order; one that failed waits aside until it is due, and lets others by.
//! A full queue drops the newest: what began an attack is worth more than its thousandth echo. What anybody can cause may fill only
//! a part of it, so that nobody can drown a `reuse` in failures.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::queue::{Message, Queue};
use super::schedule::backoff;
use super::webhook::{Hook, Outcome};
use crate::telemetry::{Event, Metrics, Undelivered};

/// How often lost messages are told in the log, at most.
const TELL_EVERY: Duration = Duration::from_secs(60);
/// Of four parts of the queue, those that cheap events may fill.
const CHEAP_QUARTERS: usize = 3;

pub(super) struct Outbox {
    hook: ArcSwapOption<Hook>,
    queue: Mutex<Queue>,
    /// Something was put in, or asked for.
    changed: Notify,
    /// Nothing waits any more.
    empty: Notify,
    metrics: Arc<Metrics>,
}

impl Outbox {
    pub(super) fn new(metrics: Arc<Metrics>) -> Outbox {
        Outbox {
            hook: ArcSwapOption::empty(),
            queue: Mutex::default(),
            changed: Notify::new(),
            empty: Notify::new(),
            metrics,
        }
    }

    pub(super) fn hook(&self) -> Option<Arc<Hook>> {
        self.hook.load_full()
    }

    pub(super) fn follow(&self, hook: Option<Arc<Hook>>) {
        let is_same = match (&*self.hook.load(), &hook) {
            (Some(old), Some(new)) => Arc::ptr_eq(old, new),
            (old, new) => old.is_none() && new.is_none(),
        };
        if is_same {
            return;
        }
        let mut queue = self.queue();
        if hook.is_none() {
            let dropped = queue.clear();
            self.lose(&mut queue, Undelivered::Gone, dropped);
        }
        // Somebody else may be asked at once.
        (queue.quiet_until, queue.failing) = (None, false);
        self.hook.store(hook);
        drop(queue);
        self.changed.notify_one();
    }

    /// Puts an event in, if anybody is told of it. Never waits.
    pub(super) fn put(&self, event: &Event) {
        let hook = self.hook.load();
        let Some(hook) = hook.as_ref().filter(|hook| hook.settings.events.contains(&event.kind))
        else {
            return;
        };
        let most = match event.kind.is_cheap() {
            true => (hook.settings.queue_max * CHEAP_QUARTERS).div_ceil(4),
            false => hook.settings.queue_max,
        };
        let body = Bytes::from(event.message());
        let mut queue = self.queue();
        // Under the lock: a reload may just have emptied the queue.
        if !self.listens() {
            self.lose(&mut queue, Undelivered::Gone, 1);
        } else if queue.len() >= most {
            self.lose(&mut queue, Undelivered::Full, 1);
        } else if queue.ending {
            // A request that a drain cut.
            self.lose(&mut queue, Undelivered::Stopped, 1);
        } else {
            let (id, since) = (event.id.clone(), Instant::now());
            queue.fresh.push_back(Message { id, body, since, tries: 0 });
            self.count(&queue);
            drop(queue);
            self.changed.notify_one();
        }
    }

    /// Delivers for ever.
    pub(super) async fn deliver(self: Arc<Self>) {
        let mut tries = JoinSet::new();
        loop {
            let changed = self.changed.notified();
            while let Some((hook, message)) = self.take(tries.len()) {
                tries.spawn(async move {
                    let outcome = hook.send(&message.id, message.body.clone()).await;
                    (hook, message, outcome)
                });
            }
            let due = self.queue().due();
            let wait = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            let full = self.hook().is_some_and(|hook| tries.len() >= hook.settings.at_once);
            tokio::select! {
                () = changed => {}
                () = wait, if !full => {}
                Some(done) = tries.join_next() => match done {
                    Ok((hook, message, outcome)) => self.settle(&hook, message, outcome),
                    // It was told where panics are told.
                    Err(_) => self.lost_under_way(),
                },
            }
        }
    }

    /// The next message and whom it goes to.
    fn take(&self, under_way: usize) -> Option<(Arc<Hook>, Message)> {
        let hook = self.hook().filter(|hook| hook.listens())?;
        if under_way >= hook.settings.at_once {
            return None;
        }
        let (mut queue, now) = (self.queue(), Instant::now());
        let expired = queue.expire(now, hook.settings.retry_for);
        self.lose(&mut queue, Undelivered::Expired, expired);
        if expired > 0 && queue.len() == 0 {
            // Whoever waits for the end need not wait for what will not be sent.
            self.empty.notify_one();
        }
        queue.next(now).map(|message| (hook, message))
    }

    fn settle(&self, hook: &Hook, mut message: Message, outcome: Outcome) {
        let webhook = &self.metrics.webhook;
        let (mut queue, now) = (self.queue(), Instant::now());
        queue.under_way = queue.under_way.saturating_sub(1);
        match outcome {
            Outcome::Delivered => {
                webhook.delivered.inc();
                if std::mem::take(&mut queue.failing) {
                    let at = hook.settings.shown();
                    tracing::info!(event = "webhook_back", at, "the webhook takes events again");
                }
            }
            Outcome::Gone => {
                webhook.failed.inc();
                hook.end();
                let at = hook.settings.shown();
                tracing::error!(
                    event = "webhook_gone",
                    at,
                    "the webhook answered 410: nothing is sent to it any more, until a reload or a restart"
                );
                // A reload may have named another one meanwhile, which takes what waits.
                let waiting = if self.listens() { 0 } else { queue.clear() };
                self.lose(&mut queue, Undelivered::Gone, waiting + 1);
            }
            Outcome::Failed { why, retry_after } => {
                webhook.failed.inc();
                message.tries += 1;
                tell_failure(&mut queue, hook, &message, &why);
                if let Some(asked) = retry_after {
                    queue.quiet_until = queue.quiet_until.max(Some(now + asked));
                }
                let due =
                    now + backoff(message.tries, random()).max(retry_after.unwrap_or_default());
                if queue.ending {
                    self.lose(&mut queue, Undelivered::Stopped, 1);
                } else if !self.listens() {
                    self.lose(&mut queue, Undelivered::Gone, 1);
                } else if due >= message.since + hook.settings.retry_for {
                    self.lose(&mut queue, Undelivered::Expired, 1);
                } else {
                    queue.held.push((due, message));
                }
            }
        }
        self.count(&queue);
        if queue.len() == 0 {
            self.empty.notify_one();
        }
    }

    fn listens(&self) -> bool {
        self.hook().is_some_and(|hook| hook.listens())
    }

    fn lost_under_way(&self) {
        let mut queue = self.queue();
        queue.under_way = queue.under_way.saturating_sub(1);
        self.lose(&mut queue, Undelivered::Expired, 1);
        self.empty.notify_one();
    }

    pub(super) async fn flush(&self, limit: Duration) {
        {
            let mut queue = self.queue();
            queue.ending = true;
            if queue.len() == 0 {
                return;
            }
        }
        self.changed.notify_one();
        let _in_time = timeout(limit, async {
            while self.queue().len() > 0 {
                self.empty.notified().await;
            }
        })
        .await;
        let mut queue = self.queue();
        let left = queue.clear() + std::mem::take(&mut queue.under_way) as u64;
        self.metrics.webhook.dropped(Undelivered::Stopped, left);
        let lost = queue.lost + left;
        if lost > 0 {
            tracing::warn!(
                event = "webhook_undelivered",
                lost,
                "the gateway stops before the webhook took these events; the log has them"
            );
        }
    }

    /// Counts what is lost, and tells it: at once, then at most once a minute.
    fn lose(&self, queue: &mut Queue, why: Undelivered, count: u64) {
        if count == 0 {
            return;
        }
        self.metrics.webhook.dropped(why, count);
        self.count(queue);
        queue.lost += count;
        let now = Instant::now();
        if queue.told.is_none_or(|told| told + TELL_EVERY <= now) {
            let (lost, reason) = (std::mem::take(&mut queue.lost), why.name());
            queue.told = Some(now);
            tracing::warn!(
                event = "webhook_dropped",
                lost,
                reason,
                "events were not sent to the webhook; the log has them"
            );
        }
    }

    fn count(&self, queue: &Queue) {
        self.metrics.webhook.queued.set(i64::try_from(queue.len()).unwrap_or(i64::MAX));
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Told once, until one is delivered again.
fn tell_failure(queue: &mut Queue, hook: &Hook, message: &Message, why: &str) {
    if !std::mem::replace(&mut queue.failing, true) {
        let (id, at) = (&message.id, hook.settings.shown());
        tracing::warn!(event = "webhook_failed", id, at, "an event was not delivered: {why}");
    }
}

/// Not for secrets.
fn random() -> u64 {
    u64::from_le_bytes(uuid::Uuid::new_v4().as_bytes()[8..].try_into().expect("eight bytes"))
}
