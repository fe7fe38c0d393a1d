//! Which pattern wins: the most specific, whatever the order; by path, then host, then method; ties are errors.

use crate::harness::{Gateway, Upstream};

/// Each pattern is its own upstream path, so that the backend says which one won.
fn routes(patterns: &[&str]) -> String {
    let mut toml = String::from("[routes]\n");
    for (index, pattern) in patterns.iter().enumerate() {
        toml += &format!("\"{pattern}\" = {{ policy = \"public\", rewrite = \"/won/{index}\" }}\n");
    }
    toml
}

/// Asks each of `asks` (method, host, path) and compares the winning pattern; `-` is 404.
#[track_caller]
fn wins(patterns: &[&str], asks: &[(&str, &str, &str, &str)]) {
    let upstream = Upstream::echo();
    let turned: Vec<&str> = patterns.iter().rev().copied().collect();
    for patterns in [patterns, &turned] {
        let gateway = Gateway::in_front_of(&upstream, &routes(patterns));
        for (method, host, path, expected) in asks {
            upstream.forget();
            let response = gateway.client().request(method, path).header("Host", host).send();
            let won = match response.status {
                404 => "-",
                200 => {
                    let target = upstream.last().target().to_owned();
                    let index: usize = target["/won/".len()..].parse().expect("an index");
                    patterns[index]
                }
                other => panic!("{method} {host}{path}: {other}"),
            };
            assert_eq!(won, *expected, "{method} {host}{path} among {patterns:?}");
        }
    }
}

#[test]
fn a_literal_beats_a_segment_beats_the_rest_from_the_left() {
    let patterns = ["/**", "/a/**", "/a/*", "/a/b", "/*/b", "/a/{x}/c", "/a/b/**"];
    wins(
        &patterns,
        &[
            ("GET", "x", "/", "/**"),
            ("GET", "x", "/z/y", "/**"),
            ("GET", "x", "/z/b", "/*/b"),
            ("GET", "x", "/a", "/a/**"),
            ("GET", "x", "/a/z", "/a/*"),
            ("GET", "x", "/a/b", "/a/b"),
            ("GET", "x", "/a/z/c", "/a/{x}/c"),
            ("GET", "x", "/a/b/c", "/a/b/**"),
            ("GET", "x", "/a/z/d", "/a/**"),
        ],
    );
}

#[test]
fn double_star_matches_any_depth_and_the_path_before_it_but_no_longer_name() {
    wins(
        &["/admin/**", "/files/*"],
        &[
            ("GET", "x", "/admin", "/admin/**"),
            ("GET", "x", "/admin/", "/admin/**"),
            ("GET", "x", "/admin/a/b/c", "/admin/**"),
            ("GET", "x", "/administrator", "-"),
            ("GET", "x", "/admin.php", "-"),
            ("GET", "x", "/Admin", "-"),
            ("GET", "x", "/files/a", "/files/*"),
            ("GET", "x", "/files", "-"),
            ("GET", "x", "/files/a/b", "-"),
        ],
    );
}

#[test]
fn a_slash_at_the_end_is_no_difference_for_the_decision() {
    let patterns = ["/admin", "/a/b/", "/**"];
    let asks = [
        ("GET", "x", "/admin/", "/admin"),
        ("GET", "x", "/admin", "/admin"),
        ("GET", "x", "/a/b", "/a/b/"),
        ("GET", "x", "/admin/x", "/**"),
    ];
    wins(&patterns, &asks);
}

#[test]
fn an_escaped_letter_is_the_letter() {
    wins(
        &["/admin", "/caf%C3%A9", "/**"],
        &[
            ("GET", "x", "/%61dmin", "/admin"),
            ("GET", "x", "/adm%69n", "/admin"),
            ("GET", "x", "/caf%c3%a9", "/caf%C3%A9"),
        ],
    );
}

#[test]
fn a_named_host_beats_any_host_and_is_found_in_every_spelling() {
    wins(
        &["/a", "app.example.com/a", "app.example.com/**"],
        &[
            ("GET", "other.example", "/a", "/a"),
            ("GET", "app.example.com", "/a", "app.example.com/a"),
            ("GET", "APP.Example.COM", "/a", "app.example.com/a"),
            ("GET", "app.example.com:8080", "/a", "app.example.com/a"),
            ("GET", "app.example.com.", "/a", "app.example.com/a"),
            ("GET", "app.example.com", "/b", "app.example.com/**"),
            ("GET", "evil-app.example.com", "/b", "-"),
            ("GET", "app.example.com.evil", "/b", "-"),
        ],
    );
}

#[test]
fn the_path_is_compared_before_the_host() {
    wins(
        &["/a/b", "app.example/a/**"],
        &[
            ("GET", "app.example", "/a/b", "/a/b"),
            ("GET", "app.example", "/a/c", "app.example/a/**"),
        ],
    );
}

#[test]
fn a_named_method_beats_any_and_the_others_fall_to_the_next_pattern() {
    wins(
        &["/a", "POST,PUT /a", "GET /b", "/**"],
        &[
            ("POST", "x", "/a", "POST,PUT /a"),
            ("PUT", "x", "/a", "POST,PUT /a"),
            ("GET", "x", "/a", "/a"),
            ("DELETE", "x", "/a", "/a"),
            ("GET", "x", "/b", "GET /b"),
            ("DELETE", "x", "/b", "/**"),
        ],
    );
}

#[test]
fn head_follows_get() {
    let upstream = Upstream::echo();
    let toml = "[routes]\n\"/**\" = \"public\"\n\"GET /shut\" = \"access-required\"\n\"POST /post\" = \"access-required\"\n";
    let gateway = Gateway::in_front_of(&upstream, toml);
    let head = |path: &str| gateway.client().request("HEAD", path).send().status;
    assert_eq!((head("/shut"), head("/post"), head("/")), (401, 200, 200));
    assert!(upstream.requests().iter().all(|request| request.method() == "HEAD"));
}

#[test]
fn a_method_in_lower_case_is_another_method() {
    let upstream = Upstream::echo();
    let toml = "[routes]\n\"GET /a\" = \"public\"\n\"GET /shut\" = \"access-required\"\n";
    let gateway = Gateway::in_front_of(&upstream, toml);
    for request in ["get /a", "Get /shut", "gEt /a"] {
        let response = gateway.client().raw_one(format!("{request} HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert!(matches!(response.status, 404 | 501), "{request}: {}", response.status);
    }
    assert_eq!(upstream.count(), 0);
}

#[test]
fn methods_of_the_long_form_are_the_same_as_in_the_pattern() {
    let upstream = Upstream::echo();
    let toml = "[routes]\n\"/a\" = { policy = \"public\", methods = [\"GET\", \"POST\"] }\n";
    let gateway = Gateway::in_front_of(&upstream, toml);
    let status = |method: &str| gateway.client().request(method, "/a").send().status;
    assert_eq!(
        (status("GET"), status("POST"), status("HEAD"), status("PUT")),
        (200, 200, 200, 404)
    );
}

#[test]
fn routes_beyond_a_hundred_are_found_like_the_first() {
    for count in [1, 100, 101, 1000] {
        let mut toml = String::from("[routes]\n\"/**\" = \"deny\"\n");
        for index in 0..count {
            toml += &format!("\"h{index}.example/p{index}/**\" = \"public\"\n");
        }
        let gateway = Gateway::in_front_of(&Upstream::echo(), &toml);
        let last = count - 1;
        let ask =
            |host: &str, path: &str| gateway.client().get(path).header("Host", host).send().status;
        // The upstream is gone: 502 says that the request was let through.
        assert_eq!(ask(&format!("H{last}.EXAMPLE:80"), &format!("/%70{last}/x")), 502, "{count}");
        assert_eq!(ask(&format!("h{last}.example"), &format!("/P{last}/x")), 404, "{count}");
        assert_eq!(ask("h.example", &format!("/p{last}/x")), 404, "{count}");
    }
}
