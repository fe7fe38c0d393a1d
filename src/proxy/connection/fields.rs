//! A whole response head as the types that the rest of the gateway speaks. Where it ends, and that its lines are lines, was
//! found out before (`head`); here its names and values are judged, in place and without a copy.

use bytes::Bytes;
use http::StatusCode;
use http::header::{CONNECTION, HeaderName, HeaderValue};
use hyper::ext::ReasonPhrase;

use super::head::{Fault, trim};

/// The fields of a response head, in their order.
pub type Fields = Vec<(HeaderName, HeaderValue)>;

/// A response head, as the backend said it.
#[derive(Debug)]
pub struct Answered {
    /// Its status.
    pub status: StatusCode,
    /// Its reason, where it is not the usual one: some clients of old applications show it.
    pub reason: Option<ReasonPhrase>,
    /// Its fields.
    pub fields: Fields,
    /// Whether another request may follow (RFC 9112 §9.3).
    pub goes_on: bool,
}

/// Reads a head that `head` has found to be whole and good.
///
/// # Errors
/// [`Fault::Field`].
pub(super) fn read(head: &Bytes) -> Result<Answered, Fault> {
    let (first, mut at) = line(head, 0);
    let (status, reason) = status_of(first)?;
    let mut fields = Vec::with_capacity(FIELDS_USUAL);
    loop {
        let (field, next) = line(head, at);
        if field.is_empty() {
            break;
        }
        // Names are short: a look at each byte is over before a longer stride has begun.
        let colon = field.iter().position(|byte| *byte == b':').ok_or(Fault::Field)?;
        let name = HeaderName::from_bytes(&field[..colon]).map_err(|_| Fault::Field)?;
        let value = head.slice_ref(trim(&field[colon + 1..]));
        let value = HeaderValue::from_maybe_shared(value).map_err(|_| Fault::Field)?;
        fields.push((name, value));
        at = next;
    }
    let goes_on = goes_on(&fields, first.starts_with(b"HTTP/1.1"));
    Ok(Answered { status, reason, fields, goes_on })
}

/// Room for the fields of most answers.
const FIELDS_USUAL: usize = 12;

/// The line that begins `at`, without its end, and where the next begins.
fn line(head: &[u8], at: usize) -> (&[u8], usize) {
    let rest = &head[at..];
    let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
    let line = &rest[..end];
    (line.strip_suffix(b"\r").unwrap_or(line), (at + end + 1).min(head.len()))
}

/// `HTTP/1.1 200 OK`, and its reason where it is one of its own.
fn status_of(line: &[u8]) -> Result<(StatusCode, Option<ReasonPhrase>), Fault> {
    let after = |from: usize| line.get(from..).unwrap_or_default();
    let digits = after(VERSION_BYTES).get(..3).ok_or(Fault::StatusLine)?;
    let status = StatusCode::from_bytes(digits).map_err(|_| Fault::StatusLine)?;
    let reason = after(VERSION_BYTES + 4);
    if status.canonical_reason().is_some_and(|usual| usual.as_bytes() == reason) {
        return Ok((status, None));
    }
    let reason = ReasonPhrase::try_from(reason).map_err(|_| Fault::StatusLine)?;
    Ok((status, Some(reason)))
}

const VERSION_BYTES: usize = "HTTP/1.1 ".len();

/// HTTP/1.1 goes on unless it says `close`; HTTP/1.0 ends unless it says `keep-alive`.
fn goes_on(fields: &Fields, is_1_1: bool) -> bool {
    let says = |token: &[u8]| {
        let lists = fields.iter().filter(|(name, _)| *name == CONNECTION);
        let mut tokens = lists.flat_map(|(_, list)| list.as_bytes().split(|byte| *byte == b','));
        tokens.any(|one| one.trim_ascii().eq_ignore_ascii_case(token))
    };
    if is_1_1 { !says(b"close") } else { says(b"keep-alive") && !says(b"close") }
}
