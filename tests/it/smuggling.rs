//! Heads that are too long, or too slow to come: refused with their own status.

use crate::harness::{Gateway, Upstream};

const OPEN: &str = "[routes]\n\"/**\" = \"public\"\n\"/shut\" = \"access-required\"\n";

#[test]
fn a_head_beyond_its_limits_is_refused_with_its_own_status() {
    let upstream = Upstream::echo();
    let gateway = Gateway::in_front_of(&upstream, OPEN);
    let client = gateway.client();
    let long = "x".repeat(9 * 1024);
    assert_eq!(client.get(&format!("/{long}")).send().status, 414);
    let large = "x".repeat(40 * 1024);
    assert_eq!(client.get("/").header("X-Large", &large).send().status, 431);
    let many = "X-A: b\r\n".repeat(101);
    let many =
        client.raw_one(format!("GET / HTTP/1.1\r\nHost: x\r\n{many}Connection: close\r\n\r\n"));
    assert_eq!(many.status, 431);
    let almost = "x".repeat(7 * 1024);
    client.get(&format!("/{almost}")).header("X-A", &almost).send().expect(200);
    assert_eq!(upstream.count(), 1);
}

#[test]
fn a_head_that_does_not_arrive_is_408_and_frees_its_connection() {
    let upstream = Upstream::echo();
    let gateway =
        Gateway::in_front_of(&upstream, &format!("{OPEN}[limits]\nheader_timeout = \"300ms\"\n"));
    let mut connection = gateway.client().connect();
    connection.write("GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ");
    connection.response().refused(408, "request-timeout");
    assert!(connection.is_closed());
}
