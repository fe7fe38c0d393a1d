//! Whose page sent a request? A browser adds cookies to whatever any page asks for, so a cookie that changes
//! something needs proof that the page is ours (CWE-352; OWASP ASVS 3.5.1).
//!
//! The proof is what the browser itself says and no page can change: `Sec-Fetch-Site` (Fetch Metadata §2.3), and of
//! browsers without it `Origin` (RFC 6454 §7). Never looks at a token. Called by `judge`.

use http::header::{HeaderMap, HeaderName, HeaderValue, ORIGIN};

use super::host;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Methods that change nothing (RFC 9110 §9.2.1). All others need proof, also those that nobody has heard of.
const SAFE: [&str; 3] = ["GET", "HEAD", "OPTIONS"];

/// Whether the method changes nothing.
pub fn is_safe(method: &str) -> bool {
    SAFE.contains(&method)
}

/// Whether the request changes nothing, or comes from a page of `host`, or from no browser: every browser says one of
/// the two on an unsafe method. Where `Sec-Fetch-Site` is, it alone counts: it also knows of scheme, port and redirects.
pub fn is_own(method: &str, host: &str, headers: &HeaderMap) -> bool {
    if is_safe(method) {
        return true;
    }
    match (single(headers, &SEC_FETCH_SITE), single(headers, &ORIGIN)) {
        (Field::One(site), _) => matches!(site.as_bytes(), b"same-origin" | b"none"),
        (Field::Absent, Field::One(origin)) => is_from(origin, host),
        (Field::Absent, Field::Absent) => true,
        (Field::Many, _) | (_, Field::Many) => false,
    }
}

enum Field<'r> {
    Absent,
    One(&'r HeaderValue),
    Many,
}

fn single<'r>(headers: &'r HeaderMap, name: &HeaderName) -> Field<'r> {
    let mut fields = headers.get_all(name).iter();
    match (fields.next(), fields.next()) {
        (None, _) => Field::Absent,
        (Some(field), None) => Field::One(field),
        (Some(_), Some(_)) => Field::Many,
    }
}

/// The hosts are compared, not the ports: a proxy in front may drop the port, and cookies do not tell ports apart.
fn is_from(origin: &HeaderValue, host: &str) -> bool {
    let authority = origin.to_str().ok().and_then(|origin| {
        origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"))
    });
    let origin = authority.and_then(|authority| host::canonical(authority).ok());
    !host.is_empty() && origin.is_some_and(|origin| origin == host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(method: &str, fields: &[(&HeaderName, &'static str)], expected: bool) {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        assert_eq!(is_own(method, "app.example", &headers), expected, "{method} {fields:?}");
    }

    #[test]
    fn a_method_that_changes_nothing_needs_no_proof() {
        for method in SAFE {
            check(
                method,
                &[(&SEC_FETCH_SITE, "cross-site"), (&ORIGIN, "https://evil.example")],
                true,
            );
        }
        for method in ["POST", "PUT", "PATCH", "DELETE", "PROPFIND", "LINK", "get", "QUERY"] {
            check(method, &[(&SEC_FETCH_SITE, "cross-site")], false);
        }
    }

    #[test]
    fn what_the_browser_says_of_the_site_counts_alone() {
        for (site, expected) in [
            ("same-origin", true),
            ("none", true),
            ("same-site", false),
            ("cross-site", false),
            ("", false),
            ("Same-Origin", false),
            ("same-origin, cross-site", false),
        ] {
            check("POST", &[(&SEC_FETCH_SITE, site)], expected);
            check("POST", &[(&SEC_FETCH_SITE, site), (&ORIGIN, "https://app.example")], expected);
            check("POST", &[(&SEC_FETCH_SITE, site), (&ORIGIN, "https://evil.example")], expected);
        }
        check("POST", &[(&SEC_FETCH_SITE, "same-origin"), (&SEC_FETCH_SITE, "none")], false);
    }

    #[test]
    fn without_it_the_origin_must_be_ours() {
        for (origin, expected) in [
            ("https://app.example", true),
            ("http://app.example", true),
            ("http://APP.example.:8443", true),
            ("https://evil.example", false),
            ("https://app.example.evil.example", false),
            ("https://evil.example/app.example", false),
            ("https://app.example@evil.example", false),
            ("https://sub.app.example", false),
            ("ftp://app.example", false),
            ("app.example", false),
            ("null", false),
            ("", false),
            ("https://app.example/", false),
            ("https://app.example https://app.example", false),
        ] {
            check("POST", &[(&ORIGIN, origin)], expected);
        }
        let own = "https://app.example";
        check("POST", &[(&ORIGIN, own), (&ORIGIN, own)], false);
    }

    #[test]
    fn who_says_neither_is_no_browser() {
        check("POST", &[], true);
        let origin =
            HeaderMap::from_iter([(ORIGIN, HeaderValue::from_static("https://app.example"))]);
        assert!(!is_own("POST", "", &origin), "without a host nothing is the same");
    }
}
