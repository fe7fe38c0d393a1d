//! Questions to and answers from logins, without a socket.

use std::net::IpAddr;
use std::time::Duration;

use http::Response;
use serde_json::json;

use super::request::request;
use super::verdict::{CLAIMS_BYTES_MAX, Person, Verdict, verdict};
use crate::config::{BackendUsers, CookieName, HostRule, LoginFormat, Success};
use crate::store::throttle::Visitor;
use crate::token::Secret;
use crate::token::trust::ClaimPath;

fn users() -> BackendUsers {
    BackendUsers {
        upstream: "app".into(),
        host: "10.0.0.1".into(),
        port: 8080,
        host_rule: HostRule::Keep,
        post: "/login?next=1".parse().expect("a target"),
        format: LoginFormat::Form,
        username: "log".into(),
        password: "pwd".into(),
        fields: vec![("do".into(), "login".into())],
        headers: Vec::new(),
        as_typed: false,
        success: Success::default(),
        subject: None,
        claims: Vec::new(),
        keep_cookies: Vec::new(),
        timeout: Duration::from_secs(1),
    }
}

fn address() -> IpAddr {
    IpAddr::from([192, 0, 2, 7])
}

fn asked(users: &BackendUsers, name: &str, password: &str) -> Option<http::Request<bytes::Bytes>> {
    request(users, name, &Secret::new(password), &Visitor::at(address()))
}

fn pointer(text: &str) -> ClaimPath {
    ClaimPath::dotted(text).expect("a pointer")
}

fn answer(status: u16, fields: &[(&str, &str)], body: &str) -> Response<String> {
    let mut answer = Response::builder().status(status);
    for (name, value) in fields {
        answer = answer.header(*name, *value);
    }
    answer.body(body.to_owned()).expect("an answer")
}

#[track_caller]
fn is_unclear(users: &BackendUsers, answer: &Response<String>) {
    let verdict = verdict(users, answer);
    assert!(matches!(verdict, Verdict::Unclear(_)), "{verdict:?}");
}

fn right() -> Verdict {
    Verdict::Right(Person::default())
}

#[test]
fn a_form_escapes_what_people_type() {
    let asked = asked(&users(), "a&b=ü", "p+w d&pwd=other%").expect("a request");
    assert_eq!(asked.uri(), "http://10.0.0.1:8080/login?next=1");
    assert_eq!(asked.headers()["content-type"], "application/x-www-form-urlencoded");
    assert_eq!(asked.headers()["x-forwarded-for"], "192.0.2.7");
    let body = "do=login&log=a%26b%3D%C3%BC&pwd=p%2Bw+d%26pwd%3Dother%25";
    assert_eq!(asked.body(), body);
}

#[test]
fn json_is_one_flat_object_in_which_name_and_password_win() {
    let fields = vec![("log".to_owned(), "fixed".to_owned()), ("app".into(), "web".into())];
    let users = BackendUsers { format: LoginFormat::Json, fields, ..users() };
    let asked = asked(&users, "a\"b", "x\",\"admin\":\"1").expect("a request");
    let sent: serde_json::Value = serde_json::from_slice(asked.body()).expect("JSON");
    assert_eq!(sent, json!({"app": "web", "log": "a\"b", "pwd": "x\",\"admin\":\"1"}));
}

#[test]
fn basic_sends_no_name_with_a_colon() {
    let users = BackendUsers { format: LoginFormat::Basic, ..users() };
    let good = asked(&users, "Aladdin", "open sesame:").expect("a request");
    assert_eq!(good.headers()["authorization"], "Basic QWxhZGRpbjpvcGVuIHNlc2FtZTo=");
    assert!(good.headers()["authorization"].is_sensitive() && good.body().is_empty());
    // `a:b` with password `c` would be user `a` with password `b:c`.
    for (name, password) in [("a:b", "c"), ("a", "b\r\nX: y"), ("a\0", "b")] {
        assert!(asked(&users, name, password).is_none(), "{name:?} {password:?}");
    }
}

#[test]
fn the_host_is_the_clients_the_upstreams_own_or_the_one_that_was_set() {
    let v6 = BackendUsers { host: "::1".into(), ..users() };
    assert_eq!(asked(&v6, "a", "b").expect("a request").headers()["host"], "[::1]:8080");
    let visitor =
        Visitor { host: Some("wiki.example.org".parse().unwrap()), ..Visitor::at(address()) };
    let kept = request(&users(), "a", &Secret::new("b"), &visitor).expect("a request");
    assert_eq!(
        (&kept.headers()["host"], &kept.headers()["user-agent"]),
        (&"wiki.example.org".parse().unwrap(), &"freshgate".parse().unwrap())
    );
    let fixed = BackendUsers { host_rule: HostRule::Fixed("intern".parse().unwrap()), ..users() };
    assert_eq!(asked(&fixed, "a", "b").expect("a request").headers()["host"], "intern");
}

#[test]
fn a_failing_application_is_no_wrong_password() {
    let users = BackendUsers {
        success: Success { header: Some("x-user".parse().unwrap()), ..Success::default() },
        ..users()
    };
    for status in [500, 502, 503, 404, 405, 408, 410, 415, 429] {
        is_unclear(&users, &answer(status, &[("x-user", "a")], ""));
    }
    for status in [200, 302, 400, 401, 403, 422] {
        assert_eq!(verdict(&users, &answer(status, &[], "")), Verdict::Wrong, "{status}");
    }
    // An error is never a right password, whatever else it says.
    assert_eq!(verdict(&users, &answer(401, &[("x-user", "a")], "")), Verdict::Wrong);
    assert_eq!(verdict(&users, &answer(200, &[("x-user", " ")], "")), Verdict::Wrong);
    assert_eq!(verdict(&users, &answer(200, &[("x-user", "a")], "")), right());
}

#[test]
fn a_status_must_be_one_of_those_named() {
    let success = Success { status: vec!["204".parse().unwrap()], ..Success::default() };
    let users = BackendUsers { success, ..users() };
    assert_eq!(verdict(&users, &answer(200, &[], "")), Verdict::Wrong);
    assert_eq!(verdict(&users, &answer(204, &[], "")), right());
}

#[test]
fn a_field_of_json_must_say_something() {
    let success = Success { json: Some(pointer("user.id")), ..Success::default() };
    let users = BackendUsers { success, ..users() };
    let bad = [
        "",
        "null",
        "[]",
        "not json",
        "{\"user\":{}}",
        "{\"user\":{\"id\":null}}",
        "{\"user\":{\"id\":0}}",
        "{\"user\":{\"id\":\"\"}}",
        "{\"user\":{\"id\":false}}",
        "{\"user\":[{\"id\":1}]}",
        "{\"user\":{\"id\":{}}}",
        "{\"user\":{\"id\":1}} trailing",
    ];
    for body in bad {
        assert_eq!(verdict(&users, &answer(200, &[], body)), Verdict::Wrong, "{body}");
    }
    assert_eq!(verdict(&users, &answer(200, &[], "{\"user\":{\"id\":7}}")), right());
}

#[test]
fn a_redirect_must_lead_elsewhere_than_the_login_page() {
    let success = Success { redirect_not_to: Some("/app/login".into()), ..Success::default() };
    let users = BackendUsers { success, post: "/app/session".parse().unwrap(), ..users() };
    let elsewhere = [
        "/",
        "/app",
        "/app/home?from=/app/login",
        "https://www.example.com/app/",
        "home",
        "//cdn.example.com/x",
        "/app/loginarea",
        "../login",
    ];
    for to in elsewhere {
        let verdict = verdict(&users, &answer(302, &[("location", to)], ""));
        assert_eq!(verdict, right(), "{to}");
    }
    let back = [
        "/app/login",
        "/app/login/",
        "/app/login?error=1",
        "/app/login#top",
        "/APP/Login",
        "/app/%6cogin",
        "/app//login",
        "/app/./login",
        "/app/x/../login",
        "login",
        "./login?e",
        "http://10.0.0.1:8080/app/login",
        "https://www.example.com/app/login;jsessionid=1",
        "//www.example.com/app/login",
        "/app/login/failed",
        "/app\\login",
        "javascript:x",
        "\u{fc}",
    ];
    for to in back {
        let verdict = verdict(&users, &answer(302, &[("location", to)], ""));
        assert_eq!(verdict, Verdict::Wrong, "{to}");
    }
    assert_eq!(verdict(&users, &answer(200, &[("location", "/")], "")), Verdict::Wrong);
    assert_eq!(verdict(&users, &answer(302, &[], "")), Verdict::Wrong);
    let two = answer(302, &[("location", "/"), ("location", "/app/login")], "");
    assert_eq!(verdict(&users, &two), Verdict::Wrong);
}

#[test]
fn a_redirect_to_nowhere_in_particular_is_the_page_itself() {
    let success = Success { redirect_not_to: Some("/login".into()), ..Success::default() };
    let users = BackendUsers { success, post: "/login".parse().unwrap(), ..users() };
    for to in ["?failed=1", "#", ""] {
        let verdict = verdict(&users, &answer(303, &[("location", to)], ""));
        assert_eq!(verdict, Verdict::Wrong, "{to}");
    }
}

#[test]
fn a_cookie_that_is_taken_away_is_not_set() {
    let success = Success { cookie: Some(CookieName("DW*".into())), ..Success::default() };
    let users = BackendUsers {
        success,
        keep_cookies: vec![CookieName("DW*".into()), CookieName("sid".into())],
        ..users()
    };
    let bad = [
        "DW1=; path=/",
        "DW1=deleted; Max-Age=0",
        "DW1=x; Max-Age=-5",
        "DW1=deleted; expires=Thu, 01-Jan-1970 00:00:01 GMT",
        "dw1=x",
        "other=DW1",
        "garbage",
    ];
    for one in bad {
        let verdict = verdict(&users, &answer(200, &[("set-cookie", one)], ""));
        assert_eq!(verdict, Verdict::Wrong, "{one}");
    }
    let fields = [
        ("set-cookie", "sid=first"),
        ("set-cookie", "DW1=x%22y; path=/; HttpOnly; expires=Thu, 01-Jan-2099 00:00:01 GMT"),
        ("set-cookie", "sid=second; SameSite=Lax"),
        ("set-cookie", "theme=dark"),
    ];
    let verdict = verdict(&users, &answer(200, &fields, ""));
    let cookies = vec!["DW1=x%22y".to_owned(), "sid=second".to_owned()];
    assert_eq!(verdict, Verdict::Right(Person { cookies, ..Person::default() }));
}

#[test]
fn all_conditions_must_hold() {
    let success = Success {
        status: vec!["200".parse().unwrap()],
        json: Some(pointer("ok")),
        header: Some("x-user".parse().unwrap()),
        ..Success::default()
    };
    let users = BackendUsers { success, ..users() };
    assert_eq!(verdict(&users, &answer(200, &[("x-user", "a")], "{\"ok\":true}")), right());
    assert_eq!(verdict(&users, &answer(200, &[("x-user", "a")], "{\"ok\":false}")), Verdict::Wrong);
    assert_eq!(verdict(&users, &answer(200, &[], "{\"ok\":true}")), Verdict::Wrong);
    assert_eq!(verdict(&users, &answer(201, &[("x-user", "a")], "{\"ok\":1}")), Verdict::Wrong);
}

#[test]
fn subject_and_claims_are_the_applications_words() {
    let users = BackendUsers {
        success: Success { status: vec!["200".parse().unwrap()], ..Success::default() },
        subject: Some(pointer("user.id")),
        claims: vec![("roles".into(), pointer("user.roles")), ("mail".into(), pointer("mail"))],
        ..users()
    };
    let body = r#"{"user":{"id":42,"roles":["admin"]},"mail":null}"#;
    let Verdict::Right(person) = verdict(&users, &answer(200, &[], body)) else { panic!() };
    assert_eq!(person.subject.as_deref(), Some("42"));
    assert_eq!(json!(person.claims), json!({"roles": ["admin"]}));
    // Right, but nobody in particular: nobody is let in.
    let long = format!("{{\"user\":{{\"id\":\"{}\"}}}}", "x".repeat(257));
    for body in [
        "{}",
        "{\"user\":{\"id\":\"\"}}",
        "{\"user\":{\"id\":1.5}}",
        "{\"user\":{\"id\":[1]}}",
        &long,
    ] {
        is_unclear(&users, &answer(200, &[], body));
    }
    let large = "r".repeat(CLAIMS_BYTES_MAX);
    is_unclear(
        &users,
        &answer(200, &[], &format!("{{\"user\":{{\"id\":1}},\"mail\":\"{large}\"}}")),
    );
}
