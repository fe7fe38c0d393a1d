//! Where tokens are found, in which order, and that nothing of them is left behind.

use proptest::prelude::*;

use super::*;

fn headers(fields: &[(&HeaderName, &[u8])]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_bytes(value).expect("a test's own field"));
    }
    headers
}

#[track_caller]
fn cookie(fields: &[&str], expected: Presented<'_>) {
    let fields: Vec<_> = fields.iter().map(|field| (&COOKIE, field.as_bytes())).collect();
    assert_eq!(cookie::find(&headers(&fields), "access_token"), expected, "{fields:?}");
}

#[track_caller]
fn query(text: &str, expected: Presented<'_>) {
    assert_eq!(query::find(text, "access_token"), expected, "{text}");
}

/// Spellings that some backend reads as the name, beside those that the test of each place has.
const SPELLINGS: [&str; 12] = [
    "access%5Ftoken",
    "%61ccess_token",
    "access.token",
    "Access_Token",
    "ACCESS_TOKEN",
    "access_token%00",
    "%20access_token",
    "access%2etoken",
    "\"access_token\"",
    "\u{a0}access_token",
    "\u{2003}access_token",
    "access[token",
];

#[test]
fn the_bytes_of_a_token_are_those_of_rfc_6750() {
    for byte in 0..=u8::MAX {
        let good = byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        assert_eq!(is_token(&[b'a', byte]), good, "{byte}");
    }
}

#[test]
fn one_cookie_is_found_among_others() {
    cookie(&["access_token=a.b.c"], Presented::Token("a.b.c"));
    cookie(&["x=1; access_token=a.b.c; y=2"], Presented::Token("a.b.c"));
    cookie(&["x=1;\taccess_token = a.b.c ;y"], Presented::Token("a.b.c"));
    cookie(&["x=1", "access_token=\"a.b.c\""], Presented::Token("a.b.c"));
    for nothing in ["", "access_token", "access_token=", "x=access_token", "xaccess_token=a.b.c"] {
        cookie(&[nothing], Presented::Nothing);
    }
    for bad in
        ["access_token=a b", "access_token=\"a.b.c", "access_token=a,b", "access_token=a%2Eb"]
    {
        cookie(&[bad], Presented::Malformed);
    }
}

#[test]
fn two_cookies_of_one_name_are_too_many_in_any_spelling() {
    cookie(&["access_token=a.b.c; access_token=a.b.c"], Presented::Duplicated);
    cookie(&["access_token=a.b.c", "access_token=a.b.c"], Presented::Duplicated);
    cookie(&["access_token=; access_token=a.b.c"], Presented::Duplicated);
    cookie(&["access_token; access_token=a.b.c"], Presented::Duplicated);
    cookie(&["access_token=a.b.c;  access_token\t=d"], Presented::Duplicated);
    for hidden in [
        "x=1, access_token=d",
        "x=1 access_token = d",
        "x=\"1 access_token=d\"",
        "x=\"1\"access_token=d",
    ] {
        cookie(&[hidden], Presented::Nothing);
        cookie(&[hidden, "access_token=a.b.c"], Presented::Duplicated);
    }
    for spelling in SPELLINGS {
        cookie(&[&format!("{spelling}=d")], Presented::Nothing);
        cookie(&[&format!("access_token=a.b.c; {spelling}=d")], Presented::Duplicated);
    }
}

#[test]
fn one_parameter_is_found_in_any_spelling_that_decodes_to_its_name() {
    query("access_token=a.b.c", Presented::Token("a.b.c"));
    query("x=1&access%5ftoken=a.b.c&y", Presented::Token("a.b.c"));
    query("x=1;%61%63cess_token=a.b.c", Presented::Token("a.b.c"));
    for nothing in ["", "&", "access_token", "access_token=", "x=access_token=a", "xaccess_token=a"]
    {
        query(nothing, Presented::Nothing);
    }
    for bad in ["access_token=a%2Eb%2Ec", "access_token=a+b", "access_token=%", "access_token=a,b"]
    {
        let expected =
            if bad.ends_with("a+b") { Presented::Token("a+b") } else { Presented::Malformed };
        query(bad, expected);
    }
    query("access_token=a.b.c&access_token=a.b.c", Presented::Duplicated);
    query("access_token=a.b.c;access_token=", Presented::Duplicated);
    query("access_token=&access_token=a.b.c", Presented::Duplicated);
    query("access_token=a.b.c&+access_token+=d", Presented::Duplicated);
    for spelling in SPELLINGS {
        query(&format!("access_token=a.b.c&{spelling}=d"), Presented::Duplicated);
    }
}

#[test]
fn the_kind_that_is_wanted_says_which_cookie_is_read() {
    let names = Locations::default();
    let accept = Accept::of([Location::Cookie]);
    let both = headers(&[(&COOKIE, b"refresh_token=r; access_token=a")]);
    let one = headers(&[(&COOKIE, b"refresh_token=r; access_token=")]);
    let find = |cookies, headers| names.find(accept, cookies, headers, None).presented;
    assert_eq!(find(Cookies::Access, &both), Presented::Token("a"));
    assert_eq!(find(Cookies::Refresh, &both), Presented::Token("r"));
    assert_eq!(find(Cookies::Either, &both), Presented::Token("a"));
    assert_eq!(find(Cookies::Access, &one), Presented::Nothing);
    assert_eq!(find(Cookies::Either, &one), Presented::Token("r"));
}

#[test]
fn other_cookies_stay_byte_for_byte() {
    let names = Locations::default();
    for (sent, left) in [
        ("a=1; access_token=t; b=2", Some("a=1; b=2")),
        ("access_token=t; b=\"x y\";c", Some("b=\"x y\";c")),
        ("a=1;access_token=t", Some("a=1")),
        ("refresh_token=t;  a = 1 ;; b", Some("a = 1 ;; b")),
        ("access_token=t; refresh_token=r", None),
        ("a=1, access_token=t; b", Some("b")),
        ("a=%41; access%5Ftoken=t; b=caf\u{e9}", Some("a=%41; b=caf\u{e9}")),
        ("a=1; b=access_token", Some("a=1; b=access_token")),
    ] {
        let mut headers = headers(&[(&COOKIE, sent.as_bytes())]);
        names.strip_cookies(&mut headers, false);
        assert_eq!(
            headers.get(COOKIE).map(HeaderValue::as_bytes),
            left.map(str::as_bytes),
            "{sent}"
        );
    }
    let mut kept = headers(&[(&COOKIE, b"access_token=t; refresh_token=r"), (&COOKIE, b"a=1")]);
    names.strip_cookies(&mut kept, true);
    let fields: Vec<_> = kept.get_all(COOKIE).iter().collect();
    assert_eq!(fields, ["access_token=t", "a=1"]);
}

#[test]
fn other_parameters_stay_byte_for_byte() {
    let names = Locations::default();
    for (sent, left) in [
        ("a=1&access_token=t&b=%41", Some("a=1&b=%41")),
        ("access_token=t&a=+;b", Some("a=+;b")),
        ("a=1;access_token=t&b", Some("a=1&b")),
        ("a=1&access_token=t", Some("a=1")),
        ("access_token=t", None),
        ("access_token=t&access%5Ftoken=u;Access-Token=v", None),
        ("&access_token=t&&a", Some("&&a")),
        ("a=access_token", Some("a=access_token")),
        ("", Some("")),
    ] {
        assert_eq!(names.strip_query(sent).as_deref(), left, "{sent}");
    }
}

/// One location of a random request: what is written there, and what it holds.
fn state() -> impl Strategy<Value = u8> {
    0u8..5
}

/// What the model says of a state.
fn model(state: u8, token: &'static str) -> Presented<'static> {
    match state {
        1 => Presented::Token(token),
        2 => Presented::Malformed,
        3 => Presented::Duplicated,
        _ => Presented::Nothing,
    }
}

/// Writes a state with signs between the name and the value as they are there.
fn write(state: u8, name: &str, token: &str, between: &str) -> Option<String> {
    match state {
        1 => Some(format!("{name}{token}")),
        2 => Some(format!("{name}canary?{token}")),
        3 => Some(format!("{name}{token}{between}{name}{token}")),
        4 => Some(name.to_owned()),
        _ => None,
    }
}

proptest! {
    #[test]
    fn of_any_mix_the_first_accepted_location_that_holds_something_decides(
        order in Just(vec![Location::Header, Location::Cookie, Location::Query]).prop_shuffle(),
        accepted in 0usize..4,
        states in [state(), state(), state()],
    ) {
        let names = Locations::default();
        let mut headers = HeaderMap::new();
        // Without a token the scheme alone is a mistake: another scheme holds nothing.
        let field = match states[0] {
            4 => Some("Basic YTpi".to_owned()),
            state => write(state, "Bearer ", "canary.h", ", "),
        };
        if let Some(field) = field {
            headers.append(AUTHORIZATION, HeaderValue::try_from(field).expect("plain"));
        }
        if let Some(field) = write(states[1], "access_token=", "canary.c", "; ") {
            let field = HeaderValue::try_from(format!("a=1; {field}; b=2")).expect("plain");
            headers.append(COOKIE, field);
        }
        let query = write(states[2], "access_token=", "canary.q", "&").map(|text| format!("a=1&{text}&b"));
        let accept = Accept::of(order.iter().copied().take(accepted));
        let found = names.find(accept, Cookies::Access, &headers, query.as_deref());
        let at = |location| match location {
            Location::Header => model(states[0], "canary.h"),
            Location::Cookie => model(states[1], "canary.c"),
            Location::Query => model(states[2], "canary.q"),
        };
        let first = accept.iter().find(|one| at(*one) != Presented::Nothing);
        prop_assert_eq!(found.location, first);
        prop_assert_eq!(found.presented, first.map_or(Presented::Nothing, at));
        // And of none of them anything is left.
        if names.in_header(&headers) {
            headers.remove(AUTHORIZATION);
        }
        names.strip_cookies(&mut headers, false);
        let left = query.as_deref().and_then(|query| names.strip_query(query));
        let all = format!("{headers:?} {left:?}");
        prop_assert!(!all.contains("canary"), "{}", all);
        prop_assert_eq!(headers.contains_key(AUTHORIZATION), states[0] == 4);
        if let Some(left) = left {
            prop_assert_eq!(left, "a=1&b");
        }
    }

    #[test]
    fn what_is_left_of_a_cookie_field_holds_no_token_and_all_else(field in "(access_token=?|refresh_token=?|%61ccess\\.token|a|[;,= \"%\t])*") {
        let names = Locations::default();
        let mut map = headers(&[(&COOKIE, field.as_bytes())]);
        names.strip_cookies(&mut map, false);
        prop_assert_eq!(cookie::find(&map, "access_token"), Presented::Nothing);
        let after = map.clone();
        names.strip_cookies(&mut map, false);
        prop_assert_eq!(&map, &after, "once is enough");
        if let Some(left) = map.get(COOKIE) {
            let left = left.to_str().expect("ASCII");
            let mut pieces = field.split(';');
            for piece in left.split(';') {
                prop_assert!(pieces.any(|one| one.trim_start() == piece.trim_start()), "{} of {}", piece, field);
            }
        }
    }

    #[test]
    fn what_is_left_of_a_query_holds_no_token_and_all_else(text in "(access_token|%61ccess_token|a|[&;=+%])*") {
        let names = Locations::default();
        let left = names.strip_query(&text).unwrap_or_default();
        prop_assert!(!names.in_query(&left));
        let again = names.strip_query(&left).unwrap_or_default();
        prop_assert_eq!(&*again, &*left, "once is enough");
        let mut pieces = text.split(['&', ';']);
        for piece in left.split(['&', ';']) {
            prop_assert!(piece.is_empty() || pieces.any(|one| one == piece), "{} of {}", piece, text);
        }
    }
}
