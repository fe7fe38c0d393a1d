//! What the application's answer says: right, wrong, or nothing that can be relied on.
//!
//! An application that fails must not look like a wrong password, which would be counted against its owner, and
//! nothing but what the operator described is a right one.

use http::{HeaderMap, Response, StatusCode, header};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use crate::config::{BackendUsers, Success};
use crate::store::keepsakes::Changes;
use crate::token::trust::ClaimPath;

/// Longest subject that an answer may give, in bytes.
pub const SUBJECT_BYTES_MAX: usize = 256;
/// Most that the claims of an answer may take, in bytes of JSON: they go into a token, which is at most 8 KiB.
pub const CLAIMS_BYTES_MAX: usize = 4 * 1024;
/// Most that the kept cookies of one session may take, in bytes: they are sent with each of its requests.
pub const COOKIES_BYTES_MAX: usize = 4 * 1024;

/// What an answer says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The password is right.
    Right(Person),
    /// It is not, or there is no such person.
    Wrong,
    /// The application did not say; the sentence is for the operator.
    Unclear(String),
}

/// Who it is, by the application's own words.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Person {
    /// `None`: the name that was sent.
    pub(super) subject: Option<String>,
    pub(super) claims: Map<String, Value>,
    /// `name=value`, as `Cookie` has them.
    pub(super) cookies: Vec<String>,
}

/// Statuses below 500 that speak of the application or of the configuration, not of the password.
const NOT_ABOUT_THE_PASSWORD: [StatusCode; 6] = [
    StatusCode::NOT_FOUND,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::REQUEST_TIMEOUT,
    StatusCode::GONE,
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    StatusCode::TOO_MANY_REQUESTS,
];

/// Reads an answer as `[login.users.backend]` says.
pub(super) fn verdict(users: &BackendUsers, answer: &Response<impl AsRef<[u8]>>) -> Verdict {
    let status = answer.status();
    if status.is_server_error() || NOT_ABOUT_THE_PASSWORD.contains(&status) {
        return Verdict::Unclear(format!("it answered {status}"));
    }
    let document: Option<Value> = serde_json::from_slice(answer.body().as_ref()).ok();
    if !holds(&users.success, users, answer.headers(), status, document.as_ref()) {
        return Verdict::Wrong;
    }
    match person(users, answer.headers(), document.as_ref()) {
        Ok(person) => Verdict::Right(person),
        Err(why) => Verdict::Unclear(why),
    }
}

fn holds(
    success: &Success,
    users: &BackendUsers,
    headers: &HeaderMap,
    status: StatusCode,
    document: Option<&Value>,
) -> bool {
    let by_status = match success.status.as_slice() {
        [] => status.as_u16() < 400,
        these => these.contains(&status),
    };
    let by_header = success.header.as_ref().is_none_or(|name| {
        headers.get_all(name).iter().any(|value| !value.as_bytes().trim_ascii().is_empty())
    });
    let by_cookie = success
        .cookie
        .as_ref()
        .is_none_or(|name| !Changes::of(headers, std::slice::from_ref(name)).set.is_empty());
    let by_json =
        success.json.as_ref().is_none_or(|at| found(at, document).is_some_and(says_something));
    let by_redirect = success.redirect_not_to.as_ref().is_none_or(|login| {
        status.is_redirection() && leads_elsewhere(headers, users.post.path(), login)
    });
    by_status && by_header && by_cookie && by_json && by_redirect
}

/// What the answer has there; nothing where the way leads through what is no object.
fn found<'v>(at: &ClaimPath, document: Option<&'v Value>) -> Option<&'v Value> {
    at.find(document?.as_object()?).ok().flatten()
}

fn says_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Bool(true) => true,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(object) => !object.is_empty(),
    }
}

/// Whether the one `Location` leads to a page other than the login page. The host does not count: an application that
/// knows itself by another name sends people there.
fn leads_elsewhere(headers: &HeaderMap, from: &str, login: &str) -> bool {
    let mut all = headers.get_all(header::LOCATION).iter();
    let (Some(one), None) = (all.next(), all.next()) else { return false };
    let Some(to) = one.to_str().ok().and_then(|location| path_of(location, from)) else {
        return false;
    };
    let login = plain(login);
    to != login && !to.starts_with(&format!("{login}/"))
}

/// The path that a `Location` means, seen from the page at `from` (RFC 3986 §5.2), in a spelling to compare.
fn path_of(location: &str, from: &str) -> Option<String> {
    let end = location.find(['?', '#']).unwrap_or(location.len());
    let bare = &location[..end];
    let path = if let Some((scheme, rest)) = bare.split_once("://") {
        let known = ["http", "https"].iter().any(|name| scheme.eq_ignore_ascii_case(name));
        let start = rest.find('/').unwrap_or(rest.len());
        known.then(|| rest[start..].to_owned())?
    } else if let Some(rest) = bare.strip_prefix("//") {
        rest[rest.find('/').unwrap_or(rest.len())..].to_owned()
    } else if bare.starts_with('/') {
        bare.to_owned()
    } else if bare.is_empty() {
        // The same page again.
        from.to_owned()
    } else if bare.contains(':') {
        return None;
    } else {
        format!("{}/{bare}", from.rsplit_once('/').map_or("", |(folder, _)| folder))
    };
    Some(plain(&path))
}

/// Percent-decoded, without parameters, dot segments, doubled slashes and the slash at the end, in lower case: two
/// spellings of the login page must not look like two pages.
fn plain(path: &str) -> String {
    let decoded = percent_decode_str(path).decode_utf8_lossy().replace('\\', "/");
    let mut segments: Vec<String> = Vec::new();
    for segment in decoded.split('/') {
        match segment.split(';').next().unwrap_or_default() {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            name => segments.push(name.to_lowercase()),
        }
    }
    format!("/{}", segments.join("/"))
}

fn person(
    users: &BackendUsers,
    headers: &HeaderMap,
    document: Option<&Value>,
) -> Result<Person, String> {
    let find = |at: &ClaimPath| found(at, document);
    let subject = match &users.subject {
        None => None,
        Some(at) => Some(subject_of(find(at)).ok_or_else(|| {
            format!("its answer has no name of at most {SUBJECT_BYTES_MAX} bytes at `{}`", at)
        })?),
    };
    let mut claims = Map::new();
    for (name, at) in &users.claims {
        match find(at) {
            // As in a token of ours: what is not there is not said.
            None | Some(Value::Null) => {}
            Some(value) => {
                claims.insert(name.clone(), value.clone());
            }
        }
    }
    if Value::Object(claims.clone()).to_string().len() > CLAIMS_BYTES_MAX {
        return Err(format!("the claims of its answer are larger than {CLAIMS_BYTES_MAX} bytes"));
    }
    let cookies = Changes::of(headers, &users.keep_cookies).set;
    if cookies.iter().map(|one| one.len() + 2).sum::<usize>() > COOKIES_BYTES_MAX {
        return Err(format!("the cookies to keep are larger than {COOKIES_BYTES_MAX} bytes"));
    }
    Ok(Person { subject, claims, cookies })
}

fn subject_of(value: Option<&Value>) -> Option<String> {
    let text = match value? {
        Value::String(text) => text.clone(),
        Value::Number(number) if !number.is_f64() => number.to_string(),
        _ => return None,
    };
    let good = !text.is_empty() && text.len() <= SUBJECT_BYTES_MAX;
    (good && !text.chars().any(char::is_control)).then_some(text)
}
