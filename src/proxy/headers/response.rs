//! What a client is told of a backend's header section: no field of one connection, no identity, no address of ours.
//!
//! Called once for each answer of a backend; our own answers have nothing to hide.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::{Client, Firewall, REQUEST_ID, VIA, is_hop_by_hop, named_by_connection};
use crate::proxy::connection::Fields;
use crate::proxy::location;

/// What we add; what the HTTP library adds; and what a session's cookies may change.
const SPARE_FIELDS: usize = 4;

impl Firewall {
    /// The client's header section, from the backend's. Fields named like our identity headers stay here, in every
    /// spelling: whoever stands before us must not read the backend's word as ours.
    pub fn toward_client(
        &self,
        fields: Fields,
        client: &Client,
        authority: &HeaderValue,
    ) -> HeaderMap {
        let connection = fields.iter().filter(|(name, _)| *name == header::CONNECTION);
        let named = named_by_connection(connection.map(|(_, value)| value));
        let mut headers = HeaderMap::with_capacity(fields.len() + SPARE_FIELDS);
        for (name, value) in fields {
            let stays = is_hop_by_hop(&name)
                || name == REQUEST_ID
                || (!named.is_empty() && named.contains(&name))
                || self.is_identity(name.as_str())
                || (name == header::SET_COOKIE && self.credentials.is_set_by(&value));
            if !stays {
                let value = if leads(&name) { location::here(value, authority) } else { value };
                headers.append(name, value);
            }
        }
        headers.append(header::VIA, VIA);
        headers.append(REQUEST_ID, client.request_id.clone());
        headers
    }
}

/// Whether the field says where something is (RFC 9110 §10.2.2, §8.7).
fn leads(name: &HeaderName) -> bool {
    *name == header::LOCATION || *name == header::CONTENT_LOCATION
}
