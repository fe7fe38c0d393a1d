//! One message to the webhook: signed, sent, and what came of it. Signatures are those of Standard Webhooks 1.0.
//!
//! Where it goes is shown as scheme, host and port: a path may be the receiver's secret.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Request, StatusCode};

use super::schedule::retry_after;
use crate::config::events::Webhook;
use crate::store::outbound::{Budget, Options, OptionsFault, Outbound};
use crate::telemetry;
use crate::token::{Secret, UnixTime};

/// Bytes of the answer of a receiver at most; nobody looks at it.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// Who is told.
#[derive(Debug)]
pub(super) struct Hook {
    pub(super) settings: Webhook,
    client: Outbound,
    /// Whether it said that it is gone.
    gone: AtomicBool,
}

/// What came of one try.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The receiver has it.
    Delivered,
    /// The receiver said that nothing must be sent any more.
    Gone,
    /// It may be tried again, not before this has passed where the receiver said so.
    Failed { why: String, retry_after: Option<Duration> },
}

impl Hook {
    pub(super) fn new(settings: Webhook) -> Result<Hook, OptionsFault> {
        let options = Options {
            allow_private: settings.allow_private.clone(),
            ca: settings.ca.clone(),
            ..Options::default()
        };
        Ok(Hook { client: Outbound::new(options)?, settings, gone: AtomicBool::new(false) })
    }

    /// Whether it is told in just this way. One that was gone is asked anew by every reload.
    pub(super) fn is(&self, settings: &Webhook) -> bool {
        self.settings == *settings && !self.gone.load(Ordering::Relaxed)
    }

    pub(super) fn end(&self) {
        self.gone.store(true, Ordering::Relaxed);
    }

    /// Whether anything is sent to it still.
    pub(super) fn listens(&self) -> bool {
        !self.gone.load(Ordering::Relaxed)
    }

    /// Sends a message once.
    pub(super) async fn send(&self, id: &str, body: Bytes) -> Outcome {
        let failed = |why: String| Outcome::Failed { why, retry_after: None };
        let now = UnixTime::of(telemetry::clock()).0;
        let signature = signed(&self.settings.secrets, id, now, &body);
        let value = |text: &str| HeaderValue::from_str(text).expect("letters, digits and signs");
        let request = Request::post(self.settings.url.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header(ID, value(id))
            .header(TIMESTAMP, value(&now.to_string()))
            .header(SIGNATURE, value(&signature))
            .body(body);
        let Ok(request) = request else { return failed("the URL cannot be asked".to_owned()) };
        let budget = Budget { timeout: self.settings.timeout, body_max: ANSWER_BYTES_MAX };
        // What the fault says besides `why` is the URL, with its path.
        let answer = match self.client.send(request, budget).await {
            Ok(answer) => answer,
            Err(fault) => return failed(fault.why.to_string()),
        };
        match answer.status() {
            status if status.is_success() => Outcome::Delivered,
            StatusCode::GONE => Outcome::Gone,
            status => {
                let asked = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
                let why = match status.is_redirection() {
                    true => format!("it answered {}; redirects are not followed", status.as_u16()),
                    false => format!("it answered {}", status.as_u16()),
                };
                Outcome::Failed { why, retry_after: asked.and_then(retry_after) }
            }
        }
    }
}

/// The field `webhook-signature`: of each secret one signature of id, time and body, in their order.
pub fn signed(secrets: &[Secret], id: &str, time: u64, body: &[u8]) -> String {
    let of = |secret: &Secret| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose());
        let mut context = hmac::Context::with_key(&key);
        context.update(format!("{id}.{time}.").as_bytes());
        context.update(body);
        format!("v1,{}", STANDARD.encode(context.sign()))
    };
    secrets.iter().map(of).collect::<Vec<String>>().join(" ")
}
