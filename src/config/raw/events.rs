//! `[events]`: the audit lines, and the webhook that is told the same.

use std::time::Duration;

use serde_json::{Value, json};
use toml::de::{DeTable, DeValue};

use super::home;
use crate::config::diagnostic::{Diagnostics, Span};
use crate::config::macros::section;
use crate::config::read::{
    Field, FromToml, Key, Shape, Spanned, Table, field, join, plain, table, written,
};
use crate::config::secret::SecretRef;
use crate::config::words::{EventWord, NamesWord};

section! {
    /// What happens to people's logins is written to the log, one line for each event, and sent to a webhook where one is configured.
    /// See [events.md](events.md).
    pub struct RawEvents {
        /// The name of a login that failed: `"shown"` as it was typed, cut and escaped, or `"hashed"`, so that equal names can
        /// be told and nothing else, until the gateway restarts. People type passwords where their name belongs.
        failed_names: NamesWord = "shown",
        /// See `[events.webhook]`.
        webhook: RawWebhook,
    }
}

section! {
    /// Events are posted as JSON, signed as [Standard Webhooks](https://www.standardwebhooks.com) says. No request ever waits for it.
    /// The log is the durable record: what waits here is lost when the process is killed.
    pub struct RawWebhook {
        /// Required. Where to: `"https://events.example.org/freshgate"`, or `{ env = "NAME" }` or `{ file = "PATH" }` where the
        /// URL itself is a secret. No log shows its path. `http://` only for an address that is listed in `allow_private`.
        url: TextOrSecret,
        /// Required. What messages are signed with: `{ env = "NAME" }` or `{ file = "PATH" }`, where `whsec_` and 24 to 64 random
        /// bytes in base64 are. A list of several signs each message with all of them, so that a receiver can change over.
        secret: Secrets,
        /// Which events are sent: `["failure", "throttle", "reuse"]`. The log has all of them.
        events: Vec<Spanned<EventWord>> => "[\"login\", \"failure\", \"throttle\", \"refresh\", \"reuse\", \"step_up\", \"logout\", \"revocation\"]",
        /// How long one try may take, from the lookup of the name to the whole answer. Any status from 200 to 299 is a yes.
        timeout: Duration = "10s",
        /// How long after an event it is tried again, at growing intervals of up to 5 minutes.
        retry_for: Duration = "1h",
        /// Most events that wait, those that are tried again included. Beyond it the newest are dropped, and `failure` and `throttle`,
        /// which anybody can cause, beyond three quarters of it.
        queue_max: usize = 1000,
        /// Most tries at the same time. With 1, events arrive in their order, except those that are tried again.
        at_once: usize = 8,
        /// Networks (`"10.0.0.0/8"`) or addresses that are not on the public internet and to which the URL may lead all the same.
        allow_private: Vec<Spanned<String>> => "[]",
        /// A file with certificates in PEM that are believed besides the system's.
        ca: String,
    }
}

/// A text, or where a secret one is.
#[derive(Clone, Debug)]
pub enum TextOrSecret {
    /// Here.
    Text(String),
    /// Elsewhere.
    Secret(SecretRef),
}

impl FromToml for TextOrSecret {
    fn type_name() -> String {
        format!("text or {}", SecretRef::type_name())
    }

    fn schema() -> Value {
        json!({ "anyOf": [String::schema(), SecretRef::schema()] })
    }

    fn read(
        value: &DeValue<'_>,
        span: &Span,
        at: &str,
        out: &mut Diagnostics,
    ) -> Option<TextOrSecret> {
        match value.as_str() {
            Some(text) => Some(TextOrSecret::Text(text.to_owned())),
            None => SecretRef::read(value, span, at, out).map(TextOrSecret::Secret),
        }
    }
}

/// Where a secret is, or a list of them.
#[derive(Clone, Debug)]
pub struct Secrets(pub Vec<Spanned<SecretRef>>);

impl FromToml for Secrets {
    fn type_name() -> String {
        format!("{} or list of them", SecretRef::type_name())
    }

    fn schema() -> Value {
        json!({ "anyOf": [SecretRef::schema(), Vec::<Spanned<SecretRef>>::schema()] })
    }

    fn read(value: &DeValue<'_>, span: &Span, at: &str, out: &mut Diagnostics) -> Option<Secrets> {
        let Some(list) = value.as_array() else {
            let value = SecretRef::read(value, span, at, out)?;
            return Some(Secrets(vec![Spanned { value, span: span.clone() }]));
        };
        let read = Vec::<Spanned<SecretRef>>::read(value, span, at, out)?;
        // Of a list with a mistake in it the rest is not taken for the whole.
        (list.len() == read.len()).then_some(Secrets(read))
    }
}
