//! The backend's own address in its redirects: nobody's business, and nobody outside could follow it.
//!
//! Only where `Location` and `Content-Location` (RFC 9110 §10.2.2, §8.7) name exactly the address that we sent the
//! request to; everything else is the backend's word to the client and stays. Never makes a redirect that leads
//! elsewhere than the backend's did. Called by `headers`.

use http::HeaderValue;

/// The port that `http:` means without one.
const DEFAULT_PORT: &str = ":80";

/// A redirect to the backend's own address becomes one to the same path here.
pub fn here(value: HeaderValue, authority: &HeaderValue) -> HeaderValue {
    let (Ok(location), Ok(authority)) = (value.to_str(), authority.to_str()) else { return value };
    let path = path_here(location, authority);
    path.and_then(|path| HeaderValue::try_from(path).ok()).unwrap_or(value)
}

/// What follows the authority of `location`, if that is `authority`, as a reference to this origin.
fn path_here(location: &str, authority: &str) -> Option<String> {
    let scheme = location.get(..5).filter(|scheme| scheme.eq_ignore_ascii_case("http:"));
    // Without a scheme it is the client's, and the authority is there all the same (RFC 3986 §4.2).
    let rest = location[scheme.map_or(0, str::len)..].strip_prefix("//")?;
    let (theirs, rest) = rest.split_at(rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len()));
    let theirs = theirs.rsplit('@').next()?;
    let bare = |authority: &str| -> String {
        authority.strip_suffix(DEFAULT_PORT).unwrap_or(authority).to_ascii_lowercase()
    };
    if bare(theirs) != bare(authority) {
        return None;
    }
    let mut signs = rest.bytes();
    Some(match (signs.next(), signs.next()) {
        // Alone, `//x` would name a host; browsers read `\\` as a slash and skip tabs. `/.` keeps it a path.
        (Some(b'/'), Some(b'/' | b'\\' | b'\t')) => format!("/.{rest}"),
        (Some(b'/'), _) => rest.to_owned(),
        (Some(b'\\'), _) => format!("/./{}", &rest[1..]),
        _ => format!("/{rest}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn becomes(location: &str, expected: &str) {
        let value = HeaderValue::from_str(location).unwrap();
        let authority = HeaderValue::from_static("App.internal:80");
        assert_eq!(here(value, &authority), expected, "{location}");
    }

    #[test]
    fn every_spelling_of_the_own_address_is_hidden() {
        for authority in ["app.internal", "app.internal:80", "APP.INTERNAL", "user:pw@app.internal"]
        {
            for scheme in ["http:", "HTTP:", ""] {
                becomes(&format!("{scheme}//{authority}/next?a#b"), "/next?a#b");
                becomes(&format!("{scheme}//{authority}"), "/");
                becomes(&format!("{scheme}//{authority}?a"), "/?a");
                becomes(&format!("{scheme}//{authority}#a"), "/#a");
            }
        }
    }

    #[test]
    fn what_leads_elsewhere_stays() {
        for other in [
            "/next",
            "next",
            "",
            "?a",
            "https://app.internal/x",
            "http://app.internal:8080/x",
            "http://app.internal.evil.example/x",
            "http://evil.example/http://app.internal/x",
            "http:/app.internal/x",
            "http://app.internal@evil.example/x",
        ] {
            becomes(other, other);
        }
    }

    #[test]
    fn a_path_of_the_backend_never_becomes_another_host() {
        becomes("http://app.internal//evil.example/x", "/.//evil.example/x");
        becomes("http://app.internal/\\evil.example/x", "/./\\evil.example/x");
        becomes("http://app.internal/\t/evil.example/x", "/./\t/evil.example/x");
        becomes("http://app.internal\\evil.example/x", "/./evil.example/x");
        becomes("http://app.internal\\/evil.example/x", "/.//evil.example/x");
    }
}
