//! Prints `docs/limits.md`: every limit with its default, what happens beyond it, and what counts it. The keys and
//! their meaning come from `raw`, the metrics from `telemetry`; only the answers are written here.

use super::raw::{RawLimits, RawUpstream};
use super::read::{Key, Table};
use crate::telemetry::Limit;

/// What happens at a key: what who is over it sees.
const ANSWERS: [(&str, &str); 29] = [
    ("target_max", "414 `target-too-long`, close"),
    ("header_max", "431 `header-too-large`, close"),
    ("header_count", "431 `header-too-large`, close"),
    ("header_timeout", "408 `request-timeout`, close"),
    ("keep_alive", "close"),
    ("requests_per_connection", "the last is answered with `Connection: close`"),
    ("body_max", "413 `body-too-large`, close"),
    ("body_idle", "408 `request-timeout`, close; of an answer under way: cut"),
    ("body_rate_min", "408 `request-timeout`, close; of an answer under way: cut"),
    ("connections_max", "503 `overloaded`, close"),
    ("connections_per_address", "503 `overloaded`, close"),
    ("response_header_max", "502 `upstream-unreachable`, the backend's connection is closed"),
    ("response_header_count", "502 `upstream-unreachable`, the backend's connection is closed"),
    ("informational_max", "502 `upstream-unreachable`, the backend's connection is closed"),
    ("response_idle", "cut"),
    ("upstream_requests", "waits for a place"),
    ("upstream_queue", "503 `overloaded` at once"),
    ("upstream_queue_timeout", "503 `overloaded`"),
    ("token_failures", "503 `overloaded`, where the token matters"),
    ("token_cache", "the signature is checked again"),
    ("login_queue", "503 `overloaded`"),
    ("login_failures_account", "429 `login-throttled`"),
    ("login_delay_account", "see `login_failures_account`"),
    ("login_failures_address", "429 `login-throttled`"),
    ("login_delay_address", "see `login_failures_address`"),
    ("drain", "cut"),
    ("threads", "–"),
    ("timeout_connect", "504 `upstream-timeout`"),
    ("timeout_first_byte", "504 `upstream-timeout`"),
];

const INTRODUCTION: &str = "\
# Limits

<!-- Printed from src/config/raw and src/config/limits_page.rs. Change it there, then run: FRESHGATE_BLESS=1 cargo test config -->

Every limit is a key under `[limits]` of `gateway.toml`; the last two are keys of `[upstreams.NAME]`. What reaches one is refused or cut, never
shortened, and counted: `freshgate_limits_reached_total{limit=\"KEY\"}` on the admin listener.

| key | default | meaning | beyond it | counted |
|---|---|---|---|---|
";

const CLOSING: &str = "
Our endpoints take bodies of at most 16 KiB, which must arrive within 10 seconds.

Only time in which the gateway waits for the client counts for `body_idle` and `body_rate_min`: a client is not slow because a backend is.
The kernel keeps up to 64 KiB of an answer for a client, and tells of progress in steps of half of that.

## Requests of our own

What the gateway itself asks for elsewhere has limits that no key changes: a name is looked up within 5 seconds, a connection opens, TLS included, within 5,
and the head of an answer has at most 32 KiB and 100 fields. A key set of another issuer has at most 256 KiB and must arrive within 10 seconds,
from the lookup to its last byte. However short its `Cache-Control` says, it is kept for at least 60 seconds, or `refresh` where that is less. After a
failure the next try comes after 1 second, then twice as long each time, up to 5 minutes; chance takes up to half of that away.

## File descriptors

Each client connection takes one, and a second one towards a backend. At the start the gateway raises its soft limit to the hard one
(`ulimit -Hn`) and keeps 40 for itself: half of the rest is how many connections it takes, if that is less than `connections_max`; a warning
in the log says so. For the default of `connections_max` give it at least 20040: `LimitNOFILE=20040` in a systemd unit,
`--ulimit nofile=20040` for a container. When the whole system has none left, accepting pauses for 50 milliseconds at a time and then goes on.
";

/// The page, in Markdown.
pub fn markdown() -> String {
    let upstream = ["timeout_connect", "timeout_first_byte"];
    let of_upstream = RawUpstream::TABLE.keys.iter().filter(|key| upstream.contains(&key.name));
    let Table { keys, .. } = RawLimits::TABLE;
    let rows = keys.iter().chain(of_upstream);
    rows.fold(INTRODUCTION.to_owned(), |page, key| page + &row(key)) + CLOSING
}

fn row(key: &Key) -> String {
    let answer = ANSWERS.iter().find(|(name, _)| *name == key.name).map_or("", |(_, what)| *what);
    let counted = match Limit::ALL.iter().find(|limit| limit.name() == key.name) {
        Some(limit) => format!("`{}`", limit.name()),
        None => match key.name {
            "timeout_connect" | "timeout_first_byte" => "`freshgate_upstream_errors_total`".into(),
            "token_cache" => "`freshgate_token_cache_misses_total`".into(),
            _ => "–".to_owned(),
        },
    };
    let default = key.default.unwrap_or("–");
    let meaning = super::reference::prose(key.docs).replace('|', "\\|");
    format!("| `{}` | `{default}` | {meaning} | {answer} | {counted} |\n", key.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_has_a_row_and_an_answer() {
        let keys: Vec<&str> = RawLimits::TABLE.keys.iter().map(|key| key.name).collect();
        for key in &keys {
            assert!(ANSWERS.iter().any(|(name, _)| name == key), "{key} has no answer");
        }
        for limit in Limit::ALL {
            assert!(keys.contains(&limit.name()), "{} is no key of [limits]", limit.name());
        }
        let page = markdown();
        for (name, _) in ANSWERS {
            assert_eq!(page.matches(&format!("\n| `{name}` |")).count(), 1, "{name}");
        }
    }
}
