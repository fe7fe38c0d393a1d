//! `[login] cookies`: a browser logs in, refreshes and logs out, and no script and no other site has a part in it.

use serde_json::{Value, json};

use crate::harness::{Gateway, Response, Setup, Upstream, forge, tools};

fn toml(upstream: &str, tokens: &str, login: &str) -> String {
    format!(
        "upstream = \"{upstream}\"\n[tokens]\naccept = [\"header\", \"cookie\"]\n{tokens}\n[login]\n{login}\n\
         [routes]\n\"/access\" = \"access-required\"\n\"/optional\" = \"optional\"\n\"/refresh-view\" = \"refresh-only\"\n\"/\" = \"public\"\n"
    )
}

fn browsed(login: &str) -> Gateway {
    Gateway::start(&toml("builtin:whoami", "", login))
}

fn credentials(gateway: &Gateway) -> Value {
    json!({"username": "admin", "password": gateway.first_password()})
}

fn login(gateway: &Gateway) -> Response {
    gateway.client().post("/auth/login").json(&credentials(gateway)).send().expect(200)
}

/// The attributes of the cookie of this name, its value first.
#[track_caller]
fn set(answer: &Response, name: &str) -> Vec<String> {
    let field = answer.headers.iter().find(|(field, value)| {
        field.eq_ignore_ascii_case("set-cookie") && value.starts_with(&format!("{name}="))
    });
    let (_, value) = field.unwrap_or_else(|| panic!("no {name} in {:?}", answer.headers));
    let mut parts: Vec<String> = value.split("; ").map(str::to_owned).collect();
    parts[0] = parts[0][name.len() + 1..].to_owned();
    parts
}

fn count(answer: &Response) -> usize {
    answer.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie")).count()
}

#[test]
fn a_browser_goes_through_a_session_and_no_answer_holds_a_token() {
    let gateway = browsed("cookies = \"only\"");
    let client = gateway.client();
    let answer = login(&gateway);
    assert_eq!(answer.json(), json!({"expires_in": 900, "fresh": true}));
    assert_eq!(count(&answer), 2);
    assert!(gateway.stdout().contains("curl -i -c cookies http"), "{}", gateway.stdout());
    let (access, refresh) = (set(&answer, "access_token"), set(&answer, "refresh_token"));
    assert_eq!(access[1..], ["Path=/", "Max-Age=900", "SameSite=Lax", "HttpOnly", "Secure"]);
    let month = 30 * 24 * 3600;
    assert_eq!(
        refresh[1..],
        ["Path=/auth", &format!("Max-Age={month}"), "SameSite=Strict", "HttpOnly", "Secure"]
    );
    let cookie = |one: &[String], name: &str| format!("{name}={}", one[0]);
    let access = cookie(&access, "access_token");
    let mut refresh = cookie(&refresh, "refresh_token");
    client.get("/access").header("Cookie", &access).send().expect(200);
    let next = client.post("/auth/refresh").header("Cookie", &refresh).send().expect(200);
    // Both: the refresh token is replaced by the next one.
    assert_eq!((next.json(), count(&next)), (json!({"expires_in": 900, "fresh": false}), 2));
    let replaced =
        std::mem::replace(&mut refresh, cookie(&set(&next, "refresh_token"), "refresh_token"));
    assert_ne!(replaced, refresh);
    let stale = cookie(&set(&next, "access_token"), "access_token");
    let password = json!({"password": gateway.first_password()});
    let again = client.post("/auth/reauth").header("Cookie", &stale).json(&password).send();
    let again = again.expect(200);
    assert_eq!((again.json(), count(&again)), (json!({"expires_in": 900, "fresh": true}), 1));
    let out = client.post("/auth/logout").header("Cookie", &refresh).send().expect(204);
    assert_eq!(count(&out), 2);
    let past = "Expires=Thu, 01 Jan 1970 00:00:00 GMT";
    let cleared = set(&out, "access_token");
    assert_eq!(cleared, ["", "Path=/", "Max-Age=0", past, "SameSite=Lax", "HttpOnly", "Secure"]);
    let cleared = set(&out, "refresh_token");
    assert_eq!(
        cleared,
        ["", "Path=/auth", "Max-Age=0", past, "SameSite=Strict", "HttpOnly", "Secure"]
    );
    client.get("/access").header("Cookie", &access).send().refused(401, "token-revoked");
    client.post("/auth/refresh").header("Cookie", &refresh).send().refused(401, "token-revoked");
}

#[test]
fn programs_get_the_tokens_too_where_the_file_says_both_and_alone_where_it_says_nothing() {
    let gateway = browsed("cookies = \"both\"\ncookie_secure = false");
    let answer = login(&gateway);
    let body = answer.json();
    let cookie = set(&answer, "access_token");
    assert_eq!(body["access_token"], cookie[0].as_str());
    assert_eq!(cookie.last().map(String::as_str), Some("HttpOnly"), "no Secure");
    let gateway = browsed("");
    let answer = login(&gateway);
    assert_eq!(count(&answer), 0);
    assert!(answer.json()["refresh_token"].is_string());
}

#[test]
fn curl_keeps_sends_and_loses_the_cookies_as_a_browser_does() {
    let gateway = browsed("cookies = \"only\"");
    let curl = tools::file("curl", &["/usr/bin/curl"]);
    let address = gateway.client().address;
    let run = |path: &str, args: &[&str]| {
        let output = std::process::Command::new(&curl)
            .args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "-b", "jar", "-c", "jar"])
            .args(args)
            .arg(format!("http://localhost:{}{path}", address.port()))
            .current_dir(gateway.dir())
            .output()
            .expect("curl runs");
        String::from_utf8(output.stdout).expect("a status")
    };
    let password = gateway.first_password();
    let password = format!("password={password}");
    let form = ["-d", "username=admin", "--data-urlencode", password.as_str()];
    assert_eq!(run("/access", &[]), "401");
    assert_eq!(run("/auth/login", &form), "200");
    assert_eq!(run("/access", &[]), "200");
    assert_eq!(run("/refresh-view", &[]), "401", "the refresh cookie stays under /auth");
    assert_eq!(run("/auth/refresh", &["-X", "POST"]), "200");
    assert_eq!(run("/auth/logout", &["-X", "POST"]), "204");
    assert_eq!(run("/access", &[]), "401");
}

#[test]
fn a_page_of_another_site_changes_no_session() {
    let gateway = browsed("cookies = \"only\"");
    let client = gateway.client();
    let answer = login(&gateway);
    let access = set(&answer, "access_token")[0].clone();
    let refresh = set(&answer, "refresh_token")[0].clone();
    let evil = [("Origin", "https://evil.example"), ("Sec-Fetch-Site", "cross-site")];
    for (name, value) in evil {
        let form = [("username", "admin"), ("password", &gateway.first_password())];
        let login = client.post("/auth/login").form(&form).header(name, value).send();
        assert_eq!(count(&login.refused(403, "cross-site")), 0);
        for (path, token) in [("refresh", &refresh), ("logout", &access), ("reauth", &access)] {
            let request = client.post(&format!("/auth/{path}")).bearer(token).header(name, value);
            assert_eq!(count(&request.send().refused(403, "cross-site")), 0, "{path}");
        }
    }
    client.get("/access").header("Cookie", &format!("access_token={access}")).send().expect(200);
    // Where no cookies are set nobody is logged in by a page.
    let plain = browsed("");
    let request = plain.client().post("/auth/login").json(&credentials(&plain));
    request.header("Origin", "https://evil.example").send().expect(200);
}

#[test]
fn a_cookie_that_no_browser_keeps_is_not_set_and_no_session_begins() {
    let gateway = browsed("cookies = \"only\"");
    let claims = json!({"note": "x".repeat(3_000)}).to_string();
    gateway.user("ada", "a long password", &claims);
    let body = json!({"username": "ada", "password": "a long password"});
    gateway.logged("users_reread");
    let answer = gateway.client().post("/auth/login").json(&body).send();
    assert_eq!(count(&answer.refused(500, "internal")), 0);
    gateway.logged("no browser keeps this cookie");
}

#[test]
fn names_with_a_promise_keep_it() {
    let names = "cookie = \"__Host-access\"\nrefresh_cookie = \"__Host-refresh\"\n";
    let gateway = Gateway::start(&toml("builtin:whoami", names, "cookies = \"only\""));
    let answer = login(&gateway);
    for name in ["__Host-access", "__Host-refresh"] {
        let cookie = set(&answer, name);
        assert!(cookie.contains(&"Path=/".to_owned()) && cookie.contains(&"Secure".to_owned()));
    }
    let open = "cookies = \"only\"\ncookie_secure = false";
    let said = Setup::new(&toml("builtin:whoami", names, open)).fails().stderr;
    assert!(said.contains("no browser keeps the cookie `__Host-access`"), "{said}");
    let file = toml("builtin:whoami", "", "cookies = \"only\"").replace(", \"cookie\"]", "]");
    let said = Setup::new(&file).fails().stderr;
    assert!(said.contains("`login.cookies` sets cookies that nobody reads"), "{said}");
}

#[test]
fn no_backend_sets_a_cookie_of_ours() {
    let ours = [
        "access_token=x; Path=/",
        "Access_Token=x",
        "access-token=x",
        " refresh_token =x",
        "refresh%5Ftoken=x",
        "=access_token=x",
        "a b access_token=x",
        "csrf_access_token=x",
        "csrf_refresh_token=x",
    ];
    let others = ["theme=dark; Path=/", "my_access_token=1", "access_token_2=1", "x=access_token"];
    let fields: String =
        ours.iter().chain(&others).map(|field| format!("Set-Cookie: {field}\r\n")).collect();
    let upstream =
        Upstream::answering(format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 0\r\n\r\n"));
    let names = "profile = \"flask-jwt-extended\"\ncookie = \"access_token\"\nrefresh_cookie = \"refresh_token\"\n";
    let got = |login: &str| {
        let gateway = Gateway::start(&toml(&upstream.to_string(), names, login));
        let answer = gateway.client().get("/").send().expect(200);
        answer.all("set-cookie").into_iter().map(str::to_owned).collect::<Vec<String>>()
    };
    assert_eq!(got("cookies = \"only\""), others);
    // Where our login sets none, they are the backend's: its own login sets them.
    assert_eq!(got("").len(), ours.len() + others.len());
}

#[test]
fn a_token_of_another_program_is_refreshed_into_a_cookie() {
    let toml = format!("{}{}", toml("builtin:whoami", "", "cookies = \"only\""), forge::KEY);
    let gateway = Setup::new(&toml).env("SHARED", forge::SECRET).start();
    let cookie = format!("refresh_token={}", forge::refresh("admin"));
    let answer =
        gateway.client().post("/auth/refresh").header("Cookie", &cookie).send().expect(200);
    let access = format!("access_token={}", set(&answer, "access_token")[0]);
    gateway.client().get("/access").header("Cookie", &access).send().expect(200);
}
