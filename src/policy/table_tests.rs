//! The rules of specificity one by one. The table against a slow, obvious model: tests/statements/routes.rs.

use super::super::Requirement;
use super::super::path::PathRules;
use super::super::route::{Action, Endpoint};
use super::*;

fn route(pattern: &str) -> Route {
    let parsed = Pattern::parse(pattern).unwrap_or_else(|fault| panic!("{pattern}: {fault:?}"));
    let action = Action::Endpoint(Endpoint::Me);
    // An index that only the table can have put right.
    Route { index: usize::MAX, ..Route::new(pattern, parsed, Requirement::Public, action) }
}

fn routes(patterns: &[&str]) -> Vec<Route> {
    patterns.iter().map(|one| route(one)).collect()
}

fn path(text: &str) -> CanonicalPath<'_> {
    CanonicalPath::parse(text, &PathRules::default()).expect(text)
}

/// The sizes at which every rule is checked: Caddy took another code path above 100 (CVE-2026-27588).
const SIZES: [usize; 4] = [1, 100, 101, 1000];

/// Checks all wanted answers, whatever the order of the routes and however many others there are.
#[track_caller]
fn check(patterns: &[&str], wanted: &[(&str, Option<&str>)]) {
    for size in SIZES {
        let mut all = routes(patterns);
        for filler in 0..size.saturating_sub(patterns.len()) {
            all.push(route(&format!("GET h{filler}.test/filler/{filler}/*")));
        }
        for _ in 0..2 {
            all.reverse();
            let table = RouteTable::build(all.clone()).expect("no ties");
            for (request, wanted) in wanted {
                let (method, rest) = request.split_once(' ').expect("METHOD host/path");
                let (host, inner) = rest.split_once('/').expect("a path");
                let inner = format!("/{inner}");
                let path = path(&inner);
                let found = table.find(method, host, &path).map(|one| one.id.as_str());
                assert_eq!(found, *wanted, "{request} among {size}");
                let first =
                    table.candidates(method, host, &path).first().map(|one| one.id.as_str());
                assert_eq!(first, *wanted, "first candidate of {request}");
            }
        }
    }
}

#[test]
fn literal_beats_any_beats_rest_from_the_left() {
    check(
        &["/a/b", "/a/*", "/a/**", "/*/b/c", "/a/*/**", "/**"],
        &[
            ("GET /a/b", Some("/a/b")),
            ("GET /a/x", Some("/a/*")),
            ("GET /a", Some("/a/**")),
            ("GET /a/", Some("/a/**")),
            ("GET /a/b/c", Some("/a/*/**")),
            ("GET /x/b/c", Some("/*/b/c")),
            ("GET /x/b", Some("/**")),
            ("GET /", Some("/**")),
        ],
    );
}

#[test]
fn rest_includes_its_own_root_and_nothing_beside_it() {
    check(
        &["/admin/**"],
        &[
            ("GET /admin", Some("/admin/**")),
            ("GET /admin/", Some("/admin/**")),
            ("GET /admin/x/y/", Some("/admin/**")),
            ("GET /administrator", None),
            ("GET /admin.", None),
            ("GET /admin%20", None),
            ("GET /Admin", None),
            ("GET /", None),
        ],
    );
}

#[test]
fn the_root_is_the_root_only() {
    check(&["/"], &[("GET /", Some("/")), ("GET /x", None)]);
}

#[test]
fn a_trailing_slash_is_not_a_difference() {
    check(
        &["/x/", "POST /y", "GET /z/*/"],
        &[
            ("GET /x", Some("/x/")),
            ("GET /x/", Some("/x/")),
            ("POST /y/", Some("POST /y")),
            ("GET /y/", None),
            ("GET /z/1", Some("GET /z/*/")),
            ("GET /z/1/", Some("GET /z/*/")),
            ("GET /z/", None),
        ],
    );
}

#[test]
fn a_wrong_method_or_host_falls_to_the_next_pattern() {
    check(
        &["POST /a/b", "PUT /a/*", "a.test/a/*", "GET /a/**"],
        &[
            ("POST /a/b", Some("POST /a/b")),
            ("PUT /a/b", Some("PUT /a/*")),
            ("GET /a/b", Some("GET /a/**")),
            ("GET a.test/a/b", Some("a.test/a/*")),
            ("GET b.test/a/b/", Some("GET /a/**")),
            ("POST /a/c", None),
            ("DELETE /a/b", None),
        ],
    );
}

#[test]
fn path_then_host_then_method() {
    check(
        &["a.test/x", "GET /x", "/x", "GET a.test/x", "a.test/**"],
        &[
            ("GET a.test/x", Some("GET a.test/x")),
            ("POST a.test/x", Some("a.test/x")),
            ("GET b.test/x", Some("GET /x")),
            ("POST b.test/x", Some("/x")),
            ("POST a.test/y", Some("a.test/**")),
            ("POST b.test/y", None),
        ],
    );
}

#[test]
fn head_follows_get_unless_it_is_named_as_close() {
    check(
        &["GET /x", "HEAD /x", "GET /y", "/y", "HEAD /y/**", "GET a.test/x"],
        &[
            ("HEAD /x", Some("HEAD /x")),
            ("GET /x", Some("GET /x")),
            ("HEAD /y", Some("GET /y")),
            ("HEAD a.test/x", Some("GET a.test/x")),
            ("OPTIONS /y", Some("/y")),
            ("head /x", None),
        ],
    );
}

#[test]
fn one_spelling_in_the_file_and_on_the_wire() {
    check(
        &["/café/%7euser", "/a%2Ab"],
        &[
            ("GET /caf%c3%a9/~user", Some("/café/%7euser")),
            ("GET /café/%7Euser/", Some("/café/%7euser")),
            ("GET /a*b", Some("/a%2Ab")),
            ("GET /axb", None),
        ],
    );
}

#[track_caller]
fn ties(patterns: &[&str]) -> Vec<(usize, usize)> {
    match RouteTable::build(routes(patterns)) {
        Ok(_) => Vec::new(),
        Err(ties) => ties.into_iter().map(|tie| (tie.0, tie.1)).collect(),
    }
}

#[test]
fn each_that_ties_is_reported_with_the_first() {
    assert_eq!(ties(&["/a/{x}", "/b", "/a/{y}", "/a/*/"]), [(0, 2), (0, 3)]);
    // A thousand that tie with one another are told a thousand times, not half a million.
    assert_eq!(ties(&["/a"; 1000]).len(), 999);
    let methods: Vec<String> = ["A", "B", "C", "D"].map(|one| format!("{one},GET /a")).to_vec();
    assert_eq!(
        ties(&methods.iter().map(String::as_str).collect::<Vec<_>>()),
        [(0, 1), (0, 2), (0, 3)]
    );
    assert_eq!(
        ties(&["GET,POST /a", "/a", "PUT,POST /a/", "A.test./a", "a.test/a"]),
        [(0, 2), (3, 4)]
    );
    assert_eq!(ties(&["/caf%C3%A9", "/café"]), [(0, 1)]);
    assert_eq!(ties(&["GET /a", "HEAD /a", "/a", "a.test/a", "/a/*", "/a/**", "/*/a"]), []);
}

#[test]
fn routes_keep_their_order_and_get_their_index() {
    let table = RouteTable::build(routes(&["/b", "/a"])).expect("no ties");
    let seen: Vec<_> = table.routes().iter().map(|one| (one.index, one.id.as_str())).collect();
    assert_eq!(seen, [(0, "/b"), (1, "/a")]);
    assert!(RouteTable::default().find("GET", "", &path("/")).is_none());
}

#[test]
fn the_deepest_path_and_pattern_are_bounded() {
    let deep = "/a".repeat(super::super::pattern::PATTERN_SEGMENTS_MAX);
    let table = RouteTable::build(routes(&[&deep, "/a/**"])).expect("no ties");
    assert_eq!(table.find("GET", "", &path(&deep)).expect("found").id, deep);
    let deeper = "/a".repeat(super::super::path::SEGMENTS_MAX);
    assert_eq!(table.find("GET", "", &path(&deeper)).expect("found").id, "/a/**");
}
