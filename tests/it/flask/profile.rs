//! `profile = "flask-jwt-extended"`: a client of the library's application notices nothing.

use serde_json::{Value, json};

use super::world::{Place, Plan, VIEWS, World};
use crate::harness::{Response, Setup, Tokens, eventually, forge};

const TOKENS: &str =
    "profile = \"flask-jwt-extended\"\naccept = [\"header\", \"cookie\", \"query\"]\n";
const LOGIN: &str =
    "login_path = \"/login\"\nrefresh_path = \"/refresh\"\nlogout_path = \"/api/logout\"\n";

fn world() -> World {
    let options = json!({"JWT_TOKEN_LOCATION": ["headers", "cookies", "query_string"]});
    Plan { options, tokens: TOKENS, login: LOGIN, ..Plan::simple("venv") }.start()
}

fn login(world: &World) -> Tokens {
    let body = json!({"username": "admin", "password": world.gateway.first_password()});
    Tokens::of(&world.gateway.client().post("/login").json(&body).send().expect(200))
}

/// The one member that the library answers with.
#[track_caller]
pub fn msg(response: &Response) -> String {
    let body = response.json();
    assert_eq!(body.as_object().map(serde_json::Map::len), Some(1), "{body}");
    body["msg"].as_str().expect("a text").to_owned()
}

#[test]
fn refusals_have_its_statuses_and_its_texts_and_no_challenge() {
    let world = world();
    let expired = world.minted(&json!({"expires": {"seconds": -5}}));
    let cases: [(&str, Option<String>, u16, &str); 9] = [
        (
            "/access",
            None,
            401,
            "Missing JWT in headers, cookies or query_string (Missing Authorization Header; Missing cookie \"access_token_cookie\"; Missing 'jwt' query paramater)",
        ),
        (
            "/refresh-view",
            None,
            401,
            "Missing JWT in headers, cookies or query_string (Missing Authorization Header; Missing cookie \"refresh_token_cookie\"; Missing 'jwt' query paramater)",
        ),
        (
            "/access",
            Some("Basic YTpi".into()),
            401,
            "Missing JWT in headers, cookies or query_string (Missing 'Bearer' type in 'Authorization' header. Expected 'Authorization: Bearer <JWT>'; Missing cookie \"access_token_cookie\"; Missing 'jwt' query paramater)",
        ),
        (
            "/access",
            Some("Bearer".into()),
            422,
            "Bad Authorization header. Expected 'Authorization: Bearer <JWT>'",
        ),
        ("/access", Some("Bearer nothing".into()), 422, "Not enough segments"),
        ("/access", Some(format!("Bearer {expired}")), 401, "Token has expired"),
        ("/fresh", Some(format!("Bearer {}", forge::stale("admin"))), 401, "Fresh token required"),
        (
            "/access",
            Some(format!("Bearer {}", forge::refresh("admin"))),
            422,
            "Only non-refresh tokens are allowed",
        ),
        (
            "/refresh-view",
            Some(format!("Bearer {}", forge::stale("admin"))),
            422,
            "Only refresh tokens are allowed",
        ),
    ];
    for (path, field, status, text) in cases {
        let (there, here) = world.ask(|client| {
            let request = client.get(path);
            match &field {
                Some(field) => request.header("Authorization", field),
                None => request,
            }
        });
        for answer in [there, here] {
            assert_eq!(
                (answer.status, msg(&answer)),
                (status, text.to_owned()),
                "{path} {field:?}"
            );
            assert_eq!(answer.header("www-authenticate"), None);
            assert_eq!(answer.header("content-type"), Some("application/json"));
        }
    }
    let forged = forge::hs256("another secret of 32 bytes or so", &forge::claims("admin"));
    let (there, here) = world.ask(|client| client.get("/access").bearer(&forged));
    assert_eq!((there.status, msg(&there)), (here.status, msg(&here)));
    assert_eq!((here.status, msg(&here)), (422, "Signature verification failed".to_owned()));
}

#[test]
fn a_session_goes_its_way_at_the_paths_of_the_application() {
    let world = world();
    let client = world.gateway.client();
    let wrong = json!({"username": "admin", "password": "wrong"});
    let refused = client.post("/login").json(&wrong).send().expect(401);
    assert_eq!(msg(&refused), "Bad username or password");
    let Tokens { access, refresh } = login(&world);
    let again = client.post("/refresh").bearer(&refresh).send().expect(200).json();
    assert_eq!(again["refresh_token"], Value::Null, "nothing rotates");
    let stale = again["access_token"].as_str().expect("a token").to_owned();
    client.get("/fresh").bearer(&access).send().expect(200);
    let refused = client.get("/fresh").bearer(&stale).send().expect(401);
    assert_eq!(msg(&refused), "Fresh token required");
    let refused = client.post("/refresh").bearer(&access).send().expect(422);
    assert_eq!(msg(&refused), "Only refresh tokens are allowed");
    let out = client.request("DELETE", "/api/logout").bearer(&access).send().expect(200);
    assert_eq!(msg(&out), "Access token revoked");
    let refused = client.get("/access").bearer(&stale).send().expect(401);
    assert_eq!(msg(&refused), "Token has been revoked");
    let Tokens { refresh, .. } = login(&world);
    let out = client.post("/api/logout").bearer(&refresh).send().expect(200);
    assert_eq!(msg(&out), "Refresh token revoked");
    client.post("/auth/login").json(&wrong).send().expect(404);
}

#[test]
fn a_team_moves_its_login_here_and_nobody_is_logged_out() {
    let world = world();
    let client = world.gateway.client();
    let [access, refresh] =
        [json!({"fresh": true}), json!({"refresh": true})].map(|wanted| world.minted(&wanted));
    client.get("/fresh").bearer(&access).send().expect(200);
    let next = Tokens::of(&client.post("/refresh").bearer(&refresh).send().expect(200)).access;
    let (there, here) = world.ask(|client| client.get("/access").bearer(&next));
    assert_eq!((there.status, here.status), (200, 200));
    let out = client.post("/api/logout").bearer(&refresh).send().expect(200);
    assert_eq!(msg(&out), "Refresh token revoked");
    let refused = client.post("/refresh").bearer(&refresh).send().expect(401);
    assert_eq!(msg(&refused), "Token has been revoked");
}

#[test]
fn a_revoked_token_is_told_alike() {
    let world = world();
    let token = world.minted(&json!({"fresh": true}));
    world.gateway.client().post("/api/logout").bearer(&token).send().expect(200);
    world.library.post("/revoke").json(&forge::payload(&token)["jti"]).send().expect(200);
    for path in ["/optional", "/access", "/fresh"] {
        let (there, here) = world.ask(|client| client.get(path).bearer(&token));
        assert_eq!((there.status, msg(&there)), (401, "Token has been revoked".to_owned()));
        assert_eq!((here.status, msg(&here)), (401, "Token has been revoked".to_owned()));
    }
}

#[test]
fn a_refused_claim_is_its_failed_verification() {
    let toml = format!(
        "upstream = \"builtin:whoami\"\n[tokens]\n{TOKENS}[routes]\n\
         \"/\" = {{ policy = \"access-required\", claims = {{ roles = \"a\" }} }}\n{}",
        forge::KEY
    );
    let gateway = Setup::new(&toml).env("SHARED", forge::SECRET).start();
    let answer = gateway.client().get("/").bearer(&forge::stale("ada")).send().expect(400);
    assert_eq!(msg(&answer), "User claims verification failed");
    let answer = gateway.client().get("/nowhere").send().expect(404);
    assert_eq!(msg(&answer), "No such resource.");
    let explained = gateway.cli(&["explain", "GET", "/"], "");
    assert!(explained.stdout.contains("refuse 401 token-missing"), "{}", explained.stdout);
    let token = forge::refresh("ada");
    let explained = gateway.cli(&["explain", "GET", "/", "--token", &token], "");
    assert!(explained.stdout.contains("refuse 422 token-wrong-type"), "{}", explained.stdout);
}

#[test]
fn our_tokens_pass_its_double_submit_in_cookies() {
    let world = world();
    let Tokens { access, refresh } = login(&world);
    for (token, path) in [(access, "/fresh"), (refresh, "/refresh-view")] {
        let csrf = forge::payload(&token)["csrf"].as_str().expect("a csrf claim").to_owned();
        let (there, here) = world.ask(|client| {
            Place::Cookie.put(path, &token, client.post(path)).header("X-CSRF-TOKEN", &csrf)
        });
        assert_eq!((there.status, here.status), (200, 200), "{path}: {}", there.text());
    }
    let user = world.gateway.cli(
        &["user", "add", "ada", "--password-stdin", "--claims", r#"{"csrf":"known"}"#],
        "a long password\n",
    );
    user.succeeded();
    let body = json!({"username": "ada", "password": "a long password"});
    let token = eventually("the new user to be known", || {
        let answer = world.gateway.client().post("/login").json(&body).send();
        (answer.status == 200).then(|| Tokens::of(&answer))
    });
    assert_ne!(forge::payload(&token.access)["csrf"], "known");
}

#[test]
fn a_page_of_another_site_is_told_what_it_tells_one_without_the_csrf_header() {
    let world = world();
    let token = login(&world).access;
    let (there, here) = world.ask(|client| {
        let request = client.post("/access").header("Origin", "https://evil.example");
        Place::Cookie.put("/access", &token, request)
    });
    assert_eq!((there.status, msg(&there)), (401, "Missing CSRF token".to_owned()));
    assert_eq!((here.status, msg(&here)), (401, "Missing CSRF token".to_owned()));
}

#[test]
fn every_decision_is_the_one_of_the_standard_profile() {
    let toml = |profile: &str| {
        let routes: String =
            VIEWS.iter().map(|(path, policy)| format!("\"{path}\" = \"{policy}\"\n")).collect();
        format!(
            "upstream = \"builtin:whoami\"\n[tokens]\nprofile = \"{profile}\"\n[routes]\n{routes}{}",
            forge::KEY
        )
    };
    let start = |profile| Setup::new(&toml(profile)).env("SHARED", forge::SECRET).start();
    let (standard, flask) = (start("standard"), start("flask-jwt-extended"));
    let expired = forge::with("ada", json!({"exp": 1}));
    let tokens =
        [forge::fresh("ada"), forge::stale("ada"), forge::refresh("ada"), expired, "x".into()];
    for (path, _) in VIEWS {
        for token in &tokens {
            let [ours, theirs] =
                [&standard, &flask].map(|one| one.client().get(path).bearer(token).send().status);
            assert_eq!(ours == 200, theirs == 200, "{path} {token}");
        }
    }
}

/// A login in cookies, as an application of the library has it.
fn browser() -> World {
    let options = json!({"JWT_TOKEN_LOCATION": ["cookies"]});
    let tokens = "profile = \"flask-jwt-extended\"\naccept = [\"cookie\"]\n";
    let login = format!("{LOGIN}cookies = \"only\"\n");
    Plan { options, tokens, login: &login, ..Plan::simple("venv") }.start()
}

/// The value that an answer sets this cookie to, and what else is said of it.
#[track_caller]
fn cookie(answer: &Response, name: &str) -> (String, String) {
    let start = format!("{name}=");
    let field = answer.all("set-cookie").into_iter().find(|field| field.starts_with(&start));
    let field = field.unwrap_or_else(|| panic!("no {name}: {:?}", answer.headers));
    let (value, rest) = field[start.len()..].split_once("; ").expect("attributes");
    (value.to_owned(), rest.to_owned())
}

#[test]
fn our_cookies_open_its_views_with_the_double_submit_that_its_pages_do() {
    let world = browser();
    let body = json!({"username": "admin", "password": world.gateway.first_password()});
    let answer = world.gateway.client().post("/login").json(&body).send().expect(200);
    assert!(!answer.text().contains("eyJ"), "{}", answer.text());
    let (access, about) = cookie(&answer, "access_token_cookie");
    assert!(about.contains("HttpOnly"));
    let (csrf, about) = cookie(&answer, "csrf_access_token");
    assert!(!about.contains("HttpOnly") && about.starts_with("Path=/;"), "{about}");
    assert_eq!(forge::payload(&access)["csrf"], csrf.as_str());
    let (refresh, about) = cookie(&answer, "refresh_token_cookie");
    assert!(about.contains("HttpOnly"));
    let (csrf_refresh, _) = cookie(&answer, "csrf_refresh_token");
    assert_ne!(csrf, csrf_refresh);
    for (sent, status, text) in [
        (Some(csrf.as_str()), 200, ""),
        (None, 401, "Missing CSRF token"),
        (Some(""), 401, "Missing CSRF token"),
        (Some("wrong"), 401, "CSRF double submit tokens do not match"),
        (Some(csrf_refresh.as_str()), 401, "CSRF double submit tokens do not match"),
    ] {
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            let (there, here) = world.ask(|client| {
                let request =
                    Place::Cookie.put("/fresh", &access, client.request(method, "/fresh"));
                sent.iter().fold(request, |request, csrf| request.header("X-CSRF-TOKEN", csrf))
            });
            for answer in [there, here] {
                assert_eq!(answer.status, status, "{method} {sent:?}: {}", answer.text());
                assert!(status == 200 || msg(&answer) == text, "{}", answer.text());
            }
        }
    }
    let (there, here) =
        world.ask(|client| Place::Cookie.put("/fresh", &access, client.get("/fresh")));
    assert_eq!((there.status, here.status), (200, 200));
    let refreshes = |csrf: &str| {
        let cookies = format!("refresh_token_cookie={refresh}");
        let request = world.gateway.client().post("/refresh").header("Cookie", &cookies);
        request.header("X-CSRF-TOKEN", csrf).send()
    };
    assert_eq!(msg(&refreshes(&csrf).expect(401)), "CSRF double submit tokens do not match");
    let next = refreshes(&csrf_refresh).expect(200);
    let ((stale, _), (csrf, _)) =
        (cookie(&next, "access_token_cookie"), cookie(&next, "csrf_access_token"));
    let (there, here) = world.ask(|client| {
        Place::Cookie.put("/access", &stale, client.post("/access")).header("X-CSRF-TOKEN", &csrf)
    });
    assert_eq!((there.status, here.status), (200, 200));
    let request =
        world.gateway.client().request("DELETE", "/api/logout").header("X-CSRF-TOKEN", &csrf);
    let out = Place::Cookie.put("/api/logout", &stale, request).send().expect(200);
    assert_eq!(msg(&out), "Access token revoked");
    for name in
        ["access_token_cookie", "refresh_token_cookie", "csrf_access_token", "csrf_refresh_token"]
    {
        let (value, about) = cookie(&out, name);
        assert!(value.is_empty() && about.contains("Max-Age=0"), "{name} {about}");
    }
}

#[test]
fn of_two_faults_of_a_cookie_the_same_is_told() {
    let world = browser();
    let expired = world.minted(&json!({"expires": {"seconds": -5}}));
    let refresh = world.minted(&json!({"refresh": true}));
    let stale = world.minted(&json!({}));
    for token in [&expired, &refresh, &stale, &"x.y".to_owned()] {
        for csrf in ["", "wrong"] {
            let (there, here) = world.ask(|client| {
                let cookie = format!("access_token_cookie={token}");
                client.post("/fresh").header("Cookie", &cookie).header("X-CSRF-TOKEN", csrf)
            });
            let told = |answer: &Response| (answer.status, msg(answer));
            if *token == expired && csrf == "wrong" {
                // The one difference: the library reports the end last.
                assert_eq!(told(&here), (401, "Token has expired".to_owned()));
                continue;
            }
            assert_eq!(told(&here), told(&there), "{token} {csrf:?}");
        }
    }
}

#[test]
fn a_cookie_without_the_claim_cannot_be_compared() {
    let world = browser();
    let mut claims = forge::claims("admin");
    claims["roles"] = json!("none");
    let token = forge::hs256(forge::SECRET, &claims);
    let (there, here) = world.ask(|client| {
        Place::Cookie.put("/access", &token, client.post("/access")).header("X-CSRF-TOKEN", "x")
    });
    assert_eq!((there.status, here.status), (422, 422));
}
