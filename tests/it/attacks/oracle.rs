//! Whatever bytes a client sends: each request that reaches a backend is by the book, one goes out for each one
//! answered as forwarded, and no reader of its path finds it under another policy than the one applied.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::corpus::framing::Framing;
use super::corpus::{shoot, spellings, statuses};
use crate::harness::strict::{Seen, What};
use crate::harness::{Gateway, Setup, Strict, forge};

/// Three trees: open to all, shut without a token, and the one where hidden requests would land.
pub(super) fn three_trees() -> (Strict, Gateway) {
    let strict = Strict::new(&[("open", "/open"), ("shut", "/shut"), ("rest", "/")]);
    let gateway = sharing(
        &strict,
        "[routes]\n\"/open/**\" = { policy = \"public\", upstream = \"open\" }\n\
         \"/shut/**\" = { policy = \"access-required\", upstream = \"shut\" }\n\
         \"/**\" = { policy = \"public\", upstream = \"rest\" }\n",
    );
    (strict, gateway)
}

fn sharing(strict: &Strict, toml: &str) -> Gateway {
    let toml = format!("{}{toml}{}", strict.upstreams(), forge::KEY);
    Setup::new(&toml).env("SHARED", forge::SECRET).start()
}

/// No answer of ours says that a backend was confused, or that we were.
#[track_caller]
pub(super) fn nobody_was_confused(payloads: &[Vec<u8>], answers: &[Vec<u8>]) {
    for (payload, answer) in payloads.iter().zip(answers) {
        let bad = |code: &u16| !matches!(code, 100 | 200 | 400..=499 | 501);
        let statuses = statuses(answer);
        assert!(!statuses.iter().any(bad), "{statuses:?} for {}", payload.escape_ascii());
    }
}

// Holds: H1, H2, H3, H4, H5, H6, H7, H8, H9, H12, CVE-2026-2833, CVE-2026-2835, CVE-2026-2836, CVE-2026-88008
// Holds: CVE-2021-21299, CVE-2021-32714
#[test]
fn no_framing_breaks_the_grammar_at_a_backend() {
    let (strict, gateway) = three_trees();
    let token = format!("Authorization: Bearer {}\r\n", forge::stale("ada"));
    let mut payloads = Vec::new();
    for (target, fields) in [("/open/x?y", ""), ("/shut/x", ""), ("/shut/x", &token)] {
        let all = Framing { target, fields }.all();
        assert!(all.len() >= 577, "{}", all.len());
        payloads.extend(all);
    }
    let answers = shoot(gateway.client(), &payloads);
    nobody_was_confused(&payloads, &answers);
    let seen = strict.requests().len();
    assert!(
        seen > 100,
        "{seen} of {} payloads reached a backend: they say nothing",
        payloads.len()
    );
    strict.hold(gateway, &answers);
}

/// Mutations of requests that are good: one to four edits anywhere.
#[derive(Clone, Debug)]
enum Edit {
    Insert(Vec<u8>),
    Replace(u8),
    Remove(usize),
    Repeat(usize),
}

fn an_edit() -> impl Strategy<Value = Edit> {
    let piece = prop::sample::select(vec![
        "\r\n",
        "\n",
        "\r",
        "\0",
        " ",
        "\t",
        ":",
        ",",
        ";",
        "/",
        "\\",
        "..",
        "%2e",
        "%2f",
        "%00",
        "#",
        "?",
        "0",
        "1",
        "a",
        "\r\n\r\n",
        "chunked",
        "Content-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Host: x\r\n",
        "HTTP/1.1",
        "0\r\n\r\n",
        "GET /shut/x HTTP/1.1\r\nHost: app\r\n\r\n",
        "\u{b}",
        "\u{85}",
        "-",
        "+",
        "_",
        "5\r\n",
        "X: y\r\n",
        "//",
        "http://app",
    ]);
    prop_oneof![
        4 => piece.prop_map(|piece| Edit::Insert(piece.as_bytes().to_vec())),
        2 => any::<u8>().prop_map(Edit::Replace),
        2 => (1..8usize).prop_map(Edit::Remove),
        1 => (1..40usize).prop_map(Edit::Repeat),
    ]
}

fn edited(mut bytes: Vec<u8>, edits: &[(prop::sample::Index, Edit)]) -> Vec<u8> {
    for (at, edit) in edits {
        if bytes.is_empty() {
            break;
        }
        let at = at.index(bytes.len());
        let until = |count: &usize| (at + count).min(bytes.len());
        match edit {
            Edit::Insert(piece) => drop(bytes.splice(at..at, piece.iter().copied())),
            Edit::Replace(byte) => bytes[at] = *byte,
            Edit::Remove(count) => drop(bytes.drain(at..until(count))),
            Edit::Repeat(count) => {
                let again = bytes[at..until(count)].to_vec();
                drop(bytes.splice(at..at, again));
            }
        }
    }
    bytes
}

fn good_requests() -> Vec<Vec<u8>> {
    let head = "Host: app\r\nAccept: */*\r\nX-A: b\r\n";
    [
        format!("GET /open/a/b?c=d HTTP/1.1\r\n{head}\r\n"),
        format!("GET http://app/open/a HTTP/1.1\r\n{head}\r\n"),
        format!("POST /open/a HTTP/1.1\r\n{head}Content-Length: 5\r\n\r\nhello"),
        format!("POST /shut/a HTTP/1.1\r\n{head}Content-Length: 5\r\n\r\nhello"),
        format!("PUT /open/a HTTP/1.1\r\n{head}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;x=y\r\n!\r\n0\r\nT: v\r\n\r\n"),
        format!("POST /open/a HTTP/1.1\r\n{head}Expect: 100-continue\r\nContent-Length: 2\r\n\r\nok"),
        format!("GET /open/a HTTP/1.1\r\n{head}\r\nGET /shut/a HTTP/1.1\r\n{head}\r\nHEAD /open/b HTTP/1.1\r\n{head}\r\n"),
        format!("GET /open/a HTTP/1.0\r\n{head}Connection: keep-alive\r\n\r\n"),
    ]
    .map(String::into_bytes)
    .to_vec()
}

// Holds: H1, H4, H5, H6, H7, H8, H12, P1, CVE-2025-66490, CVE-2025-47952
#[test]
fn no_mutation_of_a_good_request_breaks_the_grammar_or_escapes_its_policy() {
    let (strict, gateway) = three_trees();
    let good = good_requests();
    let plain = shoot(gateway.client(), &good);
    for (request, answer) in good.iter().zip(&plain) {
        assert!(
            !statuses(answer).iter().any(|code| !matches!(code, 100 | 200 | 401)),
            "{}: {}",
            request.escape_ascii(),
            answer.escape_ascii()
        );
    }
    let edits = prop::collection::vec((any::<prop::sample::Index>(), an_edit()), 1..5);
    let mutants =
        (prop::sample::select(good), edits).prop_map(|(bytes, edits)| edited(bytes, &edits));
    let config =
        Config { cases: 1, max_shrink_iters: 0, failure_persistence: None, ..Config::default() };
    let many = prop::collection::vec(mutants, 3000);
    let answers = std::cell::RefCell::new(plain);
    TestRunner::new(config)
        .run(&many, |payloads| {
            let got = shoot(gateway.client(), &payloads);
            nobody_was_confused(&payloads, &got);
            answers.borrow_mut().extend(got);
            Ok(())
        })
        .expect("no confusion");
    strict.hold(gateway, &answers.into_inner());
}

/// What the spellings are tried on: `/admin` under this policy, `/` beside it, and fillers up to this many routes, half
/// of them for other hosts, half of them with escapes (CVE-2026-27587 needed more than 100 hosts, or an escape).
fn a_table(policy: &str, routes: usize) -> String {
    let mut toml =
        format!("[routes]\n\"/admin/**\" = {{ policy = \"{policy}\", upstream = \"admin\" }}\n");
    if routes > 1 {
        toml.push_str("\"/**\" = { policy = \"public\", upstream = \"rest\" }\n");
    }
    for at in 2..routes {
        let pattern = match at % 2 {
            0 => format!("h{at}.example/admin/**"),
            _ => format!("/caf%C3%A9/{at}/**"),
        };
        toml.push_str(&format!("\"{pattern}\" = {{ policy = \"deny\", upstream = \"rest\" }}\n"));
    }
    toml
}

/// `GET target`, with a token if it is not empty.
fn asked(target: &str, token: &str) -> Vec<u8> {
    let field =
        if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
    format!("GET {target} HTTP/1.1\r\nHost: app\r\n{field}\r\n").into_bytes()
}

/// Every spelling on a gateway of its own, with a token; how many reached `/admin`, and how many something else.
fn spelled(policy: &str, routes: usize, paths: &str, token: &str) -> (usize, usize) {
    let strict = Strict::new(&[("admin", "/admin"), ("rest", "/")]);
    let gateway = sharing(&strict, &format!("{paths}{}", a_table(policy, routes)));
    let spellings = spellings::all();
    assert!(spellings.len() >= 470, "{}", spellings.len());
    let payloads: Vec<Vec<u8>> = spellings.iter().map(|target| asked(target, token)).collect();
    let answers = shoot(gateway.client(), &payloads);
    nobody_was_confused(&payloads, &answers);
    strict.hold(gateway, &answers);
    let targets = strict.requests().into_iter().filter(|(_, request)| request.target != "/last");
    let (admin, rest): (Vec<_>, Vec<_>) = targets.partition(|(door, _)| *door == "admin");
    (admin.len(), rest.len())
}

// Holds: P1, P2, P3, P4, P5, P6, P7, P8, P10, CVE-2026-33494, CVE-2026-42274, CVE-2026-42272, CVE-2019-9901
// Holds: CVE-2021-29492, ISTIO-SECURITY-2021-005, CVE-2026-73551, CVE-2026-73511, CVE-2026-73553, CVE-2021-27306
#[test]
fn no_spelling_of_a_path_escapes_its_policy_whatever_the_policy() {
    let (fresh, refresh) = (forge::fresh("root"), forge::refresh("root"));
    for (policy, token, passes) in [
        ("public", "", true),
        ("optional", &fresh, true),
        ("access-required", &fresh, true),
        ("access-required", "", false),
        ("fresh-required", &fresh, true),
        ("fresh-required", &forge::stale("root"), false),
        ("refresh-only", &refresh, true),
        ("deny", &fresh, false),
    ] {
        let (admin, rest) = spelled(policy, 2, "", token);
        assert_eq!(admin > 0, passes, "{policy}");
        assert!(rest > 0, "{policy}");
    }
}

// Holds: CVE-2026-27587, CVE-2026-27588
#[test]
fn no_spelling_of_a_path_escapes_its_policy_at_1_100_101_and_1000_routes() {
    let token = forge::stale("root");
    let (one, _) = spelled("access-required", 1, "", &token);
    for routes in [100, 101, 1000] {
        let (admin, rest) = spelled("access-required", routes, "", &token);
        assert_eq!(admin, one, "{routes} routes");
        assert!(rest > 0, "{routes} routes");
        assert_eq!(spelled("access-required", routes, "", "").0, 0, "{routes} routes");
    }
}

// Holds: P2, P7, CVE-2019-9901
#[test]
fn no_spelling_of_a_path_escapes_its_policy_where_the_gateway_resolves_it() {
    let token = forge::stale("root");
    let (strict, _) = spelled("access-required", 2, "", &token);
    let knobs = "[paths]\ndot_segments = \"resolve\"\ndouble_slash = \"merge\"\n";
    let (resolved, _) = spelled("access-required", 2, knobs, &token);
    assert!(resolved > strict, "{resolved} of {strict}: the knobs do nothing");
}

/// Targets made of the pieces that attacks are made of.
fn a_nasty_target() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "/", "/", "/", "admin", "admin", "public", "a", ".", "..", "%2e", "%2E%2e", "%2f", "%5c",
        "\\", ";", "%3b", "%25", "%252e", "%252f", "%61", "%00", "%c0%ae", "%c0%af", "%u002f", "#",
        "?", "%23", "%3f", " ", "%20", "\u{e9}", "%c3%a9", "x=1", "//", "/./", "/../", "A", "~",
        "%7e", "@", ":",
    ]);
    let start = prop::sample::select(vec![
        "/",
        "/",
        "/",
        "http://app",
        "http://app/",
        "//app",
        "",
        "/public/",
        "/admin/",
    ]);
    (start, prop::collection::vec(piece, 0..10))
        .prop_map(|(start, pieces)| format!("{start}{}", pieces.concat()))
}

// Holds: P1, P2, P3, P4, P5, P6, P7, CVE-2025-66490, CVE-2025-47952
#[test]
fn no_random_target_escapes_its_policy() {
    let knobs = "[paths]\ndot_segments = \"resolve\"\ndouble_slash = \"merge\"\n";
    let token = forge::stale("root");
    for paths in ["", knobs] {
        let strict = Strict::new(&[("admin", "/admin"), ("rest", "/")]);
        let gateway = sharing(&strict, &format!("{paths}{}", a_table("access-required", 2)));
        let config = Config {
            cases: 1,
            max_shrink_iters: 0,
            failure_persistence: None,
            ..Config::default()
        };
        let answers = std::cell::RefCell::new(Vec::new());
        TestRunner::new(config)
            .run(&prop::collection::vec(a_nasty_target(), 3000), |targets| {
                let payloads: Vec<_> = targets.iter().map(|target| asked(target, &token)).collect();
                let got = shoot(gateway.client(), &payloads);
                nobody_was_confused(&payloads, &got);
                answers.borrow_mut().extend(got);
                Ok(())
            })
            .expect("no confusion");
        strict.hold(gateway, &answers.into_inner());
        let seen =
            strict.requests().iter().filter(|(_, request)| request.target != "/last").count();
        assert!(seen > 100, "{seen} of 3000 passed: they say nothing");
    }
}

// The oracle can fail: with nothing between, the same payloads break the grammar and escape by the hundred.
// Holds: P1, H1
#[test]
fn the_payloads_are_attacks_where_no_gateway_stands_between() {
    let send = |strict: &Strict, bytes: &[u8]| {
        let mut connection = strict.client("rest").connect();
        connection.write(bytes);
        connection.finish();
        connection.rest()
    };
    let strict = Strict::new(&[("rest", "/")]);
    let payloads = Framing { target: "/open/x", fields: "" }.all();
    payloads.iter().for_each(|payload| drop(send(&strict, payload)));
    let breaks = |seen: &Seen| matches!(seen.what, What::Broken(why) if why != "bytes after the end of a request");
    let broken = strict.seen().iter().filter(|seen| breaks(seen)).count();
    assert!(broken > 577, "{broken} of {}", payloads.len());

    let strict = Strict::new(&[("admin", "/admin"), ("rest", "/")]);
    let spellings = spellings::all();
    let answers: Vec<Vec<u8>> =
        spellings.iter().map(|target| send(&strict, &asked(target, ""))).collect();
    let admin = |fault: &&String| fault.contains("is under Some(\"admin\")");
    let escapes = strict.faults(&answers).iter().filter(admin).count();
    assert!(escapes > 470, "{escapes} of {}", spellings.len());
}
