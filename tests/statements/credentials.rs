//! The bearer token of a request is found exactly where RFC 6750 §2.1 puts it, and where no token is found no backend
//! finds one either.

use freshgate::token::extract::{Accept, Cookies, Locations, Presented};
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};

/// Each line is one `Authorization` field; what no field can hold is left out.
pub fn hold(input: &[u8]) {
    let values = input.split(|byte| *byte == b'\n').take(4);
    let values = values.filter_map(|value| HeaderValue::from_bytes(value).ok());
    hold_for(&values.collect::<Vec<_>>());
}

/// The statement on these fields.
pub fn hold_for(values: &[HeaderValue]) {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(AUTHORIZATION, value.clone());
    }
    let locations = Locations::default();
    let found = locations.find(Accept::HEADER, Cookies::Either, &headers, None).presented;
    let [value] = values else {
        let wanted = if values.is_empty() { Presented::Nothing } else { Presented::Duplicated };
        return assert_eq!(found, wanted, "{values:?}");
    };
    let value = value.as_bytes();
    assert_eq!(found != Presented::Nothing, is_bearer(value), "{}", value.escape_ascii());
    match (found, the_token(value)) {
        (Presented::Token(found), Some(wanted)) => assert_eq!(found, wanted),
        (Presented::Token(found), None) => panic!("{found} in {}", value.escape_ascii()),
        (_, Some(token)) => panic!("{found:?} for {token} in {}", value.escape_ascii()),
        (Presented::Nothing, None) => {
            for reader in READERS {
                assert!(!reader(value), "a backend finds one in {}", value.escape_ascii());
            }
        }
        (Presented::Malformed | Presented::Duplicated, None) => {}
    }
}

/// Whether this value of `Authorization` is kept from backends.
pub fn is_bearer(value: &[u8]) -> bool {
    let value = HeaderValue::from_bytes(value).expect("it was a field's");
    Locations::default().in_header(&HeaderMap::from_iter([(AUTHORIZATION, value)]))
}

/// The one token, where the field is the scheme, white space and a `b64token`.
fn the_token(value: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(value).ok()?;
    let text = text.trim_matches([' ', '\t']);
    let (scheme, token) = text.split_once([' ', '\t'])?;
    let token = token.trim_matches([' ', '\t']);
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    let is = scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && token.bytes().all(good);
    is.then_some(token)
}

/// How backends look for a bearer token: whether each finds one.
const READERS: [fn(&[u8]) -> bool; 4] = [
    // Python: `value.split()` of the Latin-1 text, where more bytes than two are spaces.
    |value| {
        let text: String = value.iter().map(|byte| char::from(*byte)).collect();
        let mut words = text.split_whitespace();
        words.next().is_some_and(|word| word.eq_ignore_ascii_case("bearer"))
    },
    // PHP: `preg_match('/^\s*Bearer\s+(\S+)/i')`.
    |value| {
        let value = value.trim_ascii();
        let (scheme, rest) = value.split_at(value.len().min(6));
        scheme.eq_ignore_ascii_case(b"bearer")
            && rest.first().is_some_and(u8::is_ascii_whitespace)
            && !rest.trim_ascii().is_empty()
    },
    // Flask-JWT-Extended: a list split at commas, each element by its first word.
    |value| {
        value.split(|byte| *byte == b',').any(|one| {
            let mut words = one.trim_ascii().split(|byte| byte.is_ascii_whitespace());
            words.next().is_some_and(|word| word.eq_ignore_ascii_case(b"bearer"))
        })
    },
    // Those that cut seven bytes off whatever begins so.
    |value| value.get(..7).is_some_and(|start| start.eq_ignore_ascii_case(b"bearer ")),
];
