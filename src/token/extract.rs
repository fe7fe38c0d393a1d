//! Where the token is in a request: `Authorization: Bearer`, once (RFC 6750 §2.1).

use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::{Standing, TokenFault};

/// What a request presents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presented<'a> {
    /// No bearer token; another scheme is the backend's business.
    Nothing,
    /// One token, not looked at yet.
    Token(&'a str),
    /// `Bearer` and then something that cannot be one token.
    Malformed,
    /// More than one credential (RFC 6750 §2; Envoy CVE-2026-26308).
    Duplicated,
}

impl<'a> Presented<'a> {
    /// The one token to verify, or who it is without verifying any.
    ///
    /// # Errors
    /// The standing of a caller that presented none, or no token that could be one.
    pub fn token(self) -> Result<&'a str, Standing> {
        match self {
            Presented::Token(token) => Ok(token),
            Presented::Nothing => Err(Standing::Anonymous),
            Presented::Malformed => Err(Standing::Unproven(TokenFault::Malformed)),
            Presented::Duplicated => Err(Standing::Unproven(TokenFault::Duplicated)),
        }
    }
}

/// Finds the bearer token of a request. The scheme's name may be in any case (RFC 9110 §11.1).
pub fn bearer(headers: &HeaderMap) -> Presented<'_> {
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    let Some(field) = fields.next() else {
        return Presented::Nothing;
    };
    if fields.next().is_some() {
        return Presented::Duplicated;
    }
    let value = field.as_bytes();
    let Some(rest) = after_scheme(value) else {
        // A list with a bearer element inside would be found by backends that split on commas.
        return if lists_a_bearer(value) { Presented::Duplicated } else { Presented::Nothing };
    };
    match std::str::from_utf8(rest) {
        Ok(_) if lists_a_bearer(rest) => Presented::Duplicated,
        Ok(token) if is_plain(value) && !token.is_empty() && token.bytes().all(is_token_byte) => {
            Presented::Token(token)
        }
        _ => Presented::Malformed,
    }
}

/// Whether the field carries a bearer token, well formed or not: what must not reach a backend unasked.
pub fn is_bearer(value: &[u8]) -> bool {
    after_scheme(value).is_some() || lists_a_bearer(value)
}

/// What follows the scheme `bearer`. A scheme is a token (RFC 9110 §11.1), so it ends at the first byte that cannot
/// be in one, and what stands before it is skipped: Python's `split` reads the bytes 0x85 and 0xA0 as spaces, and a
/// backend must not find a bearer token where we saw none.
fn after_scheme(value: &[u8]) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"bearer";
    let start = value.iter().position(|&byte| is_scheme_byte(byte))?;
    let (scheme, rest) = value[start..].split_at_checked(SCHEME.len())?;
    let ends = rest.first().is_none_or(|&next| !is_scheme_byte(next));
    (ends && scheme.eq_ignore_ascii_case(SCHEME)).then(|| rest.trim_ascii())
}

/// Whether nothing but white space stands before the scheme and between it and the token.
fn is_plain(value: &[u8]) -> bool {
    let value = value.trim_ascii();
    let end = value.iter().position(|&byte| !is_scheme_byte(byte));
    matches!(end, Some(at @ 1..) if matches!(value[at], b' ' | b'\t'))
}

fn lists_a_bearer(value: &[u8]) -> bool {
    value.contains(&b',')
        && value.split(|&byte| byte == b',').skip(1).any(|one| after_scheme(one).is_some())
}

/// `tchar` of RFC 9110 §5.6.2.
fn is_scheme_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// `b64token` of RFC 6750 §2.1.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::{AUTHORIZATION, Presented, bearer, is_bearer};

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
}
