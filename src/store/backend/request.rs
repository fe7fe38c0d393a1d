//! What is sent to the application's login: one name, one password, as its own form or client sends them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use form_urlencoded::Serializer;
use http::header::{self, HeaderValue};
use http::{Method, Request, Uri};
use serde_json::{Map, Value};

use crate::config::{BackendUsers, HostRule, LoginFormat};
use crate::store::throttle::Visitor;
use crate::token::Secret;

/// Where the client does not say what it is.
const AGENT: HeaderValue = HeaderValue::from_static("freshgate");
/// Where the person is, for an application that looks at it.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// The request that asks whether this is the password of this name; `None` where no such name can be sent
/// (RFC 7617 §2: a name in `Basic` has no colon), so that it is nobody's.
pub(super) fn request(
    users: &BackendUsers,
    name: &str,
    password: &Secret,
    visitor: &Visitor,
) -> Option<Request<Bytes>> {
    let password = std::str::from_utf8(password.expose()).ok()?;
    let authority = authority(users);
    let uri = Uri::builder()
        .scheme("http")
        .authority(authority.as_str())
        .path_and_query(users.post.clone())
        .build()
        .ok()?;
    let host = match &users.host_rule {
        HostRule::Fixed(host) => host.clone(),
        // As its requests will have it: an application may name its cookies after its host.
        HostRule::Keep if visitor.host.is_some() => visitor.host.clone()?,
        HostRule::Keep | HostRule::Upstream => HeaderValue::try_from(authority).ok()?,
    };
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(uri)
        .header(header::HOST, host)
        .header(header::USER_AGENT, visitor.agent.clone().unwrap_or(AGENT))
        .header(header::ACCEPT, "*/*")
        .header(FORWARDED_FOR, visitor.address.to_canonical().to_string());
    for (name, value) in &users.headers {
        request = request.header(name, value);
    }
    let (kind, body) = match users.format {
        LoginFormat::Form => ("application/x-www-form-urlencoded", form(users, name, password)),
        LoginFormat::Json => ("application/json", json(users, name, password)),
        LoginFormat::Basic => {
            let mut basic = HeaderValue::try_from(basic(name, password)?).ok()?;
            basic.set_sensitive(true);
            return request.header(header::AUTHORIZATION, basic).body(Bytes::new()).ok();
        }
    };
    request.header(header::CONTENT_TYPE, kind).body(Bytes::from(body)).ok()
}

/// `host:port`, the host in brackets where it is an IPv6 address.
fn authority(users: &BackendUsers) -> String {
    let BackendUsers { host, port, .. } = users;
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn form(users: &BackendUsers, name: &str, password: &str) -> String {
    let mut form = Serializer::new(String::new());
    for (field, value) in &users.fields {
        form.append_pair(field, value);
    }
    form.append_pair(&users.username, name).append_pair(&users.password, password);
    form.finish()
}

fn json(users: &BackendUsers, name: &str, password: &str) -> String {
    let text = |text: &str| Value::String(text.to_owned());
    let fixed = users.fields.iter().map(|(field, value)| (field.clone(), text(value)));
    let mut object: Map<String, Value> = fixed.collect();
    object.insert(users.username.clone(), text(name));
    object.insert(users.password.clone(), text(password));
    Value::Object(object).to_string()
}

/// RFC 7617 §2, in UTF-8.
fn basic(name: &str, password: &str) -> Option<String> {
    let sendable = |text: &str| !text.chars().any(char::is_control);
    let good = !name.contains(':') && sendable(name) && sendable(password);
    good.then(|| format!("Basic {}", STANDARD.encode(format!("{name}:{password}"))))
}
