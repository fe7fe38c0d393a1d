//! What broke other gateways, and what must hold when the input is hostile: a test for each, from outside.
//!
//! A line `// Holds: …` directly above a test names the requirements and the published faults that it holds.

/// The operator's listener is not driven by a web page, nor reachable through the public one.
mod admin;
/// An application that checks passwords, and its own sessions.
mod application;
/// Backends whose answers are broken, forged or endless.
mod backends;
/// A clock that is set back, while the gateway runs and while it does not.
mod clock;
/// Every mistake of a configuration is told, nothing is open by default.
mod configuration;
/// Cookies that the login sets.
mod cookies;
/// Pages of other sites and backends that would have a part in them.
mod cookies_tossed;
/// Answers that come early, and what one client gets of another's.
mod exchanges;
/// Floods: forged tokens, logins, garbage.
mod flood;
/// Tokens of other issuers.
mod foreign;
/// A disk that is full.
mod full_disk;
/// Keys that are fetched from elsewhere.
mod issuers;
/// Weak keys never load, `kid` is only a name, a signature has one form, rotation loses nobody.
mod keys;
/// Kills at random moments.
mod kills;
/// Users who were removed, disabled or given another password.
mod leavers;
/// Each limit of a connection and of a request head.
mod limits;
/// Each limit of a body, on its way in and on its way out.
mod limits_bodies;
/// Who exists is told to nobody, bodies have one reading, passwords are taken whole.
mod login;
/// What a logout ended is dead everywhere, and no page shows a token.
mod logout;
/// Every attempt has its line, nobody writes a line of his own, no secret is in any.
mod logs;
/// No redirect is taken from input, and a backend's never tells where it is.
mod redirects;
/// Refresh tokens: one lives, a stolen one is noticed, sessions end.
mod refreshing;
/// Live reload: whole or not at all, without losing a request.
mod reload;
/// What is sent twice.
mod retries;
/// SIGTERM and SIGINT.
mod shutdown;
/// Kinds of tokens never stand in for each other, a bad token is never no token.
mod standing;
/// What was acknowledged is kept.
mod state;
/// What is verified: every check of a token that nobody honest would send.
pub mod tokens;
/// What one backend may take of the gateway's time and places.
mod upstream_limits;
/// Vectors that others test signatures and keys with.
mod vectors;

/// What attackers send, made and read.
mod corpus;

/// Who came before: `X-Forwarded-*`, `Forwarded`, and their like.
mod chain;
/// Identity fields, hop-by-hop fields, the token.
mod headers;
/// One path, one meaning.
mod paths;
/// Connections to backends that many users share.
mod pool;
/// Targets, hosts, methods, hops.
mod targets;

/// Where a request ends, and what follows it.
mod bodies;
/// Lengths, codings, chunks, fields.
mod framing;

/// One oracle above all: whatever the bytes, what reaches a backend is by the book and under the right policy.
mod oracle;

/// Users in a database: names that are SQL, names alike, names twice.
mod databases;
/// The oracle on vectors written by others.
mod others;
/// Guesses at passwords: few are checked, by whatever door and spelling, and nobody is locked out by others.
mod throttle;
