//! Names of fields: which a client may never set, and what backends fold into one.
//!
//! Decides nothing; the firewall does.

/// Folded names that a client may never set: backends believe them. Besides these, all `x-forwarded-…`.
pub(super) const RESERVED: [&str; 42] = [
    "forwarded",
    "via",
    "x-request-id",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "true-client-ip",
    // PHP snippets that look for "the real address" try these, one after the other.
    "client-ip",
    "x-forwarded",
    "forwarded-for",
    "cf-connecting-ip",
    "fastly-client-ip",
    "x-remote-addr",
    "x-true-client-ip",
    "x-originating-ip",
    "x-azure-clientip",
    "x-envoy-external-address",
    "x-original-forwarded-for",
    // And Java ones these: with the prefix that only CGI has.
    "proxy-client-ip",
    "wl-proxy-client-ip",
    "http-client-ip",
    "http-x-forwarded-for",
    // The scheme, to those who look behind a proxy for it.
    "x-scheme",
    "x-url-scheme",
    "front-end-https",
    "x-host",
    "x-http-host-override",
    // Some frameworks take the path or the method from these (oauth2-proxy CVE-2026-40575).
    "x-original-url",
    "x-original-uri",
    "x-original-host",
    "x-rewrite-url",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    // CGI makes it HTTP_PROXY (httpoxy, CVE-2016-5385).
    "proxy",
    // CGI programs read the first as the user that the server authenticated.
    "remote-user",
    "x-remote-user",
    "redirect-remote-user",
    // Next.js takes it for its own, and asks nobody for a permit then (CVE-2025-29927).
    "x-middleware-subrequest",
    // Rack answers with a path or a mapping of the client's choice (CVE-2025-61780).
    "x-sendfile-type",
    "x-accel-mapping",
    // What we alone say, and only where an upstream asks for it.
    "x-freshgate-assertion",
];

/// Names whose meaning is fixed: a spelling with another sign than `-` is dropped, since a backend that
/// folds it would read it as the real one.
pub(super) const STANDARD: [&str; 13] = [
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "origin",
    "proxy-authorization",
    "referer",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// One spelling for all that a folding backend reads as one name.
pub fn fold(name: &str) -> String {
    name.chars()
        .map(|sign| if sign.is_ascii_alphanumeric() { sign.to_ascii_lowercase() } else { '-' })
        .collect()
}
