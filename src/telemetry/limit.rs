//! The limits that can be reached: a closed list, each named like its key under `[limits]`. Counted by
//! [`super::Metrics::limit_reached`]; docs/limits.md is one row for each.

/// Declares the list: a variant and the key that it counts for.
macro_rules! limits {
    ($($(#[doc = $doc:literal])* $name:ident = $key:literal,)*) => {
        /// A limit, counted whenever it ends or refuses something.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Limit {
            $($(#[doc = $doc])* $name,)*
        }

        impl Limit {
            /// All of them, in the order of their numbers.
            pub const ALL: &'static [Limit] = &[$(Limit::$name),*];

            /// Its key under `[limits]`, and its label in the metrics.
            pub fn name(self) -> &'static str {
                match self {
                    $(Limit::$name => $key,)*
                }
            }
        }
    };
}

limits! {
    /// `target_max`.
    TargetMax = "target_max",
    /// `header_max`.
    HeaderMax = "header_max",
    /// `header_count`.
    HeaderCount = "header_count",
    /// `header_timeout`.
    HeaderTimeout = "header_timeout",
    /// `keep_alive`.
    KeepAlive = "keep_alive",
    /// `requests_per_connection`.
    RequestsPerConnection = "requests_per_connection",
    /// `body_max`.
    BodyMax = "body_max",
    /// `body_idle`.
    BodyIdle = "body_idle",
    /// `body_rate_min`.
    BodyRateMin = "body_rate_min",
    /// `connections_max`.
    ConnectionsMax = "connections_max",
    /// `connections_per_address`.
    ConnectionsPerAddress = "connections_per_address",
    /// `response_header_max`.
    ResponseHeaderMax = "response_header_max",
    /// `response_header_count`.
    ResponseHeaderCount = "response_header_count",
    /// `informational_max`.
    InformationalMax = "informational_max",
    /// `response_idle`.
    ResponseIdle = "response_idle",
    /// `upstream_requests`.
    UpstreamRequests = "upstream_requests",
    /// `upstream_queue`.
    UpstreamQueue = "upstream_queue",
    /// `upstream_queue_timeout`.
    UpstreamQueueTimeout = "upstream_queue_timeout",
    /// `token_failures`.
    TokenFailures = "token_failures",
    /// `login_queue`.
    LoginQueue = "login_queue",
    /// `login_failures_account`.
    LoginFailuresAccount = "login_failures_account",
    /// `login_failures_address`.
    LoginFailuresAddress = "login_failures_address",
}
