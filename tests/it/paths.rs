//! One canonical path, judged and forwarded; what has two readings is refused before any policy.

use crate::harness::{Gateway, Upstream};

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
