//! What of a token a backend gets, and a log never.

use super::{ALL, ask, refused, told};
use crate::harness::upstream::Recorded;
use crate::harness::{Gateway, Response, Upstream, forge};

fn cookies(seen: &Recorded) -> Vec<String> {
    let of = seen.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("cookie"));
    of.map(|(_, value)| value.clone()).collect()
}

#[test]
fn no_policy_leaves_a_token_for_the_backend() {
    let upstream = Upstream::echo();
    let gateway = Gateway::sharing(&upstream, ALL);
    let (good, refresh) = (forge::stale("ada"), forge::refresh("ada"));
    // One odd spelling holds no token, many of them are too many; a good one in the header decides before.
    let one = ("a=%41;Access.Token=canary&b", "a=\"1\"; access.token=canary;b=caf\u{e9}");
    let many = (
        "access%5Ftoken=canary&a=%41;Access.Token=canary&b&access_token=canary",
        "access.token=canary; a=\"1\"; ACCESS_TOKEN=canary;b=caf\u{e9}; x, refresh_token=canary; refresh%5Ftoken=canary",
    );
    for (path, token, (query, cookie)) in [
        ("/public", None, one),
        ("/public", None, many),
        ("/optional", None, one),
        ("/optional", Some(&good), many),
        ("/access", Some(&good), many),
        ("/header", Some(&good), many),
        ("/refresh", Some(&refresh), many),
        ("/tried", None, many),
    ] {
        let bearer = token.map(|token| format!("Authorization: Bearer {token}"));
        let cookie = format!("Cookie: {cookie}");
        let fields: Vec<&str> = bearer.iter().map(String::as_str).chain([&*cookie]).collect();
        ask(&gateway, &format!("GET {path}?{query}"), &fields).expect(200);
        let seen = upstream.last();
        let raw = String::from_utf8_lossy(&seen.raw).into_owned();
        assert!(!raw.contains("canary") && !raw.contains("Bearer"), "{path}: {raw}");
        assert_eq!(seen.target().split_once('?').expect("a query").1.replace(';', "&"), "a=%41&b");
        assert_eq!(cookies(&seen), ["a=\"1\";b=caf\u{e9}"], "{path}");
    }
}

#[test]
fn where_no_route_takes_them_cookies_and_queries_are_the_backends_own() {
    let upstream = Upstream::echo();
    let gateway = Gateway::sharing(&upstream, "[routes]\n\"/**\" = \"public\"\n");
    let (line, cookie) = ("GET /x?access_token=own&b=%41", "access_token=own; refresh_token=own");
    let answer = ask(&gateway, line, &[&format!("Cookie: {cookie}"), "Authorization: Bearer x"]);
    assert!(!answer.expect(200).has("referrer-policy"));
    let seen = upstream.last();
    assert_eq!((seen.target(), cookies(&seen)), ("/x?access_token=own&b=%41", vec![cookie.into()]));
    assert!(!seen.has("authorization"));
    // On a route that takes them, elsewhere, is enough: a browser sends its cookie wherever it goes.
    let routes = "[routes]\n\"/**\" = \"public\"\n\"/in\" = { policy = \"access-required\", accept = [\"cookie\"] }\n";
    let gateway = Gateway::sharing(&upstream, routes);
    ask(&gateway, line, &[&format!("Cookie: {cookie}")]).expect(200);
    let seen = upstream.last();
    assert_eq!((seen.target(), seen.has("cookie")), ("/x?access_token=own&b=%41", false));
}

#[test]
fn forward_token_gives_what_was_judged_and_nothing_else() {
    let upstream = Upstream::echo();
    let gateway = Gateway::sharing(&upstream, ALL);
    let good = forge::stale("ada");
    let bearer = format!("Bearer {good}");
    let field = format!("Authorization: {bearer}");
    let cookie = format!("Cookie: access_token={good}; refresh_token=canary; a=1");
    for path in ["/given", "/open"] {
        let seen = |line: &str, fields: &[&str]| {
            ask(&gateway, line, fields).expect(200);
            let seen = upstream.last();
            let raw = String::from_utf8_lossy(&seen.raw).into_owned();
            assert!(!raw.contains("canary") && !seen.target().contains("access"), "{path}: {raw}");
            (seen.header("authorization").map(str::to_owned), cookies(&seen).join("|"))
        };
        let line = format!("GET {path}?access_token=canary");
        assert_eq!(
            seen(&line, &[&field, "Cookie: access_token=canary; a=1"]),
            (Some(bearer.clone()), "a=1".into())
        );
        assert_eq!(seen(&line, &[&cookie]), (None, format!("access_token={good}; a=1")));
        let line = format!("GET {path}?access_token={good}&b=1");
        assert_eq!(seen(&line, &[]), (Some(bearer.clone()), String::new()));
        assert_eq!(
            seen(&line, &["Authorization: Basic YTpi"]),
            (Some(bearer.clone()), String::new())
        );
    }
    // Never a refresh cookie, and never what report mode let pass.
    let refresh = forge::refresh("ada");
    let field = format!("Cookie: refresh_token={refresh}; access_token=canary; a=1");
    ask(&gateway, "GET /renew", &[&field]).expect(200);
    assert_eq!(cookies(&upstream.last()), ["a=1"]);
    ask(&gateway, "GET /tried?access_token=e30.e30.e30", &[]).expect(200);
    assert!(!upstream.last().has("authorization"));
    ask(&gateway, "POST /tried", &[&cookie, "Sec-Fetch-Site: cross-site"]).expect(200);
    assert_eq!(
        (cookies(&upstream.last()), upstream.last().has("x-user-id")),
        (vec!["a=1".into()], false)
    );
    gateway.logged("cross-site");
}

#[test]
fn a_query_token_is_in_no_log_and_its_answer_is_kept_by_nobody() {
    let fields = "Cache-Control: public, max-age=600\r\nCDN-Cache-Control: max-age=600\r\nReferrer-Policy: unsafe-url";
    let answer = format!("HTTP/1.1 200 OK\r\n{fields}\r\nContent-Length: 2\r\n\r\nok");
    let upstream = Upstream::answering(answer);
    let gateway = Gateway::sharing(&upstream, ALL);
    let good = forge::stale("ada");
    let private = |response: Response| {
        let all = |name: &str| {
            let of = response.headers.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name));
            of.map(|(_, value)| value.clone()).collect::<Vec<_>>()
        };
        assert_eq!(all("cache-control"), ["private, no-store"], "{}", response.status);
        assert_eq!(all("referrer-policy"), ["no-referrer"]);
        assert!(all("cdn-cache-control").is_empty());
        assert!(!String::from_utf8_lossy(&response.raw).contains("e30.e30"));
    };
    for path in ["/access", "/public", "/auth/me", "/none", "/deny", "/a//b", "/header"] {
        for token in [&good, "e30.e30.e30"] {
            private(ask(&gateway, &format!("GET {path}?x=1&access%5Ftoken={token}"), &[]));
        }
    }
    private(ask(&gateway, "POST /tried?access_token=e30.e30.canary", &[]));
    let plain = ask(&gateway, "GET /public?x=1", &[]);
    assert_eq!(plain.header("cache-control"), Some("public, max-age=600"));
    // An error of the backend's too.
    let broken = Upstream::answering("nonsense\r\n\r\n");
    let other = Gateway::sharing(&broken, ALL);
    private(ask(&other, &format!("GET /access?access_token={good}"), &[]));
    for gateway in [gateway, other] {
        gateway.logged("freshgate::access");
        let log = gateway.log();
        assert!(!log.contains(&good) && !log.contains("e30.e30"), "{log}");
    }
}

#[test]
fn the_names_are_the_operators() {
    let upstream = Upstream::echo();
    let toml = "[tokens]\naccept = [\"query\", \"cookie\", \"header\"]\nheader = \"X-Token\"\nscheme = \"\"\n\
        cookie = \"access_token_cookie\"\nrefresh_cookie = \"refresh_token_cookie\"\nquery = \"jwt\"\n\
        [routes]\n\"/given\" = { policy = \"access-required\", forward_token = true }\n\"/**\" = \"optional\"\n";
    let gateway = Gateway::sharing(&upstream, toml);
    let good = forge::stale("ada");
    for (line, field) in [
        ("GET /x".to_owned(), format!("X-Token: {good}")),
        ("GET /x".to_owned(), format!("Cookie: access_token_cookie={good}")),
        (format!("GET /x?jwt={good}"), "X: y".to_owned()),
    ] {
        ask(&gateway, &line, &[&field]).expect(200);
        let seen = upstream.last();
        assert_eq!(seen.header("x-user-id"), Some("ada"), "{line} {field}");
        assert!(!String::from_utf8_lossy(&seen.raw).contains(&good), "{line} {field}");
    }
    // The usual names are the backend's own now, and every spelling of ours is not.
    let others = [
        "Authorization: Bearer own",
        "Cookie: access_token=own",
        "X_Token: canary",
        "x.token: canary",
    ];
    ask(&gateway, "GET /x?access_token=own", &others).expect(200);
    let seen = upstream.last();
    assert_eq!(seen.header("authorization"), Some("Bearer own"));
    assert_eq!(
        (cookies(&seen), seen.target()),
        (vec!["access_token=own".into()], "/x?access_token=own")
    );
    assert!(!String::from_utf8_lossy(&seen.raw).contains("canary"));
    let twice = format!("X-Token: {good}\r\nX-Token: {good}");
    assert_eq!(told(&gateway, "GET /x", &[&twice]), refused(400, "token-duplicated"));
    assert_eq!(told(&gateway, "GET /x", &["X-Token: Bearer x"]), refused(401, "token-malformed"));
    ask(&gateway, &format!("GET /given?jwt={good}"), &["X-Token: canary"]).expect(200);
    assert_eq!(upstream.last().header("x-token"), Some(&*good));
}
