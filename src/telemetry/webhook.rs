//! What is counted of the webhook: what it delivered, what it did not, and why.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

/// Why a message was never delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Undelivered {
    /// As many as may wait were waiting.
    Full,
    /// It was tried for as long as it may be.
    Expired,
    /// The receiver said that it is gone, or no webhook is configured any more.
    Gone,
    /// The process ended first.
    Stopped,
}

impl Undelivered {
    const ALL: [Undelivered; 4] =
        [Undelivered::Full, Undelivered::Expired, Undelivered::Gone, Undelivered::Stopped];

    /// Its label.
    pub fn name(self) -> &'static str {
        match self {
            Undelivered::Full => "full",
            Undelivered::Expired => "expired",
            Undelivered::Gone => "gone",
            Undelivered::Stopped => "stopped",
        }
    }
}

/// What is counted of the webhook.
#[derive(Debug)]
pub struct WebhookMeter {
    /// Messages that the receiver took.
    pub delivered: Counter,
    /// Tries that failed.
    pub failed: Counter,
    /// Messages that wait or are under way.
    pub queued: Gauge,
    dropped: Family<ReasonLabels, Counter>,
}

impl WebhookMeter {
    pub(super) fn new() -> WebhookMeter {
        let dropped = Family::<ReasonLabels, Counter>::default();
        for why in Undelivered::ALL {
            let _there_from_the_start =
                dropped.get_or_create_owned(&ReasonLabels { reason: why.name() });
        }
        let (delivered, failed) = (Counter::default(), Counter::default());
        WebhookMeter { delivered, failed, queued: Gauge::default(), dropped }
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        let delivered = "Messages that the receiver of the webhook took";
        registry.register("webhook_delivered", delivered, self.delivered.clone());
        let failed = "Tries to deliver a message that failed; most are tried again";
        registry.register("webhook_failed", failed, self.failed.clone());
        let dropped = "Messages that were never delivered, by reason";
        registry.register("webhook_dropped", dropped, self.dropped.clone());
        let queued = "Messages that wait for the webhook or are under way";
        registry.register("webhook_queued", queued, self.queued.clone());
    }

    /// Counts messages that were never delivered.
    pub fn dropped(&self, why: Undelivered, count: u64) {
        self.dropped.get_or_create(&ReasonLabels { reason: why.name() }).inc_by(count);
    }
}
