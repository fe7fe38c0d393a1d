//! (being written)
use crate::policy::route::Endpoint;
use crate::policy::{Permit, Refusal};
use crate::store::{CredentialStore, StateStore};
use crate::token::UnixTime;
use crate::token::keys::KeyRing;
use crate::token::verify::TokenRules;
use bytes::Bytes;
use http::Response;
use http::request::Parts;
use std::time::Duration;
/// Borrowed
pub struct AuthContext<'a> {
    pub ring: &'a KeyRing,
    pub rules: &'a TokenRules,
    pub credentials: Option<&'a dyn CredentialStore>,
    pub state: &'a dyn StateStore,
    pub body_idle: Duration,
}
/// x
pub async fn answer<B>(
    _permit: Permit,
    _endpoint: Endpoint,
    _request: (Parts, B),
    _context: &AuthContext<'_>,
    _now: UnixTime,
) -> Result<Response<Bytes>, Refusal> {
    todo!()
}
