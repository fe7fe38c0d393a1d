//! What broke other gateways, and what must hold when the input is hostile: a test for each, from outside.
//!
//! A line `// Holds: …` directly above a test names the requirements and the published faults that it holds.

/// A clock that is set back, while the gateway runs and while it does not.
mod clock;
