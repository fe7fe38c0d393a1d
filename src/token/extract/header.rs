//! A token in a header field: the scheme, white space, the token, once (RFC 6750 §2.1).
//!
//! Nothing here allocates: it is on the way of every request.

use http::HeaderMap;
use http::header::HeaderName;

use super::{Presented, is_token};

/// The scheme of RFC 6750.
pub(super) const BEARER: &str = "bearer";

/// Finds the token behind `scheme`, whose name may be in any case (RFC 9110 §11.1). Without a scheme the whole
/// value is the token.
pub(super) fn find<'r>(headers: &'r HeaderMap, name: &HeaderName, scheme: &str) -> Presented<'r> {
    let mut fields = headers.get_all(name).iter();
    let Some(field) = fields.next() else {
        return Presented::Nothing;
    };
    if fields.next().is_some() {
        return Presented::Duplicated;
    }
    let value = field.as_bytes();
    if scheme.is_empty() {
        return Presented::whole(value.trim_ascii());
    }
    let Some(rest) = after_scheme(value, scheme) else {
        // A list with a bearer element inside would be found by backends that split on commas.
        return if lists(value, scheme) { Presented::Duplicated } else { Presented::Nothing };
    };
    // A token holds no comma, so what is one is no list.
    if !is_token(rest) {
        let is_text = std::str::from_utf8(rest).is_ok();
        return if is_text && lists(rest, scheme) {
            Presented::Duplicated
        } else {
            Presented::Malformed
        };
    }
    match std::str::from_utf8(rest) {
        Ok(token) if is_plain(value) && !token.is_empty() => Presented::Token(token),
        _ => Presented::Malformed,
    }
}

/// Whether the field carries a token, well formed or not: what must not reach a backend unasked.
pub(super) fn carries(value: &[u8], scheme: &str) -> bool {
    scheme.is_empty() || after_scheme(value, scheme).is_some() || lists(value, scheme)
}

/// What follows the scheme. A scheme is a token (RFC 9110 §11.1), so it ends at the first byte that cannot
/// be in one, and what stands before it is skipped: Python's `split` reads the bytes 0x85 and 0xA0 as spaces, and a
/// backend must not find a bearer token where we saw none.
fn after_scheme<'v>(value: &'v [u8], wanted: &str) -> Option<&'v [u8]> {
    let start = value.iter().position(|&byte| is_scheme_byte(byte))?;
    let (scheme, rest) = value[start..].split_at_checked(wanted.len())?;
    let ends = rest.first().is_none_or(|&next| !is_scheme_byte(next));
    (ends && scheme.eq_ignore_ascii_case(wanted.as_bytes())).then(|| rest.trim_ascii())
}

/// Whether nothing but white space stands before the scheme and between it and the token.
fn is_plain(value: &[u8]) -> bool {
    let value = value.trim_ascii();
    let end = value.iter().position(|&byte| !is_scheme_byte(byte));
    matches!(end, Some(at @ 1..) if matches!(value[at], b' ' | b'\t'))
}

fn lists(value: &[u8], scheme: &str) -> bool {
    value.contains(&b',')
        && value.split(|&byte| byte == b',').skip(1).any(|one| after_scheme(one, scheme).is_some())
}

/// `tchar` of RFC 9110 §5.6.2.
pub(super) fn is_scheme_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

#[cfg(test)]
mod tests {
    use http::header::AUTHORIZATION;
    use http::{HeaderMap, HeaderValue};

    use super::*;

    fn bearer(headers: &HeaderMap) -> Presented<'_> {
        find(headers, &AUTHORIZATION, "Bearer")
    }

    fn is_bearer(value: &[u8]) -> bool {
        carries(value, BEARER)
    }

    #[track_caller]
    fn check(fields: &[&str], expected: Presented<'_>) {
        let mut headers = HeaderMap::new();
        for field in fields {
            let value = HeaderValue::from_bytes(field.as_bytes()).expect("a test's own field");
            headers.append(AUTHORIZATION, value);
        }
        assert_eq!(bearer(&headers), expected, "{fields:?}");
    }

    #[test]
    fn one_bearer_token_is_found_in_any_case_of_the_scheme() {
        check(&["Bearer a.b.c"], Presented::Token("a.b.c"));
        check(&["bearer  a.b.c "], Presented::Token("a.b.c"));
        check(&["BEARER\ta.b.c"], Presented::Token("a.b.c"));
    }

    #[test]
    fn other_schemes_present_nothing() {
        check(&[], Presented::Nothing);
        check(&[""], Presented::Nothing);
        check(&["Basic YTpi"], Presented::Nothing);
        check(&["Bearerx a.b.c"], Presented::Nothing);
    }

    #[test]
    fn what_cannot_be_one_token_is_malformed() {
        for field in
            ["Bearer", "Bearer ", "Bearer a b", "Bearer a\"b", "Bearer caf\u{e9}", "Bearer,"]
        {
            check(&[field], Presented::Malformed);
        }
    }

    #[test]
    fn two_credentials_are_never_one() {
        check(&["Bearer a.b.c", "Bearer a.b.c"], Presented::Duplicated);
        check(&["Basic YTpi", "Bearer a.b.c"], Presented::Duplicated);
        check(&["Bearer a.b.c, Bearer d.e.f"], Presented::Duplicated);
        check(&["Basic YTpi, bearer d.e.f"], Presented::Duplicated);
    }

    #[test]
    fn a_bearer_token_behind_odd_bytes_is_malformed_and_not_nothing() {
        let odd: [&[u8]; 8] = [
            b"Bearer\xa0a.b.c",
            b"\xa0Bearer a.b.c",
            b"\x85bearer\x85a.b.c",
            b"\xc2\xa0Bearer a.b.c",
            b"\"Bearer\" a.b.c",
            b"Bearer:a.b.c",
            b"Bearer=a.b.c",
            b"Bearer;a.b.c",
        ];
        for value in odd {
            assert!(is_bearer(value), "{value:?}");
            let field = HeaderValue::from_bytes(value).expect("obs-text is legal in a field");
            let headers = HeaderMap::from_iter([(AUTHORIZATION, field)]);
            assert_eq!(bearer(&headers), Presented::Malformed, "{value:?}");
        }
        assert!(is_bearer(b"Basic YTpi,\xa0Bearer\xa0a.b.c"));
        assert!(!is_bearer(b"Basic YTpi"));
    }

    #[test]
    fn another_scheme_and_another_field_are_read_by_the_same_rules() {
        let name = HeaderName::from_static("x-token");
        let of = |fields: &[&'static str], scheme: &str, expected: Presented<'_>| {
            let mut headers = HeaderMap::new();
            for field in fields {
                headers.append(&name, HeaderValue::from_static(field));
            }
            assert_eq!(find(&headers, &name, scheme), expected, "{fields:?} {scheme:?}");
        };
        of(&["jwt a.b.c"], "JWT", Presented::Token("a.b.c"));
        of(&["Bearer a.b.c"], "JWT", Presented::Nothing);
        of(&["JWT a.b.c", "x"], "JWT", Presented::Duplicated);
        of(&["Bearer x, JWT a.b.c"], "JWT", Presented::Duplicated);
        of(&[" a.b.c "], "", Presented::Token("a.b.c"));
        of(&[""], "", Presented::Nothing);
        of(&["a.b.c", "a.b.c"], "", Presented::Duplicated);
        for two in ["Bearer a.b.c", "a.b.c,d.e.f", "a.b.c; x", "\"a.b.c\""] {
            of(&[two], "", Presented::Malformed);
        }
    }
}
