//! What a backend is asked for: always in origin-form, and the judged path.
//!
//! Judges nothing. Called by the gateway for each request in absolute-form, by `forward`, and by `explain`.

use std::borrow::Cow;

use http::Uri;
use http::uri::PathAndQuery;

use super::UpstreamError;
use super::credentials::Credentials;
use crate::policy::Permit;
use crate::policy::path::{CanonicalPath, PathRules};
use crate::policy::route::Forward;

/// The origin-form target for the backend: the judged path, or what the route rewrites it to. Also for `explain`.
///
/// # Errors
/// [`UpstreamError::Rewrite`] when the rewritten path would have two readings.
pub fn backend_uri(
    permit: &Permit,
    plan: &Forward,
    path: &CanonicalPath<'_>,
    asked: &Uri,
    rules: &PathRules,
    credentials: &Credentials,
) -> Result<Uri, UpstreamError> {
    let rewritten = match &plan.rewrite {
        None => None,
        Some(rewrite) => Some(
            rewrite
                .apply(&permit.route().pattern, path, rules)
                .map_err(|fault| UpstreamError::Rewrite(fault.0))?,
        ),
    };
    let path = rewritten.as_ref().map_or(path.as_str(), CanonicalPath::as_str);
    let query = asked.query().and_then(|query| credentials.strip_query(query));
    let query = query.as_deref().map(clean_query);
    if asked.path() == path && asked.query() == query.as_deref() {
        return Ok(asked.clone());
    }
    let target = match query {
        None => path.to_owned(),
        Some(query) => format!("{path}?{query}"),
    };
    let target =
        PathAndQuery::try_from(target).map_err(|_| UpstreamError::Rewrite("not a path"))?;
    Ok(Uri::from(target))
}

/// The target without scheme and authority, which the wire guard has compared with `Host` (RFC 9112 §3.2.2). From
/// here on every request is in origin-form.
pub fn origin_form(uri: &Uri) -> Uri {
    match (uri.path_and_query(), uri.query()) {
        (Some(target), _) if target.as_str().starts_with('/') => Uri::from(target.clone()),
        // `http://host?query`: the empty path is `/` (RFC 9110 §4.2.3).
        (_, Some(query)) => format!("/?{query}").parse().unwrap_or_default(),
        _ => Uri::default(),
    }
}

/// The query means the same but is spelled by the book (RFC 3986 §3.4): a strict backend must not stumble
/// over a raw bracket, and a lone `%` is what a lenient one reads as `%25`.
fn clean_query(query: &str) -> Cow<'_, str> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?".contains(&byte);
    let bytes = query.as_bytes();
    let escape = |at: usize| {
        bytes[at] == b'%'
            && bytes.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
    };
    if (0..bytes.len()).all(|at| legal(bytes[at]) || escape(at)) {
        return query.into();
    }
    let mut clean = String::with_capacity(bytes.len() + 8);
    for (at, byte) in bytes.iter().enumerate() {
        if legal(*byte) || escape(at) {
            clean.push(char::from(*byte));
        } else {
            clean.push_str(percent_encoding::percent_encode_byte(*byte));
        }
    }
    clean.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_becomes_one_in_origin_form() {
        for (asked, wanted) in [
            ("http://h/a/b?c=d", "/a/b?c=d"),
            ("http://h:81/", "/"),
            ("http://h", "/"),
            ("http://h?", "/?"),
            ("http://h?a=/../b", "/?a=/../b"),
            ("http://h/%2e%2e//x", "/%2e%2e//x"),
            ("/a?b", "/a?b"),
        ] {
            let uri = origin_form(&asked.parse().expect(asked));
            assert_eq!(uri.to_string(), wanted, "{asked}");
            assert!(uri.scheme().is_none() && uri.authority().is_none(), "{asked}");
        }
    }

    #[test]
    fn a_query_is_spelled_by_the_book_and_means_the_same() {
        for (asked, wanted) in [
            ("a=1&b=%7b;c?/", "a=1&b=%7b;c?/"),
            ("a[]={x}|\\^", "a%5B%5D=%7Bx%7D%7C%5C%5E"),
            ("100%&%4&%zz", "100%25&%254&%25zz"),
        ] {
            assert_eq!(clean_query(asked), wanted, "{asked}");
        }
    }
}
