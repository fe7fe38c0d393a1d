//! Sessions under pressure: a logout that nobody outruns, logins that tell nothing and stall nobody.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::endpoints::{SHUT, started, status};
use crate::harness::Upstream;

#[test]
fn a_minted_token_without_a_session_dies_alone() {
    let upstream = Upstream::echo();
    let gateway = started(&upstream, SHUT);
    let (one, two) = (gateway.mint(&["--sub", "ada"]), gateway.mint(&["--sub", "ada"]));
    gateway.client().post("/auth/logout").bearer(&one).send().expect(204);
    assert_eq!(
        (status(gateway.client(), "/x", &one), status(gateway.client(), "/x", &two)),
        (401, 200)
    );
}

#[test]
fn two_hundred_parallel_logins_do_not_stall_proxying() {
    let upstream = Upstream::echo();
    let gateway = started(&upstream, SHUT);
    let client = gateway.client();
    let left = AtomicUsize::new(200);
    let (mut slowest, mut count) = (Duration::ZERO, 0);
    std::thread::scope(|scope| {
        for index in 0..200 {
            let left = &left;
            scope.spawn(move || {
                let right = index % 2 == 0;
                let password = if right { "correct horse" } else { "wrong" };
                let response = client
                    .post("/auth/login")
                    .json(&json!({"username": "ada", "password": password}))
                    .send();
                left.fetch_sub(1, Ordering::SeqCst);
                assert!(
                    response.status == if right { 200 } else { 401 } || response.status == 503,
                    "{}",
                    response.text()
                );
            });
        }
        let mut connection = client.connect();
        while left.load(Ordering::SeqCst) > 0 {
            let start = Instant::now();
            client.get("/public").send_on(&mut connection).expect(200);
            slowest = slowest.max(start.elapsed());
            count += 1;
        }
    });
    // One after the other, the logins take seconds; a request between them takes a moment.
    assert!(count >= 20, "only {count} requests while 200 logins ran");
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
}
