//! What a pattern may be, what it says when it may not, captures, and rewrites.

use super::super::route::{Rewrite, RewritePart, RewriteSegment};
use super::*;

fn parse(text: &str) -> Pattern {
    Pattern::parse(text).unwrap_or_else(|fault| panic!("{text}: {fault:?}"))
}

fn literal(text: &str) -> Segment {
    Segment::Literal(text.to_owned())
}

#[test]
fn a_pattern_has_methods_a_host_and_segments() {
    let pattern = parse("GET,POST App.Example.com./users/{id}/*/café/**");
    assert_eq!(pattern.methods, ["GET", "POST"]);
    assert_eq!(pattern.host.as_deref(), Some("app.example.com"));
    assert_eq!(
        pattern.segments,
        [
            literal("users"),
            Segment::Named("id".to_owned()),
            Segment::Any,
            literal("caf%C3%A9"),
            Segment::Rest
        ]
    );
    assert_eq!(pattern.named("id"), Some(1));
    assert_eq!(pattern.named("users"), None);
}

#[test]
fn a_trailing_slash_is_dropped_and_the_root_is_empty() {
    assert_eq!(parse("/admin/"), parse("/admin"));
    assert_eq!(parse("/"), Pattern { methods: vec![], host: None, segments: vec![] });
    assert_eq!(parse("/**").segments, [Segment::Rest]);
    assert_eq!(parse("/a%2ab/my file").segments, [literal("a*b"), literal("my%20file")]);
    assert_eq!(parse("[::1]/x").host.as_deref(), Some("[::1]"));
}

#[track_caller]
fn refused(text: &str, at: &str, says: &str) {
    let fault = Pattern::parse(text).expect_err(text);
    assert_eq!(text.get(fault.at.clone()), Some(at), "{fault:?}");
    assert!(fault.what.contains(says), "{fault:?}");
}

#[test]
fn a_mistake_is_told_with_its_place_and_its_remedy() {
    refused("admin", "admin", "begins with `/`");
    refused("", "", "begins with `/`");
    refused("get /x", "get", "is `GET` meant?");
    refused("GET, POST /x", " POST", "separated by `,` alone");
    refused("GET  /x", "GET ", "one space");
    refused(" /x", "", "one space");
    refused("GET,GET /x", "GET", "named twice");
    refused("TRACE /x", "TRACE", "refused before any route");
    refused("h.test:80/x", "h.test:80", "write `h.test`");
    refused("*.test/x", "*.test", "in full");
    refused("http://h/x", "http:", "port");
    refused("u@h/x", "u@h", "character");
    refused("/a*b", "a*b", "`/a/*/c`");
    refused("/a/***", "***", "`%2A`");
    refused("/a/**/b", "b", "nothing can follow");
    refused("/a//b", "//", "empty");
    refused("//", "//", "empty");
    refused("/v{x}", "v{x}", "whole segment");
    refused("/{}", "{}", "a name is");
    refused("/{a b}", "{a b}", "a name is");
    refused("/{x}/{x}", "{x}", "named twice");
    refused("/a/../b", "..", "`..`");
    refused("/a%2Fb", "a%2Fb", "%2F");
    refused("/a;b", "a;b", "`;`");
    refused("/a?x=1", "a?x=1", "query");
    refused("/a#b", "a#b", "fragment");
    refused("/a%zz", "a%zz", "hexadecimal");
    refused("/a\\b", "a\\b", "backslash");
    let long = format!("/{}", "a".repeat(PATTERN_BYTES_MAX));
    refused(&long, &long, "at most 2048 bytes");
    refused(&"/a".repeat(PATTERN_SEGMENTS_MAX + 1), "a", "at most 64 segments");
}

#[test]
fn a_capture_is_the_decoded_text() {
    let rules = PathRules { pass_semicolon: true, pass_non_utf8: true, ..PathRules::default() };
    let pattern = parse("/users/{name}/**");
    let capture = |raw: &str| {
        let path = CanonicalPath::parse(raw, &rules).expect(raw);
        pattern.capture(&path, 1).map(Cow::into_owned)
    };
    assert_eq!(capture("/users/a%20b/c").as_deref(), Some("a b"));
    assert_eq!(capture("/users/caf%c3%a9/").as_deref(), Some("café"));
    assert_eq!(capture("/users/alice;admin=1").as_deref(), Some("alice"));
    assert_eq!(capture("/users/%ff"), None);
    assert_eq!(capture("/users"), None);
    let path = CanonicalPath::parse("/users/a/b", &rules).expect("a path");
    assert!(matches!(pattern.capture(&path, 1), Some(Cow::Borrowed("a"))));
    assert_eq!(pattern.capture(&path, 2), None);
    assert_eq!(pattern.capture(&path, 9), None);
}

fn rewrite(segments: Vec<RewriteSegment>) -> Rewrite {
    Rewrite { segments }
}

fn text(text: &str) -> RewritePart {
    RewritePart::Text(text.to_owned())
}

#[track_caller]
fn rewritten(pattern: &str, rewrite: &Rewrite, raw: &str) -> Result<String, PathFault> {
    let rules = PathRules::default();
    let path = CanonicalPath::parse(raw, &rules).expect(raw);
    rewrite.apply(&parse(pattern), &path, &rules).map(|path| path.as_str().to_owned())
}

#[test]
fn a_prefix_is_stripped() {
    let strip = rewrite(vec![RewriteSegment::Rest]);
    for (raw, wanted) in [
        ("/pub", "/"),
        ("/pub/", "/"),
        ("/pub/x", "/x"),
        ("/pub/x/", "/x/"),
        ("/pub/a%20b/c", "/a%20b/c"),
    ] {
        assert_eq!(rewritten("/pub/**", &strip, raw).as_deref(), Ok(wanted), "{raw}");
    }
    let move_it = rewrite(vec![RewriteSegment::Parts(vec![text("app")]), RewriteSegment::Rest]);
    for (raw, wanted) in [("/pub", "/app"), ("/pub/", "/app/"), ("/pub/x/", "/app/x/")] {
        assert_eq!(rewritten("/pub/**", &move_it, raw).as_deref(), Ok(wanted), "{raw}");
    }
    assert_eq!(rewritten("/**", &move_it, "/").as_deref(), Ok("/app/"));
}

#[test]
fn captures_keep_their_encoding() {
    let parts = vec![text("v"), RewritePart::Capture(1)];
    let to = rewrite(vec![RewriteSegment::Parts(parts), RewriteSegment::Rest]);
    assert_eq!(rewritten("/api/{v}/**", &to, "/api/2%20x/y/").as_deref(), Ok("/v2%20x/y/"));
    let to = rewrite(vec![]);
    assert_eq!(rewritten("/api/**", &to, "/api/x").as_deref(), Ok("/"));
}

#[test]
fn a_rewrite_never_makes_an_ambiguous_path() {
    // CVE-2026-48020: the outcome is parsed again, so what comes together is judged together.
    let dots = rewrite(vec![RewriteSegment::Parts(vec![text("."), RewritePart::Capture(0)])]);
    assert_eq!(rewritten("/{x}", &dots, "/a").as_deref(), Ok("/.a"));
    let twice = rewrite(vec![RewriteSegment::Parts(vec![RewritePart::Capture(0), text("2F")])]);
    assert_eq!(rewritten("/{x}", &twice, "/a%25"), Err(PathFault::DOUBLE_ENCODING));
    let empty = rewrite(vec![
        RewriteSegment::Parts(vec![]),
        RewriteSegment::Parts(vec![RewritePart::Capture(0)]),
    ]);
    assert_eq!(rewritten("/{x}", &empty, "/a"), Err(PathFault::EMPTY_SEGMENT));
    let climb = rewrite(vec![RewriteSegment::Parts(vec![text("..")]), RewriteSegment::Rest]);
    let rules = PathRules { resolve_dot_segments: true, ..PathRules::default() };
    let path = CanonicalPath::parse("/a/b", &rules).expect("a path");
    assert_eq!(climb.apply(&parse("/a/**"), &path, &rules), Err(PathFault::DOT_SEGMENT));
}

#[test]
fn a_rewrite_that_asks_for_what_the_pattern_lacks_is_a_fault() {
    assert!(rewritten("/a", &rewrite(vec![RewriteSegment::Rest]), "/a").is_err());
    let far = rewrite(vec![RewriteSegment::Parts(vec![RewritePart::Capture(7)])]);
    assert!(rewritten("/a", &far, "/a").is_err());
}
