//! An application that checks passwords and knows its users by cookies of its own: nobody chooses whom it sees.

use percent_encoding::percent_decode_str;
use serde_json::json;

use crate::harness::client::Request;
use crate::harness::{Gateway, Upstream};

const TOML: &str = r#"
[upstreams]
app = { url = "APP" }
other = { url = "OTHER" }
[login.users.backend]
upstream = "app"
post = "/login"
success = { redirect_not_to = "/login" }
keep_cookies = ["sid", "app_*"]
[routes]
"/open/**" = { policy = "public", upstream = "app" }
"/other/**" = { policy = "access-required", upstream = "other" }
"/**" = { policy = "access-required", upstream = "app" }
"#;

/// Lets everybody in, with a session of the name that was sent, and then says what it sees as PHP does: names are decoded,
/// `.` and spaces are `_`, and of two alike the first counts.
fn application() -> Upstream {
    Upstream::custom(|exchange| {
        exchange.read_body()?;
        let request = exchange.request.clone();
        if request.target() == "/login" {
            let body = request.text();
            let name = body.split('&').find_map(|pair| pair.strip_prefix("username="));
            let name = name.unwrap_or("nobody");
            return exchange.send(format!(
                "HTTP/1.1 302 Found\r\nLocation: /\r\nSet-Cookie: sid={name}\r\nSet-Cookie: app_a={name}\r\n\
                 Content-Length: 0\r\n\r\n"
            ));
        }
        let extra = match request.target() {
            "/bye" => "Set-Cookie: sid=; Max-Age=0\r\nSet-Cookie: app_a=; Max-Age=0\r\n",
            "/odd" => {
                "Set-Cookie: sid=caf\u{e9}\r\nSet-Cookie: app_b=1; Path=/\u{e9}\r\nSet-Cookie: =sid=x\r\n"
            }
            _ => "",
        };
        let seen = seen(&request.all("cookie").join("; ")).join(" ");
        exchange
            .send(format!("HTTP/1.1 200 OK\r\n{extra}Content-Length: {}\r\n\r\n{seen}", seen.len()))
    })
}

fn seen(cookies: &str) -> Vec<String> {
    let mut found: Vec<(String, String)> = Vec::new();
    for piece in cookies.split(';') {
        let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
        let name = percent_decode_str(name).decode_utf8_lossy().into_owned();
        let name = name.trim_start().split(['\0', '[']).next().unwrap_or_default();
        let name = name.replace(['.', ' '], "_");
        if !found.iter().any(|(known, _)| *known == name) {
            found.push((name, value.trim().to_owned()));
        }
    }
    let ours = |(name, _): &&(String, String)| name == "sid" || name.starts_with("app_");
    found.iter().filter(ours).map(|(name, value)| format!("{name}={value}")).collect()
}

fn started() -> (Upstream, Upstream, Gateway) {
    let (app, other) = (application(), Upstream::echo());
    let toml = TOML.replace("APP", &app.to_string()).replace("OTHER", &other.to_string());
    let gateway = Gateway::start(&toml);
    (app, other, gateway)
}

/// Spellings that some backend reads as the application's cookies.
const SPELLINGS: [&str; 16] = [
    "sid=eve",
    "SID=eve",
    "s%69d=eve",
    "%73%69%64=eve",
    "%20sid=eve",
    "sid%00=eve",
    "sid[]=eve",
    "sid%5b0]=eve",
    "lang=en; \tsid=eve",
    "lang=en, sid=eve",
    "lang=\"x\" sid=eve",
    "app.a=eve",
    "app%5Fa=eve",
    "app a=eve",
    "%61pp_a=eve",
    "app[a=eve",
];

// Holds: UA1
#[test]
fn no_spelling_of_a_cookie_chooses_whose_session_the_application_sees() {
    let (_app, _other, gateway) = started();
    let ada = gateway.login("ada", "x");
    let ask = |path: &str, cookie: &str| -> Request {
        gateway.client().get(path).bearer(&ada.access).header("Cookie", cookie)
    };
    for own in SPELLINGS {
        let answer = ask("/page", own).send().expect(200);
        assert_eq!(answer.text(), "sid=ada app_a=ada", "{own}");
    }
    // Nor where nothing is kept any more: he is a guest there.
    ask("/bye", "a=1").send().expect(200);
    for own in SPELLINGS {
        assert_eq!(ask("/page", own).send().expect(200).text(), "", "{own}");
    }
}

// Holds: UA2
#[test]
fn what_the_application_knows_a_user_by_reaches_no_client_and_no_other_backend() {
    let (_app, other, gateway) = started();
    let (ada, bob) = (gateway.login("ada", "x"), gateway.login("bob", "x"));
    let get = |path: &str, token: &str| gateway.client().get(path).bearer(token).send().expect(200);
    // Also what is no text, or has no name of its own: some browser would send it back.
    let answer = get("/odd", &ada.access);
    assert_eq!(answer.all("set-cookie"), Vec::<&str>::new());
    assert_eq!(get("/page", &ada.access).text(), "sid=ada app_a=ada");
    assert_eq!(get("/page", &bob.access).text(), "sid=bob app_a=bob");
    get("/other/x", &ada.access);
    assert_eq!(other.last().all("cookie"), Vec::<&str>::new());
    let guest = gateway.client().get("/open/x").bearer(&ada.access).send().expect(200);
    assert_eq!(guest.text(), "");
    let me = gateway.client().get("/auth/me").bearer(&ada.access).send().expect(200).text();
    assert!(!me.contains("app_a"), "{me}");
    // A step-up in one session changes no other.
    let again = gateway.client().post("/auth/reauth").bearer(&bob.access);
    again.json(&json!({"password": "y"})).send().expect(200);
    assert_eq!(get("/page", &ada.access).text(), "sid=ada app_a=ada");
}
