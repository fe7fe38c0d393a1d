//! What every integration test stands on: a gateway process, backends that record, a client that sends bytes as given.
//!
//! - [`Gateway`] runs the built binary on port 0 in a directory of its own; dropping it kills it and, when the
//!   test failed, prints what it said. [`Setup`] adds files, variables and arguments.
//! - [`Upstream`] is a backend: `echo()` answers what it saw, `raw(script)` answers as badly as it is told to.
//! - [`Strict`] is the oracle of the attack tests: it judges every byte that reached it, and every path.
//! - [`Client`] sends one request at a time, exactly as written: `/a/../b` stays `/a/../b`.
//! - [`pg::Server`] is a PostgreSQL of the tests' own.
//! - [`issuer::Issuer`] is another issuer with a key pair.
//! - [`databases`] are real servers of PostgreSQL and MariaDB.
//! - [`forge`] makes tokens that no honest issuer would.
//!
//! Nothing here knows the library: a test that needs its types belongs next to the code. Everything blocks, and
//! every wait ends after [`PATIENCE`].
#![allow(
    dead_code,
    unused_imports,
    reason = "each capability takes what it needs; the harness is whole before they are"
)]

pub mod client;
pub mod databases;
pub mod forge;
pub mod gateway;
pub mod issuer;
pub mod pg;
pub mod process;
pub mod strict;
pub mod tools;
pub mod upstream;
pub mod wire;

pub use client::{Client, Response};
pub use gateway::{Gateway, Setup, Tokens, UNTHROTTLED};
pub use process::{Output, says};
pub use strict::Strict;
pub use upstream::{Step, Upstream};

use std::time::{Duration, Instant};

/// How long any wait of the harness may take before the test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Asks until there is an answer. For what happens soon but not at once: a reload, a log line.
///
/// # Panics
/// After [`PATIENCE`], naming what was waited for.
#[track_caller]
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain for: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
