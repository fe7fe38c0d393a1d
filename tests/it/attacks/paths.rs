//! One path, one meaning: what has two readings is refused before any policy, and policy and backend see one spelling.

use crate::harness::{Gateway, Setup, Upstream, forge};

const ROUTES: &str = "[routes]\n\"/public/**\" = \"public\"\n\"/optional/**\" = \"optional\"\n\
    \"/admin/**\" = \"access-required\"\n\"/fresh/**\" = \"fresh-required\"\n\
    \"/refresh/**\" = \"refresh-only\"\n\"/deny/**\" = \"deny\"\n";

/// Appended to `/public`, `/admin` and so on: each has another reading.
const AMBIGUOUS: [&str; 52] = [
    "/../admin",
    "/..",
    "/.",
    "/./x",
    "/x/./y",
    "/x/../../admin",
    "/%2e%2e/admin",
    "/%2E%2E/admin",
    "/.%2e/admin",
    "/%2e./admin",
    "/%2E/x",
    "/..%2fadmin",
    "/..%2Fadmin",
    "/x%2fy",
    "/x%2Fy",
    "/%2f",
    "/..%5cadmin",
    "/..%5Cadmin",
    "/x%5cy",
    "/x\\y",
    "/..\\admin",
    "/;x",
    "/x;a=b",
    "/..;/admin",
    "/x;/y",
    "/;jsessionid=1",
    "/x%3b/..",
    "//x",
    "/x//y",
    "/x//",
    "///",
    "/x%00",
    "/%00",
    "/x%0a",
    "/x%0d%0aX-User-Id:%20root",
    "/x%09y",
    "/x%1f",
    "/x%7f",
    "/x%",
    "/x%2",
    "/x%zz",
    "/x%u002e",
    "/%252e%252e/admin",
    "/%252fx",
    "/x%252Fy",
    "/x%255cy",
    "/x%2500",
    "/%25252e",
    "/%c0%ae%c0%ae/x",
    "/%c0%afx",
    "/x%ff",
    "/%e0%80%af",
];

// Holds: P1, P2, P3, P4, P5, P6, P7, CVE-2026-33494, CVE-2026-42274, CVE-2026-42272, CVE-2019-9901, CVE-2021-29492
// Holds: ISTIO-SECURITY-2021-005, CVE-2026-73551, CVE-2026-73511, CVE-2026-73553, CVE-2021-27306, CVE-2026-26205
#[test]
fn a_path_with_two_readings_is_400_whatever_the_policy_and_the_token() {
    let upstream = Upstream::echo();
    let gateway = Gateway::sharing(&upstream, ROUTES);
    let fresh = forge::fresh("root");
    let mut connection = gateway.client().connect();
    for start in ["", "/public", "/optional", "/admin", "/fresh", "/refresh", "/deny", "/none"] {
        for rest in AMBIGUOUS {
            let path = format!("{start}{rest}");
            let plain = gateway.client().get(&path).send_on(&mut connection);
            if plain.has("connection") {
                connection = gateway.client().connect();
            }
            assert_eq!(plain.status, 400, "{path}");
            let code = plain.code();
            assert!(matches!(&*code, "bad-path" | "bad-target"), "{path}: {code}");
            if start == "/admin" {
                gateway.client().get(&path).bearer(&fresh).send().expect(400);
            }
        }
    }
    assert_eq!(upstream.count(), 0);
}

// Holds: P5
#[test]
fn raw_controls_and_bytes_beyond_ascii_in_a_target_are_400() {
    let upstream = Upstream::echo();
    let gateway = Gateway::in_front_of(&upstream, ROUTES);
    for byte in (0x00..0x20).chain(0x7f..=0xff_u8).filter(|byte| !b"\r\n ".contains(byte)) {
        let bytes =
            [b"GET /public/a", &[byte][..], b"b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"];
        let response = gateway.client().raw_one(bytes.concat());
        assert_eq!(response.status, 400, "byte {byte:#04x}");
    }
    assert_eq!(upstream.count(), 0);
}

// Holds: P8
#[test]
fn a_prefix_covers_whole_segments_only() {
    let upstream = Upstream::echo();
    let toml = "[routes]\n\"/**\" = \"public\"\n\"/admin/**\" = \"deny\"\n";
    let gateway = Gateway::in_front_of(&upstream, toml);
    for path in ["/admin", "/admin/", "/admin/x", "/%61dmin/x"] {
        gateway.client().get(path).send().refused(404, "no-route");
    }
    for path in ["/administrator", "/admin.", "/admin%20", "/admin-x", "/x/admin"] {
        gateway.client().get(path).send().expect(200);
        assert_eq!(upstream.last().target(), path);
    }
}

// Holds: P10, CVE-2025-54576
#[test]
fn a_query_never_decides() {
    let upstream = Upstream::echo();
    let gateway = Gateway::in_front_of(&upstream, ROUTES);
    for query in [
        "/public",
        "x=/public/",
        "/../public",
        "x=/status",
        "",
        "?",
        "/public/x",
        "%2fpublic",
        "//public",
        ";/public",
    ] {
        gateway.client().get(&format!("/admin?{query}")).send().refused(401, "token-missing");
        gateway.client().get(&format!("/none?{query}")).send().refused(404, "no-route");
    }
    assert_eq!(upstream.count(), 0);
    gateway.client().get("/public/x?/../admin").send().expect(200);
    assert_eq!(upstream.last().target(), "/public/x?/../admin");
}

// Holds: P9, P1, CVE-2026-48020, CVE-2026-40912
#[test]
fn a_prefix_is_stripped_from_what_was_judged_and_what_is_left_has_one_meaning() {
    let upstream = Upstream::echo();
    let routes = "[routes]\n\"/pub/**\" = { policy = \"public\", rewrite = \"/**\" }\n\
        \"/in/{x}/**\" = { policy = \"public\", rewrite = \"/out/{x}/**\" }\n\"/admin/**\" = \"access-required\"\n";
    let gateway = Gateway::in_front_of(&upstream, routes);
    for path in [
        "/pub/..%2fadmin",
        "/pub/../admin",
        "/pub../admin",
        "/pub..%2fadmin",
        "/pub%2f..%2fadmin",
        "/pub/%2e%2e/admin",
        "/pub//admin",
        "/pub/;/admin",
        "/pub/..;/admin",
        "/pub/%5cadmin",
        "/pub\\admin",
        "/pub/%252e%252e/admin",
        "/pub/.",
        "/pub/./admin",
        "/in/../x",
        "/in/%2e%2e/admin",
        "/in/x%2f../y",
        "/pubx/admin",
        "/pub%00/admin",
        "/in//admin",
    ] {
        let answer = gateway.client().get(path).send();
        assert!(matches!(answer.status, 400 | 404), "{path}: {}", answer.status);
    }
    assert_eq!(upstream.count(), 0);
    for (asked, sent) in [
        ("/pub", "/"),
        ("/pub/", "/"),
        ("/pub/x/y", "/x/y"),
        ("/%70ub/%78", "/x"),
        ("/in/a/b", "/out/a/b"),
    ] {
        gateway.client().get(asked).send().expect(200);
        assert_eq!(upstream.last().target(), sent, "{asked}");
    }
}

// Holds: P9, CVE-2026-48020, CVE-2026-40912
#[test]
fn a_rewrite_that_leads_around_a_policy_is_told_before_anybody_finds_it() {
    let toml = "upstream = \"builtin:whoami\"\n[routes]\n\"/pub/**\" = { policy = \"public\", rewrite = \"/**\" }\n\
        \"/admin/**\" = \"access-required\"\n";
    let checked = Setup::new(toml).cli(&["check", "--format", "json"], "");
    assert!(checked.stdout.contains("rewrite-opens"), "{}", checked.stdout);
    assert!(checked.stdout.contains("/pub/admin"), "{}", checked.stdout);
}

// Holds: P12
#[test]
fn what_no_route_names_is_refused() {
    let upstream = Upstream::echo();
    let gateway = Gateway::sharing(&upstream, ROUTES);
    let token = forge::fresh("root");
    let names = [
        "",
        "a",
        "index.html",
        ".env",
        ".git/config",
        "Public",
        "public1",
        "xpublic",
        "publi",
        "static/app.js",
        "favicon.ico",
        "*",
        "**",
    ];
    for name in names {
        for more in ["", "/", "/x", "?x"] {
            let path = format!("/{name}{more}");
            if path == "//" || path == "//x" {
                continue;
            }
            let answer = gateway.client().get(&path).bearer(&token).send();
            answer.refused(404, "no-route");
        }
    }
    assert_eq!(upstream.count(), 0);
}

// Holds: P13, CVE-2026-40575, CVE-2026-34457, GHSA-6384-m2mw-rf54
#[test]
fn no_field_decides_which_route_is_taken() {
    let upstream = Upstream::echo();
    let gateway = Gateway::in_front_of(&upstream, ROUTES);
    for (name, value) in [
        ("X-Original-URL", "/public/x"),
        ("X-Original-URI", "/public/x"),
        ("X-Rewrite-URL", "/public/x"),
        ("X-Forwarded-Uri", "/public/x"),
        ("X-Forwarded-Path", "/public/x"),
        ("X-Forwarded-Prefix", "/public"),
        ("X-Forwarded-Host", "public.example"),
        ("X-Forwarded-Method", "OPTIONS"),
        ("X-HTTP-Method-Override", "OPTIONS"),
        ("X-Accel-Redirect", "/public/x"),
        ("Forwarded", "for=127.0.0.1;host=public"),
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Real-IP", "127.0.0.1"),
        ("User-Agent", "GoogleHC/1.0"),
        ("User-Agent", "kube-probe/1.27"),
        ("User-Agent", "ELB-HealthChecker/2.0"),
        ("X-Auth-Request-Redirect", "/public/x"),
        ("Referer", "http://x/public/x"),
    ] {
        let answer = gateway.client().get("/admin/x").header(name, value).send();
        answer.refused(401, "token-missing");
    }
    assert_eq!(upstream.count(), 0);
}

// Holds: P2, P3, P4, P5
// Two knobs open at once must not open a third door: a way up behind a `;` for a backend that does not cut it off and
// reads `%2F` or `%5C` as a slash, and the overlong forms of five and six octets that decoders before RFC 3629 read.
#[test]
fn knobs_that_are_open_together_let_no_way_up_pass() {
    let upstream = Upstream::echo();
    let open = ["encoded_slash", "backslash", "semicolon", "non_utf8", "double_encoding"];
    let knobs: String = open.iter().map(|knob| format!("{knob} = \"pass\"\n")).collect();
    let toml = format!("[paths]\n{knobs}[routes]\n\"/open/**\" = \"public\"\n");
    let gateway = Gateway::in_front_of(&upstream, &toml);
    for path in [
        "/open/x;%2F..%2F..%2Fadmin",
        "/open/x;%5C..%5C..%5Cadmin",
        "/open/x;\\..\\..\\admin",
        "/open/;%2F..",
        "/open/%F8%80%80%80%AE%F8%80%80%80%AE/admin",
        "/open/%FC%80%80%80%80%AE%fc%80%80%80%80%ae/admin",
        "/open/%F8%80%80%80%AFadmin",
        "/open/%25F8%2580%2580%2580%25AE/admin",
    ] {
        gateway.client().get(path).send().refused(400, "bad-path");
    }
    assert_eq!(upstream.count(), 0);
    for path in ["/open/x;a=b/c", "/open/a%2Fb", "/open/caf%E9", "/open/x;%2Fy"] {
        gateway.client().get(path).send().expect(200);
    }
}
