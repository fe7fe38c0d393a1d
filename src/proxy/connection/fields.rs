//! A whole response head as the types that the rest of the gateway speaks. Where it ends, and that its lines are lines, was
//! found out before (`head`); here its names and values are judged, in place and without a copy.

use bytes::Bytes;
use http::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use hyper::ext::ReasonPhrase;

use super::head::{Fault, trim};

/// A response head, and whether its connection goes on after it (RFC 9112 §9.3).
#[derive(Debug)]
pub struct Answered {
    /// Status, reason and fields, as the backend said them.
    pub head: Response<()>,
    /// Whether another request may follow.
    pub goes_on: bool,
}

/// Reads a head that `head` has found to be whole and good.
///
/// # Errors
/// [`Fault::Field`].
pub(super) fn read(head: &Bytes) -> Result<Answered, Fault> {
    let (status, mut at) = line(head, 0);
    let is_1_1 = status.starts_with(b"HTTP/1.1");
    let mut response = status_of(status)?;
    // A line for each field, two for the status and the end.
    let fields = memchr::memchr_iter(b'\n', head).count().saturating_sub(2);
    *response.headers_mut() = HeaderMap::with_capacity(fields + SPARE_FIELDS);
    loop {
        let (field, next) = line(head, at);
        if field.is_empty() {
            break;
        }
        let colon = memchr::memchr(b':', field).ok_or(Fault::Field)?;
        let name = HeaderName::from_bytes(&field[..colon]).map_err(|_| Fault::Field)?;
        let value = head.slice_ref(trim(&field[colon + 1..]));
        let value = HeaderValue::from_maybe_shared(value).map_err(|_| Fault::Field)?;
        response.headers_mut().append(name, value);
        at = next;
    }
    let goes_on = goes_on(response.headers(), is_1_1);
    Ok(Answered { head: response, goes_on })
}

/// What we add to a response: without this much room its table would grow, and be hashed anew.
const SPARE_FIELDS: usize = 4;

/// The line that begins `at`, without its end, and where the next begins.
fn line(head: &[u8], at: usize) -> (&[u8], usize) {
    let rest = &head[at..];
    let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
    let line = &rest[..end];
    (line.strip_suffix(b"\r").unwrap_or(line), (at + end + 1).min(head.len()))
}

/// `HTTP/1.1 200 OK`. A reason of its own is kept: some clients of old applications show it.
fn status_of(line: &[u8]) -> Result<Response<()>, Fault> {
    let after = |from: usize| line.get(from..).unwrap_or_default();
    let digits = after(VERSION_BYTES).get(..3).ok_or(Fault::StatusLine)?;
    let status = StatusCode::from_bytes(digits).map_err(|_| Fault::StatusLine)?;
    let reason = after(VERSION_BYTES + 4);
    let mut response = Response::new(());
    *response.status_mut() = status;
    if status.canonical_reason().is_none_or(|usual| usual.as_bytes() != reason) {
        let reason = ReasonPhrase::try_from(reason).map_err(|_| Fault::StatusLine)?;
        response.extensions_mut().insert(reason);
    }
    Ok(response)
}

const VERSION_BYTES: usize = "HTTP/1.1 ".len();

/// HTTP/1.1 goes on unless it says `close`; HTTP/1.0 ends unless it says `keep-alive`.
fn goes_on(headers: &HeaderMap, is_1_1: bool) -> bool {
    let says = |token: &[u8]| {
        let lists = headers.get_all(CONNECTION).iter().map(HeaderValue::as_bytes);
        let mut tokens = lists.flat_map(|list| list.split(|byte| *byte == b','));
        tokens.any(|one| one.trim_ascii().eq_ignore_ascii_case(token))
    };
    if is_1_1 { !says(b"close") } else { says(b"keep-alive") && !says(b"close") }
}
