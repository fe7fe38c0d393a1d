//! Cookies that our login sets: no other site and no backend has a part in them.

use crate::harness::{Gateway, Upstream};

const LOGIN: &str = "[login]\ncookies = \"only\"\ncookie_secure = false\n[tokens]\naccept = [\"header\", \"cookie\"]\n";

fn started(upstream: &Upstream) -> Gateway {
    Gateway::start(&format!(
        "upstream = \"{upstream}\"\n{LOGIN}[routes]\n\"/**\" = \"access-required\"\n"
    ))
}

// Holds: CVE-2026-49871
#[test]
fn no_page_of_another_site_logs_anybody_in_however_the_browser_says_so() {
    let upstream = Upstream::echo();
    let gateway = started(&upstream);
    let password = gateway.first_password();
    let form = [("username", "admin"), ("password", &*password)];
    let login = |fields: &[(&str, &str)]| {
        let request = gateway.client().post("/auth/login").form(&form);
        fields.iter().fold(request, |request, (name, value)| request.header(name, value)).send()
    };
    for fields in [
        &[("Sec-Fetch-Site", "cross-site")][..],
        &[("Sec-Fetch-Site", "same-site")],
        &[("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "cross-site")],
        &[("Sec-Fetch-Site", "")],
        &[("Origin", "null")],
        &[("Origin", "https://evil.example")],
        &[("Origin", "http://127.0.0.1.evil.example")],
        &[("Origin", "http://evil.example@127.0.0.1")],
        &[("Origin", "http://127.0.0.1"), ("Origin", "https://evil.example")],
        &[("Origin", "https://evil.example"), ("X-Forwarded-Host", "evil.example")],
        &[("Origin", "https://evil.example"), ("Forwarded", "host=evil.example")],
    ] {
        let answer = login(fields).refused(403, "cross-site");
        assert!(answer.all("set-cookie").is_empty(), "{fields:?}");
    }
    let own = login(&[("Sec-Fetch-Site", "same-origin")]).expect(200);
    assert_eq!(own.all("set-cookie").len(), 2);
}

// Holds: CVE-2023-35941, CVE-2025-55162
#[test]
fn a_cookie_is_no_token_by_itself_and_none_survives_its_session() {
    let tossing = "HTTP/1.1 200 OK\r\nSet-Cookie: access_token=theirs; Path=/x\r\nset-cookie: ACCESS_TOKEN=theirs\r\n\
        Set-Cookie: refresh%5ftoken=theirs\r\nSet-Cookie: =access_token=theirs\r\nSet-Cookie: access.token=\u{e9}\r\n\
        Set-Cookie: theme=dark\r\nContent-Length: 0\r\n\r\n";
    let upstream = Upstream::answering(tossing);
    let gateway = started(&upstream);
    let client = gateway.client();
    let password = gateway.first_password();
    let login = client.post("/auth/login").form(&[("username", "admin"), ("password", &password)]);
    let answer = login.send().expect(200);
    let cookies: Vec<&str> = answer.all("set-cookie");
    let pair = |name: &str| {
        let found = cookies.iter().find(|one| one.starts_with(name)).expect("a cookie");
        found.split(';').next().expect("a pair").to_owned()
    };
    let (access, refresh) = (pair("access_token="), pair("refresh_token="));
    let get = |cookie: &str| client.get("/x").header("Cookie", cookie).send();
    assert_eq!(get(&access).expect(200).all("set-cookie"), ["theme=dark"]);
    // A second one, tossed in from beside, is two tokens and not a choice.
    for tossed in ["access_token=x; ", "ACCESS_TOKEN=x; ", "access%5Ftoken=x; ", "access.token=x; "]
    {
        get(&format!("{tossed}{access}")).refused(400, "token-duplicated");
    }
    get("access_token=x").refused(401, "token-malformed");
    let of_refresh = refresh.replacen("refresh_token", "access_token", 1);
    get(&of_refresh).refused(401, "token-wrong-type");
    client.post("/auth/logout").header("Cookie", &refresh).send().expect(204);
    get(&access).refused(401, "token-revoked");
    client.post("/auth/refresh").header("Cookie", &refresh).send().refused(401, "token-revoked");
}
