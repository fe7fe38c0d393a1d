//! One spelling per path, each refusal with its reason, each knob. What other readers make of it: tests/statements.

use proptest::prelude::*;

use super::*;

const STRICT: PathRules = PathRules {
    resolve_dot_segments: false,
    merge_slashes: false,
    pass_encoded_slash: false,
    pass_backslash: false,
    pass_semicolon: false,
    pass_double_encoding: false,
    pass_non_utf8: false,
};

#[track_caller]
fn becomes(raw: &str, rules: &PathRules, wanted: &str) {
    let path = CanonicalPath::parse(raw, rules);
    assert_eq!(path.as_ref().map(CanonicalPath::as_str), Ok(wanted), "{raw}");
    let again = CanonicalPath::parse(wanted, rules).expect("canonical");
    assert_eq!(again.as_str(), wanted);
    assert_eq!(again.judged(), path.expect("parsed").judged());
}

#[track_caller]
fn refused(raw: &str, rules: &PathRules, fault: PathFault) {
    assert_eq!(CanonicalPath::parse(raw, rules), Err(fault), "{raw:?}");
}

#[test]
fn one_path_has_one_spelling() {
    for (raw, wanted) in [
        ("/", "/"),
        ("/admin", "/admin"),
        ("/%61dmin", "/admin"),
        ("/%61%64%6D%69%6e/", "/admin/"),
        ("/a|b\"c{d}e^f[g]h`i<j>", "/a%7Cb%22c%7Bd%7De%5Ef%5Bg%5Dh%60i%3Cj%3E"),
        ("/café", "/caf%C3%A9"),
        ("/caf%c3%a9", "/caf%C3%A9"),
        ("/a%20b c", "/a%20b%20c"),
        ("/!$&'()*+,=:@-._~", "/!$&'()*+,=:@-._~"),
        ("/%21%24%26%27%28%29%2a%2B%2c%3D%3a%40%2D%2e%5f%7e", "/!$&'()*+,=:@-._~"),
        ("/a%23b%3Fc", "/a%23b%3Fc"),
        ("/100%25", "/100%25"),
        ("/%25zz/%252", "/%25zz/%252"),
        ("/...", "/..."),
        ("/.a/a./a..b", "/.a/a./a..b"),
    ] {
        becomes(raw, &STRICT, wanted);
    }
}

#[test]
fn a_canonical_path_is_borrowed() {
    for raw in ["/", "/admin/users/7/", "/caf%C3%A9/a%20b", "/100%25"] {
        let path = CanonicalPath::parse(raw, &STRICT).expect(raw);
        assert!(matches!(path.text, Cow::Borrowed(_)), "{raw}");
    }
}

#[test]
fn each_ambiguity_is_refused_with_its_reason() {
    use PathFault as F;
    for (fault, all) in [
        (F::NOT_ABSOLUTE, &["", "a", "*", "%2Fa", "http://h/a", "?x"][..]),
        (
            F::DOT_SEGMENT,
            &["/.", "/..", "/a/./b", "/a/../b", "/%2e", "/a/%2E%2e/b", "/a/.%2e", "/a/%2e./"],
        ),
        (F::ENCODED_SLASH, &["/a%2Fb", "/a%2fb", "/..%2fa", "/%2f"]),
        (F::BACKSLASH, &["/a\\b", "/a%5Cb", "/a%5cb", "/..\\a"]),
        (F::SEMICOLON, &["/a;b", "/a%3Bb", "/a%3bb", "/..;/a", "/;/a"]),
        (F::EMPTY_SEGMENT, &["//", "//a", "/a//b", "/a//"]),
        (F::CONTROL, &["/a%00", "/\0", "/a%0d%0aX:", "/a\tb", "/a%1F", "/a%7f", "/\x7f"]),
        (F::BAD_ESCAPE, &["/%zz", "/%4", "/%", "/a%4/b", "/%u002e", "/%+1", "/%é1"]),
        (F::FRAGMENT, &["/admin#/public"]),
        (F::QUERY, &["/admin?x"]),
        (
            F::NOT_UTF8,
            &[
                "/%ff",
                "/%c0%af",
                "/%C0%AE%C0%AE/a",
                "/%e0%80%af",
                "/%c3",
                "/%c3/%a9",
                "/%ed%a0%80",
                "/%f5%80%80%80",
            ],
        ),
        (F::DOUBLE_ENCODING, &["/%252e%252e/a", "/%2561", "/%25%36%31", "/%25%32e", "/%25252e"]),
    ] {
        for raw in all {
            refused(raw, &STRICT, fault);
        }
    }
    refused(&"/a".repeat(SEGMENTS_MAX + 1), &STRICT, F::TOO_MANY_SEGMENTS);
    assert!(CanonicalPath::parse(&"/a".repeat(SEGMENTS_MAX), &STRICT).is_ok());
    assert_eq!(CanonicalPath::parse_bytes(b"/\xff", &STRICT), Err(F::NOT_UTF8));
    assert_eq!(CanonicalPath::parse_bytes(b"/\xc3\xa9", &STRICT).expect("é").as_str(), "/%C3%A9");
}

#[test]
fn dot_segments_are_resolved_where_asked() {
    let rules = PathRules { resolve_dot_segments: true, ..STRICT };
    for (raw, wanted) in [
        ("/a/b/c/./../../g", "/a/g"),
        ("/public/%2e%2E/admin", "/admin"),
        ("/a/.", "/a/"),
        ("/a/b/..", "/a/"),
        ("/a/..", "/"),
        ("/./", "/"),
        ("/a/../b/", "/b/"),
        ("/%61/./b", "/a/b"),
    ] {
        becomes(raw, &rules, wanted);
    }
    refused("/..", &rules, PathFault::ABOVE_ROOT);
    refused("/a/../../b", &rules, PathFault::ABOVE_ROOT);
    refused("/a//../b", &rules, PathFault::EMPTY_SEGMENT);
    refused("/a/..%2fb", &rules, PathFault::ENCODED_SLASH);
    refused("/a/..;/b", &rules, PathFault::SEMICOLON);
    refused("/a/%252e%252e/b", &rules, PathFault::DOUBLE_ENCODING);
}

#[test]
fn slashes_are_merged_where_asked() {
    let rules = PathRules { merge_slashes: true, ..STRICT };
    for (raw, wanted) in
        [("//", "/"), ("///a//b", "/a/b"), ("/a//", "/a/"), ("//%61", "/a"), ("/a/b", "/a/b")]
    {
        becomes(raw, &rules, wanted);
    }
    refused("/a//../b", &rules, PathFault::DOT_SEGMENT);
    let both = PathRules { resolve_dot_segments: true, ..rules };
    becomes("/a//../b", &both, "/b");
    becomes("/a/..//b/.//", &both, "/b/");
}

#[test]
fn an_encoded_slash_or_backslash_stays_in_its_segment_where_it_passes() {
    let rules = PathRules { pass_encoded_slash: true, pass_backslash: true, ..STRICT };
    becomes("/a%2fb/c", &rules, "/a%2Fb/c");
    becomes("/a\\b%5cc", &rules, "/a%5Cb%5Cc");
    becomes("/https:%2F%2Fx", &rules, "/https:%2F%2Fx");
    for raw in ["/a/..%2Fb", "/a/%2e%2e%2fb", "/a%2F..", "/..\\a", "/x%5c.%5cy", "/x%2F..%5Cy"] {
        refused(raw, &rules, PathFault::DOT_SEGMENT);
    }
}

#[test]
fn parameters_are_forwarded_and_not_judged_where_they_pass() {
    let rules = PathRules { pass_semicolon: true, ..STRICT };
    for (raw, sent, judged) in [
        ("/admin;a=b/x", "/admin;a=b/x", "/admin/x"),
        ("/a;x;y/b;z", "/a;x;y/b;z", "/a/b"),
        ("/%61;%62", "/a;b", "/a"),
        ("/a/;x", "/a/;x", "/a/"),
        ("/a/b", "/a/b", "/a/b"),
    ] {
        let path = CanonicalPath::parse(raw, &rules).expect(raw);
        assert_eq!((path.as_str(), path.judged()), (sent, judged), "{raw}");
        becomes(raw, &rules, sent);
    }
    for raw in ["/a/..;x/b", "/a/.;/b", "/%2e%2e;/b"] {
        refused(raw, &rules, PathFault::DOT_SEGMENT);
    }
    // A servlet container reads `b;x`, which is not `b`: a public `/a/b` would open it.
    for raw in ["/a/b%3Bx", "/a/b;x%3b", "/..%3Bx"] {
        refused(raw, &rules, PathFault::SEMICOLON);
    }
    refused("/;x/admin", &rules, PathFault::EMPTY_SEGMENT);
    let resolve = PathRules { resolve_dot_segments: true, ..rules };
    refused("/a/..;x/b", &resolve, PathFault::DOT_SEGMENT);
}

#[test]
fn double_encoding_passes_only_where_it_is_harmless_all_the_way_down() {
    let rules = PathRules { pass_double_encoding: true, ..STRICT };
    becomes("/a%2520b", &rules, "/a%2520b");
    becomes("/%2561", &rules, "/%2561");
    becomes("/%25%36%31", &rules, "/%2561");
    for raw in [
        "/%252e%252e/a",
        "/%252e",
        "/.%252e",
        "/a%252Fb",
        "/a%255cb",
        "/a%253bx",
        "/a%2500",
        "/a%250a",
        "/a%25252fb",
        "/%25%32%65",
        "/%25c0%25af",
        "/a%252525252520",
    ] {
        refused(raw, &rules, PathFault::DEEP_SEPARATOR);
    }
}

#[test]
fn escapes_that_are_no_utf8_pass_where_asked_but_never_overlong_ones() {
    let rules = PathRules { pass_non_utf8: true, ..STRICT };
    becomes("/caf%e9", &rules, "/caf%E9");
    becomes("/%ff%FE", &rules, "/%FF%FE");
    for raw in ["/%c0%af", "/%C0%AE%C0%AE/", "/%e0%80%af", "/%f0%80%80%af"] {
        refused(raw, &rules, PathFault::NOT_UTF8);
    }
}

fn some_rules() -> impl Strategy<Value = PathRules> {
    prop::array::uniform7(any::<bool>()).prop_map(|on| PathRules {
        resolve_dot_segments: on[0],
        merge_slashes: on[1],
        pass_encoded_slash: on[2],
        pass_backslash: on[3],
        pass_semicolon: on[4],
        pass_double_encoding: on[5],
        pass_non_utf8: on[6],
    })
}

/// Paths made of the pieces that attacks are made of.
fn a_nasty_path() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "/", "/", "/", "a", "admin", ".", "..", "%2e", "%2E", "%2f", "%2F", "\\", "%5c", ";",
        "%3b", "%25", "%", "2", "5", "e", "f", "%61", "%00", "%0a", "é", "%c3%a9", "%c0", "%af",
        "%ff", "#", "?", " ", "%23", "%3f", "|", "%7c", "~", "%7E", "x=1",
    ]);
    prop::collection::vec(piece, 0..12).prop_map(|pieces| format!("/{}", pieces.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn what_is_canonical_is_not_copied(raw in a_nasty_path(), rules in some_rules()) {
        if let Ok(path) = CanonicalPath::parse(&raw, &rules) {
            let again = CanonicalPath::parse(path.as_str(), &rules).expect("canonical");
            prop_assert!(matches!(again.text, Cow::Borrowed(_)));
        }
    }
}
