//! `[limits]`: what cannot work is refused, the rest is taken as it is.

use super::Lowering;
use crate::config::raw::RawLimits;
use crate::config::read::{Field, Spanned};
use crate::config::values::{MaybeZero, Size};
use crate::config::{HEADER_COUNT_MAX, Limits};

/// The HTTP library cannot read heads into less.
const HEADER_BYTES_MIN: u64 = 8 * 1024;
/// Memory that each connection may take.
const HEADER_BYTES_MAX: u64 = 1024 * 1024;
/// No server or browser takes longer ones (RFC 9110 §4.1 asks for 8000 octets).
const TARGET_BYTES_MAX: u64 = 64 * 1024;
/// What the HTTP library's header map holds comfortably.
const RESPONSE_HEADER_COUNT_MAX: usize = 1000;
/// More threads than any machine has cores are a slip of the pen.
const THREADS_MAX: usize = 1024;
/// Requests at one upstream are counted in a machine word with room to spare.
pub(super) const UPSTREAM_REQUESTS_MAX: usize = 1_000_000;
/// More signature checks than a core can do in a second bound nothing.
const TOKEN_FAILURES_MAX: usize = 1_000_000;
/// More guesses than this are no limit.
const LOGIN_FAILURES_MAX: usize = 1_000_000;
const HEAD_HELP: &str =
    "make `target_max` smaller than `header_max`: usual are \"8KiB\" and \"32KiB\"";

impl Lowering<'_> {
    pub(super) fn limits(&mut self, raw: Option<&Spanned<RawLimits>>) -> Limits {
        let raw = raw.map(|raw| raw.value.clone()).unwrap_or_default();
        self.check_heads(&raw);
        for (field, at, low, high) in [
            (&raw.header_count, "header_count", 1, HEADER_COUNT_MAX),
            (&raw.requests_per_connection, "requests_per_connection", 1, usize::MAX),
            (&raw.connections_max, "connections_max", 1, usize::MAX),
            (&raw.connections_per_address, "connections_per_address", 1, usize::MAX),
            (&raw.response_header_count, "response_header_count", 1, RESPONSE_HEADER_COUNT_MAX),
            (&raw.upstream_requests, "upstream_requests", 1, UPSTREAM_REQUESTS_MAX),
            (&raw.upstream_queue, "upstream_queue", 0, UPSTREAM_REQUESTS_MAX),
            (&raw.token_failures, "token_failures", 1, TOKEN_FAILURES_MAX),
            (&raw.login_queue, "login_queue", 1, usize::MAX),
            (&raw.login_failures_account, "login_failures_account", 1, LOGIN_FAILURES_MAX),
            (&raw.login_failures_address, "login_failures_address", 1, LOGIN_FAILURES_MAX),
            (&raw.threads, "threads", 0, THREADS_MAX),
        ] {
            self.count_between(field, &format!("limits.{at}"), low, high);
        }
        let MaybeZero(drain) = raw.drain().value;
        Limits {
            target_max: raw.target_max().value.0 as usize,
            header_max: raw.header_max().value.0 as usize,
            header_count: raw.header_count().value,
            header_timeout: raw.header_timeout().value,
            keep_alive: raw.keep_alive().value,
            requests_per_connection: raw.requests_per_connection().value,
            body_max: raw.body_max().value.0,
            body_idle: raw.body_idle().value,
            body_rate_min: raw.body_rate_min().value.0,
            connections_max: raw.connections_max().value,
            connections_per_address: raw.connections_per_address().value,
            response_header_max: raw.response_header_max().value.0 as usize,
            response_header_count: raw.response_header_count().value,
            informational_max: raw.informational_max().value,
            upstream_queue_timeout: raw.upstream_queue_timeout().value,
            token_failures: raw.token_failures().value,
            token_cache: raw.token_cache().value,
            login_queue: raw.login_queue().value,
            login_failures_account: raw.login_failures_account().value,
            login_delay_account: raw.login_delay_account().value,
            login_failures_address: raw.login_failures_address().value,
            login_delay_address: raw.login_delay_address().value,
            drain,
            threads: raw.threads().value,
        }
    }

    fn check_heads(&mut self, raw: &RawLimits) {
        let (target, header) = (raw.target_max(), raw.header_max());
        self.size_between(&target, "limits.target_max", 64, TARGET_BYTES_MAX);
        self.size_between(&header, "limits.header_max", HEADER_BYTES_MIN, HEADER_BYTES_MAX);
        if target.value.0 > header.value.0 && target.value.0 <= TARGET_BYTES_MAX {
            let span = if target.span.is_empty() { &header.span } else { &target.span };
            let why = "leaves no room: the target is part of the head";
            self.out.limit_out_of_range(span, "limits.target_max", why, HEAD_HELP);
        }
        let response = raw.response_header_max();
        let at = "limits.response_header_max";
        self.size_between(&response, at, HEADER_BYTES_MIN, HEADER_BYTES_MAX);
    }

    fn size_between(&mut self, size: &Spanned<Size>, at: &str, low: u64, high: u64) {
        if !(low..=high).contains(&size.value.0) {
            let help = format!(
                "write a size from {} to {}",
                bytesize::ByteSize(low),
                bytesize::ByteSize(high)
            );
            self.out.limit_out_of_range(&size.span, at, "cannot work", &help);
        }
    }

    pub(super) fn count_between(
        &mut self,
        field: &Field<usize>,
        at: &str,
        low: usize,
        high: usize,
    ) {
        if let Some(count) = field.get().filter(|count| !(low..=high).contains(&count.value)) {
            let help = match high {
                usize::MAX => format!("write {low} or more"),
                _ => format!("write a number from {low} to {high}"),
            };
            self.out.limit_out_of_range(&count.span, at, "cannot work", &help);
        }
    }
}
