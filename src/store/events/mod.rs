//! Where whatever happens to a login is told: a line in the log, a counter, and a message to the webhook if there is one.
//!
//! [`Events::tell`] never waits: the log and the webhook each have a bounded queue of their own. `outbox` is the queue of the
//! webhook (`queue`) and who empties it, `schedule` says when a message is tried again, `webhook` signs and sends one. Emitted by `auth`, by
//! [`leavers`](super::leavers) and by the desk of the command line; delivered on the control runtime.

mod outbox;
mod queue;
mod schedule;
#[cfg(test)]
mod tests;
mod webhook;

use std::fmt;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};

use crate::config::EventRules;
use crate::store::outbound::OptionsFault;
use crate::telemetry::{Event, EventKind, Metrics, Typed};
use outbox::Outbox;
pub use schedule::{BACKOFF_FIRST, BACKOFF_MAX};
use webhook::Hook;
pub use webhook::{ANSWER_BYTES_MAX, signed};

/// How long the end of the process waits for the last messages to be taken.
pub const FLUSH_MAX: Duration = Duration::from_secs(5);

/// Whom events are told to. One for a process; what it is told to do changes with the configuration.
pub struct Events {
    metrics: Arc<Metrics>,
    outbox: Arc<Outbox>,
    hash_failed_names: AtomicBool,
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

/// What a configuration wants, ready to be used.
#[derive(Debug)]
pub struct Wanted {
    hash_failed_names: bool,
    hook: Option<Arc<Hook>>,
}

impl Events {
    /// To the log alone.
    pub fn new(metrics: Arc<Metrics>) -> Events {
        let outbox = Arc::new(Outbox::new(Arc::clone(&metrics)));
        Events { metrics, outbox, hash_failed_names: AtomicBool::new(false) }
    }

    /// Makes ready what a configuration wants, and changes nothing yet.
    ///
    /// # Errors
    /// [`OptionsFault`]: the certificates that it names.
    pub fn ready(&self, rules: &EventRules) -> Result<Wanted, OptionsFault> {
        let hook = match &rules.webhook {
            None => None,
            Some(settings) => Some(match self.outbox.hook().filter(|hook| hook.is(settings)) {
                Some(same) => same,
                None => Arc::new(Hook::new(settings.clone())?),
            }),
        };
        Ok(Wanted { hash_failed_names: rules.hash_failed_names, hook })
    }

    /// Goes by this from now on. What waits already is sent as it says; without a webhook it is dropped.
    pub fn follow(&self, wanted: Wanted) {
        self.hash_failed_names.store(wanted.hash_failed_names, Ordering::Relaxed);
        self.outbox.follow(wanted.hook);
    }

    /// Tells it. Never waits.
    pub fn tell(&self, mut event: Event) {
        let failed = matches!(event.kind, EventKind::Failure | EventKind::Throttle);
        if failed && event.subject.is_none() && self.hash_failed_names.load(Ordering::Relaxed) {
            event.user = None;
            event.account = event.account.map(|account| hashed(&account));
        }
        event.log();
        self.metrics.event(event.kind);
        self.outbox.put(&event);
    }

    /// Delivers until it is dropped; on the control runtime.
    pub async fn deliver(self: Arc<Self>) {
        Arc::clone(&self.outbox).deliver().await;
    }

    /// Tries whatever waits one last time. What nobody has taken after `limit` is lost, and that is counted and logged.
    pub async fn flush(&self, limit: Duration) {
        self.outbox.flush(limit).await;
    }
}

/// Equal for equal names, as long as this process lives; says nothing else of them.
fn hashed(name: &Typed) -> Typed {
    static KEY: OnceLock<hmac::Key> = OnceLock::new();
    /// Bytes that are shown: enough that two names do not meet.
    const SHOWN: usize = 8;
    let key = KEY.get_or_init(|| {
        let mut bytes = [0; 32];
        SystemRandom::new().fill(&mut bytes).expect("the system has random bytes");
        hmac::Key::new(hmac::HMAC_SHA256, &bytes)
    });
    let tag = hmac::sign(key, name.to_string().as_bytes());
    let hex: String = tag.as_ref().iter().take(SHOWN).map(|byte| format!("{byte:02x}")).collect();
    Typed::new(&format!("hash:{hex}"))
}
