//! What `gateway.toml` says: every table, every key, its type, its default and its documentation.
//!
//! These files are the only place that names a key or a default; `limits` is `[limits]`, `login` is `[login]`, `paths` is
//! `[paths]`, `events` is `[events]`, `users` and `backend` are `[login.users]`, `trust` whose tokens are believed. The doc comments are the reference page: write them
//! for the operator. Nothing is checked here beyond types; `lower` checks what the words mean.

mod backend;
pub(super) mod events;
mod limits;
mod login;
mod paths;
pub(super) mod trust;
mod users;

use std::time::Duration;

use serde_json::{Value, json};
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Diagnostics, Span};
use super::macros::section;
use super::raw_test::RawTest;
use super::read::{
    Field, FromToml, Key, Many, Named, Shape, Spanned, Table, field, join, plain, table, written,
};
use super::secret::{ClaimWants, SecretRef};
use super::values::{MaybeZero, Size};
use super::words::{Format, Mode, Places, Policy, ProfileWord, RotationWord};
pub use backend::{RawBackendUsers, RawSuccess};
pub use events::{RawEvents, RawWebhook};
pub use limits::RawLimits;
pub use login::RawLogin;
pub use paths::RawPaths;
pub use trust::{RawKey, RawTrust};
pub use users::{RawClaimColumn, RawSql, RawUsers};

section! {
    /// These stand at the top of the file, before the first `[table]`.
    pub struct RawFile {
        /// Where people and programs reach the gateway: an address and a port. Port 0 takes any free port; the start-up
        /// output says which.
        listen: String = "127.0.0.1:8080",
        /// The operator's own listener (`/healthz`, `/readyz`, `/metrics`), or `"off"`. It asks for no token: keep it on
        /// an address that only operators can reach. On loopback it answers only to an address or `localhost` in `Host`, so that no web
        /// page can read it. 256 connections at once, 60 seconds each.
        admin: String = "127.0.0.1:8081",
        /// The backend that routes go to: `"http://host:port"`, or `"builtin:whoami"` for the small backend inside the
        /// gateway, which shows the request it received. It is the upstream named `default`, with the default settings of
        /// `[upstreams.NAME]`.
        upstream: String,
        /// Networks (`"10.0.0.0/8"`) or addresses of proxies in front of the gateway. Only their `X-Forwarded-*`,
        /// `Forwarded` and `X-Request-Id` are believed. Never list a network that clients connect from: they could then
        /// say they come from anywhere.
        trusted_proxies: Vec<Spanned<String>> => "[]",
        /// Says that clients reach `listen` without TLS on purpose: inside a container, or in a network that is trusted.
        /// Without it, and without `trusted_proxies`, a `listen` beyond this machine is warned of: whoever can see the
        /// traffic reads the tokens.
        plaintext: bool = false,
        /// See `[upstreams.NAME]`.
        upstreams: Named<RawUpstream>,
        /// See `[tokens]`.
        tokens: RawTokens,
        /// See `[login]`.
        login: RawLogin,
        /// Each line is a header the backend gets and the claim of the token it carries: `X-User-Id = "sub"`. The gateway
        /// alone can set these headers: a client's copy is removed in every spelling, on every route. Without this
        /// table the backend gets `X-User-Id`; a claim that the token does not have sets no header.
        identity: Named<String> => "{ X-User-Id = \"sub\" }",
        /// Each line is a pattern and its policy: `"/account/**" = "access-required"`, or the long form in braces with the
        /// keys below. A pattern is `[METHOD[,METHOD] ][host]/path`; in the path `*` is one segment, `{name}` one segment
        /// with a name, `**` the rest. The most specific pattern wins, whatever the order. What no pattern matches is refused.
        routes: Named<RouteLine>,
        /// See `[limits]`.
        limits: RawLimits,
        /// See `[paths]`.
        paths: RawPaths,
        /// See `[state]`.
        state: RawState,
        /// See `[log]`.
        log: RawLog,
        /// See `[events]`.
        events: RawEvents,
        /// See `[[test]]`.
        test: Many<RawTest>,
    }
}

section! {
    /// A named backend, for routes that say `upstream = "NAME"`. A route that names none goes to the upstream `default`,
    /// or to the only one there is.
    pub struct RawUpstream {
        /// Required. `"http://host:port"` or `"builtin:whoami"`. `https` is not supported yet.
        url: String,
        /// The `Host` that the backend sees: `"keep"` is the client's, `"upstream"` is the one in `url`, any other
        /// text is sent as it is. A backend that serves several sites by name may need one of the latter two.
        host: String = "keep",
        /// How long a connection to the backend may take to open; after that the client gets a 504.
        timeout_connect: Duration = "5s",
        /// How long the head of the backend's answer may take to come, from the last piece of the request on; after that the client
        /// gets a 504. A route can set its own `timeout`.
        timeout_first_byte: Duration = "60s",
        /// Instead of `response_idle` of `[limits]`.
        timeout_idle: Duration,
        /// How long an unused connection to the backend is kept for the next request; within a second after that it is closed. Shorter than the 5 seconds after
        /// which Apache and Node close it themselves: a request must not meet a connection that is just being closed.
        keep_alive: Duration = "4s",
        /// How many unused connections each data thread keeps; 0 opens a new one for every request.
        idle_max: usize = 64,
        /// Instead of `upstream_requests` of `[limits]`.
        requests_max: usize,
        /// Instead of `upstream_queue` of `[limits]`.
        queue_max: usize,
        /// Whether the backend gets `X-Freshgate-Assertion`: who asks, in a token of one minute that it can check with
        /// `/.well-known/jwks.json`, so that it need not trust the network. It takes a key that is not a shared secret. See
        /// [tokens.md](tokens.md#a-signed-assertion).
        assertion: bool = false,
    }
}

section! {
    /// What tokens say, how long they live, and the keys that sign them.
    pub struct RawTokens {
        /// The `iss` claim: written into our tokens, and then the only one that is accepted. Without it `iss` is neither
        /// written nor looked at.
        issuer: String,
        /// The `aud` claim: written into our tokens, and then it must be among a token's audiences. Without it `aud` is
        /// neither written nor looked at.
        audience: String,
        /// How long an access token is good. Short is safe: it is what a stolen one is worth.
        access_ttl: Duration = "15m",
        /// How long a refresh token is good. With rotation each refresh gives another one, so this is how long a client may stay
        /// away; without, a session ends after it. See [sessions.md](sessions.md).
        refresh_ttl: Duration = "30d",
        /// Whether a refresh gives the next refresh token and ends the one that was presented. One that comes back after
        /// `reuse_window` was stolen, or its thief came first: the session ends. Without the key `"on"`, and `"off"` with
        /// the profile `flask-jwt-extended`. `"off"` is for clients that keep the first one they get.
        rotation: RotationWord,
        /// For how long after a refresh the replaced refresh token gives the very same next one again, so that a lost answer
        /// or a second tab logs nobody out; at most 60 seconds. `"0s"`: never, and then a client that repeats a refresh
        /// loses its session.
        reuse_window: MaybeZero = "10s",
        /// A session that is not refreshed or stepped up for so long ends, though its refresh token would be good. Without
        /// it there is no other limit than `refresh_ttl`.
        refresh_idle: Duration,
        /// When a session ends at the latest, counted from its login; nothing moves it. Without the key 90 days, or
        /// `refresh_ttl` if that is longer: a stolen session is not kept alive for ever, and people type their password four times a year.
        session_max: Duration,
        /// Clock difference between machines that is forgiven when times in a token are checked; at most 5 minutes.
        leeway: MaybeZero = "0s",
        /// The claim that says whose a token is: what `sub` means everywhere else, in `[identity]`, in `claims` of routes
        /// and for revocation. Its value must be text. Our tokens have it beside `sub`.
        identity_claim: String = "sub",
        /// Whose clients the answers are for. `"flask-jwt-extended"` refuses as that library does, with its statuses and
        /// `{"msg": …}`, and has its names for cookies and the parameter by default. It decides nothing but this: a token from a
        /// cookie also needs its `X-CSRF-TOKEN`. See [flask-jwt-extended.md](flask-jwt-extended.md).
        profile: ProfileWord = "standard",
        /// Where a request may have its token, in this order: `"header"`, `"cookie"`, `"query"`. The first that holds
        /// something decides, and a bad token there is refused even if another place holds a good one. What is not named
        /// is never looked at. The endpoints of the gateway go by this list too; a route can have its own `accept`.
        /// See [tokens.md](tokens.md).
        accept: Places => "[\"header\"]",
        /// The header field of the token. With another than `Authorization`, that field is the backend's own.
        header: String = "Authorization",
        /// The word in front of the token, in any case; `""`: there is none, and the whole value is the token.
        scheme: String = "Bearer",
        /// The cookie of the access token.
        cookie: String = "access_token",
        /// The cookie of the refresh token: the one that is read where a refresh token is wanted. No backend ever gets it.
        refresh_cookie: String = "refresh_token",
        /// The query parameter of the token, as RFC 6750 calls it.
        query: String = "access_token",
        /// See `[[tokens.key]]`.
        key: Many<RawKey>,
        /// See `[[tokens.trust]]`.
        trust: Many<RawTrust>,
    }
}

section! {
    /// The long form of a route.
    pub struct RawRoute {
        /// Required. `public`: everybody, the token is never looked at. `optional`: no token or a good one; a bad one
        /// is refused. `access-required`: a good access token. `fresh-required`: one from a recent password.
        /// `refresh-only`: a refresh token. `deny`: nobody.
        policy: Policy,
        /// The name of the upstream this route goes to. Without it, `default`, or the only one there is.
        upstream: String,
        /// Only with `fresh-required`: how long ago the password may have been checked. Without it, as long as the token lives.
        max_age: Duration,
        /// What the token must say besides: `{ roles = "admin" }`. Every claim named must hold; of a list of values one is
        /// enough, and of a claim that is a list one element. `"{name}"` stands for that segment of the pattern.
        claims: ClaimWants,
        /// Where a request may have its token, instead of `accept` of `[tokens]`.
        accept: Places,
        /// The methods of the route, instead of naming them in the pattern.
        methods: Vec<Spanned<String>>,
        /// The path that the backend gets: text, `{name}` for that segment of the pattern, and `**` at the end for what
        /// the pattern's `**` matched. `"/app/**" = { …, rewrite = "/**" }` strips a prefix.
        rewrite: String,
        /// Instead of `timeout_first_byte` of the upstream.
        timeout: Duration,
        /// Instead of `body_max` of `[limits]`.
        body_max: Size,
        /// Whether the backend gets the token itself, where it was found; one from the query it gets in the header. Only for
        /// backends that you trust with it: whoever has the token is the user.
        forward_token: bool = false,
        /// Whether a CORS preflight (`OPTIONS` with `Origin` and `Access-Control-Request-Method`) passes without a token. The backend must answer it.
        preflight: bool = false,
        /// `"report"` tries a policy out: what it would refuse is logged and counted, and passes. Danger: the route is open
        /// to everybody until this is `"enforce"` again, whatever its policy says; `freshgate check` warns of it.
        mode: Mode = "enforce",
        /// Says that this route is meant to be more open than the one beside it or around it, such as a public page in a
        /// protected folder, or to take tokens from the query: `freshgate check` then does not warn.
        exception: bool = false,
    }
}

/// The right side of a route line: a policy, or the long form.
#[derive(Clone, Debug)]
pub struct RouteLine(pub RawRoute);

impl FromToml for RouteLine {
    const NAME_PATTERN: Option<&'static str> = Some("^([A-Z-]+(,[A-Z-]+)* )?[^ /*{]*/");

    fn type_name() -> String {
        "policy, or table".to_owned()
    }

    fn table() -> Option<&'static Table> {
        Some(&RawRoute::TABLE)
    }

    fn schema() -> Value {
        json!({ "anyOf": [Policy::schema(), RawRoute::schema()] })
    }

    fn read(
        value: &DeValue<'_>,
        span: &Span,
        at: &str,
        out: &mut Diagnostics,
    ) -> Option<RouteLine> {
        match value {
            DeValue::String(_) => {
                let value = Policy::read(value, span, at, out)?;
                let policy = Field::Here(Spanned { value, span: span.clone() });
                Some(RouteLine(RawRoute { policy, ..RawRoute::default() }))
            }
            DeValue::Table(table) => Some(RouteLine(RawRoute::read_table(table, at, out))),
            other => {
                out.wrong_type(span, at, "a policy such as \"access-required\"", other.type_str());
                None
            }
        }
    }
}

section! {
    /// What the gateway writes.
    pub struct RawState {
        /// The directory of `state.db` (sessions and revocations), `keys/`, and `users.toml` where no users are named. Made if it is
        /// not there, for its owner only. One gateway at a time, unless the state is in PostgreSQL.
        dir: String = "data",
        /// For many gateways: `{ env = "NAME" }` or `{ file = "PATH" }`, where the URL of a PostgreSQL database is,
        /// `postgres://user:password@host:port/database`. Sessions, revocations and failed logins are then there instead of in
        /// `state.db`; version 13 or later. See [many-gateways.md](many-gateways.md).
        postgres: SecretRef,
        /// Only with `postgres`: how long tokens are believed without news from the database. After that no token passes (503
        /// `store-unavailable`) until the gateway has caught up.
        stale_max: Duration = "5m",
    }
}

section! {
    /// What the gateway says while it runs, on standard error.
    pub struct RawLog {
        /// One line for each request: route, policy, decision, subject, status, bytes, duration.
        access: bool = false,
        /// `"text"` for people, `"json"` for machines. Without it: text on a terminal, JSON elsewhere.
        format: Format,
        /// `error`, `warn`, `info`, `debug` or `trace`, also for one part: `"info,freshgate=debug"`.
        level: String = "info",
    }
}

/// Whether a key stands at the top of the file and is no table.
pub(super) fn is_for_the_top(key: &str) -> bool {
    let mut root = RawFile::TABLE.keys.iter();
    root.any(|one| one.name == key && matches!(one.shape, Shape::Value))
}

/// Where a key lives that somebody wrote into the table `at`, if only one other table has it.
pub(super) fn home(key: &str, at: &str) -> Option<String> {
    let root = RawFile::TABLE.keys;
    if !at.is_empty() && root.iter().any(|one| one.name == key) {
        return Some(String::new());
    }
    let mut homes = root.iter().filter(|one| {
        (one.table)().is_some_and(|table| table.keys.iter().any(|inner| inner.name == key))
    });
    let home = homes.next()?;
    let written = match home.shape {
        Shape::Named => format!("[{}.NAME]", home.name),
        Shape::Lines => return None,
        _ => format!("[{}]", home.name),
    };
    homes.next().is_none().then_some(written)
}
