//! The statements of tests/statements with made-up inputs: a few hundred each, made of the pieces that attacks are made
//! of. The fuzz targets in tests/fuzz ask the same of millions; what they start from is asked here too.

#[path = "statements/mod.rs"]
mod statements;

use std::fs;
use std::path::Path;

use http::{HeaderName, HeaderValue};
use proptest::prelude::*;
use proptest::sample::select;
use statements::spellings::spellings_of_admin;
use statements::{
    configuration, credentials, firewall, jsons, paths, places, routes, tokens, wire,
};

/// A text glued together of these.
fn glued(pieces: &'static [&'static str], most: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(select(pieces), 0..most).prop_map(|pieces| pieces.concat())
}

/// Every file that a fuzz target starts from.
fn seeds(target: &str, mut hold: impl FnMut(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/seeds").join(target);
    let mut count = 0;
    for entry in fs::read_dir(&folder).expect("the seeds of a target") {
        let path = entry.expect("readable").path();
        println!("{}", path.display());
        hold(&fs::read(&path).expect("readable"));
        count += 1;
    }
    assert!(count > 2, "only {count} seeds in {}", folder.display());
}

#[test]
fn what_the_fuzz_targets_start_from_holds() {
    let folder = tempfile::tempdir().expect("a directory");
    seeds("paths", paths::hold);
    seeds("routes", routes::hold);
    seeds("tokens", tokens::hold);
    seeds("headers", |data| match data.split_first() {
        Some((b'\n', values)) => credentials::hold(values),
        _ => firewall::hold(data),
    });
    seeds("places", places::hold);
    seeds("wire", wire::hold);
    seeds("configuration", |data| configuration::hold(data, folder.path()));
}

#[test]
fn no_spelling_of_a_path_is_judged_as_another() {
    let spellings = spellings_of_admin();
    assert!(spellings.len() >= 470, "{}", spellings.len());
    // Each knob alone, and each with each: the others are up to the fuzz target.
    for knobs in (0..128_u8).filter(|knobs| knobs.count_ones() <= 2) {
        for spelling in &spellings {
            paths::hold_for(spelling.as_bytes(), &paths::rules(knobs));
        }
    }
}

const PATHS: &[&str] = &[
    "/", "/", "/", "a", "admin", ".", "..", "%2e", "%2E", "%2f", "%2F", "\\", "%5c", ";", "%3b",
    "%25", "%", "2", "5", "e", "f", "%61", "%00", "%0a", "é", "%c3%a9", "%c0", "%af", "%ff", "#",
    "?", " ", "%23", "%3f", "|", "%7c", "~", "%7E", "x=1", "%252e", "%252F", "..;",
];

/// What cookies and queries with tokens are made of, and what looks like them.
const PLACES: &[&str] = &[
    "access_token",
    "access_token=",
    "refresh_token=",
    "ACCESS_TOKEN=",
    "access.token=",
    "access token=",
    "access%5Ftoken=",
    "acc%65ss_token=",
    "x.y.z",
    "=",
    ";",
    "; ",
    "&",
    "+",
    ",",
    " ",
    "\"",
    "\n",
    "%20",
    "%00",
    "a=b",
    "\u{a0}",
    "sid=7",
];

const PATTERNS: &[&str] = &[
    "a", "b", "%61", "*", "**", "{x}", "{y}", "/", "/", "/", "GET ", "HEAD ", "GET,PUT ", "h.test",
    "H.TEST.",
];

const JSON: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"a\"",
    "\"b\"",
    "\"\\u0061\"",
    "\"\\ud83d\\ude00\"",
    "\"\\ud800\"",
    "1",
    "-0.5e3",
    "1e400",
    "01",
    "true",
    "null",
    " ",
    "\n",
    "\"",
    "\\",
    "{\"a\":",
    "\"b\":[",
    "}}",
];

/// Members that replace those of a good payload; an empty text takes one away.
const CLAIMS: &[(&str, &str)] = &[
    ("sub", "\"\""),
    ("sub", ""),
    ("sub", "7"),
    ("type", "\"refresh\""),
    ("type", "\"Access\""),
    ("type", ""),
    ("jti", "\"\""),
    ("jti", ""),
    ("jti", "null"),
    ("iat", "1800000001"),
    ("iat", "\"1\""),
    ("iat", ""),
    ("exp", "1800000000"),
    ("exp", "1800000000.5"),
    ("exp", "-1"),
    ("exp", "253402300800"),
    ("exp", ""),
    ("nbf", "1800000005"),
    ("nbf", "true"),
    ("auth_time", "1e300"),
    ("auth_time", "1800000001"),
    ("fresh", "true"),
    ("fresh", "1800000000"),
    ("fresh", "1799999999.9"),
    ("fresh", "\"yes\""),
    ("sid", "\"s\""),
    ("sid", "1"),
    ("iss", "\"us\""),
    ("iss", "[\"us\"]"),
    ("aud", "[\"app\"]"),
    ("aud", "[1]"),
    ("aud", "\"app\""),
    ("roles", "[{},null]"),
    ("x", "{\"a\":1,\"a\":1}"),
    ("jti", "\"a\",\"jti\":\"b\""),
];

/// A good payload, with some of its members replaced.
fn payload(changes: &[(&'static str, &'static str)]) -> String {
    let mut members = vec![
        ("sub", "\"u\""),
        ("type", "\"access\""),
        ("jti", "\"i\""),
        ("iat", "1800000000"),
        ("exp", "1800000060"),
    ];
    for (name, value) in changes {
        members.retain(|(own, _)| own != name);
        members.push((name, value));
    }
    let members = members.iter().filter(|(_, value)| !value.is_empty());
    let members: Vec<String> = members.map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", members.join(","))
}

/// The header of our tokens.
const GOOD: &str = "{\"alg\":\"HS256\",\"kid\":\"k1\"}";

const HEADERS: &[&str] = &[
    GOOD,
    GOOD,
    GOOD,
    GOOD,
    GOOD,
    "{\"alg\":\"HS256\",\"kid\":\"k1\"}",
    "{\"alg\":\"HS256\",\"kid\":\"k2\"}",
    "{\"alg\":\"HS256\"}",
    "{\"alg\":\"HS256\",\"kid\":\"k3\"}",
    "{\"alg\":\"HS512\",\"kid\":\"k3\"}",
    "{\"alg\":\"EdDSA\"}",
    "{\"alg\":\"HS256\",\"kid\":\"k4\"}",
    "{\"alg\":\"HS256\",\"kid\":\"k5\"}",
    "{\"alg\":\"none\"}",
    "{\"alg\":\"HS256\",\"crit\":[]}",
    "{\"alg\":\"HS256\",\"alg\":\"HS256\"}",
    "[]",
    "{\"alg\":\"hs256\"}",
];

const NAMES: &[&str] = &[
    "host",
    "accept",
    "connection",
    "connection",
    "x-user-id",
    "x_user_id",
    "x.user.roles",
    "X-TEAM",
    "x-forwarded-for",
    "x_forwarded_host",
    "x-forwarded-proto",
    "forwarded",
    "via",
    "x-request-id",
    "te",
    "content-length",
    "content_length",
    "transfer-encoding",
    "authorization",
    "remote_user",
    "x-a",
    "x-b",
];

const VALUES: &[&str] = &[
    "x-a",
    "x-user-id",
    ",",
    ", ",
    "close",
    "app.test",
    "Bearer a.b.c",
    "bearer",
    " ",
    "Basic YTpi",
    "root",
    "1.2.3.4",
    "https",
    "\u{e9}",
    "\"",
    ";",
];

const WIRE: &[&str] = &[
    "GET ",
    "/",
    " HTTP/1.1\r\n",
    "\r\n",
    "\r\n\r\n",
    "\n",
    "\r",
    "host: h\r\n",
    "a: b\r\n",
    ":",
    "content-length: 5\r\n",
    "transfer-encoding: chunked\r\n",
    "hello",
    "0\r\n\r\n",
    "5\r\nhello\r\n",
    ";",
    "\0",
    "\u{e9}",
    " ",
    "upgrade: x\r\n",
];

const STARTS: &[&str] = &[
    "GET /a HTTP/1.1\r\nhost: h\r\n",
    "POST /b?c HTTP/1.1\r\nHost: [::1]:80\r\n",
    "HEAD / HTTP/1.1\r\nhost: h\r\n",
    "POST / HTTP/1.0\r\n",
    "\r\nGET / HTTP/1.1\r\nhost: h\r\n",
    "GET /a#b HTTP/1.1\r\nhost: h\r\n",
    "GET / HTTP/1.1\r\n",
    "GET http://h/ HTTP/1.1\r\nhost: h\r\n",
    "GET HTTP://H.:80?a HTTP/1.1\r\nhost: h\r\n",
    "GET http://i/ HTTP/1.1\r\nhost: h\r\n",
    "GET http://h:81/ HTTP/1.1\r\nhost: h\r\n",
    "GET http://u@h/ HTTP/1.1\r\nhost: h\r\n",
    "GET https://h/ HTTP/1.1\r\nhost: h\r\n",
    "GET http://h/ HTTP/1.0\r\n",
    "get / HTTP/1.1\r\nhost: h\r\n",
    "GET  / HTTP/1.1\r\nhost: h\r\n",
];

const FIELDS: &[&str] = &[
    "a: b\r\n",
    "host: i\r\n",
    "content-length: 5\r\n",
    "content-length: 05\r\n",
    "content-length: +5\r\n",
    "content-length: 5, 5\r\n",
    "Content_Length: 5\r\n",
    "transfer-encoding: chunked\r\n",
    "Transfer-Encoding:CHUNKED\r\n",
    "transfer-encoding: gzip, chunked\r\n",
    "transfer.encoding: chunked\r\n",
    "upgrade: x\r\n",
    "expect: 100-continue\r\n",
    "content-type: t\r\n",
    "a : b\r\n",
    "a\r\n",
    " a: b\r\n",
    "a: b\n",
    "a: \0\r\n",
    "a:\tb\u{e9} \r\n",
    ": b\r\n",
];

const BODIES: &[&str] = &[
    "",
    "",
    "hello",
    "0\r\n\r\n",
    "5\r\nhello\r\n0\r\n\r\n",
    "3;x=\"y\"\r\nabc\r\n00\r\nt: v\r\n\r\n",
    "\r\n\r\n",
    "\r\nhello\r\n0\r\n\r\n",
    "5\nhello\r\n0\r\n\r\n",
    "5\r\nhello\n0\r\n\r\n",
    "5\r\nhelloX\r\n0\r\n\r\n",
    "5 \r\nhello\r\n0\r\n\r\n",
    "-1\r\n",
    "0x5\r\nhello\r\n0\r\n\r\n",
    "fffffffffffffffff\r\n",
    "0\r\nt : v\r\n\r\n",
    "0\r\nt: v\n\r\n",
    "0;\0\r\n\r\n",
    "5\r\nhel",
];

/// A request that may be one, or nearly one.
fn a_request() -> impl Strategy<Value = String> {
    (select(STARTS), prop::collection::vec(select(FIELDS), 0..3), select(BODIES))
        .prop_map(|(start, fields, body)| format!("{start}{}\r\n{body}", fields.concat()))
}

const LINES: &[&str] = &[
    "upstream = \"builtin:whoami\"\n",
    "listen = \"127.0.0.1:0\"\n",
    "admin = \"off\"\n",
    "[routes]\n",
    "\"/\" = \"public\"\n",
    "\"/a/**\" = \"access-required\"\n",
    "\"GET /a\" = { policy = \"deny\" }\n",
    "\"/b/{c}\" = { policy = \"fresh-required\", max_age = \"5m\", claims = { sub = \"{c}\" } }\n",
    "[paths]\n",
    "semicolon = \"pass\"\n",
    "[limits]\n",
    "body_max = \"1MiB\"\n",
    "threads = 1\n",
    "[[test]]\n",
    "request = \"GET /a\"\n",
    "expect = \"pass\"\n",
    "[login]\n",
    "enabled = false\n",
    "[tokens]\n",
    "leeway = \"9m\"\n",
    "x = 1\n",
    "\"",
    "=",
    "é",
    "[",
    "]",
    "{",
    "}",
    "'''",
    "\n",
    "# secret = \"0123456789abcdef\"\n",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_path_has_one_spelling_and_no_reader_escapes(path in glued(PATHS, 12), knobs in any::<u8>()) {
        for knobs in [0, knobs] {
            paths::hold_for(format!("/{path}").as_bytes(), &paths::rules(knobs));
        }
    }

    #[test]
    fn a_path_of_any_bytes_is_judged_alike(raw in prop::collection::vec(any::<u8>(), 0..64), knobs in any::<u8>()) {
        paths::hold_for(&raw, &paths::rules(knobs));
        paths::hold_for(&[b"/", raw.as_slice()].concat(), &paths::rules(knobs));
    }

    #[test]
    fn the_strict_reader_takes_exactly_json_without_duplicates(text in glued(JSON, 12)) {
        jsons::hold(text.as_bytes());
        jsons::hold(format!("{{\"a\":{text}}}").as_bytes());
    }

    #[test]
    fn a_token_is_believed_exactly_when_the_rules_believe_it(
        header in select(HEADERS),
        claims in prop::collection::vec(select(CLAIMS), 0..4),
        (how, at, rules) in any::<(u8, u8, u8)>(),
        piece in select(&["", ".", "=", "x", "e30", " "][..]),
    ) {
        let payload = payload(&claims);
        for how in [0, how] {
            let token = tokens::token(header.as_bytes(), payload.as_bytes(), how, at, piece);
            tokens::hold_for(&token, rules);
        }
    }

    #[test]
    fn a_bearer_token_is_found_where_it_is_and_no_backend_finds_another(
        values in prop::collection::vec(glued(VALUES, 5), 0..3),
    ) {
        let latin = |text: &String| text.chars().map(|sign| sign as u8).collect::<Vec<u8>>();
        let values = values.iter().filter_map(|text| HeaderValue::from_bytes(&latin(text)).ok());
        credentials::hold_for(&values.collect::<Vec<_>>());
    }

    #[test]
    fn a_token_in_a_cookie_or_the_query_is_the_only_one_and_no_backend_finds_it(text in glued(PLACES, 9)) {
        let latin: Vec<u8> = text.chars().map(|sign| sign as u8).collect();
        places::hold_cookies(&latin);
        places::hold_query(text.replace([' ', '\n', '"', '\u{a0}'], "").as_bytes());
    }

    #[test]
    fn only_requests_under_the_strict_grammar_leave_the_guard(
        text in glued(WIRE, 14),
        requests in prop::collection::vec(a_request(), 1..4),
        steps in any::<[u8; 2]>(),
    ) {
        wire::hold(&[&steps, text.as_bytes()].concat());
        wire::hold(&[&steps, requests.concat().as_bytes()].concat());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_route_table_agrees_with_the_written_rules(
        patterns in prop::collection::vec(glued(PATTERNS, 8), 1..30),
        requests in prop::collection::vec(
            (
                select(&["GET", "HEAD", "POST", "PUT"][..]),
                select(&["", "h.test", "H.Test.:80", "i.test"][..]),
                glued(&["/a", "/b", "/%61", "/c", "/"], 5),
            ),
            10,
        ),
    ) {
        let requests: Vec<routes::Asked<'_>> = requests
            .iter()
            .map(|(method, host, path)| routes::Asked { method, host, path })
            .collect();
        routes::hold_for(&patterns, &requests);
    }

    #[test]
    fn a_backend_is_told_by_us_alone(
        choices in any::<u8>(),
        fields in prop::collection::vec((select(NAMES), glued(VALUES, 4)), 0..12),
        role in ".{0,6}",
    ) {
        let named = |(name, value): &(&str, String)| {
            let value: Vec<u8> = value.chars().map(|sign| sign as u8).collect();
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            Some((name, HeaderValue::from_bytes(value.trim_ascii()).ok()?))
        };
        let fields: Vec<_> = fields.iter().filter_map(named).collect();
        let claims = serde_json::json!({ "roles": [role, null, 7], "team": { "a": role } });
        let claims = claims.as_object().cloned().unwrap_or_default();
        firewall::hold_for(choices, claims, &fields);
    }

    #[test]
    fn any_text_is_a_configuration_or_a_list_of_mistakes_in_it(text in glued(LINES, 14)) {
        let folder = tempfile::tempdir().expect("a directory");
        configuration::hold(text.as_bytes(), folder.path());
    }
}
