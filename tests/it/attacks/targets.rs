//! What is asked of whom: targets, hosts, methods, hops.

use crate::harness::{Gateway, Setup, Upstream, forge};

const ROUTES: &str = "[routes]\n\"/**\" = \"public\"\n\"/admin/**\" = \"access-required\"\n";

// Holds: H11, GHSA-pxq7-h93f-9jrg, CVE-2021-32779, CVE-2026-88009, CVE-2026-26205
// Holds: CVE-2026-41059, CVE-2021-39156, CVE-2023-45539, CVE-2023-47106
#[test]
fn a_target_that_is_not_a_path_is_400() {
    let upstream = Upstream::echo();
    let gateway = Gateway::in_front_of(&upstream, ROUTES);
    for target in [
        "admin",
        "public/x",
        "*",
        "?x",
        "#",
        "/public#/admin",
        "/admin#/public",
        "/public/x#",
        "/x?y#z",
        "http:http://x/admin",
        "http:/admin",
        "//x/admin",
        "ftp://x/admin",
        "x:80",
        "/public/a b",
        "http://other/admin",
        "http://u@x/admin",
    ] {
        for method in ["GET", "POST", "OPTIONS"] {
            if (method, target) == ("OPTIONS", "*") {
                continue;
            }
            let bytes =
                format!("{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            let response = gateway.client().raw_one(bytes);
            assert_eq!(response.status, 400, "{method} {target}: {}", response.text());
        }
    }
    let tunnel = gateway
        .client()
        .raw_one("CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\nConnection: close\r\n\r\n");
    assert!(matches!(tunnel.status, 400 | 405 | 501), "{}", tunnel.status);
    assert_eq!(upstream.count(), 0);
}

// Holds: H11
#[test]
fn a_target_that_cannot_be_parsed_is_refused_in_our_own_words() {
    let upstream = Upstream::echo();
    let gateway = Gateway::in_front_of(&upstream, "[routes]\n\"/**\" = \"public\"\n");
    for target in ["/<", "/>", "/`", "/?<", "/?>", "/?\""] {
        gateway.client().request("GET", target).send().refused(400, "bad-target");
    }
    assert_eq!(upstream.count(), 0);
}

// Holds: H9, CVE-2026-57209, CVE-2026-26308, CVE-2021-32777
#[test]
fn a_request_without_exactly_one_sound_host_is_400() {
    let upstream = Upstream::echo();
    let gateway = Gateway::in_front_of(&upstream, "[routes]\n\"/**\" = \"public\"\n");
    for hosts in [
        "",
        "Host: \r\n",
        "Host: a\r\nHost: a\r\n",
        "Host: a\r\nHost: b\r\n",
        "Host: a,b\r\n",
        "Host: a b\r\n",
        "Host: a/b\r\n",
        "Host: user@a\r\n",
        "Host: a;for=1.2.3.4\r\n",
        "Host: a\"b\r\n",
        "Host: a:port\r\n",
        "Host: a#b\r\n",
        "Host: a?b\r\n",
    ] {
        let bytes = format!("GET / HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n");
        let response = gateway.client().raw_one(bytes);
        assert_eq!(response.status, 400, "{hosts:?}");
    }
    assert_eq!(upstream.count(), 0);
}

const HOSTS: &str = "[routes]\n\"/**\" = \"public\"\n\"app.example/admin/**\" = \"access-required\"\n\
    \"app.example/old/**\" = { policy = \"public\", rewrite = \"/new/**\" }\n";

// Holds: H10, P14, CVE-2026-88009
#[test]
fn an_absolute_target_that_names_the_very_host_is_forwarded_as_its_path() {
    let upstream = Upstream::echo();
    let gateway = Gateway::in_front_of(
        &upstream,
        &format!("{HOSTS}[log]\naccess = true\nformat = \"json\"\n"),
    );
    let ask = |target: &str, host: &str| {
        gateway.client().request("GET", target).header("Host", host).send()
    };
    for (target, host, sent) in [
        ("http://app.example/x?y=/../z", "app.example", "/x?y=/../z"),
        ("HTTP://APP.Example:80/x", "app.example.", "/x"),
        ("http://app.example.:81/x", "App.example:81", "/x"),
        ("http://app.example", "app.example", "/"),
        ("http://app.example?a=b", "app.example", "/?a=b"),
        ("http://app.example/%78", "app.example", "/x"),
        ("http://app.example/old/x?y", "app.example", "/new/x?y"),
        ("http://[::1]:80/x", "[0:0::1]", "/x"),
    ] {
        ask(target, host).expect(200);
        assert_eq!(upstream.last().target(), sent, "{target}");
        assert_eq!(upstream.last().header("host"), Some(host), "{target}");
        assert_eq!(upstream.last().header("x-forwarded-host"), Some(host), "{target}");
    }
    let before = upstream.count();
    ask("http://app.example/admin/x", "APP.example").refused(401, "token-missing");
    ask("http://app.example/x/../admin", "app.example").refused(400, "bad-path");
    assert_eq!(upstream.count(), before);
    gateway.logged("\"path\":\"/admin/x\"");
    let explained =
        gateway.cli(&["explain", "--format", "json", "GET", "http://APP.example/old/x?y"], "");
    let explained: serde_json::Value = serde_json::from_str(&explained.stdout).expect("JSON");
    assert_eq!(explained["target"], "/new/x?y");
}

// Holds: H10, H11, CVE-2026-88009
#[test]
fn an_absolute_target_that_names_another_host_than_the_field_is_400() {
    let upstream = Upstream::echo();
    let gateway = Gateway::in_front_of(&upstream, HOSTS);
    for (target, host) in [
        ("http://app.example/x", "other.example"),
        ("http://other.example/x", "app.example"),
        ("http://app.example:81/x", "app.example"),
        ("http://app.example/x", "app.example:81"),
        ("http://u@app.example/x", "app.example"),
        ("http://u:p@app.example/x", "app.example"),
        ("http://app.example@evil/x", "app.example"),
        ("http://app.example/x#y", "app.example"),
        ("http://app.example#@evil/x", "app.example"),
        ("https://app.example/x", "app.example"),
        ("ftp://app.example/x", "app.example"),
        ("http:///x", "app.example"),
        ("http:/app.example/x", "app.example"),
        ("http:app.example/x", "app.example"),
        ("http://app.example\\evil/x", "app.example"),
        ("http://app.example;x/x", "app.example"),
        ("http://app%2eexample/x", "app.example"),
        ("http:http://app.example/x", "app.example"),
        ("http://app.example:/x", "app.example:81"),
        ("http://app.example:99999/x", "app.example"),
    ] {
        let answer = gateway.client().request("GET", target).header("Host", host).send();
        answer.refused(400, "bad-target");
    }
    let none = "GET http://app.example/x HTTP/1.0\r\n\r\n";
    gateway.client().raw_one(none).refused(400, "bad-target");
    assert_eq!(upstream.count(), 0);
}

// Holds: P14, CVE-2021-39155, CVE-2026-42273, CVE-2026-48794
#[test]
fn a_host_is_one_host_in_every_spelling() {
    let upstream = Upstream::echo();
    let gateway = Gateway::in_front_of(&upstream, HOSTS);
    for host in [
        "app.example",
        "APP.Example",
        "app.example.",
        "APP.EXAMPLE.:443",
        "app.example:80",
        "app.example:",
        "App.Example.:",
    ] {
        let ask = |path: &str| gateway.client().get(path).header("Host", host).send();
        ask("/admin/x").refused(401, "token-missing");
        ask("/x").expect(200);
    }
    for host in [
        "app.example..",
        ".app.example",
        "app..example",
        "app.example,other",
        "other@app.example",
        "app.example%2e",
    ] {
        gateway.client().get("/admin/x").header("Host", host).send().refused(400, "bad-header");
    }
}

// Holds: H11, H26, P11, CVE-2020-14359
#[test]
fn a_method_that_is_none_is_refused_before_any_policy() {
    let upstream = Upstream::echo();
    let gateway = Setup::sharing(&upstream, ROUTES).start();
    let token = forge::fresh("root");
    for method in [
        "get",
        "Get",
        "gET",
        "post",
        "TRACE",
        "trace",
        "CONNECT",
        "G_T",
        "G@T",
        "GET1",
        "\u{c9}GET",
        "X-",
        "GET,POST",
    ] {
        for path in ["/", "/admin", "/none"] {
            let target = if method == "CONNECT" { "x:80" } else { path };
            let request = format!(
                "{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
            );
            let answer = gateway.client().raw_one(request);
            let wanted = if method == "X-" { 0 } else { 501 };
            assert!(answer.status == wanted || wanted == 0, "{method} {path}: {}", answer.status);
        }
    }
    let seen: Vec<String> = upstream.requests().iter().map(|one| one.method().to_owned()).collect();
    assert!(seen.iter().all(|method| method == "X-"), "{seen:?}");
}

// Holds: P11
#[test]
fn every_method_meets_the_policy_of_its_path() {
    let upstream = Upstream::echo();
    let routes = "[routes]\n\"/admin/**\" = \"access-required\"\n\"GET /page\" = \"access-required\"\n\
        \"GET /open\" = \"public\"\n\"/open\" = \"access-required\"\n";
    let gateway = Gateway::in_front_of(&upstream, routes);
    let all = [
        "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "M-SEARCH",
        "QUERY", "FOO",
    ];
    for method in all {
        let ask = |path: &str| {
            let request =
                gateway.client().request(method, path).header("X-HTTP-Method-Override", "GET");
            request.header("X-Method-Override", "GET").header("X-HTTP-Method", "GET").send().status
        };
        assert_eq!(ask("/admin"), 401, "{method}");
        let reads = matches!(method, "GET" | "HEAD");
        assert_eq!(ask("/page"), if reads { 401 } else { 404 }, "{method}");
        assert_eq!(ask("/open"), if reads { 200 } else { 401 }, "{method}");
        assert_eq!(ask("/open?_method=GET"), if reads { 200 } else { 401 }, "{method}");
    }
    for seen in upstream.requests() {
        assert!(!seen.headers.iter().any(|(name, _)| name.contains("ethod")), "{:?}", seen.headers);
    }
}

// Holds: H26
#[test]
fn max_forwards_is_counted_on_options_after_the_policy_and_ends_here_at_none() {
    let upstream = Upstream::echo();
    let gateway = Setup::sharing(&upstream, ROUTES).start();
    let ask = |method: &str, path: &str, hops: &str| {
        gateway.client().request(method, path).header("Max-Forwards", hops).send()
    };
    let last = ask("OPTIONS", "/", "0").expect(204);
    assert_eq!((last.text(), last.header("via")), (String::new(), Some("1.1 freshgate")));
    assert!(!last.has("allow") && !last.has("content-length"), "{:?}", last.headers);
    ask("OPTIONS", "/admin", "0").refused(401, "token-missing");
    for bad in ["x", "-1", "1, 0"] {
        ask("OPTIONS", "/", bad).refused(400, "bad-header");
    }
    assert_eq!(upstream.count(), 0);
    ask("OPTIONS", "/", "7").expect(200);
    assert_eq!(upstream.last().header("max-forwards"), Some("6"));
    assert_eq!(upstream.last().header("via"), Some("1.1 freshgate"));
    ask("GET", "/", "0").expect(200);
    let body = gateway
        .client()
        .request("OPTIONS", "/")
        .header("Max-Forwards", "0")
        .body("GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n");
    body.send().expect(204);
    assert_eq!(upstream.count(), 2);
}

// Holds: D2, H11
// The HTTP library reads no longer ones, and would refuse them itself: in no words of ours, and uncounted.
#[test]
fn what_is_longer_than_can_be_read_is_refused_in_our_words_whatever_the_limits() {
    let upstream = Upstream::echo();
    let limits = "[limits]\ntarget_max = \"64KiB\"\nheader_max = \"256KiB\"\n";
    let gateway = Gateway::in_front_of(&upstream, &format!("{limits}{ROUTES}"));
    let target = |length: usize| gateway.client().get(&format!("/{}", "a".repeat(length - 1)));
    target(65_534).send().expect(200);
    assert_eq!(gateway.reached("target_max"), 0);
    for length in [65_535, 65_536, 65_537] {
        target(length).send().refused(414, "target-too-long");
    }
    assert_eq!(gateway.reached("target_max"), 3);
    let name = |length: usize| gateway.client().get("/").header(&"n".repeat(length), "v");
    name(65_535).send().expect(200);
    assert_eq!(gateway.reached("header_max"), 0);
    for length in [65_536, 100_000] {
        name(length).send().refused(431, "header-too-large");
    }
    assert_eq!((gateway.reached("header_max"), upstream.count()), (2, 2));
}
