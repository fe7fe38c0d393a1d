//! The limits that are reached on this floor: what the wire guard let through by older limits, and what our own
//! endpoints refuse. Those of the wire and of bodies are counted where they are.

use http::request::Parts;

use super::Snapshot;
use crate::policy::Refusal;
use crate::telemetry::{Limit, Metrics};

/// The wire guard keeps the limits that its connection began with; a reload may have tightened them. Counts
/// no more than the wire did, so what is in its limits is in these.
pub(super) fn within(snapshot: &Snapshot, parts: &Parts) -> Result<(), Refusal> {
    let limits = &snapshot.config.limits;
    let target = parts.uri.path_and_query().map_or(0, |target| target.as_str().len());
    let fields = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len());
    let (refusal, limit) = if target > limits.target_max {
        (Refusal::TargetTooLong, Limit::TargetMax)
    } else if parts.headers.len() > limits.header_count {
        (Refusal::HeaderTooLarge, Limit::HeaderCount)
    } else if target + fields.sum::<usize>() > limits.header_max {
        (Refusal::HeaderTooLarge, Limit::HeaderMax)
    } else {
        return Ok(());
    };
    snapshot.metrics.limit_reached(limit);
    Err(refusal)
}

/// Counts the limit behind a refusal of one of our endpoints: the pause inside a body. Those of logins are counted where
/// passwords are checked.
pub(super) fn count_ours(refusal: Refusal, metrics: &Metrics) {
    if refusal == Refusal::RequestTimeout {
        metrics.limit_reached(Limit::BodyIdle);
    }
}
