//! Who asks, and for which host: read from a request once, before anything is judged.

use std::borrow::Cow;
use std::net::IpAddr;

use http::{HeaderMap, HeaderValue, header};

use super::Snapshot;
use crate::policy::{Refusal, host};
use crate::proxy::headers::{Client, REQUEST_ID};
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
pub(super) fn identify(snapshot: &Snapshot, address: IpAddr, headers: &HeaderMap) -> Client {
    let trusted = snapshot.config.trusts(address);
    let given = headers.get(REQUEST_ID).filter(|id| trusted && is_request_id(id)).cloned();
    let request_id = given.unwrap_or_else(|| {
        // Time-ordered, so that the lines of a moment sort together (RFC 9562 §5.7).
        let mut text = uuid::Uuid::encode_buffer();
        let text = uuid::Uuid::now_v7().hyphenated().encode_lower(&mut text);
        HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("-"))
    });
    let origin =
        if trusted { origin(address, headers, |one| snapshot.config.trusts(one)) } else { address };
    Client { address, origin, trusted, request_id }
}

fn is_request_id(id: &HeaderValue) -> bool {
    const ID_BYTES_MAX: usize = 128;
    let legal = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte);
    (1..=ID_BYTES_MAX).contains(&id.len()) && id.as_bytes().iter().all(legal)
}
