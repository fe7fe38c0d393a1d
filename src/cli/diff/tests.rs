//! Small pairs with their exact outcome, and random pairs against the real `judge`.

use std::path::Path;

use http::{HeaderMap, HeaderValue, header};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::gateway::judge::{Asked, View, judge};
use crate::token::extract::{Cookies, Location, Locations, Presented};
use crate::token::{Claims, Standing, TokenFault, UnixTime};

const NOW: UnixTime = UnixTime(1_900_000_000);

const TOP: &str = "upstream = \"builtin:whoami\"\n[login]\nenabled = false\n";

/// A configuration with these routes, and whatever follows them.
fn side(routes: &str) -> Result<Side, String> {
    let text = format!("{TOP}[routes]\n{routes}");
    let config = crate::config::lower::lower(&text, None, Path::new(""));
    config.map(|config| Side { config, keys: Vec::new() }).map_err(|all| all.render(false))
}

#[track_caller]
fn differences(old: &str, new: &str) -> Differences {
    compare(&side(old).expect("good"), &side(new).expect("good")).expect("few places")
}

#[track_caller]
fn check(old: &str, new: &str, wanted: &str) {
    let text = differences(old, new).text();
    let tidy = |text: &str| {
        let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(tidy(&text), tidy(wanted), "\n{text}");
}

#[test]
fn the_same_file_in_other_words_is_no_difference() {
    let none = "no request changes its decision";
    check(
        "\"/a\" = \"public\"\n\"/b\" = \"deny\"",
        "\"/b/\" = \"deny\"\n\"/%61\" = \"public\"",
        none,
    );
    check(
        "\"GET,POST /u/{id}\" = { policy = \"access-required\", claims = { sub = \"{id}\" } }",
        "\"/u/{who}\" = { policy = \"access-required\", methods = [\"POST\", \"GET\"], claims = { sub = [\"{who}\"] } }",
        none,
    );
    // What is refused with 404 anyway may be said or not.
    check("\"/a\" = \"public\"", "\"/a\" = \"public\"\n\"/b/**\" = \"deny\"", none);
    check("\"/**\" = \"public\"", "\"/**\" = \"public\"\n\"/b/**\" = \"public\"", none);
}

#[test]
fn policies_are_compared_by_who_passes() {
    for (old, new, verdict) in [
        ("access-required", "public", "WEAKER"),
        ("access-required", "optional", "WEAKER"),
        ("fresh-required", "access-required", "WEAKER"),
        ("deny", "fresh-required", "WEAKER"),
        ("access-required", "refresh-only", "WEAKER"),
        ("refresh-only", "access-required", "WEAKER"),
        ("optional", "public", "WEAKER"),
        ("public", "optional", "stricter"),
        ("optional", "access-required", "stricter"),
        ("refresh-only", "deny", "stricter"),
    ] {
        let counts = if verdict == "WEAKER" { "1 weaker, 0" } else { "0 weaker, 1" };
        check(
            &format!("\"/admin/**\" = \"{old}\""),
            &format!("\"/admin/**\" = \"{new}\""),
            &format!("/admin/** GET /admin {old} → {new} {verdict}\n{counts} stricter, 0 changed"),
        );
    }
}

#[test]
fn ages_and_claims_are_part_of_the_policy() {
    let fresh = |more: &str| format!("\"/a\" = {{ policy = \"fresh-required\"{more} }}");
    for (old, new, line) in [
        (
            fresh(", max_age = \"5m\""),
            fresh(""),
            "fresh-required max_age 5m → fresh-required WEAKER",
        ),
        (
            fresh(", max_age = \"5m\""),
            fresh(", max_age = \"1h\""),
            "fresh-required max_age 5m → fresh-required max_age 1h WEAKER",
        ),
        (
            fresh(", max_age = \"5m\""),
            fresh(", max_age = \"1m\""),
            "fresh-required max_age 5m → fresh-required max_age 1m stricter",
        ),
        (
            fresh(", claims = { roles = \"admin\" }"),
            fresh(", claims = { roles = [\"admin\", \"editor\"] }"),
            "fresh-required roles=admin → fresh-required roles=admin|editor WEAKER",
        ),
        (
            fresh(", claims = { roles = \"admin\" }"),
            fresh(""),
            "fresh-required roles=admin → fresh-required WEAKER",
        ),
        (
            fresh(", claims = { roles = \"admin\" }"),
            fresh(", claims = { roles = \"admin\", team = 5 }"),
            "fresh-required roles=admin → fresh-required roles=admin team=5 stricter",
        ),
    ] {
        let counts = if line.ends_with("WEAKER") { "1 weaker, 0" } else { "0 weaker, 1" };
        check(&old, &new, &format!("/a GET /a {line}\n{counts} stricter, 0 changed"));
    }
}

#[test]
fn another_pattern_that_wins_is_seen() {
    // A more specific line opens a part of a protected tree.
    check(
        "\"/a/**\" = \"access-required\"",
        "\"/a/**\" = \"access-required\"\n\"/a/*/help\" = \"public\"",
        "/a/*/help GET /a/x/help access-required → public (was /a/**) WEAKER\n1 weaker, 0 stricter, 0 changed",
    );
    // A protective line is gone and a broader public one wins.
    check(
        "\"/**\" = \"public\"\n\"/admin/**\" = \"deny\"",
        "\"/**\" = \"public\"",
        "/** GET /admin deny → public (was /admin/**) WEAKER\n1 weaker, 0 stricter, 0 changed",
    );
    check(
        "\"/a\" = \"access-required\"\n\"POST /a\" = \"fresh-required\"",
        "\"/a\" = \"access-required\"\n\"PUT /a\" = \"fresh-required\"",
        "/a POST /a fresh-required → access-required (was POST /a) WEAKER\n\
         PUT /a PUT /a access-required → fresh-required (was /a) stricter\n1 weaker, 1 stricter, 0 changed",
    );
    check(
        "\"/**\" = \"access-required\"",
        "\"/**\" = \"access-required\"\n\"open.example/**\" = \"public\"",
        "open.example/** GET open.example/ access-required → public (was /**) WEAKER\n\
         1 weaker, 0 stricter, 0 changed",
    );
    check(
        "\"/a\" = \"public\"\n\"/b\" = \"access-required\"",
        "\"/a\" = \"public\"\n\"/c\" = \"access-required\"",
        "/c GET /c no route → access-required WEAKER\n/b GET /b access-required → no route stricter\n\
         1 weaker, 1 stricter, 0 changed",
    );
    // HEAD follows GET until it is named.
    check(
        "\"/**\" = \"public\"\n\"GET /a\" = \"access-required\"",
        "\"/**\" = \"public\"\n\"GET /a\" = \"access-required\"\n\"HEAD /a\" = \"public\"",
        "HEAD /a HEAD /a access-required → public (was GET /a) WEAKER\n1 weaker, 0 stricter, 0 changed",
    );
}

#[test]
fn what_is_not_the_policy_is_compared_too() {
    check(
        "\"/a\" = \"access-required\"",
        "\"/a\" = { policy = \"access-required\", preflight = true }",
        "/a OPTIONS /a (preflight) preflight off → on WEAKER\n1 weaker, 0 stricter, 0 changed",
    );
    check(
        "\"/a\" = \"access-required\"",
        "\"/a\" = { policy = \"access-required\", forward_token = true }",
        "/a GET /a forward_token off → on WEAKER\n1 weaker, 0 stricter, 0 changed",
    );
    check(
        "\"/a/**\" = \"public\"",
        "\"/a/**\" = { policy = \"public\", rewrite = \"/b/**\" }",
        "/a/** GET /a rewrite none → /b/** changed\n0 weaker, 0 stricter, 1 changed",
    );
    check(
        "\"/a\" = \"public\"",
        "\"/a\" = \"public\"\n[tokens]\nleeway = \"30s\"\nissuer = \"x\"\n[paths]\nsemicolon = \"pass\"\n\
         [identity]\nX-User = \"sub\"",
        "[tokens] issuer none → x stricter\n[tokens] leeway 0s → 30s WEAKER\n\
         [paths] semicolon refuse → pass WEAKER\n[identity] x-user-id sub → none WEAKER\n\
         [identity] x-user none → sub changed\n3 weaker, 1 stricter, 1 changed",
    );
    check(
        "\"/a\" = \"public\"",
        "\"/a\" = \"public\"\n[tokens]\nreuse_window = \"1s\"\nsession_max = \"100d\"\nrefresh_idle = \"8h\"",
        "[tokens] reuse_window 10s → 1s stricter\n[tokens] session_max 90days → 100days WEAKER\n\
         [tokens] refresh_idle none → 8h stricter\n1 weaker, 2 stricter, 0 changed",
    );
    check(
        "\"/a\" = \"public\"\n[tokens]\nrefresh_idle = \"8h\"",
        "\"/a\" = \"public\"\n[tokens]\nrotation = \"off\"",
        "[tokens] rotation on → off WEAKER\n[tokens] session_max 90days → 30days stricter\n\
         [tokens] refresh_idle 8h → none WEAKER\n2 weaker, 1 stricter, 0 changed",
    );
}

#[test]
fn a_place_more_for_tokens_is_weaker_and_another_order_is_a_change() {
    let with = |list: &str| {
        format!("\"/a\" = {{ policy = \"access-required\", accept = {list} }}\n\"/p\" = \"public\"")
    };
    let plain = "\"/a\" = \"access-required\"\n\"/p\" = \"public\"";
    let none = "no request changes its decision";
    check(plain, &with("[\"header\"]"), none);
    check(
        plain,
        &with("[\"header\", \"cookie\"]"),
        "/a GET /a accept as [tokens] → header cookie WEAKER\n1 weaker, 0 stricter, 0 changed",
    );
    check(
        &with("[\"header\", \"cookie\"]"),
        &with("[\"cookie\", \"header\"]"),
        "/a GET /a accept header cookie → cookie header changed\n0 weaker, 0 stricter, 1 changed",
    );
    check(
        &with("[\"header\", \"cookie\"]"),
        plain,
        "/a GET /a accept header cookie → as [tokens] stricter\n0 weaker, 1 stricter, 0 changed",
    );
    // What `[tokens]` says is told once, and not for each route.
    check(
        plain,
        &format!("{plain}\n[tokens]\naccept = [\"header\", \"cookie\"]\ncookie = \"t\""),
        "[tokens] accept header → header cookie WEAKER\n[tokens] cookie access_token → t changed\n\
         1 weaker, 0 stricter, 1 changed",
    );
    check(
        &format!("{plain}\n[tokens]\naccept = [\"header\", \"cookie\"]"),
        plain,
        "[tokens] accept header cookie → header changed\n0 weaker, 0 stricter, 1 changed",
    );
}

#[test]
fn report_mode_is_weaker_than_any_policy_but_public() {
    let policies = ["optional", "access-required", "fresh-required", "refresh-only", "deny"];
    for policy in policies {
        let enforced = format!("\"/a\" = \"{policy}\"");
        let reported = format!("\"/a\" = {{ policy = \"{policy}\", mode = \"report\" }}");
        check(
            &enforced,
            &reported,
            &format!(
                "/a GET /a {policy} → {policy} (report only) WEAKER\n1 weaker, 0 stricter, 0 changed"
            ),
        );
        check(
            &reported,
            &enforced,
            &format!(
                "/a GET /a {policy} (report only) → {policy} stricter\n0 weaker, 1 stricter, 0 changed"
            ),
        );
        let all = differences("\"/b\" = \"public\"", &format!("\"/b\" = \"public\"\n{reported}"));
        assert_eq!(all.count(Verdict::Weaker), 1, "a new route\n{}", all.text());
        assert_eq!(all.json()["routes"][0]["new"]["mode"], "report");
    }
}

#[test]
fn networks_are_wider_by_what_they_hold() {
    let with = |nets: &str| {
        let text = format!("trusted_proxies = {nets}\n{TOP}[routes]\n\"/\" = \"public\"");
        let config = crate::config::lower::lower(&text, None, Path::new("")).expect("good");
        Side { config, keys: Vec::new() }
    };
    let weaker = |old: &str, new: &str| {
        compare(&with(old), &with(new)).expect("few places").count(Verdict::Weaker)
    };
    assert_eq!(weaker("[\"10.0.0.0/8\"]", "[\"10.1.0.0/16\", \"10.2.3.4\"]"), 0);
    assert_eq!(weaker("[\"10.0.0.0/9\", \"10.128.0.0/9\"]", "[\"10.0.0.0/8\"]"), 0);
    assert_eq!(weaker("[\"10.1.0.0/16\"]", "[\"10.0.0.0/8\"]"), 1);
    assert_eq!(weaker("[]", "[\"10.0.0.0/8\"]"), 1);
}

#[test]
fn what_opens_something_outside_the_routes_is_said() {
    let with = |top: &str, more: &str| {
        let text = format!("{top}\n{TOP}[routes]\n\"/\" = \"public\"\n{more}");
        let config = crate::config::lower::lower(&text, None, Path::new("")).expect("good");
        Side { config, keys: Vec::new() }
    };
    for (old, new, wanted) in [
        (("", ""), ("admin = \"0.0.0.0:8081\"", ""), "1 weaker, 0 stricter, 0 changed"),
        (
            ("admin = \"off\"", ""),
            ("admin = \"10.0.0.1:81\"", ""),
            "1 weaker, 0 stricter, 0 changed",
        ),
        (("admin = \"0.0.0.0:8081\"", ""), ("", ""), "0 weaker, 1 stricter, 0 changed"),
        (("", ""), ("admin = \"off\"", ""), "0 weaker, 1 stricter, 0 changed"),
        (("", ""), ("listen = \"127.0.0.1:1\"", ""), "0 weaker, 0 stricter, 1 changed"),
        (("", ""), ("", "[state]\ndir = \"other\""), "1 weaker, 0 stricter, 0 changed"),
        (("", ""), ("", "[limits]\nbody_max = \"1GiB\""), "0 weaker, 0 stricter, 1 changed"),
    ] {
        let all = compare(&with(old.0, old.1), &with(new.0, new.1)).expect("few places").text();
        assert!(all.ends_with(&format!("{wanted}\n")), "{new:?}\n{all}");
    }
}

#[test]
fn keys_are_compared_without_their_secrets() {
    let key = |id: &str, origin: &str| KeyOutline {
        id: id.to_owned(),
        algorithm: crate::token::keys::Algorithm::Hs256,
        signs: true,
        origin: origin.to_owned(),
    };
    let with = |keys: Vec<KeyOutline>| Side { keys, ..side("\"/\" = \"public\"").expect("good") };
    let text = |old, new| compare(&with(old), &with(new)).expect("few places").text();
    let one = || key("a", "env A");
    assert!(text(vec![one()], vec![one()]).starts_with("no request"));
    assert!(text(vec![one()], vec![one(), key("b", "env B")]).contains("1 weaker, 0 stricter"));
    assert!(text(vec![one()], vec![key("a", "env B")]).contains("1 weaker, 0 stricter"));
    assert!(text(vec![one(), key("b", "env B")], vec![one()]).contains("0 weaker, 1 stricter"));
}

#[test]
fn ten_thousand_routes_are_compared_in_seconds() {
    let routes = |policy: &str| {
        let lines = (0..10_000).map(|index| {
            format!("\"/service/{index}/{{item}}/**\" = \"access-required\"\n\"GET /service/{index}/*/x\" = \"public\"\n")
        });
        format!("\"/**\" = \"{policy}\"\n{}", lines.collect::<String>())
    };
    let all = differences(&routes("access-required"), &routes("public"));
    assert_eq!(all.count(Verdict::Weaker), 1);
}

/// The callers that a request can come from, as many as matter.
fn standings(path: &str) -> Vec<Option<Value>> {
    let mut all = vec![None, Some(Value::Null)];
    for roles in [json!([]), json!(["admin"]), json!("editor"), json!(["x", "admin", "editor"])] {
        for sub in path.split('/').chain(["a", "someone"]).filter(|sub| !sub.is_empty()) {
            for (kind, fresh, age) in [
                ("refresh", false, 0),
                ("access", false, 0),
                ("access", true, 0),
                ("access", true, 400),
            ] {
                all.push(Some(json!({
                    "sub": sub, "type": kind, "fresh": fresh, "jti": "1", "roles": roles,
                    "iat": NOW.0 - age, "auth_time": NOW.0 - age, "exp": NOW.0 + 900,
                })));
            }
        }
    }
    all
}

fn standing(caller: &Option<Value>) -> Standing {
    match caller {
        None => Standing::Anonymous,
        Some(Value::Object(all)) => {
            Standing::assumed(Claims::from_json(all.clone()).expect("well typed"))
        }
        Some(_) => Standing::Unproven(TokenFault::Expired),
    }
}

/// Whether the real thing lets this request pass.
fn passes(side: &Side, asked: &Asked<'_, '_>, caller: &Option<Value>) -> bool {
    let prove = |presented: Presented<'_>| match presented.token() {
        Ok(_) => standing(caller),
        Err(standing) => standing,
    };
    judge(View::of(&side.config), asked, prove, NOW).decision.is_ok()
}

/// These fields with a token in each place, and with none.
fn presented(headers: &HeaderMap) -> Vec<(HeaderMap, Option<String>)> {
    let places = [None, Some(Location::Header), Some(Location::Cookie), Some(Location::Query)];
    let with = |place| {
        let (mut headers, mut query) = (headers.clone(), None);
        if let Some(place) = place {
            let names = Locations::default();
            names.place((place, Cookies::Access), "t", &mut headers, &mut query);
            if place == Location::Cookie {
                // Of a refresh-only route the other cookie is read.
                names.place((place, Cookies::Refresh), "t", &mut headers, &mut query);
            }
        }
        (headers, query)
    };
    places.into_iter().map(with).collect()
}

fn preflight_headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::ORIGIN, HeaderValue::from_static("https://a.example"));
    headers.insert(header::ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("POST"));
    headers
}

const POLICIES: [&str; 16] = [
    "policy = \"access-required\", accept = [\"cookie\"]",
    "policy = \"optional\", accept = [\"query\", \"header\"]",
    "policy = \"refresh-only\", accept = [\"cookie\", \"header\"]",
    "policy = \"access-required\", mode = \"report\"",
    "policy = \"deny\", mode = \"report\", preflight = true",
    "policy = \"fresh-required\", mode = \"report\", claims = { roles = \"admin\" }",
    "policy = \"public\"",
    "policy = \"optional\"",
    "policy = \"access-required\"",
    "policy = \"access-required\", preflight = true",
    "policy = \"fresh-required\"",
    "policy = \"fresh-required\", max_age = \"5m\"",
    "policy = \"access-required\", claims = { roles = \"admin\" }",
    "policy = \"access-required\", claims = { roles = [\"admin\", \"editor\"], sub = \"a\" }",
    "policy = \"refresh-only\"",
    "policy = \"deny\"",
];

prop_compose! {
    fn line()(
        method in prop::sample::select(vec!["", "", "GET ", "POST ", "HEAD ", "GET,OPTIONS "]),
        host in prop::sample::select(vec!["", "", "h.example"]),
        segments in prop::collection::vec(prop::sample::select(vec!["a", "b", "x", "*", "{n}"]), 0..3),
        rest in any::<bool>(),
        policy in prop::sample::select(POLICIES.to_vec()),
        own in any::<bool>(),
    ) -> (String, String) {
        let mut segments = segments;
        if segments.iter().filter(|one| **one == "{n}").count() > 1 {
            segments.retain(|one| *one != "{n}");
        }
        let own = own && segments.contains(&"{n}");
        let policy = if own { "policy = \"access-required\", claims = { sub = \"{n}\" }" } else { policy };
        if rest {
            segments.push("**");
        }
        (format!("{method}{host}/{}", segments.join("/")), policy.to_owned())
    }
}

fn table(lines: &[(String, String)]) -> Option<Side> {
    // Of lines that tie the first stays: each is tried against those before it.
    let mut text = String::new();
    let mut last = None;
    for (pattern, policy) in lines {
        let more = format!("{text}\"{pattern}\" = {{ {policy} }}\n");
        if let Ok(good) = side(&more) {
            (text, last) = (more, Some(good));
        }
    }
    last
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn whatever_a_request_gains_is_said_and_whatever_is_said_a_request_gains(
        old in prop::collection::vec(line(), 1..5),
        changed in prop::collection::vec(line(), 1..3),
        keep in 0usize..5,
        asked in prop::collection::vec(
            (prop::sample::select(vec!["GET", "HEAD", "POST", "PUT", "OPTIONS"]),
             prop::sample::select(vec!["", "h.example", "o.example"]),
             prop::collection::vec(prop::sample::select(vec!["a", "b", "x", "c", "x2"]), 0..5),
             any::<bool>()), 16),
    ) {
        let new: Vec<_> = changed.into_iter().chain(old.iter().take(keep).cloned()).collect();
        let (Some(old), Some(new)) = (table(&old), table(&new)) else { return Ok(()) };
        let all = compare(&old, &new).expect("few places");
        let (plain, preflight) = (presented(&HeaderMap::new()), presented(&preflight_headers()));
        for (method, host, segments, is_preflight) in &asked {
            let path = format!("/{}", segments.join("/"));
            let headers = if *is_preflight { &preflight } else { &plain };
            let callers = standings(&path);
            for (caller, (headers, query)) in callers.iter().flat_map(|one| headers.iter().map(move |two| (one, two))) {
                let query = query.as_deref();
                let asked = Asked { method, host, path: &path, query, headers };
                let (before, after) = (passes(&old, &asked, caller), passes(&new, &asked, caller));
                prop_assert!(before || !after || all.count(Verdict::Weaker) > 0,
                    "{} {}{} {:?} gained\n{}", method, host, path, caller, all.text());
                prop_assert!(before == after || all.count(Verdict::Weaker) + all.count(Verdict::Stricter) > 0,
                    "{} {}{} {:?} differs", method, host, path, caller);
            }
        }
        for one in &all.routes {
            let example = one.json()["example"].clone();
            let text = |name: &str| example[name].as_str().expect("a text").to_owned();
            let (method, host, path) = (text("method"), text("host"), text("path"));
            let headers = if example["preflight"] == true { &preflight } else { &plain };
            let callers = standings(&path);
            let fares: Vec<(bool, bool)> = callers.iter().flat_map(|caller| {
                headers.iter().map(|(headers, query)| {
                    let query = query.as_deref();
                    let asked = Asked { method: &method, host: &host, path: &path, query, headers };
                    (passes(&old, &asked, caller), passes(&new, &asked, caller))
                }).collect::<Vec<_>>()
            }).collect();
            let gains = fares.contains(&(false, true));
            let loses = fares.contains(&(true, false));
            let wanted = match one.verdict {
                Verdict::Weaker => gains,
                Verdict::Stricter => loses && !gains,
                Verdict::Changed => !gains && !loses,
            };
            prop_assert!(wanted, "{}: gains {gains}, loses {loses}\n{}", example, all.text());
        }
    }
}
