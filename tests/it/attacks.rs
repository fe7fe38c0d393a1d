//! Attacks, by what must hold: raw bytes from outside, and what may come of them.
//!
//! Each test names its sources in a line `// Holds: …` directly above it: lines of the requirements, CVE and GHSA ids.

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

/// The oracle on vectors written by others.
mod others;
