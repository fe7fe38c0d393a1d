//! `[events]`: where messages go, and what they are signed with.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use ipnet::IpNet;

use super::Lowering;
use super::trust::judge_url;
use crate::config::events::{EventRules, SECRET_BYTES, SECRET_PREFIX, Webhook};
use crate::config::raw::events::TextOrSecret;
use crate::config::raw::{RawEvents, RawWebhook};
use crate::config::read::{Field, Spanned};
use crate::config::secret::SecretRef;
use crate::config::words::NamesWord;
use crate::telemetry::EventKind;
use crate::token::Secret;

/// More messages than this are no bound on memory: one takes up to some kilobytes.
const QUEUE_MAX: usize = 100_000;
/// More connections at once are an attack on the receiver.
const AT_ONCE_MAX: usize = 64;

impl Lowering<'_> {
    pub(super) fn events(&mut self, raw: Option<&Spanned<RawEvents>>) -> EventRules {
        let Some(raw) = raw else { return EventRules::default() };
        EventRules {
            hash_failed_names: raw.value.failed_names().value == NamesWord::Hashed,
            webhook: raw.value.webhook.get().and_then(|webhook| self.webhook(webhook)),
        }
    }

    fn webhook(&mut self, raw: &Spanned<RawWebhook>) -> Option<Webhook> {
        let (one, here) = (&raw.value, &raw.span);
        for (missing, key, example) in [
            (one.url.is_missing(), "url", "url = \"https://events.example.org/freshgate\""),
            (one.secret.is_missing(), "secret", "secret = { file = \"webhook.secret\" }"),
        ] {
            if missing {
                self.out.missing_key(here, "events.webhook", key, example);
            }
        }
        for (field, key, most) in
            [(&one.queue_max, "queue_max", QUEUE_MAX), (&one.at_once, "at_once", AT_ONCE_MAX)]
        {
            self.count_between(field, &format!("events.webhook.{key}"), 1, most);
        }
        let allow_private = self.networks(&one.allow_private());
        let events: Vec<EventKind> =
            one.events().value.iter().map(|word| word.value.kind()).collect();
        if let Some(list) = one.events.get().filter(|list| list.value.is_empty()) {
            self.out.empty_text(&list.span, "events.webhook.events", "events = [\"reuse\"]");
        }
        // Another machine, which only compares, need not have what the rest names.
        if self.outlined.is_some() {
            return None;
        }
        let url = one.url.get().and_then(|url| self.webhook_url(url, &allow_private));
        let secrets = one.secret.get().and_then(|list| {
            if list.value.0.is_empty() {
                let example = "secret = { file = \"webhook.secret\" }";
                self.out.empty_text(&list.span, "events.webhook.secret", example);
            }
            let all = list.value.0.iter().map(|one| self.webhook_secret(one));
            all.collect::<Vec<_>>().into_iter().collect::<Option<Vec<Secret>>>()
        });
        let ca = match &one.ca {
            Field::Missing => None,
            Field::Broken => return None,
            Field::Here(name) => Some(self.certificates(name)?),
        };
        Some(Webhook {
            url: url?,
            secrets: secrets?,
            events,
            timeout: one.timeout().value,
            retry_for: one.retry_for().value,
            queue_max: one.queue_max().value,
            at_once: one.at_once().value,
            allow_private,
            ca,
        })
    }

    /// Its path may be the secret of the receiver: what is wrong is told without it.
    fn webhook_url(&mut self, url: &Spanned<TextOrSecret>, allow_private: &[IpNet]) -> Option<Uri> {
        let text = match &url.value {
            TextOrSecret::Text(text) => text.clone(),
            TextOrSecret::Secret(reference) => {
                let reference = Spanned { value: reference.clone(), span: url.span.clone() };
                let resolved = self.resolve(&reference, true)?;
                String::from_utf8_lossy(resolved.secret.expose()).into_owned()
            }
        };
        match judge_url(&text, allow_private) {
            Ok(good) => {
                if good.scheme_str() == Some("http") && !leads_to_loopback(&good) {
                    self.out.webhook_without_tls(&url.span);
                }
                Some(good)
            }
            Err(wrong) => {
                self.out.webhook_url(&url.span, wrong);
                None
            }
        }
    }

    fn webhook_secret(&mut self, reference: &Spanned<SecretRef>) -> Option<Secret> {
        let resolved = self.resolve(reference, true)?;
        let text = std::str::from_utf8(resolved.secret.expose()).ok().map(str::trim);
        let coded = text.and_then(|text| text.strip_prefix(SECRET_PREFIX));
        let bytes = coded.and_then(|coded| STANDARD.decode(coded).ok());
        match bytes {
            Some(bytes) if SECRET_BYTES.contains(&bytes.len()) => Some(Secret::new(bytes)),
            wrong => {
                let found = wrong.map(|bytes| bytes.len());
                self.out.webhook_secret(&reference.span, &resolved.origin, found);
                None
            }
        }
    }
}

fn leads_to_loopback(url: &Uri) -> bool {
    let host = url.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}
