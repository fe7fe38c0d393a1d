//! Who asks, and for which host: read from a request once, before anything is judged.

use std::borrow::Cow;
use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderValue, header};

use super::Snapshot;
use crate::policy::{Refusal, host};
use crate::proxy::headers::{Client, Peer, REQUEST_ID};
use crate::proxy::origin::origin;

/// The canonical host of a request that has one; HTTP/1.0 need not.
pub(super) fn asked_host(headers: &HeaderMap) -> Result<Cow<'_, str>, Refusal> {
    let Some(field) = headers.get(header::HOST) else {
        return Ok(Cow::Borrowed(""));
    };
    let field = field.to_str().map_err(|_| Refusal::BadHeader)?;
    host::canonical(field).map_err(|_| Refusal::BadHeader)
}

/// Who asks: the address, the client behind listed proxies, the id of the request.
pub(super) fn identify(
    snapshot: &Snapshot,
    peer: Peer,
    headers: &HeaderMap,
    now: SystemTime,
) -> Client {
    let address = peer.address;
    let trusted = snapshot.config.trusts(address);
    let given = headers.get(REQUEST_ID).filter(|id| trusted && is_request_id(id)).cloned();
    let request_id = given.unwrap_or_else(|| new_request_id(now));
    let origin =
        if trusted { origin(address, headers, |one| snapshot.config.trusts(one)) } else { address };
    Client { peer, origin, trusted, request_id }
}

/// Time-ordered, so that the lines of a moment sort together (RFC 9562 §5.7). No secret, so its random bits need not come from
/// the system, which takes a call for each; nor may its order be shared, for no thread waits for another.
fn new_request_id(now: SystemTime) -> HeaderValue {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let milliseconds = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    let mut random = [0; 10];
    fastrand::fill(&mut random);
    let id = uuid::Builder::from_unix_timestamp_millis(milliseconds, &random).into_uuid();
    let mut text = uuid::Uuid::encode_buffer();
    let text = id.hyphenated().encode_lower(&mut text);
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("-"))
}

fn is_request_id(id: &HeaderValue) -> bool {
    const ID_BYTES_MAX: usize = 128;
    let legal = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte);
    (1..=ID_BYTES_MAX).contains(&id.len()) && id.as_bytes().iter().all(legal)
}
