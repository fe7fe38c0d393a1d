//! Reads the small bodies that our endpoints take: a few named texts, as JSON or as a form.
//!
//! Strict, because what two readers read differently is how checks are passed by (ASVS 15.3.7): whatever
//! is not exactly what it claims to be is refused. Passwords stay in memory that is wiped.

use std::collections::HashSet;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, header};
use http_body::Body;
use http_body_util::BodyExt as _;
use percent_encoding::percent_decode_str;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::policy::Refusal;
use crate::token::json;

/// Largest body of a request to one of our endpoints, in bytes.
pub const BODY_MAX_BYTES: usize = 16 * 1024;
/// How long such a body may take to arrive as a whole.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// What a body claims to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    UrlEncoded,
}

/// Reads the texts of these names. Others are passed over; none of these may be missing.
///
/// # Errors
/// [`Refusal::BodyTooLarge`], [`Refusal::RequestTimeout`], else [`Refusal::BadBody`].
pub(super) async fn texts<B: Body<Data = Bytes>, const N: usize>(
    headers: &HeaderMap,
    body: B,
    body_idle: Duration,
    names: [&str; N],
) -> Result<[Zeroizing<String>; N], Refusal> {
    let form = form(headers)?;
    let bytes = tokio::time::timeout(BODY_TIMEOUT, collect(body, body_idle))
        .await
        .map_err(|_| Refusal::RequestTimeout)??;
    let found = match form {
        Form::Json => from_json(&bytes, names),
        Form::UrlEncoded => from_form(&bytes, names),
    };
    let found = found.ok_or(Refusal::BadBody)?;
    // No store, log or hash that follows agrees with another on what a NUL means.
    match found.iter().any(|text| text.contains('\0')) {
        true => Err(Refusal::BadBody),
        false => Ok(found),
    }
}

fn form(headers: &HeaderMap) -> Result<Form, Refusal> {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(field), None) = (types.next(), types.next()) else {
        return Err(Refusal::BadBody);
    };
    if headers.contains_key(header::CONTENT_ENCODING) {
        return Err(Refusal::BadBody);
    }
    let field = field.to_str().map_err(|_| Refusal::BadBody)?.to_ascii_lowercase();
    let mut parts = field.split(';').map(str::trim);
    let form = match parts.next() {
        Some("application/json") => Form::Json,
        Some("application/x-www-form-urlencoded") => Form::UrlEncoded,
        _ => return Err(Refusal::BadBody),
    };
    let utf8 = ["charset=utf-8", "charset=\"utf-8\"", ""];
    match parts.all(|parameter| utf8.contains(&parameter)) {
        true => Ok(form),
        false => Err(Refusal::BadBody),
    }
}

async fn collect<B: Body<Data = Bytes>>(
    body: B,
    body_idle: Duration,
) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    if body.size_hint().lower() > BODY_MAX_BYTES as u64 {
        return Err(Refusal::BodyTooLarge);
    }
    let mut body = pin!(body);
    // As large as it can become, so that growing leaves no copies of a password behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(BODY_MAX_BYTES));
    loop {
        let frame = tokio::time::timeout(body_idle, body.frame())
            .await
            .map_err(|_| Refusal::RequestTimeout)?;
        let Some(frame) = frame else { return Ok(bytes) };
        // Trailers mean nothing here.
        let Ok(data) = frame.map_err(|_| Refusal::BadBody)?.into_data() else { continue };
        if bytes.len() + data.len() > BODY_MAX_BYTES {
            return Err(Refusal::BodyTooLarge);
        }
        bytes.extend_from_slice(&data);
    }
}

fn from_json<const N: usize>(bytes: &[u8], names: [&str; N]) -> Option<[Zeroizing<String>; N]> {
    // Refuses duplicates at every depth, deep nesting, and anything after the object.
    let mut object = json::object(bytes).ok()?;
    all(names.map(|name| match object.remove(name) {
        Some(Value::String(text)) => Some(Zeroizing::new(text)),
        _ => None,
    }))
}

fn from_form<const N: usize>(bytes: &[u8], names: [&str; N]) -> Option<[Zeroizing<String>; N]> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut seen = HashSet::new();
    let mut found = names.map(|_| None);
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let key = decoded(key)?;
        let value = decoded(value)?;
        if let Some(index) = names.iter().position(|name| *name == key.as_str()) {
            found[index] = Some(value);
        }
        if !seen.insert(key.as_str().to_owned()) {
            return None;
        }
    }
    all(found)
}

/// One name or value of a form; broken escapes and broken UTF-8 are refused, not repaired.
fn decoded(text: &str) -> Option<Zeroizing<String>> {
    let mut escapes = text.split('%').skip(1).map(|rest| rest.as_bytes().get(..2));
    if !escapes.all(|digits| digits.is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit))) {
        return None;
    }
    let spaced = Zeroizing::new(text.replace('+', " "));
    let bytes = percent_decode_str(&spaced).collect::<Vec<u8>>();
    String::from_utf8(bytes).ok().map(Zeroizing::new)
}

fn all<const N: usize>(found: [Option<Zeroizing<String>>; N]) -> Option<[Zeroizing<String>; N]> {
    if found.iter().any(Option::is_none) {
        return None;
    }
    Some(found.map(Option::unwrap_or_default))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::Full;

    fn read(content_type: &str, body: &[u8]) -> Result<[String; 2], Refusal> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
        read_with(&headers, body)
    }

    fn read_with(headers: &HeaderMap, body: &[u8]) -> Result<[String; 2], Refusal> {
        let body = Full::new(Bytes::copy_from_slice(body));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let idle = Duration::from_secs(1);
        runtime
            .block_on(texts(headers, body, idle, ["username", "password"]))
            .map(|found| found.map(|text| text.as_str().to_owned()))
    }

    const JSON: &str = "application/json";
    const FORM: &str = "application/x-www-form-urlencoded";

    #[track_caller]
    fn reads(content_type: &str, body: &str, username: &str, password: &str) {
        let found = read(content_type, body.as_bytes());
        assert_eq!(found, Ok([username.to_owned(), password.to_owned()]), "{body}");
    }

    #[track_caller]
    fn refused(content_type: &str, body: impl AsRef<[u8]>) {
        let body = body.as_ref();
        let outcome = read(content_type, body);
        assert_eq!(outcome, Err(Refusal::BadBody), "{}", String::from_utf8_lossy(body));
    }

    #[test]
    fn json_and_form_say_the_same() {
        reads(JSON, r#"{"username":"a","password":"b c"}"#, "a", "b c");
        reads("Application/JSON; charset=UTF-8", r#"{"password":"","username":""}"#, "", "");
        reads(JSON, r#"{"x":[{}],"username":"\u00e9","password":"🔑"}"#, "é", "🔑");
        reads(FORM, "username=a&password=b+c&x=1&y", "a", "b c");
        reads(FORM, "&password=%F0%9F%94%91%26%3D%2b&username=%C3%A9&", "é", "🔑&=+");
        reads(FORM, "username=a&password=b=c", "a", "b=c");
    }

    #[test]
    fn bad_json_is_refused() {
        refused(JSON, "");
        refused(JSON, "[]");
        refused(JSON, r#"{"username":"a"}"#);
        refused(JSON, r#"{"username":"a","password":1}"#);
        refused(JSON, r#"{"username":"a","password":null}"#);
        refused(JSON, r#"{"username":"a","password":["b"]}"#);
        refused(JSON, r#"{"username":"a","password":"b","password":"c"}"#);
        refused(JSON, r#"{"username":"a","password":"b","x":{"y":1,"y":2}}"#);
        refused(JSON, r#"{"username":"a","password":"b"} "#.to_owned() + "x");
        refused(JSON, r#"{"username":"a\u0000","password":"b"}"#);
        refused(JSON, r#"{"username":"a","password":"\ud800"}"#);
        refused(JSON, b"{\"username\":\"a\",\"password\":\"\xff\"}");
        refused(JSON, "username=a&password=b");
        let deep = format!(
            r#"{{"username":"a","password":"b","x":{}{}}}"#,
            "[".repeat(5000),
            "]".repeat(5000)
        );
        refused(JSON, deep);
    }

    #[test]
    fn bad_forms_are_refused() {
        refused(FORM, "");
        refused(FORM, "username=a");
        refused(FORM, "username=a&password=b&password=c");
        refused(FORM, "username=a&password=b&user%6eame=c");
        refused(FORM, "username=a&password=b&x=1&x=2");
        refused(FORM, "username=a&password=%");
        refused(FORM, "username=a&password=%f");
        refused(FORM, "username=a&password=%zz");
        refused(FORM, "username=a&password=%ff");
        refused(FORM, b"username=a&password=\xff");
        refused(FORM, "username=a%00&password=b");
        refused(FORM, r#"{"username":"a","password":"b"}"#);
    }

    #[test]
    fn content_type_decides_and_is_strict() {
        let body = r#"{"username":"a","password":"b"}"#;
        for other in ["text/plain", "application/jsonx", "json", "multipart/form-data; boundary=x"]
        {
            refused(other, body);
        }
        refused("application/json; charset=utf-16", body);
        let mut headers = HeaderMap::new();
        assert_eq!(read_with(&headers, body.as_bytes()), Err(Refusal::BadBody));
        headers.append(header::CONTENT_TYPE, JSON.parse().unwrap());
        assert!(read_with(&headers, body.as_bytes()).is_ok());
        headers.append(header::CONTENT_TYPE, FORM.parse().unwrap());
        assert_eq!(read_with(&headers, body.as_bytes()), Err(Refusal::BadBody));
        headers.remove(header::CONTENT_TYPE);
        headers.append(header::CONTENT_TYPE, JSON.parse().unwrap());
        headers.append(header::CONTENT_ENCODING, "gzip".parse().unwrap());
        assert_eq!(read_with(&headers, body.as_bytes()), Err(Refusal::BadBody));
    }

    #[test]
    fn large_bodies_are_refused() {
        let large = format!(r#"{{"username":"a","password":"{}"}}"#, "x".repeat(1_000_000));
        assert_eq!(read(JSON, large.as_bytes()), Err(Refusal::BodyTooLarge));
        let just = format!("username=a&password={}", "x".repeat(BODY_MAX_BYTES - 20));
        assert_eq!(just.len(), BODY_MAX_BYTES);
        assert!(read(FORM, just.as_bytes()).is_ok());
        assert_eq!(read(FORM, format!("{just}x").as_bytes()), Err(Refusal::BodyTooLarge));
    }

    #[tokio::test(start_paused = true)]
    async fn body_that_never_comes_is_given_up() {
        struct Never;
        impl Body for Never {
            type Data = Bytes;
            type Error = std::convert::Infallible;
            fn poll_frame(
                self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
                std::task::Poll::Pending
            }
        }
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, JSON.parse().unwrap());
        for idle in [Duration::from_secs(1), Duration::from_secs(3600)] {
            let outcome = texts(&headers, Never, idle, ["password"]).await;
            assert_eq!(outcome.unwrap_err(), Refusal::RequestTimeout);
        }
    }
}
