//! Attacks, by what must hold: raw bytes from outside, and what may come of them.
//!
//! Each test names its sources in a line `// Holds: …` directly above it: lines of the requirements, CVE and GHSA ids.

/// Floods: forged tokens, logins, connections without end.
mod flood;
/// Each limit of a connection and of a request head.
mod limits;
/// Each limit of a body, on its way in and on its way out.
mod limits_bodies;
