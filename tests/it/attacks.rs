//! What broke other gateways, and what must hold when the input is hostile: a test for each, from outside.
//!
//! A line `// Holds: …` directly above a test names the requirements and the published faults that it holds.

/// Guesses at passwords: few are checked, by whatever door and spelling, and nobody is locked out by others.
mod throttle;
/// Time that tells nothing.
mod timing;
