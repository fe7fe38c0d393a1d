//! What a client is told of a backend's header section: no field of one connection, no identity, no address of ours.
//!
//! Called once for each answer of a backend; our own answers have nothing to hide.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::{Client, Firewall, REQUEST_ID, VIA, strip_hop_by_hop};
use crate::proxy::location;

impl Firewall {
    /// Turns the backend's header section into the client's. Fields named like our identity headers stay here, in every
    /// spelling: whoever stands before us must not read the backend's word as ours.
    pub fn toward_client(&self, headers: &mut HeaderMap, client: &Client, authority: &HeaderValue) {
        strip_hop_by_hop(headers);
        let ours: Vec<HeaderName> =
            headers.keys().filter(|name| self.is_identity(name.as_str())).cloned().collect();
        for name in ours {
            headers.remove(name);
        }
        self.credentials.strip_set_cookies(headers);
        location::hide_authority(headers, authority);
        headers.append(header::VIA, VIA);
        headers.insert(REQUEST_ID, client.request_id.clone());
    }
}
