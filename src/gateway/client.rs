//! Who is connected, and what this request is called: from the address and what trusted proxies say of it.
//!
//! Never looks at a token. Called once for each request by `handle`.

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue};

use super::Snapshot;
use crate::proxy::headers::{Client, REQUEST_ID};
use crate::proxy::origin::origin;

/// The client of a request that came from this address.
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
