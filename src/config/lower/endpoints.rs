//! Our own URLs, as routes with a requirement like any other.

use crate::config::{Login, Profile};
use crate::policy::Requirement;
use crate::policy::route::Endpoint;

/// Where public keys are found (RFC 7517 §5, by convention).
const JWKS_PATH: &str = "/.well-known/jwks.json";

/// Their patterns, and what each is.
pub(super) fn endpoints(
    (login, has_keys, profile): (Option<&Login>, bool, Profile),
) -> Vec<(String, Requirement, Endpoint)> {
    let fresh = Requirement::Fresh { max_age: None };
    let mut endpoints = Vec::new();
    if let Some(Login { at, login, refresh, logout, .. }) = login {
        let logging_out = match profile {
            Profile::Standard => "POST",
            // Its documentation logs out with DELETE.
            Profile::FlaskJwtExtended => "POST,DELETE",
        };
        endpoints.extend([
            (format!("POST {login}"), Requirement::Public, Endpoint::Login),
            (format!("POST {refresh}"), Requirement::Refresh, Endpoint::Refresh),
            (format!("POST {at}/reauth"), Requirement::Access, Endpoint::Reauth),
            (format!("{logging_out} {logout}"), Requirement::AnyToken, Endpoint::Logout),
            (format!("GET {at}/me"), Requirement::Access, Endpoint::Me),
            (format!("GET {at}/sessions"), Requirement::Access, Endpoint::Sessions),
            (format!("DELETE {at}/sessions"), fresh, Endpoint::EndSessions),
            (format!("DELETE {at}/sessions/{{sid}}"), fresh, Endpoint::EndSession),
        ]);
    }
    if login.is_some() || has_keys {
        endpoints.push((format!("GET {JWKS_PATH}"), Requirement::Public, Endpoint::Jwks));
    }
    endpoints
}
