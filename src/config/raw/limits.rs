//! `[limits]`: what one request, one connection and the whole gateway may take. `limits_page` makes
//! docs/limits.md of it.

use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::home;
use crate::config::diagnostic::{Diagnostics, Span};
use crate::config::macros::section;
use crate::config::read::{
    Field, FromToml, Key, Shape, Spanned, Table, field, join, plain, table, written,
};
use crate::config::values::{MaybeZero, Size};

section! {
    /// What one request, one connection and the whole gateway may take. Every limit has a unit: what is over it is refused,
    /// never cut off. What a client sees then, and what is counted, is in [limits.md](limits.md).
    pub struct RawLimits {
        /// Longest request target (path and query). Browsers and proxies use about 8 KiB; longer ones are attacks or mistakes.
        target_max: Size = "8KiB",
        /// Largest request head, the target included; at least 8 KiB. This much memory can be taken by each connection.
        header_max: Size = "32KiB",
        /// Most header fields in one request, at most 256. Browsers send about 20.
        header_count: usize = 100,
        /// How long a request head may take to arrive. It ends clients that send one byte at a time to hold a connection.
        header_timeout: Duration = "10s",
        /// How long a client's connection may wait for its next request.
        keep_alive: Duration = "60s",
        /// Most requests on one connection; the last one is answered with `Connection: close`.
        requests_per_connection: usize = 10000,
        /// Largest request body. A route for uploads can set its own `body_max`.
        body_max: Size = "10MiB",
        /// How long a client may pause inside a request body, or take nothing of an answer; then its connection is
        /// cut.
        body_idle: Duration = "30s",
        /// The fewest bytes a second that a client must send of a request body, or take of an answer that waits for it, on average over each
        /// `body_idle` of waiting for it; then its connection is cut. `"0B"` asks for no rate.
        body_rate_min: Size = "500B",
        /// Most client connections at once; more are told 503 and closed, and counted. Each needs a file descriptor, and
        /// a second one towards the backend: see `ulimit -n`. Where there are not enough, fewer are taken.
        connections_max: usize = 10000,
        /// Most of them from one address (of IPv6, from one /64 network). `trusted_proxies` are not counted: they bring many clients.
        connections_per_address: usize = 2000,
        /// Largest head of a backend's answer, 1xx answers before it included; at least 8 KiB.
        response_header_max: Size = "64KiB",
        /// Most header fields in a backend's answer.
        response_header_count: usize = 100,
        /// Most informational answers (1xx) that a backend may send before the real one. None of them is passed on.
        informational_max: usize = 20,
        /// How long a backend may pause inside an answer; then its connection and the client's are cut. An upstream can set its own `timeout_idle`.
        response_idle: Duration = "60s",
        /// Most requests that one upstream may have at once, over all data threads: a backend that hangs fills its own places, and no
        /// other's. A place is kept until the answer has ended. One place of sixteen is for addresses that have few: no client alone takes all. An upstream can set its own `requests_max`.
        upstream_requests: usize = 1000,
        /// Most requests that wait for a place at one upstream; more are told 503 at once. An upstream can set its own `queue_max`.
        upstream_queue: usize = 1000,
        /// How long a request waits for a place at an upstream; then it is told 503.
        upstream_queue_timeout: Duration = "5s",
        /// Most tokens a second with a bad signature that each data thread checks for one address (of IPv6, one /64 network). Beyond it a
        /// token that is not known to be good is told 503, unchecked: a flood of forged tokens costs a bounded part of a core.
        token_failures: usize = 100,
        /// Most verified tokens that each data thread remembers, so that a token's signature is checked once and not on every
        /// request. Expiry and revocation are still checked every time. 0 remembers none.
        token_cache: usize = 10000,
        /// Most password checks that wait at once, and most look-ups in a database of users; more are answered 503. A check takes some 20 milliseconds of one core.
        login_queue: usize = 256,
        /// How often a password may be wrong for one account before the next attempt must wait. An address that this account has logged in from lately is
        /// counted by itself, so nobody is locked out by others.
        login_failures_account: usize = 5,
        /// The longest wait for an account, from all addresses that it is not known at together, and from each that it is known at. The wait
        /// begins at one second and doubles.
        login_delay_account: Duration = "1m",
        /// How often one address (of IPv6, one /64 network) may get a password wrong, whatever the account, before its next attempt must wait.
        login_failures_address: usize = 20,
        /// The longest wait for an address, and for an account at an address that it is not known at. The wait begins at one second and doubles.
        login_delay_address: Duration = "15m",
        /// How long requests in flight may take to finish when the gateway is stopped; then they are cut.
        drain: MaybeZero = "30s",
        /// Data threads; 0 is one for each core.
        threads: usize = 0,
    }
}
