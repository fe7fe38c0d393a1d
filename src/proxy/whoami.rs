//! `builtin:whoami`: a small backend inside the binary that shows the request it received, identity first, so
//! that a newcomer sees what a backend would see without having one.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use http_body_util::BodyExt;
use serde_json::{Map, Value, json};

use super::UpstreamError;
use super::body::RequestBody;
use super::connection::Answered;
use super::headers::{ASSERTION, Firewall};
use super::relay::ResponseBody;

/// What it shows of a request besides the headers.
pub type Asked<'a> = (&'a Method, &'a Uri);

/// Answers with the request itself, as JSON where the client asks for it, else as text.
///
/// # Errors
/// [`UpstreamError::ClientBody`] when the request's body ends early.
pub async fn answer(
    asked: Asked<'_>,
    headers: HeaderMap,
    body: RequestBody,
    firewall: &Firewall,
) -> Result<(Answered, ResponseBody), UpstreamError> {
    let body_bytes = count(body).await?;
    let (identity, other) = split(&headers, firewall);
    let wants_json = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("json"));
    let (kind, text) = if wants_json {
        ("application/json", as_json(asked, &identity, &other, body_bytes))
    } else {
        ("text/plain; charset=utf-8", as_text(asked, &identity, &other, body_bytes))
    };
    let fields = [(header::CONTENT_TYPE, kind), (header::SERVER, "whoami")];
    let fields = fields.map(|(name, value)| (name, HeaderValue::from_static(value))).into();
    let answered = Answered { status: StatusCode::OK, reason: None, fields, goes_on: true };
    Ok((answered, ResponseBody::full(Bytes::from(text))))
}

/// Fields that say what a page must never show: who reads it may not be who sent it (Pomerium CVE-2024-39315).
static SECRETS: [HeaderName; 3] = [header::AUTHORIZATION, header::COOKIE, ASSERTION];

type Fields<'a> = Vec<(&'a str, String)>;

async fn count(mut body: RequestBody) -> Result<u64, UpstreamError> {
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(UpstreamError::ClientBody)?;
        bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
    }
    Ok(bytes)
}

fn split<'a>(headers: &'a HeaderMap, firewall: &'a Firewall) -> (Fields<'a>, Fields<'a>) {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let shown = |name: &HeaderName, value: &HeaderValue| match SECRETS.contains(name) {
        true => format!("({} bytes, not shown)", value.len()),
        false => text(value),
    };
    let identity: Fields<'a> = firewall
        .identity_names()
        .filter_map(|name| Some((name.as_str(), text(headers.get(name)?))))
        .collect();
    let other = headers
        .keys()
        .filter(|name| !identity.iter().any(|(known, _)| known == name))
        .map(|name| {
            let values = headers.get_all(name).iter().map(|value| shown(name, value));
            let values: Vec<String> = values.collect();
            (name.as_str(), values.join(", "))
        })
        .collect();
    (identity, other)
}

fn as_text(
    (method, target): Asked<'_>,
    identity: &Fields<'_>,
    other: &Fields<'_>,
    body_bytes: u64,
) -> String {
    let lines = |fields: &Fields<'_>| {
        fields.iter().map(|(name, value)| format!("  {name}: {value}\n")).collect::<String>()
    };
    let who = if identity.is_empty() { "  (nobody)\n".to_owned() } else { lines(identity) };
    format!(
        "identity\n{who}\nrequest\n  {} {}\n\nheaders\n{}\nbody\n  {body_bytes} bytes\n",
        method,
        target,
        lines(other)
    )
}

fn as_json(
    (method, target): Asked<'_>,
    identity: &Fields<'_>,
    other: &Fields<'_>,
    body_bytes: u64,
) -> String {
    let object = |fields: &Fields<'_>| {
        fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str())))
            .collect::<Map<String, Value>>()
    };
    let mut text = json!({
        "identity": object(identity),
        "method": method.as_str(),
        "target": target.to_string(),
        "headers": object(other),
        "body_bytes": body_bytes,
    })
    .to_string();
    text.push('\n');
    text
}
