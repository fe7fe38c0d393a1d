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
