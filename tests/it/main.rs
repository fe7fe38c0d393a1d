//! The one integration binary: the real program, started as a process, spoken to over real sockets.
//!
//! A test reads in three lines (`harness` has the details):
//!
//! ```ignore
//! let upstream = Upstream::echo();
//! let gateway = Gateway::in_front_of(&upstream, "[routes]\n\"/\" = \"public\"");
//! gateway.client().get("/").header("X-User-Id", "root").send().expect(200);
//! assert!(!upstream.last().has("x-user-id"));
//! ```
//!
//! A module per capability, each with one line on what belongs there. Names of tests are facts.

mod harness;

/// The harness itself, without a gateway: what it sends, records and parses.
mod harness_works;

/// Real input: an unmodified Flask-JWT-Extended application behind the gateway, sharing its HS256 secret.
mod flask;
/// Real input: a legacy application that knows no tokens (DokuWiki, Apache, PHP) behind the gateway.
mod legacy;

/// Requests out, responses in: what passes unchanged, connections kept and reused, upstreams, rewrites.
mod proxying;
/// Bodies streamed both ways.
mod state_copies;
mod streaming;
/// Backends that are down, slow or broken.
mod timeouts;

/// Which pattern wins.
mod patterns;
/// Every policy against every kind of token, claim rules, challenges, preflights.
mod policies;

/// One canonical path, judged and forwarded.
mod paths;

/// What broke other gateways, and what must hold when the input is hostile.
mod attacks;

/// What a backend is told under our signature.
mod assertions;
/// `Host` and the request id.
mod forwarded;
/// Tokens of other issuers.
mod issuers;
/// Keys as other programs write them.
mod keys;
/// Where a token may be.
mod locations;
/// Logins in cookies.
mod login_cookies;
/// What is minted, and with which keys.
mod minting;
/// The key folder, and keys that follow one another.
mod rotation;

/// Login, refresh, reauth, logout, me, public keys.
mod endpoints;
/// What happens to logins: audit lines, and the webhook.
mod events;
/// Several gateways on one PostgreSQL.
mod many_gateways;
/// Sessions listed and ended: by their owner, on the command line, with their user.
mod revoking;
/// `users.toml` and `freshgate user`.
mod users;
/// Users in tables of PostgreSQL, MariaDB and SQLite.
mod users_sql;

/// `check`, the tests inside the file, `init`.
mod check;
/// The command line.
mod command_line;
/// What the pages of `docs/` show is true.
mod documented;
/// `explain`, beside the live gateway.
mod explaining;
/// Passwords as other programs hash them, and users taken over from them.
mod passwords;
/// `diff` and `suggest`.
mod reviewing;
/// The schema for editors.
mod schema;
/// Logs, access lines, metrics.
mod visibility;

/// Bad input gets a clear error and loses nothing.
mod backend_users;
mod bad_input;
/// What is said of a token.
mod inspecting;
/// What the README shows is true.
mod readme;
/// Report mode, and what the log and the counters say of it.
mod report_mode;
