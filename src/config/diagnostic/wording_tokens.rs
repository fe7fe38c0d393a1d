//! The words for what is wrong with tokens, keys, login and identity: one method for each mistake.
//! Never says a byte of a secret.

use std::path::Path;

use super::{Diagnostics, Span};
use crate::token::keys::Algorithm;

impl Diagnostics {
    // Tokens.

    /// `access_ttl` over `refresh_ttl`.
    pub(crate) fn ttl_order(&mut self, access: &Span, refresh: &Span) {
        let (span, other, label) = if access.is_empty() {
            (refresh, access, "shorter than `access_ttl`")
        } else {
            (access, refresh, "longer than `refresh_ttl`")
        };
        self.error(
            "ttl-order",
            span,
            "`access_ttl` is longer than `refresh_ttl`".to_owned(),
            label,
            "make `access_ttl` the shorter one: usual are \"15m\" and \"30d\"",
        );
        if !other.is_empty() {
            self.beside(other, "the session ends after this");
        }
    }

    /// More than five minutes of forgiveness.
    pub(crate) fn leeway_too_long(&mut self, span: &Span) {
        self.error(
            "leeway-too-long",
            span,
            "`tokens.leeway` is longer than 5 minutes".to_owned(),
            "an expired token would be good for this long",
            "write at most \"5m\", and let the machines' clocks be set by NTP",
        );
    }

    /// Two keys with one name.
    pub(crate) fn duplicate_key_id(&mut self, span: &Span, first: &Span, id: &str) {
        self.error(
            "duplicate-key-id",
            span,
            format!("two keys have the id `{id}`"),
            "the second one",
            "give each key its own `id`: a token names its key by it",
        );
        self.beside(first, "the first one");
    }

    /// Not exactly one of `secret`, `private`, `public`, or not the one that fits.
    pub(crate) fn key_material(&mut self, span: &Span, why: &str, help: &str) {
        self.error("key-material", span, why.to_owned(), "this key", help);
    }

    /// A secret in the file, or something that is no reference.
    pub(crate) fn bad_secret_reference(&mut self, span: &Span, at: &str, is_text: bool) {
        let title = if is_text {
            format!("`{at}` is a secret written into the file")
        } else {
            format!("`{at}` does not say where the secret is")
        };
        let label = if is_text {
            "readable by whoever reads the file or its backups"
        } else {
            "not a reference to a secret"
        };
        self.error("secret-reference", span, title, label, "move it out and refer to it: { env = \"NAME\" } for an environment variable, { file = \"PATH\" } for a file with mode 0600");
    }

    /// The reference leads nowhere.
    pub(crate) fn secret_unresolved(&mut self, span: &Span, why: &str, help: &str) {
        self.error("secret-unresolved", span, why.to_owned(), "wanted here", help);
    }

    /// The URL of a database that cannot be taken apart; `why` never has a character of it.
    pub(crate) fn database_url(&mut self, span: &Span, origin: &str, why: &str) {
        self.error(
            "database-url",
            span,
            format!("the URL in {origin} is not one of a PostgreSQL database: {why}"),
            "wanted here",
            "write it as postgres://user:password@host:port/database, with other signs than letters and digits as %XX",
        );
    }

    /// Others can read the file of a secret.
    pub(crate) fn secret_readable(&mut self, span: &Span, path: &Path, mode: u32) {
        let title = format!(
            "the secret in {} can be read by others (mode {:04o})",
            path.display(),
            mode & 0o7777
        );
        self.error(
            "secret-readable",
            span,
            title,
            "wanted here",
            &format!("run: chmod 600 {}", path.display()),
        );
    }

    /// An HMAC secret that can be guessed.
    pub(crate) fn weak_secret(&mut self, span: &Span, alg: Algorithm, found: usize) {
        let wanted = alg.secret_bytes_min();
        // In base64 half as many bytes again are what is wanted, and more.
        let help = format!(
            "make one with `openssl rand -base64 {}`, and give it to every backend that shares the key",
            wanted * 3 / 2
        );
        self.error(
            "weak-secret",
            span,
            format!("the secret has {found} bytes, {} needs {wanted} or more", alg.name()),
            "too short: it could be guessed from one token",
            &help,
        );
    }

    /// The key ring refuses the material.
    pub(crate) fn key_fault(&mut self, span: &Span, id: &str, why: &str) {
        self.error(
            "key-refused",
            span,
            format!("the key `{id}` cannot be used: {why}"),
            "read from here",
            "",
        );
    }

    /// Nothing that signs has a public half.
    pub(crate) fn no_assertion_key(&mut self, span: &Span) {
        self.error(
            "assertion-key",
            span,
            "no key can sign an assertion".to_owned(),
            "the backend checks it with the JWK set, and a shared secret is never in that",
            "add a [[tokens.key]] such as alg = \"ES256\" with `private`, behind the others if they are to sign the tokens",
        );
    }

    // Where tokens are.

    /// A list of no places.
    pub(crate) fn no_location(&mut self, span: &Span, at: &str) {
        self.error(
            "no-location",
            span,
            format!("`{at}` names no place: nobody could present a token"),
            "an empty list",
            "name at least one of \"header\", \"cookie\" and \"query\", or remove the line",
        );
    }

    /// A place that was named before.
    pub(crate) fn location_twice(&mut self, span: &Span, name: &str) {
        self.error(
            "location-twice",
            span,
            format!("\"{name}\" is named twice"),
            "named before",
            "keep the first: the order says which one decides",
        );
    }

    /// Not a field that can carry a token.
    pub(crate) fn token_header(&mut self, span: &Span, name: &str, why: &str) {
        self.error(
            "token-header",
            span,
            format!("`{name}` cannot carry the token: {why}"),
            "here",
            "write \"Authorization\", or a name of your own such as \"X-Token\"",
        );
    }

    /// A scheme, cookie or parameter whose name has other characters than names have.
    pub(crate) fn token_name(&mut self, span: &Span, at: &str, name: &str) {
        self.error(
            "token-name",
            span,
            format!("`{at}` cannot be `{name}`"),
            "not a name",
            "use letters, digits, `-`, `_` and `.`",
        );
    }

    /// A claim that cannot say who.
    pub(crate) fn identity_claim(&mut self, span: &Span, name: &str) {
        self.error(
            "identity-claim",
            span,
            format!("`tokens.identity_claim` cannot be `{name}`"),
            if name.is_empty() { "empty" } else { "this claim means something else" },
            "name the claim that says whose a token is, such as \"sub\" or \"identity\"",
        );
    }

    /// One name for both cookies.
    pub(crate) fn one_cookie(&mut self, span: &Span, other: &Span) {
        let (span, other) = if span.is_empty() { (other, span) } else { (span, other) };
        self.error(
            "one-cookie",
            span,
            "`tokens.cookie` and `tokens.refresh_cookie` are one cookie to some backends"
                .to_owned(),
            "the same but for case, `-`, `_` and `.`",
            "name them apart: the refresh token never reaches a backend",
        );
        if !other.is_empty() {
            self.beside(other, "the other one");
        }
    }

    /// Tokens in URLs.
    pub(crate) fn query_token(&mut self, span: &Span, global: bool) {
        let help = if global {
            "name \"query\" only in `accept` of the routes that cannot do without it, such as downloads"
        } else {
            "use a header or a cookie where the client can; if this is meant, give the route the key exception = true"
        };
        self.warning(
            "query-token",
            Some(span),
            "tokens are taken from the query".to_owned(),
            "URLs are kept in browser histories, bookmarks and the logs of others",
            help,
        );
    }

    /// A token that is to be forwarded and never is.
    pub(crate) fn refresh_cookie_kept(&mut self, span: &Span) {
        self.warning(
            "refresh-cookie",
            Some(span),
            "`forward_token` has no effect on a refresh token from a cookie".to_owned(),
            "no backend ever gets the refresh cookie",
            "remove it, or write accept = [\"header\"]",
        );
    }

    // Login and identity.

    /// Cookies that are set and that no route reads.
    pub(crate) fn unread_cookies(&mut self, span: &Span) {
        self.error(
            "login-cookies",
            span,
            "`login.cookies` sets cookies that nobody reads".to_owned(),
            "`accept` of [tokens] has no \"cookie\"",
            "write accept = [\"header\", \"cookie\"] under [tokens], or remove the line",
        );
    }

    /// A name that browsers keep only with `Secure`.
    pub(crate) fn insecure_prefix(&mut self, span: &Span, name: &str) {
        self.error(
            "insecure-prefix",
            span,
            format!("no browser keeps the cookie `{name}` without `Secure`"),
            "its name promises it",
            "remove this line, or call the cookie otherwise",
        );
    }

    /// Cookies in the clear.
    pub(crate) fn insecure_cookies(&mut self, span: &Span) {
        self.warning(
            "insecure-cookies",
            Some(span),
            "the cookies of the login are sent without TLS too".to_owned(),
            "whoever can see the traffic has the session",
            "remove the line: browsers send `Secure` cookies over TLS, and to this machine itself",
        );
    }

    /// Not a plain path.
    pub(crate) fn bad_login_path(&mut self, span: &Span, at: &str, why: &str) {
        self.error(
            "login-path",
            span,
            format!("`{at}` cannot be this path: {why}"),
            "here",
            "write a plain path without wildcards, such as \"/auth\"",
        );
    }

    /// The users file is named and not there.
    pub(crate) fn users_file(&mut self, span: &Span, path: &Path, why: &str) {
        let help = format!("make it with: freshgate user add NAME --config {}", self.name);
        self.error(
            "users-file",
            span,
            format!("the users file {} {why}", path.display()),
            "named here",
            &help,
        );
    }

    /// Not the name of a header field.
    pub(crate) fn bad_header_name(&mut self, span: &Span, name: &str) {
        self.error(
            "header-name",
            span,
            format!("`{name}` is not the name of a header"),
            "here",
            "use letters, digits and `-`, such as X-User-Id",
        );
    }

    /// A header with a meaning of its own.
    pub(crate) fn reserved_header(&mut self, span: &Span, name: &str) {
        self.error(
            "reserved-header",
            span,
            format!("`{name}` cannot carry a claim"),
            "HTTP or the gateway uses this header itself",
            "choose a name of your own, such as X-User-Id",
        );
    }

    /// Two headers that some backend cannot tell apart.
    pub(crate) fn header_collision(&mut self, span: &Span, first: &Span, name: &str, other: &str) {
        self.error(
            "header-collision",
            span,
            format!("`{name}` and `{other}` are one header to many backends"),
            "the same but for case, `-`, `_` and `.`",
            "rename one of the two",
        );
        self.beside(first, "already named here");
    }

    /// A claim without a name.
    pub(crate) fn empty_claim(&mut self, span: &Span) {
        self.error(
            "empty-claim",
            span,
            "a claim needs a name".to_owned(),
            "empty",
            "write the name of a claim of the token, such as \"sub\"",
        );
    }
}
