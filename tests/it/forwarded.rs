//! What a backend reads of the way a request took: `Host`, the request id; the rest is in `attacks/chain.rs`.

use crate::harness::{Gateway, Upstream};

const OPEN: &str = "[routes]\n\"/**\" = \"public\"\n";

#[test]
fn every_request_has_an_id_of_its_own() {
    let upstream = Upstream::echo();
    let gateway = Gateway::in_front_of(&upstream, OPEN);
    let mut connection = gateway.client().connect();
    let ids: std::collections::HashSet<String> = (0..50)
        .map(|_| {
            let response = gateway.client().get("/").send_on(&mut connection);
            response.header("x-request-id").expect("an id").to_owned()
        })
        .collect();
    assert_eq!(ids.len(), 50);
}

/// The `Host` that the backend gets where the knob is `host`.
#[track_caller]
fn host(knob: &str, expected: impl Fn(&Upstream) -> String) {
    let upstream = Upstream::echo();
    let toml = format!("[upstreams.app]\nurl = \"{upstream}\"\n{knob}\n{OPEN}");
    let gateway = Gateway::start(&toml);
    gateway.client().get("/").header("Host", "App.example:81").send().expect(200);
    assert_eq!(upstream.last().header("host"), Some(&*expected(&upstream)), "{knob}");
    // Whatever becomes of it, the backend can know what the client asked for.
    assert_eq!(upstream.last().header("x-forwarded-host"), Some("App.example:81"));
}

#[test]
fn host_is_kept_or_replaced_as_configured() {
    host("", |_| "App.example:81".to_owned());
    host("host = \"keep\"", |_| "App.example:81".to_owned());
    host("host = \"upstream\"", |upstream| upstream.address.to_string());
    host("host = \"legacy.internal\"", |_| "legacy.internal".to_owned());
}
