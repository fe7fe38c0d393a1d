//! What waits for the webhook, and what of it is next. No locks and no clocks: `now` is an argument.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

/// A message on its way.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) id: String,
    pub(super) body: Bytes,
    pub(super) since: Instant,
    pub(super) tries: u32,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Never tried, in their order.
    pub(super) fresh: VecDeque<Message>,
    /// Tried, and due at this moment.
    pub(super) held: Vec<(Instant, Message)>,
    pub(super) under_way: usize,
    /// Nothing is sent before: the receiver asked for it.
    pub(super) quiet_until: Option<Instant>,
    /// The process ends: everything is due, and nothing is tried again.
    pub(super) ending: bool,
    /// The last try failed, and that was told.
    pub(super) failing: bool,
    /// Lost and not told yet, and when that was told last.
    pub(super) lost: u64,
    pub(super) told: Option<Instant>,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.fresh.len() + self.held.len() + self.under_way
    }

    /// What is to be sent now. What was tried before goes first: it is older.
    pub(super) fn next(&mut self, now: Instant) -> Option<Message> {
        if self.quiet_until.is_some_and(|until| until > now) && !self.ending {
            return None;
        }
        let due = |at: Instant| at <= now || self.ending;
        let held = self.held.iter().enumerate().filter(|(_, (at, _))| due(*at));
        let first = held.min_by_key(|(_, (at, _))| *at).map(|(index, _)| index);
        let message = match first {
            Some(index) => Some(self.held.swap_remove(index).1),
            None => self.fresh.pop_front(),
        };
        self.under_way += usize::from(message.is_some());
        message
    }

    /// When the next may be sent, if that is known.
    pub(super) fn due(&self) -> Option<Instant> {
        let held = self.held.iter().map(|(at, _)| *at).min();
        let waits = if self.fresh.is_empty() { held } else { self.quiet_until };
        match (waits, self.quiet_until) {
            (Some(at), Some(quiet)) => Some(at.max(quiet)),
            (at, _) => at,
        }
    }

    /// Forgets what is older than this, and says how many that were.
    pub(super) fn expire(&mut self, now: Instant, age_max: Duration) -> u64 {
        let before = self.len();
        let young = |message: &Message| now.saturating_duration_since(message.since) < age_max;
        while self.fresh.front().is_some_and(|message| !young(message)) {
            self.fresh.pop_front();
        }
        self.held.retain(|(_, message)| young(message));
        (before - self.len()) as u64
    }

    pub(super) fn clear(&mut self) -> u64 {
        let before = self.len();
        self.fresh.clear();
        self.held.clear();
        (before - self.len()) as u64
    }
}
