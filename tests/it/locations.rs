//! Where a token may be: header, cookie, query; in order, one credential, nothing left for the backend, and no cookie
//! used by a page that is not ours.

mod forwarded;

use serde_json::Value;

use crate::harness::{Gateway, Response, Setup, Upstream, forge};

/// All three, and a route for each policy.
const ALL: &str = "[log]\naccess = true\nlevel = \"trace\"\n\
    [tokens]\naccept = [\"header\", \"cookie\", \"query\"]\n\
    [routes]\n\"/public\" = \"public\"\n\"/optional\" = \"optional\"\n\"/access\" = \"access-required\"\n\
    \"/fresh\" = \"fresh-required\"\n\"/refresh\" = \"refresh-only\"\n\"/deny\" = \"deny\"\n\
    \"/header\" = { policy = \"access-required\", accept = [\"header\"] }\n\
    \"/cookie\" = { policy = \"access-required\", accept = [\"cookie\", \"header\"] }\n\
    \"/given\" = { policy = \"access-required\", forward_token = true }\n\
    \"/open\" = { policy = \"public\", forward_token = true }\n\
    \"/renew\" = { policy = \"refresh-only\", forward_token = true }\n\
    \"/tried\" = { policy = \"access-required\", mode = \"report\", forward_token = true }\n";

/// Sends these lines behind the request line and `Host: app.test`.
#[track_caller]
fn ask(gateway: &Gateway, line: &str, fields: &[&str]) -> Response {
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    let head = format!("{line} HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n{fields}");
    let head = if line.starts_with("POST") { format!("{head}Content-Length: 0\r\n") } else { head };
    gateway.client().raw_one(format!("{head}\r\n"))
}

/// Status, and the code of a refusal.
#[track_caller]
fn told(gateway: &Gateway, line: &str, fields: &[&str]) -> (u16, String) {
    let response = ask(gateway, line, fields);
    (response.status, response.code())
}

fn passed() -> (u16, String) {
    (200, String::new())
}

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[test]
fn the_first_location_that_holds_something_decides() {
    let upstream = Upstream::echo();
    let gateway = Gateway::sharing(&upstream, ALL);
    let (good, bad) = (forge::stale("ada"), "e30.e30.e30");
    let header = |token: &str| format!("Authorization: Bearer {token}");
    let cookie = |token: &str| format!("Cookie: access_token={token}");
    let query = |token: &str| format!("GET /access?access_token={token}");
    for (line, fields, expected) in [
        (query(&good), vec![], passed()),
        ("GET /access".into(), vec![cookie(&good)], passed()),
        ("GET /access".into(), vec![header(&good)], passed()),
        // A good one does not help behind a bad one.
        (query(&good), vec![cookie(bad)], refused(401, "token-invalid")),
        (query(&good), vec![header(bad)], refused(401, "token-invalid")),
        ("GET /access".into(), vec![cookie(&good), header(bad)], refused(401, "token-invalid")),
        (query(&good), vec!["Authorization: Bearer".into()], refused(401, "token-malformed")),
        (query(&good), vec!["Cookie: access_token=a b".into()], refused(401, "token-malformed")),
        // A bad one does no harm behind a good one.
        (query(bad), vec![cookie(bad), header(&good)], passed()),
        (query(bad), vec![cookie(&good)], passed()),
        // What holds nothing is passed over: another scheme, an empty cookie.
        (query(&good), vec!["Authorization: Basic YTpi".into(), cookie("")], passed()),
        // The order and the list are the route's.
        ("GET /cookie".into(), vec![cookie(&good), header(bad)], passed()),
        ("GET /cookie".into(), vec![cookie(bad), header(&good)], refused(401, "token-invalid")),
        (format!("GET /cookie?access_token={good}"), vec![], refused(401, "token-missing")),
        ("GET /header".into(), vec![cookie(&good)], refused(401, "token-missing")),
        (format!("GET /header?access_token={bad}"), vec![cookie(bad), header(&good)], passed()),
    ] {
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        assert_eq!(told(&gateway, &line, &fields), expected, "{line} {fields:?}");
    }
    // Nothing is accepted beyond the header unless a list says so.
    let plain = Gateway::sharing(&upstream, "[routes]\n\"/**\" = \"access-required\"\n");
    assert_eq!(told(&plain, &query(&good), &[&cookie(&good)]), refused(401, "token-missing"));
}

#[test]
fn a_route_that_wants_a_refresh_token_reads_the_refresh_cookie() {
    let upstream = Upstream::echo();
    let gateway = Gateway::sharing(&upstream, ALL);
    let (access, refresh) = (forge::fresh("ada"), forge::refresh("ada"));
    let both = format!("Cookie: access_token={access}; refresh_token={refresh}");
    let crossed = format!("Cookie: access_token={refresh}; refresh_token={access}");
    for path in ["/access", "/fresh", "/optional", "/refresh"] {
        assert_eq!(told(&gateway, &format!("GET {path}"), &[&both]), passed(), "{path}");
        let wrong = refused(401, "token-wrong-type");
        assert_eq!(told(&gateway, &format!("GET {path}"), &[&crossed]), wrong, "{path}");
    }
    let only = |name: &str, token: &str| format!("Cookie: {name}={token}");
    let missing = refused(401, "token-missing");
    assert_eq!(told(&gateway, "GET /refresh", &[&only("access_token", &refresh)]), missing);
    assert_eq!(told(&gateway, "GET /access", &[&only("refresh_token", &access)]), missing);
}

#[test]
fn two_credentials_in_one_location_are_refused_in_any_spelling() {
    let upstream = Upstream::echo();
    let gateway = Gateway::sharing(&upstream, ALL);
    let good = forge::stale("ada");
    let twice = refused(400, "token-duplicated");
    for second in [
        "; access_token=x",
        ";access_token = x",
        ";\taccess_token=\"x\"",
        "; access_token",
        "; access_token=",
        "; \"access_token\"=x",
        "; Access_Token=x",
        "; access.token=x",
        "; access%5Ftoken=x",
        "; %61ccess_token=x",
        "; \u{a0}access_token=x",
        "; a=1, access_token=x",
        "; a=1 access_token=x",
        "; a=\"1; access_token=x\"",
        "\r\nCookie: access_token=x",
        "\r\ncookie: a=1; access_token=x",
    ] {
        let field = format!("Cookie: access_token={good}{second}");
        assert_eq!(told(&gateway, "GET /access", &[&field]), twice, "{second:?}");
    }
    for second in [
        "&access_token=x",
        ";access_token=x",
        "&access_token",
        "&access_token=",
        "&access%5Ftoken=x",
        "&%61%63cess_token=x",
        "&+access_token=x",
        "&access.token=x",
        "&Access_Token=x",
        "&access_token%00=x",
    ] {
        let line = format!("GET /access?access_token={good}{second}");
        assert_eq!(told(&gateway, &line, &[]), twice, "{second}");
    }
    let field = format!("Authorization: Bearer {good}");
    assert_eq!(told(&gateway, "GET /access", &[&field, &field]), twice);
    assert_eq!(upstream.count(), 0);
    // In two accepted locations the order decides, and neither is left for the backend.
    let line = format!("GET /access?access_token={good}");
    let cookie = format!("Cookie: access_token={good}");
    assert_eq!(told(&gateway, &line, &[&field, &cookie]), passed());
    let seen = upstream.last();
    assert!(!seen.has("authorization") && !seen.has("cookie"), "{:?}", seen.headers);
    assert_eq!(seen.target(), "/access");
}

#[test]
fn the_query_never_decides_the_route() {
    let upstream = Upstream::echo();
    let gateway = Gateway::sharing(&upstream, ALL);
    for query in ["/public", "access_token=/public", "x=/../public", ";/public", "%2Fpublic"] {
        let (status, _) = told(&gateway, &format!("GET /access?{query}"), &[]);
        assert_eq!(status, 401, "{query}");
    }
    assert_eq!(upstream.count(), 0);
}

#[test]
fn a_cookie_changes_something_only_for_a_page_of_ours() {
    let upstream = Upstream::echo();
    let gateway = Gateway::sharing(&upstream, ALL);
    let good = forge::fresh("ada");
    let cookie = format!("Cookie: access_token={good}");
    let cross = refused(403, "cross-site");
    let evil = "Origin: https://evil.test";
    let own = "Origin: https://APP.test:8443";
    for method in ["POST", "PUT", "PATCH", "DELETE", "PROPFIND", "M-SEARCH"] {
        for (proof, expected) in [
            (vec![], passed()),
            (vec!["Sec-Fetch-Site: same-origin"], passed()),
            (vec!["Sec-Fetch-Site: none"], passed()),
            (vec!["Sec-Fetch-Site: same-origin", own], passed()),
            (vec![own], passed()),
            (vec!["Sec-Fetch-Site: same-site"], cross.clone()),
            (vec!["Sec-Fetch-Site: cross-site"], cross.clone()),
            (vec!["Sec-Fetch-Site: cross-site", own], cross.clone()),
            (vec!["Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: cross-site"], cross.clone()),
            (vec![evil], cross.clone()),
            (vec![own, evil], cross.clone()),
            (vec!["Origin: null"], cross.clone()),
            (vec!["Origin: https://app.test.evil.test"], cross.clone()),
        ] {
            for path in ["/access", "/optional", "/fresh"] {
                let line = format!("{method} {path}");
                let fields: Vec<&str> = proof.iter().copied().chain([&*cookie]).collect();
                assert_eq!(told(&gateway, &line, &fields), expected, "{line} {proof:?}");
            }
        }
    }
    for safe in ["GET", "HEAD", "OPTIONS"] {
        let fields = [&*cookie, evil, "Sec-Fetch-Site: cross-site"];
        let head = format!(
            "{safe} /access HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n{}\r\n\r\n",
            fields.join("\r\n")
        );
        let answer = String::from_utf8_lossy(&gateway.client().raw(head)).into_owned();
        assert!(answer.starts_with("HTTP/1.1 200"), "{safe}: {answer}");
    }
    // What the client wrote itself needs no proof, whatever cookie is beside it.
    let field = format!("Authorization: Bearer {good}");
    assert_eq!(told(&gateway, "POST /access", &[&field, &cookie, evil]), passed());
    assert_eq!(told(&gateway, &format!("POST /access?access_token={good}"), &[evil]), passed());
    // A bad cookie of another site is told as that: it is not looked at.
    let bad = "Cookie: access_token=e30.e30.e30";
    assert_eq!(told(&gateway, "POST /access", &[bad, evil]), cross);
    let answer = ask(&gateway, "POST /access", &[bad, evil]);
    assert!(!answer.has("www-authenticate") && !answer.text().contains("evil"));
}

#[test]
fn the_endpoints_of_the_gateway_read_the_same_places() {
    let upstream = Upstream::echo();
    let toml = "[tokens]\naccept = [\"header\", \"cookie\", \"query\"]\n[routes]\n\"/**\" = \"access-required\"\n";
    let gateway = Gateway::in_front_of(&upstream, toml);
    let tokens = gateway.login_first();
    let access = format!("Cookie: access_token={}", tokens.access);
    let refresh = format!("Cookie: refresh_token={}", tokens.refresh);
    let me =
        |line: &str, field: &str| -> Value { ask(&gateway, line, &[field]).expect(200).json() };
    assert_eq!(me("GET /auth/me", &access)["sub"], "admin");
    assert_eq!(me(&format!("GET /auth/me?access_token={}", tokens.access), "X: y")["sub"], "admin");
    // Each endpoint reads the cookie of the kind that it wants.
    let given = me("POST /auth/refresh", &refresh);
    assert_eq!(given["fresh"], false);
    // The next one is kept under the token that was presented, wherever that was.
    let again = me("POST /auth/refresh", &refresh);
    assert_eq!(
        (&again["refresh_token"], again["refresh_token"].is_string()),
        (&given["refresh_token"], true)
    );
    assert_eq!(told(&gateway, "POST /auth/refresh", &[&access]), refused(401, "token-missing"));
    assert_eq!(told(&gateway, "GET /auth/me", &[&refresh]), refused(401, "token-missing"));
    let evil = "Sec-Fetch-Site: cross-site";
    for path in ["/auth/refresh", "/auth/reauth", "/auth/logout"] {
        let both =
            format!("Cookie: access_token={}; refresh_token={}", tokens.access, tokens.refresh);
        let cross = refused(403, "cross-site");
        assert_eq!(told(&gateway, &format!("POST {path}"), &[&both, evil]), cross, "{path}");
    }
    // Logout takes either, access first.
    let crossed = format!("Cookie: access_token=e30.e30.e30; refresh_token={}", tokens.refresh);
    assert_eq!(told(&gateway, "POST /auth/logout", &[&crossed]), refused(401, "token-invalid"));
    assert_eq!(ask(&gateway, "POST /auth/logout", &[&refresh]).status, 204);
    assert_eq!(told(&gateway, "GET /auth/me", &[&access]), refused(401, "token-revoked"));
    // Two cookies are removed where nobody looks, so that they do not shut the way to a new login.
    let twice = "Cookie: access_token=x; access_token=y";
    let login = ask(&gateway, "POST /auth/login", &[twice]);
    assert_eq!((login.status, login.code().as_str()), (400, "bad-body"));
}

#[test]
fn explain_and_the_tests_of_a_configuration_ask_the_same() {
    let tests = "[[test]]\nrequest = \"POST /cookie\"\nas = { sub = \"u\" }\nexpect = \"pass\"\n\
        [[test]]\nrequest = \"POST /cookie\"\nas = { sub = \"u\" }\nheaders = { Sec-Fetch-Site = \"cross-site\" }\nexpect = \"cross-site\"\n\
        [[test]]\nrequest = \"GET /renew\"\nas = { sub = \"u\", type = \"refresh\" }\nexpect = \"pass\"\n\
        [[test]]\nrequest = \"GET /query?a=1\"\nas = { sub = \"u\" }\nexpect = \"pass\"\n\
        [[test]]\nrequest = \"GET /query?access_token=x\"\nas = { sub = \"u\" }\nexpect = \"token-duplicated\"\n\
        [[test]]\nrequest = \"GET /cookie?access_token=canary\"\nexpect = \"token-missing\"\n";
    let routes = "upstream = \"builtin:whoami\"\n[routes]\n\
        \"/cookie\" = { policy = \"access-required\", accept = [\"cookie\"], forward_token = true }\n\
        \"/renew\" = { policy = \"refresh-only\", accept = [\"cookie\"] }\n\
        \"/query\" = { policy = \"access-required\", accept = [\"query\"], exception = true, forward_token = true }\n";
    let setup = Setup::new(&format!("{routes}{tests}{}", forge::KEY)).env("SHARED", forge::SECRET);
    setup.cli(&["check"], "").succeeded();
    let explained = |args: &[&str]| {
        let output =
            setup.cli(&[&["explain"], args, &["--format", "json"]].concat(), "").succeeded();
        assert!(
            !output.stdout.contains("canary") && !output.stdout.contains("eyJ"),
            "{}",
            output.stdout
        );
        serde_json::from_str::<Value>(&output.stdout).expect("JSON")
    };
    let good = forge::stale("ada");
    let cookie = format!("Cookie: access_token={good}; refresh_token=canary; a=1");
    let told = explained(&["GET", "/cookie?x=1", "--header", &cookie]);
    assert_eq!((&told["decision"], &told["target"]), (&"pass".into(), &"/cookie?x=1".into()));
    let told = explained(&[
        "POST",
        "/cookie",
        "--header",
        &cookie,
        "--header",
        "Sec-Fetch-Site: same-site",
    ]);
    assert_eq!((&told["code"], &told["status"]), (&"cross-site".into(), &403.into()));
    let told = explained(&["GET", &format!("/query?access_token={good}&x=1")]);
    assert_eq!((&told["decision"], &told["target"]), (&"pass".into(), &"/query?x=1".into()));
    assert!(told["headers"].to_string().contains("authorization"), "{told}");
    assert_eq!(explained(&["GET", "/query", "--token", &good])["target"], "/query");
    assert_eq!(explained(&["GET", "/cookie", "--as", "{}"])["decision"], "pass");
    assert_eq!(
        explained(&["GET", "/cookie?access_token=canary", "--as", "{}"])["target"],
        "/cookie"
    );
    let bad = setup.cli(&["explain", "GET", "x?access_token=canary"], "");
    assert!(!format!("{bad:?}").contains("canary\\") && !bad.stderr.contains("canary"), "{bad:?}");
}
