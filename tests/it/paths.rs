//! One canonical path, judged and forwarded; what has two readings is refused before any policy.

use crate::harness::{Gateway, Upstream, forge};

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

#[test]
fn a_target_that_is_not_a_path_is_400() {
    let upstream = Upstream::echo();
    let gateway = Gateway::in_front_of(&upstream, &format!("{ROUTES}\"/**\" = \"public\"\n"));
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

/// The target that the backend gets for each.
#[track_caller]
fn forwarded(paths: &str, pairs: &[(&str, &str)]) {
    let upstream = Upstream::echo();
    let toml =
        format!("[paths]\n{paths}\n[routes]\n\"/**\" = \"public\"\n\"/admin/**\" = \"deny\"\n");
    let gateway = Gateway::in_front_of(&upstream, &toml);
    for (asked, sent) in pairs {
        let response = gateway.client().get(asked).send();
        match *sent {
            "400" => assert_eq!(response.code(), "bad-path", "{asked} with {paths}"),
            "404" => assert_eq!(response.code(), "no-route", "{asked} with {paths}"),
            sent => {
                assert_eq!(response.status, 200, "{asked} with {paths}");
                assert_eq!(upstream.last().target(), sent, "{asked} with {paths}");
            }
        }
    }
}

#[test]
fn every_octet_of_a_path_has_one_spelling_at_the_backend() {
    forwarded(
        "",
        &[
            ("/", "/"),
            ("/a/b/", "/a/b/"),
            ("/%61%62", "/ab"),
            ("/%41", "/A"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/a%20b", "/a%20b"),
            ("/x%7ey", "/x~y"),
            ("/...", "/..."),
            ("/.well-known/x", "/.well-known/x"),
            ("/a..b/.x/x.", "/a..b/.x/x."),
            ("/%61dmin", "404"),
            ("/ADMIN", "/ADMIN"),
            ("/100%25", "/100%25"),
        ],
    );
}

#[test]
fn queries_mean_the_same_and_are_spelled_by_the_book() {
    forwarded(
        "",
        &[
            ("/?a=../..//;x&b=%2f%5c", "/?a=../..//;x&b=%2f%5c"),
            ("/?do[save]=1", "/?do%5Bsave%5D=1"),
            ("/?", "/?"),
            ("/x?a=100%", "/x?a=100%25"),
            ("/x?a?b", "/x?a?b"),
        ],
    );
}

#[test]
fn dot_segments_resolve_where_the_knob_says_so_before_judging() {
    forwarded(
        "dot_segments = \"resolve\"",
        &[
            ("/a/../b", "/b"),
            ("/a/./b", "/a/b"),
            ("/a/%2e%2E/b", "/b"),
            ("/a/b/..", "/a/"),
            ("/x/../admin", "404"),
            ("/../x", "400"),
            ("/a/..%2fadmin", "400"),
            ("/a//b", "400"),
        ],
    );
}

#[test]
fn slashes_merge_where_the_knob_says_so_before_judging() {
    forwarded(
        "double_slash = \"merge\"",
        &[
            ("//a///b", "/a/b"),
            ("//", "/"),
            ("//admin", "404"),
            ("/x/..//admin", "400"),
            ("//admin/x", "404"),
        ],
    );
}

#[test]
fn encoded_slashes_pass_inside_their_segment_where_the_knob_says_so() {
    forwarded(
        "encoded_slash = \"pass\"",
        &[
            ("/a%2fb", "/a%2Fb"),
            ("/a%2Fb", "/a%2Fb"),
            ("/admin%2fx", "/admin%2Fx"),
            ("/a%5cb", "400"),
            ("/x/..%2fadmin", "400"),
        ],
    );
}

#[test]
fn backslashes_pass_as_a_letter_where_the_knob_says_so() {
    forwarded(
        "backslash = \"pass\"",
        &[("/a%5cb", "/a%5Cb"), ("/a\\b", "/a%5Cb"), ("/a%2fb", "400"), ("/..%5cadmin", "400")],
    );
}

#[test]
fn parameters_are_cut_off_for_judging_where_the_knob_lets_them_pass() {
    forwarded(
        "semicolon = \"pass\"",
        &[
            ("/a;x=1/b", "/a;x=1/b"),
            ("/admin;x=1", "404"),
            ("/admin;x/y", "404"),
            ("/x/..;/admin", "400"),
            ("/x/.;a/y", "400"),
        ],
    );
}

#[test]
fn text_escaped_twice_passes_where_the_knob_says_so_unless_it_hides_a_separator() {
    forwarded(
        "double_encoding = \"pass\"",
        &[
            ("/100%2541", "/100%2541"),
            ("/x%252fy", "400"),
            ("/%252e%252e/admin", "400"),
            ("/x%255c", "400"),
            ("/x%2500", "400"),
            ("/x%25252f", "400"),
        ],
    );
}

#[test]
fn escapes_that_are_not_utf_8_pass_where_the_knob_says_so() {
    forwarded(
        "non_utf8 = \"pass\"",
        &[("/caf%e9", "/caf%E9"), ("/%c0%ae%c0%ae/admin", "400"), ("/x%c0%afy", "400")],
    );
}

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
