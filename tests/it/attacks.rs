//! Attacks, by what must hold: raw bytes from outside, and what may come of them.
//!
//! Each test names its sources in a line `// Holds: …` directly above it: lines of the requirements, CVE and GHSA ids.

/// Backends whose answers are broken, forged or endless.
mod backends;
/// Answers that come early, and what one client gets of another's.
mod exchanges;
/// What is sent twice.
mod retries;
/// What one backend may take of the gateway's time and places.
mod upstream_limits;
