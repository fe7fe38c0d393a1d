//! `[events]`: what is written down of people's logins, and whom it is sent to.

use std::fmt;
use std::time::Duration;

use http::Uri;
use ipnet::IpNet;

use crate::telemetry::EventKind;
use crate::token::Secret;

/// Bytes of the secret of a webhook at least, and at most (Standard Webhooks, "Symmetric").
pub const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// What a secret begins with; base64 follows.
pub const SECRET_PREFIX: &str = "whsec_";

/// `[events]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventRules {
    /// Whether a name that failed to log in is written as a keyed hash instead of as it was typed.
    pub hash_failed_names: bool,
    /// Who is told besides the log.
    pub webhook: Option<Webhook>,
}

/// `[events.webhook]`.
#[derive(Clone)]
pub struct Webhook {
    /// Where messages are posted. Its path and query may be a secret.
    pub url: Uri,
    /// What messages are signed with, each with all of them: at least one, decoded.
    pub secrets: Vec<Secret>,
    /// Which kinds are sent.
    pub events: Vec<EventKind>,
    /// How long one try may take.
    pub timeout: Duration,
    /// From an event to its last try.
    pub retry_for: Duration,
    /// Most messages that wait or are under way.
    pub queue_max: usize,
    /// Most that are under way.
    pub at_once: usize,
    /// Networks that are not public and may be led to.
    pub allow_private: Vec<IpNet>,
    /// Certificates in PEM that are believed besides the system's.
    pub ca: Option<Vec<u8>>,
}

impl Webhook {
    /// Where it is, without what may be secret: scheme, host and port.
    pub fn shown(&self) -> String {
        let authority = self.url.authority().map_or("", |authority| authority.as_str());
        format!("{}://{authority}", self.url.scheme_str().unwrap_or_default())
    }
}

impl PartialEq for Webhook {
    fn eq(&self, other: &Webhook) -> bool {
        let bytes = |one: &Webhook| -> Vec<Vec<u8>> {
            one.secrets.iter().map(|secret| secret.expose().to_vec()).collect()
        };
        let rest = |one: &Webhook| {
            let Webhook { url, events, timeout, retry_for, queue_max, at_once, .. } = one.clone();
            (url, events, timeout, retry_for, queue_max, at_once)
        };
        rest(self) == rest(other)
            && (&self.allow_private, &self.ca) == (&other.allow_private, &other.ca)
            && bytes(self) == bytes(other)
    }
}

impl Eq for Webhook {}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("at", &self.shown()).finish_non_exhaustive()
    }
}
