//! Who came before: what a stranger says of itself is not believed, and one decision trusts or distrusts all of it.

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

// Holds: F5, CVE-2026-33495, CVE-2026-35051, CVE-2026-54764, CVE-2026-40575
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

// Holds: F5
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

// Holds: F5
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

// Holds: F5
#[test]
fn no_client_says_from_which_address_it_comes() {
    let upstream = Upstream::echo();
    let gateway = Gateway::in_front_of(&upstream, "[routes]\n\"/**\" = \"public\"\n");
    for name in [
        "Client-IP",
        "Client_IP",
        "X-Forwarded",
        "Forwarded-For",
        "CF-Connecting-IP",
        "Fastly-Client-IP",
        "X-Remote-Addr",
        "X-Host",
        "X-HTTP-Host-Override",
        "Proxy_Authorization",
    ] {
        gateway.client().get("/").header(name, "10.9.8.7").send().expect(200);
        assert!(!upstream.last().has(name), "{name}");
    }
}

// Holds: F5, CVE-2026-57209
#[test]
fn no_host_injects_into_forwarded() {
    let upstream = Upstream::echo();
    let gateway = Gateway::in_front_of(&upstream, OPEN);
    for host in [
        "a;for=1.2.3.4",
        "a\";for=1.2.3.4;x=\"",
        "a,for=1.2.3.4",
        "a;proto=https",
        "a b",
        "\"a\"",
        "a\\\"",
        "a=b",
    ] {
        gateway.client().get("/").header("Host", host).send().refused(400, "bad-header");
    }
    assert_eq!(upstream.count(), 0);
    gateway.client().get("/").header("Host", "[::1]:81").send().expect(200);
    assert_eq!(
        upstream.last().header("forwarded"),
        Some("for=127.0.0.1;host=\"[::1]:81\";proto=http")
    );
}

// Holds: F5, F2, CVE-2026-33495, CVE-2026-35051, CVE-2026-54764
#[test]
fn every_field_of_the_chain_is_ours_in_every_spelling() {
    let upstream = Upstream::echo();
    let gateway = Gateway::in_front_of(&upstream, OPEN);
    for name in [
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "X-Forwarded-Host",
        "X-Forwarded-Port",
        "X-Forwarded-Prefix",
        "X-Forwarded-Server",
        "X-Forwarded-Ssl",
        "X-Forwarded-Scheme",
        "X-Forwarded-By",
        "X-Forwarded-Client-Cert",
        "X-Forwarded-Tls-Client-Cert",
        "X-Forwarded-User",
        "X-Forwarded-Email",
        "X-Forwarded-Access-Token",
        "Forwarded",
        "Via",
        "X-Real-IP",
        "X-Client-IP",
        "X-Cluster-Client-IP",
        "True-Client-IP",
        "X-Original-Host",
    ] {
        for spelling in [
            name.to_owned(),
            name.to_lowercase(),
            name.to_uppercase(),
            name.replace('-', "_"),
            name.replace('-', "."),
        ] {
            gateway
                .client()
                .get("/")
                .header(&spelling, "evil")
                .header(&spelling, "evil2")
                .send()
                .expect(200);
            let seen = upstream.last();
            assert!(
                !seen.headers.iter().any(|(_, value)| value.contains("evil")),
                "{spelling}: {:?}",
                seen.headers
            );
        }
    }
}

// Holds: F5, CVE-2026-57209
// Many a proxy passes `Forwarded` and `X-Forwarded-Host` on as its client wrote them.
#[test]
fn behind_a_listed_proxy_an_open_quote_swallows_nothing_and_no_host_injects() {
    let upstream = Upstream::echo();
    let toml = "trusted_proxies = [\"127.0.0.0/8\"]\n[routes]\n\"/**\" = \"public\"\n";
    let gateway = Gateway::in_front_of(&upstream, toml);
    let ours = "for=127.0.0.1;host=\"x\";proto=http";
    for (theirs, before) in [
        ("for=\"192.0.2.1", ""),
        ("for=192.0.2.1;by=\"", ""),
        ("for=\"a\\\"", ""),
        ("for=\"[2001:db8::1]\";by=\"a\\\"b\"", "for=\"[2001:db8::1]\";by=\"a\\\"b\", "),
        ("for=192.0.2.1", "for=192.0.2.1, "),
    ] {
        let request = gateway.client().get("/").header("Host", "x").header("Forwarded", theirs);
        request.send().expect(200);
        let seen = upstream.last();
        assert_eq!(seen.header("forwarded"), Some(&*format!("{before}{ours}")), "{theirs}");
    }
    for host in ["evil\"", "a, b", "a/b", "u@a", "", "a b"] {
        let request = gateway.client().get("/").header("Host", "x");
        request.header("X-Forwarded-Host", host).send().expect(200);
        assert_eq!(upstream.last().header("x-forwarded-host"), Some("x"), "{host:?}");
    }
    let request = gateway.client().get("/").header("X-Forwarded-Host", "app.example:8443");
    request.send().expect(200);
    assert_eq!(upstream.last().header("x-forwarded-host"), Some("app.example:8443"));
}
