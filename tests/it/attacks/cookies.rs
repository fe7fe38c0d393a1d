//! Cookies that the login sets: who reads them, who sends them, and what is left of them afterwards.

use serde_json::json;

use crate::harness::{Gateway, Response, forge};

const TOML: &str = "upstream = \"builtin:whoami\"\n[tokens]\naccept = [\"header\", \"cookie\"]\n[login]\ncookies = \"only\"\n\
    [routes]\n\"/access\" = \"access-required\"\n\"/optional\" = \"optional\"\n";

const METHODS: [&str; 4] = ["POST", "PUT", "PATCH", "DELETE"];

fn login(gateway: &Gateway) -> Response {
    let body = json!({"username": "admin", "password": gateway.first_password()});
    gateway.client().post("/auth/login").json(&body).send().expect(200)
}

fn all(answer: &Response) -> Vec<String> {
    answer.all("set-cookie").into_iter().map(str::to_owned).collect()
}

/// `name=value` of a cookie that was set.
#[track_caller]
fn pair(answer: &Response, name: &str) -> String {
    let found = all(answer).into_iter().find(|one| one.starts_with(&format!("{name}=")));
    let found = found.unwrap_or_else(|| panic!("no {name} in {:?}", answer.headers));
    found.split("; ").next().expect("a pair").to_owned()
}

// Holds: C1
#[test]
fn no_script_no_plain_connection_and_no_other_path_gets_a_cookie_with_a_token() {
    let gateway = Gateway::start(TOML);
    let answer = login(&gateway);
    let refreshed = gateway.client().post("/auth/refresh");
    let refreshed = refreshed.header("Cookie", &pair(&answer, "refresh_token")).send().expect(200);
    for answer in [&answer, &refreshed] {
        let cookies = all(answer);
        assert_eq!(cookies.len(), 2);
        for cookie in &cookies {
            for word in ["HttpOnly", "Secure", "SameSite="] {
                assert!(cookie.contains(&format!("; {word}")), "{cookie}");
            }
            assert!(!cookie.to_ascii_lowercase().contains("domain="), "{cookie}");
        }
        let refresh = cookies.iter().find(|one| one.starts_with("refresh_token=")).expect("both");
        assert!(refresh.contains("; Path=/auth;") && refresh.contains("SameSite=Strict"));
        assert!(!answer.text().contains("eyJ"), "a token is in the body");
    }
}

// Holds: C2
#[test]
fn a_cookie_that_browsers_drop_is_no_login() {
    let gateway = Gateway::start(TOML);
    gateway.user("ada", "a long password", &json!({"note": "x".repeat(3_000)}).to_string());
    gateway.logged("users_reread");
    let body = json!({"username": "ada", "password": "a long password"});
    let answer = gateway.client().post("/auth/login").json(&body).send();
    assert_eq!(all(&answer.refused(500, "internal")).len(), 0);
    let listed = gateway.cli(&["session", "list", "--user", "ada", "--json"], "").succeeded();
    assert!(!listed.stdout.contains("\"sid\""), "{}", listed.stdout);
}

// Holds: C3
#[test]
fn two_cookies_of_the_name_are_refused_whichever_is_good() {
    let gateway = Gateway::start(TOML);
    let good = pair(&login(&gateway), "access_token");
    let others = [
        "access_token=x",
        "Access_Token=x",
        "access.token=x",
        " access_token =x",
        "access%5Ftoken=x",
    ];
    for other in others {
        for cookies in [format!("{good}; {other}"), format!("{other}; {good}")] {
            let request = gateway.client().get("/access").header("Cookie", &cookies);
            request.send().refused(400, "token-duplicated");
        }
    }
    gateway.client().get("/access").header("Cookie", &good).send().expect(200);
}

// Holds: C4, CVE-2026-49871
#[test]
fn a_page_of_another_site_neither_acts_with_the_cookie_nor_logs_anybody_in() {
    let gateway = Gateway::start(TOML);
    let answer = login(&gateway);
    let (access, refresh) = (pair(&answer, "access_token"), pair(&answer, "refresh_token"));
    let pages = [
        ("Origin", "https://evil.example"),
        ("Origin", "null"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
        ("Sec-Fetch-Site", "unheard-of"),
    ];
    let client = gateway.client();
    for (name, value) in pages {
        for method in METHODS {
            let request = client.request(method, "/access").header("Cookie", &access);
            request.header(name, value).send().refused(403, "cross-site");
        }
        // What a page cannot add by itself needs no proof.
        let token = access.split_once('=').expect("a pair").1;
        client.post("/access").bearer(token).header(name, value).send().expect(200);
        let form = [("username", "admin"), ("password", &gateway.first_password())];
        let forced = client.post("/auth/login").form(&form).header(name, value).send();
        assert_eq!(all(&forced.refused(403, "cross-site")).len(), 0);
        for (path, cookie) in
            [("refresh", &refresh), ("logout", &access), ("logout", &refresh), ("reauth", &access)]
        {
            let request = client.post(&format!("/auth/{path}")).header("Cookie", cookie);
            assert_eq!(
                all(&request.header(name, value).send().refused(403, "cross-site")).len(),
                0
            );
        }
        let sid = forge::payload(token)["sid"].as_str().expect("a session").to_owned();
        for path in ["/auth/sessions".to_owned(), format!("/auth/sessions/{sid}")] {
            let request = client.request("DELETE", &path).header("Cookie", &access);
            request.header(name, value).send().refused(403, "cross-site");
        }
    }
    client.get("/access").header("Cookie", &access).send().expect(200);
    client
        .post("/access")
        .header("Cookie", &access)
        .header("Sec-Fetch-Site", "same-origin")
        .send()
        .expect(200);
}

// Holds: C5
#[test]
fn no_link_ends_or_renews_a_session() {
    let gateway = Gateway::start(TOML);
    let answer = login(&gateway);
    let cookies = format!("{}; {}", pair(&answer, "access_token"), pair(&answer, "refresh_token"));
    for method in ["GET", "HEAD", "OPTIONS"] {
        for path in ["/auth/login", "/auth/logout", "/auth/refresh", "/auth/reauth"] {
            let answer = gateway.client().request(method, path).header("Cookie", &cookies).send();
            assert_eq!(answer.status, 404, "{method} {path}");
            assert_eq!(all(&answer).len(), 0);
        }
    }
    gateway.client().get("/access").header("Cookie", &cookies).send().expect(200);
}

// Holds: C6, CVE-2023-35941, CVE-2025-55162
#[test]
fn no_cookie_outlives_its_logout_and_none_is_believed_for_what_it_says() {
    let gateway = Gateway::start(TOML);
    let client = gateway.client();
    for end in ["/auth/logout", "/auth/sessions"] {
        let answer = login(&gateway);
        let (access, refresh) = (pair(&answer, "access_token"), pair(&answer, "refresh_token"));
        let method = if end == "/auth/logout" { "POST" } else { "DELETE" };
        let out = client.request(method, end).header("Cookie", &access).send().expect(204);
        let attributes = |one: &String| {
            let kept = |part: &&str| !part.starts_with("Max-Age") && !part.starts_with("Expires");
            let name = one.split('=').next().unwrap_or_default().to_owned();
            (name, one.split("; ").skip(1).filter(kept).map(str::to_owned).collect::<Vec<_>>())
        };
        let set: Vec<_> = all(&answer).iter().map(attributes).collect();
        let cleared: Vec<_> = all(&out).iter().map(attributes).collect();
        assert_eq!(set, cleared, "by the attributes that they were set with");
        assert!(all(&out).iter().all(|one| one.contains("=; ") && one.contains("Max-Age=0")));
        // Who kept them has nothing.
        client.get("/access").header("Cookie", &access).send().refused(401, "token-revoked");
        client.get("/optional").header("Cookie", &access).send().refused(401, "token-revoked");
        let again = client.post("/auth/refresh").header("Cookie", &refresh).send();
        again.refused(401, "token-revoked");
    }
    // Another end, another user: what a cookie says counts under its signature alone.
    let good = pair(&login(&gateway), "access_token");
    let mut parts: Vec<&str> = good.split('.').collect();
    let mut claims = forge::payload(good.split_once('=').expect("a pair").1);
    claims["exp"] = json!(forge::now() + 10_000_000);
    let other = forge::hs256(forge::SECRET, &claims);
    parts[1] = other.split('.').nth(1).expect("a payload");
    let forged = parts.join(".");
    client.get("/access").header("Cookie", &forged).send().refused(401, "token-invalid");
}
