//! Identity fields only from us, hop-by-hop fields from nobody, the token kept back.

use serde_json::json;

use crate::harness::upstream::Recorded;
use crate::harness::{Gateway, Upstream, forge};

const TOML: &str = "[identity]\nX-User-Id = \"sub\"\nX-User-Roles = \"roles\"\nX-User-Email = \"email\"\n\
    [routes]\n\"/public\" = \"public\"\n\"/optional\" = \"optional\"\n\"/access\" = \"access-required\"\n\
    \"/fresh\" = \"fresh-required\"\n\"/refresh\" = \"refresh-only\"\n";

/// Spellings that some backend folds into one of ours.
const SPELLINGS: [&str; 14] = [
    "X-User-Id",
    "x-user-id",
    "X-USER-ID",
    "x-USER-id",
    "X_User_Id",
    "x_user_id",
    "X.User.Id",
    "x.user_id",
    "X-User_Id",
    "x-user.ID",
    "X_USER-ROLES",
    "X-User-Roles",
    "x.user.email",
    "X~User~Id",
];

/// The values of every field whose name folds to this one, as CGI, WSGI and PHP fold names.
fn folded(seen: &Recorded, name: &str) -> Vec<String> {
    let fold =
        |name: &str| name.replace(|sign: char| !sign.is_ascii_alphanumeric(), "-").to_lowercase();
    let same = seen.headers.iter().filter(|(n, _)| fold(n) == fold(name));
    same.map(|(_, value)| value.clone()).collect()
}

// Holds: F1, F2, CVE-2025-64484, CVE-2026-39858, CVE-2026-54763, CVE-2026-88011, CVE-2026-33433, CVE-2026-26308
// Holds: CVE-2021-32777
#[test]
fn an_identity_field_comes_only_from_us_in_any_spelling_on_any_route() {
    let upstream = Upstream::echo();
    let gateway = Gateway::sharing(&upstream, TOML);
    let (fresh, refresh) = (forge::fresh("ada"), forge::refresh("ada"));
    for (route, token, ours) in [
        ("/public", None, None),
        // On a public route the token is never looked at, so nobody is known.
        ("/public", Some(&fresh), None),
        ("/optional", None, None),
        ("/optional", Some(&fresh), Some("ada")),
        ("/access", Some(&fresh), Some("ada")),
        ("/fresh", Some(&fresh), Some("ada")),
        ("/refresh", Some(&refresh), Some("ada")),
    ] {
        for spelling in SPELLINGS {
            let mut request =
                gateway.client().get(route).header(spelling, "root").header(spelling, "toor");
            if let Some(token) = token {
                request = request.bearer(token);
            }
            request.send().expect(200);
            let seen = upstream.last();
            let expected: Vec<String> = ours.iter().map(|&id| id.to_owned()).collect();
            assert_eq!(folded(&seen, "x-user-id"), expected, "{spelling} on {route}");
            assert!(folded(&seen, "x-user-roles").is_empty(), "{spelling} on {route}");
            assert!(folded(&seen, "x-user-email").is_empty(), "{spelling} on {route}");
        }
    }
}

// Holds: F3, CVE-2024-45410, CVE-2026-29054, CVE-2025-48865, CVE-2022-31813, CVE-2022-1388
#[test]
fn connection_cannot_remove_ours_nor_smuggle_theirs() {
    let upstream = Upstream::echo();
    let gateway = Gateway::sharing(&upstream, TOML);
    let token = forge::with("ada", json!({"roles": ["user"]}));
    for named in [
        "X-User-Id",
        "close, x-user-id, X-User-Roles",
        "X_User_Id, x-forwarded-for, via, host, x-request-id",
    ] {
        let request = gateway.client().get("/access").bearer(&token).header("Connection", named);
        request.header("X-User-Id", "root").send_on(&mut gateway.client().connect()).expect(200);
        let seen = upstream.last();
        assert_eq!(folded(&seen, "x-user-id"), ["ada"], "{named}");
        assert_eq!(folded(&seen, "x-user-roles"), ["user"], "{named}");
        assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"), "{named}");
        assert!(seen.has("via") && seen.has("host") && seen.has("x-request-id"), "{named}");
    }
}

// Holds: H14, CVE-2026-88004
#[test]
fn a_trailer_is_never_a_field() {
    let upstream = Upstream::echo();
    let gateway = Gateway::sharing(&upstream, TOML);
    let token = forge::stale("ada");
    for route in ["/public", "/access"] {
        gateway.client().raw_one(format!(
            "POST {route} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nTrailer: X-User-Id\r\n\
             Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-User-Id: root\r\nX-User-Roles: admin\r\n\r\n"
        ));
        let seen = upstream.last();
        assert_eq!((seen.text(), seen.target()), ("abc".to_owned(), route));
        assert!(seen.trailers.is_empty(), "{:?}", seen.trailers);
        assert!(!String::from_utf8_lossy(&seen.raw).contains("root"));
        assert!(folded(&seen, "x-user-roles").is_empty());
    }
}

/// What the backend gets for `email`.
#[track_caller]
fn email(value: serde_json::Value, expected: Option<&str>) {
    let upstream = Upstream::echo();
    let gateway = Gateway::sharing(&upstream, TOML);
    let token = forge::with("ada", json!({"email": value}));
    gateway
        .client()
        .get("/access")
        .bearer(&token)
        .header("X-User-Email", "forged@x")
        .send()
        .expect(200);
    let seen = upstream.last();
    let expected: Vec<&str> = expected.into_iter().collect();
    assert_eq!(folded(&seen, "x-user-email"), expected, "for {value}");
    assert!(!seen.has("x-role"), "{:?}", seen.headers);
    assert_eq!(seen.all("host").len(), 1);
}

// Holds: F8
#[test]
fn no_claim_can_inject() {
    email(json!("a\r\nX-Role: root"), Some("a%0D%0AX-Role:%20root"));
    email(json!("a\nX-Role: root\n\n"), Some("a%0AX-Role:%20root%0A%0A"));
    email(json!("a,b"), Some("a%2Cb"));
    email(json!("100%0a"), Some("100%250a"));
    email(json!("J\u{fc}rg \u{1f511}"), Some("J%C3%BCrg%20%F0%9F%94%91"));
    email(json!("a\0b\u{7f}"), Some("a%00b%7F"));
    email(json!(" padded "), Some("%20padded%20"));
}

// Holds: F8
#[test]
fn claims_of_every_type_have_one_form() {
    email(json!(true), Some("true"));
    email(json!(7), Some("7"));
    email(json!(["a", "b,c", 3]), Some("a,b%2Cc,3"));
    email(json!({"a": 1}), Some("{\"a\":1}"));
}

// Holds: F1, CVE-2026-30851, CVE-2026-39998, CVE-2026-44087
#[test]
fn an_absent_claim_is_an_absent_field() {
    email(json!(null), None);
    email(json!(""), None);
    email(json!([]), None);
    email(json!([null]), None);
    let upstream = Upstream::echo();
    let gateway = Gateway::sharing(&upstream, TOML);
    let forged = gateway.client().get("/access").header("X-User-Email", "forged@x");
    forged.bearer(&forge::stale("ada")).send().expect(200);
    assert!(folded(&upstream.last(), "x-user-email").is_empty());
}

// Holds: P13, P11, CVE-2026-40575, GHSA-6384-m2mw-rf54, CVE-2016-5385
#[test]
fn fields_that_steer_backends_are_removed() {
    let upstream = Upstream::echo();
    let gateway = Gateway::sharing(&upstream, TOML);
    for name in [
        "X-Original-URL",
        "X-Rewrite-URL",
        "X_Rewrite_Url",
        "X-HTTP-Method-Override",
        "X-Method-Override",
        "X-Forwarded-Uri",
        "X-Forwarded-Prefix",
        "X-Forwarded-Port",
        "X-Forwarded-User",
        "X_Forwarded_User",
        "X-Real-IP",
        "True-Client-IP",
        "Remote-User",
        "REMOTE_USER",
        "Proxy",
        "X-Middleware-Subrequest",
        "X-Sendfile-Type",
        "X-Accel-Mapping",
        "HTTP_X_FORWARDED_FOR",
        "WL-Proxy-Client-IP",
        "X-Original-Forwarded-For",
        "X-Url-Scheme",
        "Redirect-Remote-User",
    ] {
        gateway.client().get("/public").header(name, "/admin").send().expect(200);
        let seen = upstream.last();
        assert!(
            !seen.headers.iter().any(|(_, value)| value == "/admin"),
            "{name}: {:?}",
            seen.headers
        );
    }
}

// Holds: F6
#[test]
fn the_token_stays_here_unless_the_route_asks_for_it() {
    let upstream = Upstream::echo();
    let toml =
        format!("{TOML}\"/api/**\" = {{ policy = \"access-required\", forward_token = true }}\n");
    let gateway = Gateway::sharing(&upstream, &toml);
    let token = forge::fresh("ada");
    for route in ["/public", "/optional", "/access", "/fresh"] {
        gateway.client().get(route).bearer(&token).send().expect(200);
        assert!(!upstream.last().has("authorization"), "{route}");
        assert!(!String::from_utf8_lossy(&upstream.last().raw).contains(&token), "{route}");
    }
    gateway.client().get("/refresh").bearer(&forge::refresh("ada")).send().expect(200);
    assert!(!upstream.last().has("authorization"));
    gateway.client().get("/api/x").bearer(&token).send().expect(200);
    assert_eq!(upstream.last().header("authorization"), Some(&*format!("Bearer {token}")));
    // Another scheme is the backend's own business.
    gateway.client().get("/public").header("Authorization", "Basic YTpi").send().expect(200);
    assert_eq!(upstream.last().header("authorization"), Some("Basic YTpi"));
}

// Holds: F4
#[test]
fn hop_by_hop_fields_end_here_on_the_way_in() {
    let upstream = Upstream::echo();
    let gateway = Gateway::sharing(&upstream, TOML);
    let request = gateway
        .client()
        .get("/public")
        .header("Connection", "keep-alive, X-Hop")
        .header("X-Hop", "1");
    let request =
        request.header("Keep-Alive", "timeout=5").header("TE", "trailers").header("Trailer", "X");
    let request = request
        .header("Proxy-Connection", "keep-alive")
        .header("Proxy-Authorization", "Basic YTpi");
    request.header("X-End", "1").send_on(&mut gateway.client().connect()).expect(200);
    let seen = upstream.last();
    for name in [
        "connection",
        "x-hop",
        "keep-alive",
        "te",
        "trailer",
        "proxy-connection",
        "proxy-authorization",
    ] {
        assert!(!seen.has(name), "{name}: {:?}", seen.headers);
    }
    assert_eq!(seen.header("x-end"), Some("1"));
}

// Holds: F4
#[test]
fn hop_by_hop_fields_end_here_on_the_way_out() {
    let upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nUpgrade: h2c\r\n\
         Proxy-Connection: x\r\nTrailer: X-T\r\nX-End: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: 1\r\n\r\n",
    );
    let gateway = Gateway::sharing(&upstream, TOML);
    let response =
        gateway.client().get("/public").send_on(&mut gateway.client().connect()).expect(200);
    for name in ["connection", "x-hop", "keep-alive", "upgrade", "proxy-connection", "trailer"] {
        assert!(!response.has(name), "{name}: {:?}", response.headers);
    }
    assert_eq!((response.header("x-end"), response.text()), (Some("1"), "ok".to_owned()));
    assert_eq!(response.header("via"), Some("1.1 freshgate"));
}

// Holds: F1
#[test]
fn without_an_identity_table_the_backend_gets_x_user_id() {
    let upstream = Upstream::echo();
    let gateway = Gateway::sharing(&upstream, "[routes]\n\"/**\" = \"access-required\"\n");
    gateway
        .client()
        .get("/")
        .header("X_USER_ID", "root")
        .bearer(&forge::stale("ada"))
        .send()
        .expect(200);
    assert_eq!(folded(&upstream.last(), "x-user-id"), ["ada"]);
}

/// An `Authorization` field of raw bytes on a request of its own; the status.
fn present(gateway: &Gateway, path: &str, before: &[u8], token: &str) -> u16 {
    let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: ");
    let bytes = [head.as_bytes(), before, token.as_bytes(), b"\r\n\r\n"].concat();
    gateway.client().raw_one(bytes).status
}

/// Python's `split` takes 0x85 and 0xA0 for spaces: Flask-JWT-Extended found a token where we saw another scheme.
// Holds: F6
#[test]
fn no_backend_sees_a_bearer_token_that_was_not_judged() {
    let upstream = Upstream::echo();
    let gateway = Gateway::sharing(
        &upstream,
        "[routes]\n\"/open\" = \"public\"\n\"/maybe\" = \"optional\"\n\"/shut\" = \"access-required\"\n",
    );
    let token = forge::stale("ada");
    let spellings: [&[u8]; 8] = [
        b"Bearer\xa0",
        b"\xa0Bearer ",
        b"\x85Bearer\x85",
        b"Bearer\xe2\x80\x83",
        b"\"Bearer\" ",
        b"Bearer:",
        b"Basic YTpi, \xa0Bearer ",
        b"Basic YTpi,Bearer\xa0",
    ];
    for before in spellings {
        // Two credentials are 400, a malformed one is 401.
        let refusal = if before.contains(&b',') { 400 } else { 401 };
        assert_eq!(present(&gateway, "/maybe", before, &token), refusal, "{before:?}");
        assert_eq!(present(&gateway, "/shut", before, &token), refusal, "{before:?}");
        assert_eq!(upstream.count(), 0, "{before:?}");
        // A public route looks at no token, and gives none to the backend.
        if refusal == 401 {
            assert_eq!(present(&gateway, "/open", before, &token), 200, "{before:?}");
            assert!(!upstream.last().has("authorization"), "{before:?}");
            upstream.forget();
        }
    }
    assert_eq!(present(&gateway, "/maybe", b"Bearer ", &token), 200);
    assert_eq!(present(&gateway, "/maybe", b"Basic ", "YTpi"), 200);
    assert!(upstream.last().has("authorization"));
}

// Holds: CVE-2026-26308, CVE-2021-32777
#[test]
fn two_credentials_are_400_whatever_the_policy() {
    let upstream = Upstream::echo();
    let gateway = Gateway::sharing(&upstream, TOML);
    let (good, other) = (forge::fresh("ada"), forge::fresh("bob"));
    for route in ["/public", "/optional", "/access", "/fresh", "/refresh"] {
        for second in [
            format!("Bearer {other}"),
            format!("Bearer {good}"),
            "Basic YTpi".to_owned(),
            "junk".to_owned(),
        ] {
            let request =
                gateway.client().get(route).bearer(&good).header("authorization", &second);
            request.send().refused(400, "token-duplicated");
        }
    }
    assert_eq!(upstream.count(), 0);
}

// Holds: F7
#[test]
fn a_backend_cannot_tell_the_client_who_it_is() {
    let fields: String = SPELLINGS.iter().map(|name| format!("{name}: root\r\n")).collect();
    let upstream = Upstream::answering(format!(
        "HTTP/1.1 200 OK\r\n{fields}X-User: kept\r\nX-User-Idea: kept\r\nContent-Length: 2\r\n\r\nok"
    ));
    let gateway = Gateway::sharing(&upstream, TOML);
    for route in ["/public", "/optional", "/access"] {
        let request = gateway.client().get(route).bearer(&forge::stale("ada"));
        let response = request.send().expect(200);
        assert!(
            !response.headers.iter().any(|(_, value)| value == "root"),
            "{:?}",
            response.headers
        );
        assert_eq!(
            (response.header("x-user"), response.header("x-user-idea")),
            (Some("kept"), Some("kept"))
        );
    }
}

// Holds: F8, CVE-2026-33433
#[test]
fn a_name_that_is_an_attack_is_one_value_of_one_field() {
    let upstream = Upstream::echo();
    let gateway = Gateway::sharing(&upstream, TOML);
    for name in [
        "a\r\nX-Role: root",
        "a\nb",
        "root\0",
        "a, root",
        "J\u{fc}rg",
        " ",
        "\u{2028}x",
        "%0d%0a",
        "\"a\"; b",
        "\u{202e}toor",
        "a\tb",
    ] {
        gateway.client().get("/access").bearer(&forge::stale(name)).send().expect(200);
        let seen = upstream.last();
        let values = folded(&seen, "x-user-id");
        assert_eq!(values.len(), 1, "{name:?}: {values:?}");
        assert!(
            values[0].bytes().all(|byte| byte.is_ascii_graphic() && byte != b','),
            "{name:?}: {values:?}"
        );
        let back = percent_encoding::percent_decode_str(&values[0]).decode_utf8().expect("UTF-8");
        assert_eq!(back, name);
        assert!(!seen.has("x-role"));
    }
    // A claim is as long as its token at most (8 KiB), whatever its encoding makes of it.
    let long = forge::stale(&"\u{1f511}".repeat(1300));
    gateway.client().get("/access").bearer(&long).send().expect(200);
    assert_eq!(folded(&upstream.last(), "x-user-id")[0].len(), 1300 * 12);
    let longer = forge::stale(&"\u{1f511}".repeat(1600));
    gateway.client().get("/access").bearer(&longer).send().expect(401);
}

// Holds: F4
#[test]
fn connection_cannot_take_away_what_frames_or_routes_a_request() {
    let upstream = Upstream::echo();
    let gateway = Gateway::sharing(&upstream, TOML);
    let request = gateway
        .client()
        .post("/public")
        .header("Connection", "Content-Length, Host, content-type, X-Gone");
    request
        .header("X-Gone", "1")
        .body("GET / HTTP/1.1\r\n\r\n")
        .send_on(&mut gateway.client().connect())
        .expect(200);
    let seen = upstream.last();
    assert_eq!(seen.text(), "GET / HTTP/1.1\r\n\r\n");
    assert!(seen.has("host") && !seen.has("x-gone"));
    assert_eq!(upstream.count(), 1);
}

// Holds: F6
// PHP ends a name at a NUL, and takes brackets behind it for a key of a list: `access_token[]` is `access_token` there.
#[test]
fn neither_a_list_nor_a_nul_carries_a_token_past_us() {
    let upstream = Upstream::echo();
    let toml = "[tokens]\naccept = [\"header\", \"cookie\", \"query\"]\n[routes]\n\"/open\" = \"public\"\n\"/shut\" = \"access-required\"\n";
    let gateway = Gateway::sharing(&upstream, toml);
    let good = forge::stale("ada");
    for odd in [
        "access_token[]",
        "access_token[0]",
        "access_token%5b%5D",
        "access_token%00x",
        "Access.Token%5B",
    ] {
        gateway.client().get(&format!("/open?a=b&{odd}=canary&c")).send().expect(200);
        let seen = upstream.last();
        assert_eq!(seen.target(), "/open?a=b&c", "{odd}");
        let cookie = format!("a=b; {odd}=canary; refresh_token[x]=canary; c=d");
        gateway.client().get("/open").header("Cookie", &cookie).send().expect(200);
        let raw = String::from_utf8_lossy(&upstream.last().raw).into_owned();
        assert!(!raw.contains("canary") && raw.contains("a=b; c=d"), "{raw}");
        // Beside the one that is judged it is a second one.
        let two = gateway.client().get(&format!("/shut?access_token={good}&{odd}=canary"));
        assert_eq!(two.send().status, 400, "{odd}");
    }
    gateway.client().get(&format!("/shut?access_token={good}")).send().expect(200);
}
