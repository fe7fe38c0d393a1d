//! The header firewall: whatever a client sends, a backend gets nothing under a name that it believes but what we say,
//! once, and everything else as it came.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::{Arc, LazyLock};

use freshgate::config::lower::lower;
use freshgate::config::{Config, HostRule, IdentityHeader};
use freshgate::policy::path::{CanonicalPath, PathRules};
use freshgate::policy::pattern::Pattern;
use freshgate::policy::route::{Action, Endpoint, Route};
use freshgate::policy::{Permit, Requirement, decide, host};
use freshgate::proxy::credentials::Kept;
use freshgate::proxy::headers::{Client, Facts, Firewall};
use freshgate::token::{Claims, Standing, UnixTime};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Uri};
use serde_json::{Map, Value, json};

use super::bytes::Bytes;
use super::credentials::is_bearer;

/// What backends believe, besides the identity fields and `X-Forwarded-…`, in the spelling of CGI with `-` for `_`.
const BELIEVED: [&str; 42] = [
    "forwarded",
    "via",
    "x-request-id",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "true-client-ip",
    "client-ip",
    "x-forwarded",
    "forwarded-for",
    "cf-connecting-ip",
    "fastly-client-ip",
    "x-remote-addr",
    "x-host",
    "x-http-host-override",
    "x-original-url",
    "x-original-uri",
    "x-original-host",
    "x-rewrite-url",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "proxy",
    "remote-user",
    "x-remote-user",
    "redirect-remote-user",
    "x-true-client-ip",
    "x-originating-ip",
    "x-azure-clientip",
    "x-envoy-external-address",
    "x-original-forwarded-for",
    "proxy-client-ip",
    "wl-proxy-client-ip",
    "http-client-ip",
    "http-x-forwarded-for",
    "x-scheme",
    "x-url-scheme",
    "front-end-https",
    "x-middleware-subrequest",
    "x-sendfile-type",
    "x-accel-mapping",
    "x-freshgate-assertion",
];
/// What belongs to one connection (RFC 9110 §7.6.1).
const HOP_BY_HOP: [&str; 10] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "expect",
];
/// What has a meaning in its one spelling, and to a backend that folds names also in others: those never pass.
const FIXED: [&str; 13] = [
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "origin",
    "proxy-authorization",
    "referer",
    "te",
    "transfer-encoding",
    "upgrade",
];

const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

/// The configuration of every request.
static CONFIG: LazyLock<Config> = LazyLock::new(|| {
    let text = "upstream = \"builtin:whoami\"\n[routes]\n\"/**\" = \"optional\"\n[identity]\n\
        X-User-Id = \"sub\"\nX-User-Roles = \"roles\"\nX-Team = \"team\"\n";
    lower(text, None, Path::new("")).expect("no mistakes")
});
static FIREWALL: LazyLock<Firewall> = LazyLock::new(|| Firewall::new(&CONFIG));

/// Choices, a line of JSON for the claims, then a field a line: `name: value`.
pub fn hold(input: &[u8]) {
    let mut input = Bytes(input);
    let choices = input.byte();
    let claims = serde_json::from_str(&input.text()).unwrap_or_default();
    let mut fields = Vec::new();
    while !input.0.is_empty() {
        let line = input.line();
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            fields.push((name, value));
        }
    }
    hold_for(choices, claims, &fields);
}

/// All statements on these fields of a client's.
pub fn hold_for(choices: u8, claims: Map<String, Value>, fields: &[(HeaderName, HeaderValue)]) {
    let sent = guarded(fields);
    let on = |bit: u8| choices >> bit & 1 == 1;
    let client = Client {
        peer: ADDRESS.into(),
        origin: ADDRESS,
        trusted: on(0),
        request_id: HeaderValue::from_static("id-1"),
    };
    let rule = match choices >> 1 & 3 {
        0 | 1 => HostRule::Keep,
        2 => HostRule::Upstream,
        _ => HostRule::Fixed(HeaderValue::from_static("fixed.test")),
    };
    let permit = permit(on(3).then_some(claims));
    let authority = HeaderValue::from_static("backend.test:80");
    let asserted = HeaderValue::from_static("signed.by.us");
    let target = Uri::from_static("/");
    let facts = Facts {
        asked: (&Method::GET, &target),
        permit: &permit,
        client: &client,
        host: &rule,
        authority: &authority,
        kept: if on(4) { Kept::Header } else { Kept::Nothing },
        cookies: None,
        assertion: on(5).then_some(&asserted),
    };
    let got = FIREWALL.toward_backend(&mut sent.clone(), &facts).to_headers();

    let ours = ours(&sent, &facts, &CONFIG.identity);
    let named = named_by_connection(&sent);
    for name in got.keys() {
        let values: Vec<&HeaderValue> = got.get_all(name).iter().collect();
        if believed(name.as_str()) || name == header::HOST {
            assert!(values.len() == 1, "{name} more than once: {sent:?}");
            let said = ours.iter().find(|(own, _)| own == name.as_str());
            let (_, said) = said.unwrap_or_else(|| panic!("{name} got through: {sent:?}"));
            match said {
                Said::This(said) => assert_eq!(values[0].as_bytes(), said, "{name}: {sent:?}"),
                Said::EndsWith(end) => {
                    assert!(values[0].as_bytes().ends_with(end), "{name}: {sent:?}")
                }
            }
            continue;
        }
        let text = name.as_str();
        assert!(!HOP_BY_HOP.contains(&text), "{name} got through: {sent:?}");
        assert!(text != "content-length", "the client says where its body ends: {sent:?}");
        assert!(!named.contains(name), "{name} is named by Connection: {sent:?}");
        let folded = folded(text);
        assert!(
            folded == text || !FIXED.contains(&folded.as_str()),
            "{name} got through: {sent:?}"
        );
        assert_eq!(values, sent.get_all(name).iter().collect::<Vec<_>>(), "{name}");
    }
    for (name, _) in &ours {
        assert!(got.contains_key(name.as_str()), "{name} is missing: {sent:?}");
    }
    nothing_is_lost(&sent, &got, &named, on(4));
}

/// What the wire guard lets through: one `Host` at most, and a good one.
fn guarded(fields: &[(HeaderName, HeaderValue)]) -> HeaderMap {
    let mut sent = HeaderMap::new();
    for (name, value) in fields {
        let is_host = value.to_str().is_ok_and(|value| host::canonical(value).is_ok());
        if *name != header::HOST || (is_host && !sent.contains_key(name)) {
            sent.append(name.clone(), value.clone());
        }
    }
    sent
}

fn permit(claims: Option<Map<String, Value>>) -> Permit {
    let standing = match claims {
        None => Standing::Anonymous,
        Some(mut all) => {
            for (name, value) in
                [("sub", json!("alice")), ("type", json!("access")), ("jti", json!("j"))]
            {
                all.insert(name.to_owned(), value);
            }
            all.insert("iat".to_owned(), json!(1));
            all.insert("exp".to_owned(), json!(2));
            all.retain(|name, _| {
                !matches!(name.as_str(), "nbf" | "fresh" | "auth_time" | "sid" | "iss" | "aud")
            });
            Standing::assumed(Claims::from_json(all).expect("the typed ones are ours"))
        }
    };
    let pattern = Pattern::parse("/**").expect("a pattern");
    let action = Action::Endpoint(Endpoint::Me);
    let route = Arc::new(Route::new("/**", pattern, Requirement::Optional, action));
    let path = CanonicalPath::parse("/", &PathRules::default()).expect("a path");
    decide(&route, &path, standing, UnixTime(1)).expect("optional: nobody, or a good one")
}

/// What one of ours must say.
enum Said {
    This(Vec<u8>),
    EndsWith(Vec<u8>),
}

/// Every field that only we write, for this request.
fn ours(sent: &HeaderMap, facts: &Facts<'_>, identity: &[IdentityHeader]) -> Vec<(String, Said)> {
    let text = |text: &str| text.as_bytes().to_vec();
    let host = sent.get(header::HOST).map(|host| host.as_bytes().to_vec());
    let pair = host.as_ref().map(|host| format!(";host=\"{}\"", String::from_utf8_lossy(host)));
    let forwarded = format!("for={ADDRESS}{};proto=http", pair.unwrap_or_default());
    let trusted = facts.client.trusted;
    let chain = |own: &str| {
        if trusted { Said::EndsWith(text(own)) } else { Said::This(text(own)) }
    };
    let mut ours = vec![
        ("via".to_owned(), Said::This(text("1.1 freshgate"))),
        ("x-request-id".to_owned(), Said::This(text("id-1"))),
        ("x-forwarded-for".to_owned(), chain(&ADDRESS.to_string())),
        ("forwarded".to_owned(), chain(&forwarded)),
    ];
    let said =
        |name: &str| sent.get(name).filter(|_| trusted).map(|value| value.as_bytes().to_vec());
    let proto = said("x-forwarded-proto").filter(|it| it == b"http" || it == b"https");
    ours.push(("x-forwarded-proto".to_owned(), Said::This(proto.unwrap_or(text("http")))));
    if let Some(theirs) = said("x-forwarded-host").or(host.clone()) {
        ours.push(("x-forwarded-host".to_owned(), Said::This(theirs)));
    }
    let authority = facts.authority.as_bytes().to_vec();
    let to = match (facts.host, host) {
        (HostRule::Keep, Some(host)) => host,
        (HostRule::Keep | HostRule::Upstream, _) => authority,
        (HostRule::Fixed(name), _) => name.as_bytes().to_vec(),
    };
    ours.push(("host".to_owned(), Said::This(to)));
    let asserted = facts.assertion.map(|field| field.as_bytes().to_vec());
    ours.extend(asserted.map(|field| ("x-freshgate-assertion".to_owned(), Said::This(field))));
    for line in identity {
        let claim = facts.permit.claims().and_then(|claims| claims.all.get(&line.claim));
        let until = line.claim == "fresh" && claim.is_some_and(Value::is_number);
        let now = until.then(|| Value::from(facts.permit.is_fresh()));
        if let Some(value) = now.as_ref().or(claim).map(as_field).filter(|value| !value.is_empty())
        {
            ours.push((line.name.to_string(), Said::This(value.into_bytes())));
        }
    }
    ours
}

/// A claim in a field, as the table in docs/policies.md says.
fn as_field(claim: &Value) -> String {
    match claim {
        Value::Array(all) => {
            let all = all.iter().filter(|one| !one.is_null());
            all.map(encoded).collect::<Vec<_>>().join(",")
        }
        one => encoded(one),
    }
}

fn encoded(value: &Value) -> String {
    let text = match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let sign = |byte: u8| match byte {
        b'%' | b',' => format!("%{byte:02X}"),
        byte if byte.is_ascii_graphic() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(sign).collect()
}

fn folded(name: &str) -> String {
    name.chars().map(|sign| if sign.is_ascii_alphanumeric() { sign } else { '-' }).collect()
}

fn believed(name: &str) -> bool {
    let folded = folded(name);
    BELIEVED.contains(&folded.as_str())
        || folded.starts_with("x-forwarded-")
        || ["x-user-id", "x-user-roles", "x-team"].contains(&folded.as_str())
}

/// The names in `Connection` (RFC 9110 §7.6.1), whatever stands beside them.
fn named_by_connection(sent: &HeaderMap) -> Vec<HeaderName> {
    let fields = sent.get_all(header::CONNECTION).iter();
    let names = fields.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    names.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok()).collect()
}

/// What nobody had a reason to take is still there, in its order.
fn nothing_is_lost(sent: &HeaderMap, got: &HeaderMap, named: &[HeaderName], forward_token: bool) {
    for name in sent.keys() {
        let text = name.as_str();
        let folded = folded(text);
        let fixed = FIXED.contains(&folded.as_str()) && folded != text;
        let bearer = text == "authorization"
            && !forward_token
            && sent.get_all(name).iter().any(|value| is_bearer(value.as_bytes()));
        let taken = believed(text)
            || HOP_BY_HOP.contains(&text)
            || fixed
            || bearer
            || ["host", "content-length"].contains(&text)
            || named.contains(name);
        if taken {
            assert!(!bearer || !got.contains_key(name), "the token got through: {sent:?}");
        } else {
            let (sent, got) = (sent.get_all(name), got.get_all(name));
            assert!(sent.iter().eq(got.iter()), "{name} was lost or changed");
        }
    }
}
