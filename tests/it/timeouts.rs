//! Backends that are down, slow or broken: 502 and 504, each with its code, and nothing else suffers.

use std::time::{Duration, Instant};

use crate::harness::{Gateway, Response, Upstream};

fn app(url: impl std::fmt::Display, knobs: &str, route: &str) -> Gateway {
    Gateway::start(&format!(
        "[upstreams.app]\nurl = \"{url}\"\n{knobs}\n[routes]\n\"/**\" = {{ policy = \"public\" {route} }}\n"
    ))
}

/// Sends a GET and checks that the answer came after `limit`, and not long after.
#[track_caller]
fn after(limit: Duration, ask: impl FnOnce() -> Response) -> Response {
    let start = Instant::now();
    let response = ask();
    let took = start.elapsed();
    assert!(took >= limit && took < limit + Duration::from_secs(3), "after {took:?}");
    response
}

#[test]
fn a_backend_that_is_down_is_502() {
    let gateway = app(format!("http://{}", Upstream::nowhere()), "", "");
    let response = gateway.client().get("/x").send().refused(502, "upstream-unreachable");
    assert_eq!(response.header("content-type"), Some("application/problem+json"));
    let problem = response.json();
    assert_eq!(problem["status"], 502);
    assert_eq!(problem["title"], "The backend cannot be reached.");
    assert_eq!(problem["request_id"].as_str(), response.header("x-request-id"));
    assert!(!response.text().contains("127.0.0.1"), "the backend's address is nobody's business");
    // The operator is told more.
    assert!(gateway.logged("the backend did not answer").contains("app"));
}

#[test]
fn a_route_can_have_its_own_timeout() {
    let upstream = Upstream::hanging();
    let gateway = app(&upstream, "timeout_first_byte = \"10m\"", ", timeout = \"300ms\"");
    let ask = || gateway.client().get("/").send().refused(504, "upstream-timeout");
    after(Duration::from_millis(300), ask);
}

#[test]
fn a_slow_upload_is_not_a_slow_backend() {
    let upstream = Upstream::echo();
    let gateway = app(&upstream, "timeout_first_byte = \"400ms\"", "");
    let mut connection = gateway.client().connect();
    connection.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n");
    for byte in ["a", "b", "c", "d", "e", "f"] {
        std::thread::sleep(Duration::from_millis(150));
        connection.write(byte);
    }
    assert_eq!(connection.response().expect(200).json()["body"], "abcdef");
}

#[test]
fn a_client_that_goes_away_frees_the_backend() {
    let upstream = Upstream::hanging();
    let gateway = app(&upstream, "", "");
    let connection = {
        let mut connection = gateway.client().connect();
        connection.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        connection
    };
    upstream.wait_for(1);
    drop(connection);
    crate::harness::eventually("no connection at the gateway", || {
        let metrics = gateway.admin().get("/metrics").send().expect(200).text();
        metrics.lines().any(|line| line == "freshgate_connections 0").then_some(())
    });
}
