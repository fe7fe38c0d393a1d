//! Generated requests: a token, changed; where it is put; how it is asked for. The same seed, the same requests.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::world::VIEWS;
use crate::harness::{Client, client::Request, forge};

/// SplitMix64: small, and the same everywhere.
pub struct Dice(pub u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("below a usize")
    }

    fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }

    fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

/// A request and what is odd about it, in words that the list of differences goes by.
#[derive(Clone, Debug)]
pub struct Case {
    /// One of [`VIEWS`].
    pub path: &'static str,
    pub method: &'static str,
    pub query: String,
    pub headers: Vec<(&'static str, String)>,
    /// What was changed, each a word.
    pub odd: Vec<String>,
}

impl Case {
    /// The request, to either of them.
    pub fn request(&self, client: Client) -> Request {
        let request = client.request(self.method, &format!("{}{}", self.path, self.query));
        let is_cookie = |name: &str| name == "Cookie";
        let others = self.headers.iter().filter(|(name, _)| !is_cookie(name));
        let request = others.fold(request, |request, (name, value)| request.header(name, value));
        // As a browser does it; its server glues several fields with a comma, which no cookie survives.
        let cookies: Vec<&str> = self
            .headers
            .iter()
            .filter(|(name, _)| is_cookie(name))
            .map(|(_, value)| value.as_str())
            .collect();
        if cookies.is_empty() { request } else { request.header("Cookie", &cookies.join("; ")) }
    }

    /// The same, with the scheme as the library wants it.
    pub fn in_capitals(&self) -> Case {
        let mut case = self.clone();
        for (_, value) in &mut case.headers {
            if let Some(token) = value.strip_prefix("bearer ") {
                *value = format!("Bearer {token}");
            }
        }
        case
    }

    /// Whether any change is called so, or begins so.
    pub fn is(&self, word: &str) -> bool {
        self.odd.iter().any(|one| one.starts_with(word))
    }
}

/// The scheme in another case.
pub const LOWER_CASE: &str = "lower-case";

/// The words of a token: base, then changes of its claims, of its header, of its text.
struct Made {
    token: String,
    odd: Vec<String>,
    csrf: Option<String>,
}

const BASES: [&str; 6] = ["stale", "fresh", "timed", "lapsed", "refresh", "refresh"];

fn base(name: &str) -> Value {
    let mut claims = forge::claims("admin");
    claims["csrf"] = json!(uuid::Uuid::new_v4().to_string());
    match name {
        "fresh" => claims["fresh"] = json!(true),
        "timed" => claims["fresh"] = json!(forge::now() as f64 + 600.5),
        "lapsed" => claims["fresh"] = json!(forge::now() as f64 - 60.5),
        "refresh" => claims["type"] = json!("refresh"),
        _ => {}
    }
    claims
}

/// Values that a claim of any name is set to.
fn values() -> [Value; 12] {
    let now = forge::now();
    [
        json!(null),
        json!(true),
        json!(0),
        json!(-5),
        json!(1.5),
        json!(now - 100),
        json!(now + 500),
        json!(""),
        json!("text"),
        json!((now + 500).to_string()),
        json!(["a"]),
        json!({"a": 1}),
    ]
}

const CLAIMS: [&str; 12] =
    ["sub", "jti", "type", "fresh", "exp", "iat", "nbf", "csrf", "aud", "iss", "roles", "scope"];

fn token(dice: &mut Dice) -> Made {
    let mut odd = Vec::new();
    let kind = *dice.pick(&BASES);
    let mut claims = base(kind);
    if dice.one_in(8) {
        claims["exp"] = json!(forge::now() - 100);
        odd.push("expired".to_owned());
    }
    for _ in 0..dice.below(3) {
        let name = *dice.pick(&CLAIMS);
        if dice.one_in(4) {
            claims.as_object_mut().expect("an object").remove(name);
            odd.push(format!("no-{name}"));
        } else {
            let values = values();
            let value = dice.pick(&values);
            claims[name] = value.clone();
            odd.push(format!("{name}={value}"));
        }
    }
    let csrf = claims["csrf"].as_str().map(str::to_owned);
    let token = signed(dice, &claims.to_string(), &mut odd);
    let token = changed(dice, token, &mut odd);
    Made { token, odd, csrf }
}

/// Signed as it should be, or not.
fn signed(dice: &mut Dice, claims: &str, odd: &mut Vec<String>) -> String {
    let (word, header) = match dice.below(24) {
        0 => ("alg-none", r#"{"alg":"none","typ":"JWT"}"#),
        1 => ("alg-case", r#"{"alg":"hs256","typ":"JWT"}"#),
        2 => ("alg-other", r#"{"alg":"HS512","typ":"JWT"}"#),
        3 => ("alg-rsa", r#"{"alg":"RS256","typ":"JWT"}"#),
        4 => ("alg-missing", r#"{"typ":"JWT"}"#),
        5 => ("crit", r#"{"alg":"HS256","crit":["foo"],"foo":1}"#),
        6 => ("kid-number", r#"{"alg":"HS256","kid":1}"#),
        7 => ("kid-unknown", r#"{"alg":"HS256","kid":"other"}"#),
        8 => ("kid-known", r#"{"alg":"HS256","kid":"k"}"#),
        9 => ("header-twice", r#"{"alg":"HS256","alg":"HS256"}"#),
        10 => ("header-text", "not json"),
        11 => ("typ-other", r#"{"alg":"HS256","typ":"at+jwt","extra":[1]}"#),
        _ => ("", r#"{"alg":"HS256","typ":"JWT"}"#),
    };
    if !word.is_empty() {
        odd.push(word.to_owned());
    }
    let (word, payload) = match dice.below(30) {
        0 => ("payload-twice", claims.replacen('{', r#"{"sub":"other","#, 1)),
        1 => ("payload-list", format!("[{claims}]")),
        2 => ("payload-text", "not json".to_owned()),
        _ => ("", claims.to_owned()),
    };
    if !word.is_empty() {
        odd.push(word.to_owned());
    }
    let secret = if dice.one_in(15) {
        odd.push("forged".to_owned());
        "another secret of 32 bytes, or so"
    } else {
        forge::SECRET
    };
    forge::sign(secret, header.as_bytes(), payload.as_bytes())
}

/// As it is, or its text changed.
fn changed(dice: &mut Dice, token: String, odd: &mut Vec<String>) -> String {
    let parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    let (word, token) = match dice.below(40) {
        0 => ("no-signature", format!("{}.{}.", parts[0], parts[1])),
        1 => ("two-parts", format!("{}.{}", parts[0], parts[1])),
        2 => ("one-part", parts[0].clone()),
        3 => ("four-parts", format!("{token}.x")),
        4 => ("padded", format!("{token}=")),
        5 => ("cut", token[..token.len() - 1 - dice.below(20)].to_owned()),
        6 => {
            let mut payload = URL_SAFE_NO_PAD.decode(&parts[1]).unwrap_or_default();
            let at = dice.below(payload.len().max(1));
            if let Some(byte) = payload.get_mut(at) {
                *byte ^= 1;
            }
            let payload = URL_SAFE_NO_PAD.encode(payload);
            ("payload-bit", format!("{}.{payload}.{}", parts[0], parts[2]))
        }
        7 => ("alphabet", token.replacen(['a', 'e', 'J'], "+", 1)),
        8 => ("words", "not a token".to_owned()),
        9 => ("dots", "..".to_owned()),
        _ => ("", token),
    };
    if !word.is_empty() {
        odd.push(word.to_owned());
    }
    token
}

/// The next request.
pub fn case(dice: &mut Dice) -> Case {
    let path = dice.pick(&VIEWS).0;
    let method = *dice.pick(&["GET", "GET", "GET", "POST", "PUT", "DELETE", "HEAD"]);
    let mut case =
        Case { path, method, query: String::new(), headers: Vec::new(), odd: Vec::new() };
    let count = *dice.pick(&[0, 1, 1, 1, 1, 1, 1, 1, 2]);
    for _ in 0..count {
        let made = token(dice);
        case.odd.extend(made.odd.iter().cloned());
        place(dice, &mut case, &made);
    }
    two(&mut case);
    if dice.one_in(12) {
        case.headers.push(("Cookie", "theme=dark; session=1".to_owned()));
    }
    case
}

/// Says so when one place holds two.
fn two(case: &mut Case) {
    let cookie = |value: &str| value.split_once('=').map(|(name, _)| name.to_owned());
    let places: Vec<String> = case
        .headers
        .iter()
        .filter_map(|(name, value)| match *name {
            "Authorization" => Some("header".to_owned()),
            "Cookie" => cookie(value),
            _ => None,
        })
        .chain(case.query.match_indices("jwt=").map(|_| "query".to_owned()))
        .collect();
    let twice = places.iter().enumerate().any(|(index, one)| places[..index].contains(one));
    if twice {
        case.odd.push("two-in-one-place".to_owned());
    }
}

fn place(dice: &mut Dice, case: &mut Case, made: &Made) {
    let token = &made.token;
    let refresh = case.path == "/refresh-view";
    match dice.below(10) {
        0..5 => {
            let (word, value) = match dice.below(16) {
                0 => (LOWER_CASE, format!("bearer {token}")),
                1 => ("scheme", format!("Token {token}")),
                2 => ("basic", "Basic YTpi".to_owned()),
                3 => ("bare", token.clone()),
                4 => ("alone", "Bearer".to_owned()),
                5 => ("three-words", format!("Bearer {token} more")),
                6 => ("spaces", format!("Bearer   {token}")),
                7 => ("comma", format!("Bearer {token},")),
                8 => ("list", format!("Basic YTpi, Bearer {token}")),
                _ => ("", format!("Bearer {token}")),
            };
            if !word.is_empty() {
                case.odd.push(word.to_owned());
            }
            case.headers.push(("Authorization", value));
        }
        5..8 => {
            let other = dice.one_in(8);
            let name =
                if refresh != other { "refresh_token_cookie" } else { "access_token_cookie" };
            let value = if dice.one_in(12) { String::new() } else { token.clone() };
            if value.contains(' ') {
                case.odd.push("no-cookie".to_owned());
            }
            case.headers.push(("Cookie", format!("{name}={value}")));
            let unsafe_method = !matches!(case.method, "GET" | "HEAD");
            match dice.below(8) {
                0 if unsafe_method => case.odd.push("csrf-missing".to_owned()),
                1 if unsafe_method => {
                    case.odd.push("csrf-wrong".to_owned());
                    case.headers.push(("X-CSRF-TOKEN", "wrong".to_owned()));
                }
                _ => {
                    let value = made.csrf.clone().filter(|csrf| !csrf.is_empty());
                    case.headers.push(("X-CSRF-TOKEN", value.unwrap_or_else(|| "none".into())));
                }
            }
        }
        _ => {
            let name = if dice.one_in(10) { "token" } else { "jwt" };
            let sign = if case.query.is_empty() { '?' } else { '&' };
            let plain = token.replace('+', "%2B").replace(' ', "%20");
            if plain != *token {
                case.odd.push("escaped".to_owned());
            }
            case.query.push_str(&format!("{sign}{name}={plain}"));
        }
    }
}
