//! Tokens in cookies and in the query: what is found is what a plain reading finds, there is no second one in any reading
//! of a backend's, and of what is forwarded no backend reads one.

use freshgate::token::extract::{Accept, Cookies, Location, Locations, Presented};
use http::header::{COOKIE, HeaderMap, HeaderValue};
use percent_encoding::percent_decode;

/// The names under which the gateway looks.
const ACCESS: &str = "access_token";
const REFRESH: &str = "refresh_token";

/// How a backend reads pairs: the value of each that it takes for one of this name.
type Reader = fn(&[u8], &str) -> Vec<Vec<u8>>;

/// `c` and `Cookie` fields, one a line; or `q` and a query.
pub fn hold(input: &[u8]) {
    match input.split_first() {
        Some((b'q', query)) => hold_query(query),
        Some((_, fields)) => hold_cookies(fields),
        None => {}
    }
}

/// Each line is one `Cookie` field; what no field can hold is left out.
pub fn hold_cookies(input: &[u8]) {
    let values = input.split(|byte| *byte == b'\n').take(4);
    let fields: Vec<HeaderValue> =
        values.filter_map(|value| HeaderValue::from_bytes(value).ok()).collect();
    let mut headers = HeaderMap::new();
    for field in &fields {
        headers.append(COOKIE, field.clone());
    }
    let locations = Locations::default();
    let accept = Accept::of([Location::Cookie]);
    let found = locations.find(accept, Cookies::Access, &headers, None).presented;
    compare(found, &read(&headers, as_written, ACCESS), &input.escape_ascii().to_string());
    if let Presented::Token(_) = found {
        for reader in COOKIE_READERS {
            let others = read(&headers, reader, ACCESS);
            assert!(others.len() < 2, "a backend finds two in {}", input.escape_ascii());
        }
    }
    let before: Vec<Vec<u8>> = pieces(&headers);
    locations.strip_cookies(&mut headers, false);
    for name in [ACCESS, REFRESH] {
        for reader in COOKIE_READERS {
            let left = read(&headers, reader, name);
            assert!(left.is_empty(), "a backend finds {name} in {}", input.escape_ascii());
        }
    }
    let after = pieces(&headers);
    let mut rest = before.iter();
    let kept = after.iter().all(|one| rest.any(|other| other == one));
    assert!(kept, "a cookie was changed: {}", input.escape_ascii());
    for plain in before.iter().filter(|piece| is_plain(piece)) {
        assert!(after.contains(plain), "{} was lost", plain.escape_ascii());
    }
}

/// The input is the query of a request.
pub fn hold_query(input: &[u8]) {
    let Ok(query) = std::str::from_utf8(input) else { return };
    let locations = Locations::default();
    let accept = Accept::of([Location::Query]);
    let headers = HeaderMap::new();
    let found = locations.find(accept, Cookies::Access, &headers, Some(query)).presented;
    // Pairs end at `;` too: a token is what stands alone for every reader.
    compare(found, &QUERY_READERS[1](query.as_bytes(), ACCESS), query);
    if let Presented::Token(_) = found {
        for reader in QUERY_READERS {
            assert!(reader(input, ACCESS).len() < 2, "a backend finds two in {query:?}");
        }
    }
    let left = locations.strip_query(query);
    let left = left.as_deref().unwrap_or_default();
    for reader in QUERY_READERS {
        assert!(reader(left.as_bytes(), ACCESS).is_empty(), "left in {left:?} of {query:?}");
    }
    let mut rest = query.split(['&', ';']);
    let kept = left.split(['&', ';']).all(|one| one.is_empty() || rest.any(|other| other == one));
    assert!(kept, "a pair was changed: {left:?} of {query:?}");
}

/// One plain value under the exact name is the token; what is none, or too many, is never one.
fn compare(found: Presented<'_>, plain: &[Vec<u8>], shown: &str) {
    match found {
        Presented::Token(token) => assert_eq!(plain, [token.as_bytes()], "{shown}"),
        Presented::Nothing => assert!(plain.iter().all(Vec::is_empty), "{plain:?} in {shown}"),
        Presented::Malformed | Presented::Duplicated => {}
    }
}

fn read(headers: &HeaderMap, reader: Reader, name: &str) -> Vec<Vec<u8>> {
    headers.get_all(COOKIE).iter().flat_map(|field| reader(field.as_bytes(), name)).collect()
}

fn pieces(headers: &HeaderMap) -> Vec<Vec<u8>> {
    let fields = headers.get_all(COOKIE).iter();
    let pieces = fields.flat_map(|field| field.as_bytes().split(|byte| *byte == b';'));
    pieces.map(|piece| piece.trim_ascii().to_vec()).filter(|piece| !piece.is_empty()).collect()
}

/// A cookie that nobody could take for a token: its name and value are of letters and digits.
fn is_plain(piece: &[u8]) -> bool {
    let mut parts = piece.split(|byte| *byte == b'=');
    let plain = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_alphanumeric);
    parts.next().is_some_and(plain) && parts.next().is_some_and(plain) && parts.next().is_none()
}

fn pair(piece: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = piece.iter().position(|byte| *byte == b'=')?;
    Some((&piece[..at], &piece[at + 1..]))
}

/// RFC 6265 §5.2: pairs between `;`, white space around them away, a value perhaps in quotes.
fn as_written(field: &[u8], name: &str) -> Vec<Vec<u8>> {
    let pairs = field.split(|byte| *byte == b';').filter_map(pair);
    let ours = pairs.filter(|(own, _)| own.trim_ascii() == name.as_bytes());
    ours.map(|(_, value)| {
        let value = value.trim_ascii();
        let inner = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
        inner.unwrap_or(value).to_vec()
    })
    .collect()
}

const COOKIE_READERS: [Reader; 4] = [
    as_written,
    // PHP decodes names, cuts leading white space, and makes `_` of `.` and of spaces.
    |field, name| {
        let pairs = field.split(|byte| *byte == b';').filter_map(pair);
        let named = pairs.filter(|(own, _)| php_name(own.trim_ascii_start()) == name.as_bytes());
        named.map(|(_, value)| value.to_vec()).collect()
    },
    // ASP.NET does not mind the case of names.
    |field, name| {
        let pairs = field.split(|byte| *byte == b';').filter_map(pair);
        let named = pairs.filter(|(own, _)| own.trim_ascii().eq_ignore_ascii_case(name.as_bytes()));
        named.map(|(_, value)| value.to_vec()).collect()
    },
    // RFC 2109 and Python's `http.cookies` take a comma or white space for the end of a pair.
    |field, name| {
        let ends = |byte: &u8| *byte == b';' || *byte == b',' || byte.is_ascii_whitespace();
        let pairs = field.split(ends).filter_map(pair);
        let named = pairs.filter(|(own, _)| *own == name.as_bytes());
        named.map(|(_, value)| value.to_vec()).collect()
    },
];

fn php_name(name: &[u8]) -> Vec<u8> {
    let decoded: Vec<u8> = percent_decode(name).collect();
    let start = decoded.iter().position(|byte| *byte != b' ').unwrap_or(decoded.len());
    let line = |byte: &u8| if matches!(byte, b'.' | b' ') { b'_' } else { *byte };
    decoded[start..].iter().map(line).collect()
}

fn decoded(text: &[u8]) -> Vec<u8> {
    let spaces: Vec<u8> =
        text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    percent_decode(&spaces).collect()
}

/// What a form is (WHATWG URL §5.1), but with the value as it was sent: a token has nothing to decode.
fn form(query: &[u8], name: &str) -> Vec<Vec<u8>> {
    let pairs = query.split(|byte| *byte == b'&').filter_map(pair);
    let named = pairs.filter(|(own, _)| decoded(own) == name.as_bytes());
    named.map(|(_, value)| value.to_vec()).collect()
}

const QUERY_READERS: [Reader; 3] = [
    form,
    // HTML 4.01 §B.2.2, and Python before 3.9.2.
    |query, name| {
        let pairs = query.split(|byte| matches!(byte, b'&' | b';')).filter_map(pair);
        let named = pairs.filter(|(own, _)| decoded(own) == name.as_bytes());
        named.map(|(_, value)| value.to_vec()).collect()
    },
    // PHP.
    |query, name| {
        let pairs = query.split(|byte| *byte == b'&').filter_map(pair);
        let spaced = |own: &[u8]| -> Vec<u8> {
            own.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect()
        };
        let named = pairs.filter(|(own, _)| php_name(&spaced(own)) == name.as_bytes());
        named.map(|(_, value)| value.to_vec()).collect()
    },
];
