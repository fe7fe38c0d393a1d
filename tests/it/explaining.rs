//! `explain` in full: candidates, claim rules, ages, rewrites and headers; and the same answer as the live gateway.

use serde_json::{Value, json};

use crate::harness::{Gateway, Setup, Upstream, forge};

const SHUT: &str = "trusted_proxies = [\"10.0.0.0/8\"]\n[identity]\nX-User-Id = \"sub\"\nX-User-Roles = \"roles\"\n[routes]\n\
    \"/\" = \"public\"\n\"/static/**\" = \"public\"\n\"/blog/**\" = \"optional\"\n\"/account/**\" = \"access-required\"\n\
    \"POST /account/password\" = \"fresh-required\"\n\"GET /account/*\" = { policy = \"optional\", preflight = true }\n\
    \"OPTIONS /account/x\" = { policy = \"access-required\", preflight = true }\n\"/session/renew\" = \"refresh-only\"\n\
    \"/admin/**\" = { policy = \"fresh-required\", max_age = \"5m\", claims = { roles = \"admin\" } }\n\
    \"/u/{who}\" = { policy = \"access-required\", claims = { sub = \"{who}\" }, rewrite = \"/people/{who}/home\" }\n\
    \"/old/**\" = { policy = \"public\", rewrite = \"/**\" }\n\"/raw/**\" = { policy = \"optional\", forward_token = true }\n\
    \"/session/**\" = { policy = \"fresh-required\", mode = \"report\" }\n\
    \"app.example/**\" = \"access-required\"\n\"app.example/blog/x\" = \"deny\"\n\"/internal/**\" = \"deny\"\n";

fn setup() -> Setup {
    Setup::new(&format!("upstream = \"builtin:whoami\"\n{SHUT}{}", forge::KEY))
        .env("SHARED", forge::SECRET)
}

fn explain(args: &[&str]) -> Value {
    let output = setup().cli(&[&["explain", "--format", "json"], args].concat(), "").succeeded();
    serde_json::from_str(&output.stdout).expect("JSON")
}

#[test]
fn every_candidate_says_what_it_scored_and_why_it_won_or_lost() {
    let answer = explain(&["POST", "/account/password", "--host", "APP.example:80"]);
    let candidates: Vec<(&str, bool, &str)> = answer["candidates"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| {
            let text = |name: &str| one[name].as_str().expect("a text");
            (text("pattern"), one["wins"] == true, text("why"))
        })
        .collect();
    assert_eq!(
        candidates,
        [
            ("POST /account/password", true, "wins"),
            ("GET /account/*", false, "does not match: only for GET"),
            ("/account/**", false, "less specific: segment 2 is rest, the winner's is literal"),
            ("app.example/**", false, "less specific: segment 1 is rest, the winner's is literal"),
        ]
    );
    assert_eq!(answer["candidates"][2]["score"], json!(["literal", "rest"]));
    assert_eq!(
        (&answer["candidates"][0]["method"], &answer["candidates"][3]["host"]),
        (&json!("method named"), &json!("host named"))
    );
    let elsewhere = explain(&["GET", "/nothing", "--host", "b.example"]);
    assert_eq!(elsewhere["candidates"][0]["why"], "does not match: only for the host app.example");
    assert_eq!((&elsewhere["pattern"], &elsewhere["code"]), (&Value::Null, &json!("no-route")));
    let head = explain(&["HEAD", "/account/x"]);
    assert_eq!(head["candidates"][1]["method"], "HEAD follows GET");
}

#[test]
fn the_rule_that_failed_and_the_age_that_was_too_old_are_named() {
    let because = |args: &[&str]| explain(args)["because"].as_str().expect("a text").to_owned();
    assert_eq!(
        because(&["GET", "/admin/x", "--as", r#"{"roles":["editor"]}"#]),
        "the claim `roles` must be \"admin\", and is [\"editor\"]"
    );
    assert_eq!(
        because(&["GET", "/u/ada", "--as", r#"{"sub":"bob"}"#]),
        "the claim `sub` must be \"ada\", and is \"bob\""
    );
    let old = json!({"roles": "admin", "auth_time": forge::now() - 400}).to_string();
    let why = because(&["GET", "/admin/x", "--as", &old]);
    assert!(
        why.starts_with("the password was checked 6m 4") && why.ends_with("`max_age` is 5m"),
        "{why}"
    );
    let stale = because(&["GET", "/admin/x", "--as", r#"{"roles":"admin","fresh":false}"#]);
    assert_eq!(stale, "the token does not come from a password: it is stale");
}

#[test]
fn the_backend_would_get_what_explain_shows() {
    let answer = explain(&[
        "GET",
        "/u/ada?x=1",
        "--as",
        r#"{"sub":"ada","roles":["a","b"]}"#,
        "--host",
        "h.example",
        "--header",
        "X-User-Id: root",
        "--header",
        "x_user_roles: root",
        "--header",
        "Connection: X-Gone",
        "--header",
        "X-Gone: 1",
        "--header",
        "X-Kept: 1",
        "--header",
        "X-Forwarded-For: 1.2.3.4",
    ]);
    assert_eq!(answer["target"], "/people/ada/home?x=1");
    assert_eq!(answer["identity"], json!([["x-user-id", "ada"], ["x-user-roles", "a,b"]]));
    let headers = answer["headers"].to_string();
    for (name, value) in [("x-kept", "1"), ("host", "h.example"), ("x-forwarded-for", "127.0.0.1")]
    {
        assert!(headers.contains(&json!([name, value]).to_string()), "{name}: {headers}");
    }
    assert!(!headers.contains("x-gone") && !headers.contains("root"), "{headers}");
    let proxied =
        explain(&["GET", "/", "--from", "10.1.2.3", "--header", "X-Forwarded-For: 1.2.3.4"]);
    assert!(proxied["headers"].to_string().contains("1.2.3.4, 10.1.2.3"), "{proxied}");
    let token = forge::stale("ada");
    let raw = setup().cli(&["explain", "GET", "/raw/x", "--token", &token], "").succeeded();
    assert!(
        raw.stdout.contains("authorization: (as sent)") && !raw.stdout.contains(&token),
        "{}",
        raw.stdout
    );
}

#[test]
fn a_batch_answers_line_by_line_and_goes_on_after_a_bad_one() {
    let lines = "{\"method\":\"GET\",\"url\":\"/\"}\nnonsense\n\n{\"method\":\"GET\",\"url\":\"/x\",\"colour\":1}\n\
        {\"method\":\"GET\",\"url\":\"/blog/x\",\"as\":{\"sub\":\"ada\"}}\n{\"method\":\"GET\",\"url\":\"/%\"}";
    let output = setup().cli(&["explain", "--batch"], lines);
    assert_eq!(output.code, Some(1));
    assert_eq!(output.stderr.trim(), "error: lines that are no request: 2");
    let answers: Vec<Value> =
        output.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let decisions: Vec<&Value> = answers.iter().map(|one| &one["decision"]).collect();
    assert_eq!(
        decisions,
        [&json!("pass"), &Value::Null, &Value::Null, &json!("pass"), &json!("refuse")]
    );
    assert!(
        answers[2]["error"].as_str().is_some_and(|why| why.contains("colour")),
        "{}",
        answers[2]
    );
    assert_eq!(
        (&answers[3]["identity"][0][1], &answers[4]["code"]),
        (&json!("ada"), &json!("bad-path"))
    );
}

/// Numbers that look random and are the same on every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % sides
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.roll(from.len())]
    }
}

const SEGMENTS: [&str; 24] = [
    "static",
    "blog",
    "account",
    "account",
    "password",
    "session",
    "renew",
    "admin",
    "admin",
    "%61dmin",
    "internal",
    "u",
    "u",
    "ada",
    "bob",
    "x",
    "old",
    "raw",
    "",
    "..",
    "%2e",
    "a%2fb",
    "y;z",
    "caf%c3%a9",
];

const FIELDS: [(&str, &str); 12] = [
    ("X-User-Id", "root"),
    ("x_user_id", "root"),
    ("X-User-Roles", "admin"),
    ("X-Forwarded-For", "6.6.6.6"),
    ("Forwarded", "for=6.6.6.6"),
    ("X-Forwarded-Proto", "https"),
    ("Connection", "X-Hop"),
    ("X-Hop", "1"),
    ("X-Kept", "a, b"),
    ("Origin", "https://a.example"),
    ("Access-Control-Request-Method", "POST"),
    ("Authorization", "Basic YTpi"),
];

/// One random request, as `--batch` reads it.
fn question(dice: &mut Dice, tokens: &[&str]) -> Value {
    let path: String = (0..=dice.roll(3)).map(|_| format!("/{}", dice.pick(&SEGMENTS))).collect();
    let query = dice.pick(&["", "", "?a=1", "?q=%zz&[x]"]);
    let fields: Vec<(&str, &str)> =
        (0..dice.roll(3)).map(|_| FIELDS[dice.roll(FIELDS.len())]).collect();
    let mut question = json!({
        "method": dice.pick(&["GET", "GET", "POST", "HEAD", "DELETE", "OPTIONS"]),
        "url": format!("{path}{query}"),
        "host": dice.pick(&["other.example", "other.example", "app.example", "App.Example:80"]),
        "headers": fields,
    });
    let token = dice.pick(tokens);
    if !token.is_empty() {
        question["token"] = json!(token);
    }
    question
}

#[test]
fn explain_and_the_live_gateway_agree_on_thousands_of_requests() {
    let upstream = Upstream::echo();
    let gateway = Gateway::sharing(&upstream, SHUT);
    let (stale, fresh, refresh) = (forge::stale("ada"), forge::fresh("ada"), forge::refresh("ada"));
    let with = |more: Value| forge::with("bob", more);
    let admin = with(json!({"fresh": true, "auth_time": forge::now(), "roles": ["admin"]}));
    let old = with(json!({"fresh": true, "auth_time": forge::now() - 4000, "roles": ["admin"]}));
    let expired = with(json!({"exp": forge::now() - 5}));
    let later = with(json!({"nbf": forge::now() + 1000}));
    let tokens = ["", "", "junk", &stale, &fresh, &refresh, &admin, &admin, &old, &expired, &later];
    let mut dice = Dice(11);
    let questions: Vec<Value> = (0..4000).map(|_| question(&mut dice, &tokens)).collect();
    let lines: String = questions.iter().map(|one| format!("{one}\n")).collect();
    let explained = gateway.cli(&["explain", "--batch"], &lines).succeeded();
    let answers: Vec<Value> =
        explained.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(answers.len(), questions.len());
    let mut passed = 0;
    for (question, answer) in questions.iter().zip(&answers) {
        passed += usize::from(agrees(&gateway, &upstream, question, answer));
    }
    assert!((500..3500).contains(&passed), "{passed} of 4000 passed: the requests say nothing");
}

/// Asks the live gateway too; whether the request passed.
fn agrees(gateway: &Gateway, upstream: &Upstream, question: &Value, answer: &Value) -> bool {
    let text = |name: &str| question[name].as_str().unwrap_or_default();
    let mut request =
        gateway.client().request(text("method"), text("url")).header("Host", text("host"));
    for field in question["headers"].as_array().expect("a list") {
        request =
            request.header(field[0].as_str().expect("a name"), field[1].as_str().expect("a value"));
    }
    if !text("token").is_empty() {
        request = request.bearer(text("token"));
    }
    let live = request.send();
    let said = format!("{question}\n{answer:#}");
    if live.status != 200 {
        assert_eq!(answer["decision"], "refuse", "live {}: {said}", live.status);
        assert_eq!(answer["status"], live.status, "{said}");
        if text("method") != "HEAD" {
            assert_eq!(answer["code"], live.code(), "{said}");
        }
        return false;
    }
    assert_eq!(answer["decision"], "pass", "{said}");
    let seen = upstream.last();
    assert_eq!(answer["target"], seen.target(), "{said}");
    let mut expected: Vec<(String, String)> = answer["identity"]
        .as_array()
        .into_iter()
        .chain(answer["headers"].as_array())
        .flatten()
        .map(|pair| {
            let part = |at: usize| pair[at].as_str().expect("a text").to_owned();
            (part(0), part(1))
        })
        .collect();
    let mut got: Vec<(String, String)> = seen
        .headers
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .filter(|(name, _)| name != "x-request-id" && name != "content-length")
        .map(|(name, value)| match name.as_str() {
            "authorization" | "cookie" => (name, "(as sent)".to_owned()),
            _ => (name, value),
        })
        .collect();
    expected.sort();
    got.sort();
    assert_eq!(expected, got, "{said}");
    true
}

#[test]
fn a_hop_is_counted_as_the_gateway_counts_it() {
    let ask = |hops: &str| {
        let field = format!("Max-Forwards: {hops}");
        explain(&["OPTIONS", "/static/x", "--header", &field])
    };
    let forwarded = ask("7")["headers"].to_string();
    assert!(forwarded.contains("[\"max-forwards\",\"6\"]"), "{forwarded}");
    assert_eq!((ask("0")["decision"].as_str(), ask("0")["target"].as_str()), (Some("pass"), None));
    assert_eq!(ask("x")["code"], "bad-header");
}

#[test]
fn a_url_and_a_host_that_differ_are_refused_as_the_gateway_refuses_them() {
    for (url, host) in
        [("http://app.example/", "other.example"), ("http://app.example:81/", "app.example")]
    {
        let output = setup().cli(&["explain", "GET", url, "--host", host], "");
        assert_ne!(output.code, Some(0), "{output:?}");
        assert!(output.stderr.contains("bad-target"), "{output:?}");
    }
    let same = explain(&["GET", "http://APP.example/account/x", "--host", "app.example:80"]);
    assert_eq!(same["path"], "/account/x");
}
