//! Redirects: none of ours is taken from input, those of a backend never tell where it is.
//!
//! There are no pages, no `next=` and no redirect of ours yet: what is true now is that no answer of ours has a
//! `Location` at all, whatever asks for one.

use serde_json::{Value, json};

use crate::endpoints::{SHUT, started};
use crate::harness::{Client, Gateway, Response, Upstream};

/// Ways to write an address of somebody else that some reader takes for a path (OWASP, oauth2-proxy CVE-2020-5233,
/// CVE-2020-4037, CVE-2020-11053, CVE-2021-21291, Authelia CVE-2021-29456).
const ELSEWHERE: [&str; 22] = [
    "https://evil.example/",
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/%09/evil.example",
    "/%0a/evil.example",
    "/%5cevil.example",
    "/%2f%2fevil.example",
    "%2f%2fevil.example",
    "//evil.example%2f..",
    "https:evil.example",
    "http:/evil.example",
    "https://localhost@evil.example/",
    "https://localhost.evil.example/",
    "https://badlocalhost/",
    "//evil.example/%2e%2e",
    "/.evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "/%0d%0aLocation:%20https://evil.example",
    "/x%0d%0aSet-Cookie:%20a=b",
];

/// The inputs of `urltestdata.json`, those that must not parse among them; percent-encoded where a target needs it.
fn vectors() -> Vec<String> {
    let Ok(folder) = std::env::var("FRESHGATE_VECTORS") else {
        println!("the URL vectors were skipped: FRESHGATE_VECTORS names no folder");
        return Vec::new();
    };
    let path = format!("{folder}/url/urltestdata.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let all: Vec<Value> = serde_json::from_str(&text).expect("JSON");
    let inputs = all.iter().filter_map(|one| one["input"].as_str());
    let encode = |sign: u8| match sign {
        b'!'..=b'~' if sign != b'%' && sign != b'#' && sign != b'&' => (sign as char).to_string(),
        other => format!("%{other:02X}"),
    };
    let inputs: Vec<String> = inputs.map(|input| input.bytes().map(encode).collect()).collect();
    println!("{} URL vectors", inputs.len());
    inputs
}

/// An answer that sends nobody anywhere.
#[track_caller]
fn stays(response: &Response, asked: &str) {
    for name in ["location", "content-location", "refresh", "link", "set-cookie"] {
        assert!(!response.has(name), "{asked}: {:?}", response.headers);
    }
    assert!(!(300..400).contains(&response.status), "{asked}: {}", response.status);
    let head = response.headers.iter().find(|(_, value)| value.contains("evil"));
    assert!(head.is_none(), "{asked}: {head:?}");
}

// Holds: R1, CVE-2020-5233, CVE-2020-4037, CVE-2020-11053, CVE-2021-21291, CVE-2021-29456
#[test]
fn no_answer_of_ours_has_a_location_whatever_asks_for_one() {
    let gateway = started(&Upstream::echo(), SHUT);
    let client = gateway.client();
    let token = gateway.mint(&["--sub", "ada"]);
    let mut connection = client.connect();
    let mut fodder: Vec<String> = ELSEWHERE.iter().map(|&one| one.to_owned()).collect();
    fodder.extend(vectors());
    for one in &fodder {
        for (method, target) in [
            ("GET", format!("/auth/me?next={one}&redirect_uri={one}")),
            ("POST", format!("/auth/refresh?rd={one}")),
            ("POST", format!("/auth/login?next={one}")),
            ("GET", format!("/x?next={one}")),
        ] {
            let response = client.request(method, &target).send_on(&mut connection);
            stays(&response, &target);
            if response.header("connection") == Some("close") {
                connection = client.connect();
            }
        }
    }
    // The fields that name an address, and the bodies of those who may.
    for one in ELSEWHERE {
        for name in [
            "X-Forwarded-Host",
            "X-Forwarded-Uri",
            "X-Forwarded-Prefix",
            "Referer",
            "X-Original-URL",
        ] {
            stays(&client.get("/auth/me").bearer(&token).header(name, one).send(), one);
            stays(&client.get("/x").header(name, one).send(), one);
        }
    }
    for one in ELSEWHERE.iter().take(4) {
        let body = json!({"username": "ada", "password": "correct horse", "next": one, "redirect_uri": one});
        stays(&client.post("/auth/login").json(&body).send().expect(200), one);
        let fields = [("username", "ada"), ("password", "correct horse"), ("next", one)];
        stays(&client.post(&format!("/auth/login?next={one}")).form(&fields).send(), one);
    }
}

// Holds: R2, CVE-2021-29651
// No login page yet: a navigation gets the same 401 as a call, and nothing after a login but 200 with the tokens in the
// body; so no token can get into an address.
#[test]
fn nobody_is_sent_to_a_login_or_on_from_one() {
    let gateway = started(&Upstream::echo(), SHUT);
    let client = gateway.client();
    let page = |path: &str| {
        let request =
            client.get(path).header("Accept", "text/html,application/xhtml+xml,*/*;q=0.8");
        request.header("Sec-Fetch-Mode", "navigate").header("Sec-Fetch-Dest", "document")
    };
    for (response, status) in [
        (page("/x").send(), 401),
        (page("/fresh").bearer(&gateway.mint(&["--sub", "ada", "--stale"])).send(), 401),
        (client.get("/x").header("Accept", "application/json").send(), 401),
        (
            client
                .post("/auth/login")
                .form(&[("username", "ada"), ("password", "correct horse")])
                .send(),
            200,
        ),
        (
            client.post("/auth/login").form(&[("username", "ada"), ("password", "wrong")]).send(),
            401,
        ),
    ] {
        stays(&response.expect(status), "a page");
    }
}

// Holds: R3
#[test]
fn a_redirect_to_the_backends_own_address_does_not_leak_it() {
    let upstream = Upstream::custom(|exchange| {
        let host = exchange.request.header("host").unwrap_or("").to_owned();
        let head = format!(
            "HTTP/1.1 302 Found\r\nLocation: http://{host}/next?a\r\nContent-Length: 0\r\n\r\n"
        );
        exchange.send(head)
    });
    let toml = format!(
        "[upstreams.app]\nurl = \"{upstream}\"\nhost = \"upstream\"\n[routes]\n\"/**\" = \"public\"\n"
    );
    let response = Gateway::start(&toml).client().get("/").send().expect(302);
    assert_eq!(response.header("location"), Some("/next?a"));
}

/// The `Location` that a client gets of this one; `HERE` stands for the backend's address.
fn passed(client: Client, location: &str) -> Vec<String> {
    let request = client.get("/").header("X-Say", location);
    let response = request.send().expect(302);
    response.all("location").iter().map(|&value| value.to_owned()).collect()
}

// Holds: R3
#[test]
fn no_spelling_of_the_backends_address_gets_out_and_no_path_becomes_a_host() {
    let upstream = Upstream::custom(|exchange| {
        let (say, host) = (exchange.request.header("x-say"), exchange.request.header("host"));
        let location = say.unwrap_or("").replace("HERE", host.unwrap_or(""));
        let head = format!(
            "HTTP/1.1 302 Found\r\nLocation: {location}\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
        );
        exchange.send(head)
    });
    let toml = format!(
        "[upstreams.app]\nurl = \"{upstream}\"\nhost = \"upstream\"\n[routes]\n\"/**\" = \"public\"\n"
    );
    let gateway = Gateway::start(&toml);
    for (said, told) in [
        ("http://HERE/next?a#b", "/next?a#b"),
        ("HTTP://HERE/next", "/next"),
        ("//HERE/next", "/next"),
        ("http://HERE", "/"),
        ("http://HERE?a", "/?a"),
        ("http://user:pw@HERE/next", "/next"),
        ("http://HERE//evil.example/x", "/.//evil.example/x"),
        ("http://HERE/\\evil.example/x", "/./\\evil.example/x"),
        ("http://HERE\\evil.example/x", "/./evil.example/x"),
        // The backend's own words about others stay its own.
        ("https://elsewhere.example/x", "https://elsewhere.example/x"),
        ("/next", "/next"),
    ] {
        assert_eq!(passed(gateway.client(), said), [told, told], "{said}");
    }
}
