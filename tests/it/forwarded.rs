//! The chain of proxies as the backend reads it: `X-Forwarded-*`, `Forwarded`, `Via`, `Host`, the request id.

use crate::harness::client::Request;
use crate::harness::upstream::Recorded;
use crate::harness::{Gateway, Upstream};

const OPEN: &str = "[routes]\n\"/**\" = \"public\"\n";
const TRUSTING: &str = "trusted_proxies = [\"127.0.0.0/8\"]\n";

/// Sends the request through a gateway with this configuration; what the backend and the client saw.
#[track_caller]
fn through(
    toml: &str,
    fill: impl FnOnce(Request) -> Request,
) -> (Recorded, crate::harness::Response) {
    let upstream = Upstream::echo();
    let gateway = Gateway::in_front_of(&upstream, toml);
    let request = gateway.client().get("/x").header("Host", "App.example:81");
    let response = fill(request).send().expect(200);
    (upstream.last(), response)
}

fn claiming(request: Request) -> Request {
    let request =
        request.header("X-Forwarded-For", "203.0.113.9").header("X-Forwarded-Proto", "https");
    let request =
        request.header("X-Forwarded-Host", "evil.example").header("X_Forwarded_For", "6.6.6.6");
    let request =
        request.header("Forwarded", "for=203.0.113.9;proto=https").header("Via", "1.0 evil");
    request.header("X-Request-Id", "from-outside-1")
}

#[test]
fn what_a_stranger_says_of_itself_is_not_believed() {
    for toml in
        [OPEN.to_owned(), format!("trusted_proxies = [\"10.0.0.0/8\", \"127.0.0.2\"]\n{OPEN}")]
    {
        let (seen, response) = through(&toml, claiming);
        assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
        assert_eq!(seen.header("x-forwarded-proto"), Some("http"));
        assert_eq!(seen.header("x-forwarded-host"), Some("App.example:81"));
        assert_eq!(
            seen.header("forwarded"),
            Some("for=127.0.0.1;host=\"App.example:81\";proto=http")
        );
        assert_eq!(seen.header("via"), Some("1.1 freshgate"));
        assert!(!seen.has("x_forwarded_for"));
        assert_ne!(seen.header("x-request-id"), Some("from-outside-1"));
        assert_eq!(seen.header("x-request-id"), response.header("x-request-id"));
    }
}

#[test]
fn what_a_listed_proxy_says_is_believed_and_added_to() {
    let (seen, response) = through(&format!("{TRUSTING}{OPEN}"), claiming);
    assert_eq!(seen.header("x-forwarded-for"), Some("203.0.113.9, 127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
    assert_eq!(seen.header("x-forwarded-host"), Some("evil.example"));
    let ours = "for=127.0.0.1;host=\"App.example:81\";proto=http";
    assert_eq!(seen.header("forwarded"), Some(&*format!("for=203.0.113.9;proto=https, {ours}")));
    assert!(!seen.has("x_forwarded_for"));
    assert_eq!(seen.header("x-request-id"), Some("from-outside-1"));
    assert_eq!(response.header("x-request-id"), Some("from-outside-1"));
}

#[test]
fn a_malformed_request_id_is_replaced_even_from_a_listed_proxy() {
    let long = "x".repeat(129);
    for id in ["", "a b", "a\"b", "<script>", "a,b", &long] {
        let (seen, response) =
            through(&format!("{TRUSTING}{OPEN}"), |r| r.header("X-Request-Id", id));
        let ours = seen.header("x-request-id").expect("an id").to_owned();
        assert_ne!(ours, id);
        assert_eq!(ours.len(), 36, "{ours}");
        assert_eq!(response.header("x-request-id"), Some(&*ours));
    }
}

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
