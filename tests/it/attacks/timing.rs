//! Time that tells nothing: what is refused alike takes as long.

use std::time::Instant;

use serde_json::json;

use crate::harness::{Setup, UNTHROTTLED};

const TOML: &str =
    "[login]\nusers = { file = \"users.toml\" }\n[routes]\n\"/**\" = \"access-required\"\n";

/// A hash that no password has, at a fifth of the usual cost: 200 samples of each take a few seconds.
const NO_PASSWORD: &str = "$argon2id$v=19$m=8192,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$\
    nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";

// Holds: U1, U3, CVE-2026-32595
#[test]
fn the_time_of_a_failed_login_does_not_tell_who_exists() {
    const SAMPLES: usize = 200;
    let users = format!("[users.ada]\npassword = \"{NO_PASSWORD}\"\n");
    let toml = format!("upstream = \"builtin:whoami\"\n{TOML}{UNTHROTTLED}");
    let gateway = Setup::new(&toml).file("users.toml", &users).start();
    let mut connection = gateway.client().connect();
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..SAMPLES {
        // In turns, and each first as often as the other: what disturbs one disturbs both.
        for index in [round % 2, (round + 1) % 2] {
            let user = ["ada", "nobody"][index];
            let body = json!({"username": user, "password": "wrong"});
            let request = gateway.client().post("/auth/login").json(&body);
            let start = Instant::now();
            request.send_on(&mut connection).refused(401, "credentials-invalid");
            times[index].push(start.elapsed());
        }
    }
    let [known, unknown] = times.map(|mut all| {
        all.sort();
        all[SAMPLES / 2].as_secs_f64()
    });
    let ratio = known / unknown;
    assert!((0.8..1.25).contains(&ratio), "known {known} s, unknown {unknown} s");
    println!("medians of {SAMPLES}: known {known} s, unknown {unknown} s");
}
