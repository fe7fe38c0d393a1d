//! Our own URLs, as routes with a requirement like any other.

use crate::config::Login;
use crate::policy::Requirement;
use crate::policy::route::Endpoint;

/// Where public keys are found (RFC 7517 §5, by convention).
const JWKS_PATH: &str = "/.well-known/jwks.json";

/// Their patterns, and what each is.
pub(super) fn endpoints(
    login: Option<&Login>,
    has_keys: bool,
) -> Vec<(String, Requirement, Endpoint)> {
    let mut endpoints = Vec::new();
    if let Some(Login { at, .. }) = login {
        endpoints.extend([
            (format!("POST {at}/login"), Requirement::Public, Endpoint::Login),
            (format!("POST {at}/refresh"), Requirement::Refresh, Endpoint::Refresh),
            (format!("POST {at}/reauth"), Requirement::Access, Endpoint::Reauth),
            (format!("POST {at}/logout"), Requirement::AnyToken, Endpoint::Logout),
            (format!("GET {at}/me"), Requirement::Access, Endpoint::Me),
        ]);
    }
    if login.is_some() || has_keys {
        endpoints.push((format!("GET {JWKS_PATH}"), Requirement::Public, Endpoint::Jwks));
    }
    endpoints
}
