//! `[login.users] backend`.

use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, StatusCode};

use super::Lowering;
use super::upstreams::DEFAULT_UPSTREAM;
use crate::config::backend_users::{BackendUsers, CookieName, LoginFormat, Success};
use crate::config::raw::{RawBackendUsers, RawSuccess};
use crate::config::read::{Field, Named, Spanned};
use crate::config::words::{LoginFormatWord, NameSpelling};
use crate::config::{Target, Upstream};
use crate::token::RESERVED_CLAIMS;
use crate::token::trust::ClaimPath;

/// Where the table stands.
const AT: &str = "login.users.backend";
/// Longest that a check of a password may be let take.
const TIMEOUT_MAX: Duration = Duration::from_secs(60);
/// Fields that say how the request itself is read.
const FRAMING: [&str; 6] =
    ["host", "content-length", "content-type", "transfer-encoding", "connection", "authorization"];

impl Lowering<'_> {
    pub(super) fn backend_users(
        &mut self,
        raw: &Spanned<RawBackendUsers>,
        upstreams: &[Upstream],
    ) -> Option<BackendUsers> {
        let span = &raw.span;
        let raw = &raw.value;
        let upstream = self.login_upstream(raw, span, upstreams);
        let post = self.login_target(raw, span);
        let success = self.success(raw, span);
        let subject = raw.subject.get().and_then(|at| self.pointer(at, "subject"));
        let claims = self.login_claims(&raw.claims());
        let headers = self.login_headers(&raw.headers());
        let keep = raw.keep_cookies();
        let cookies = keep.value.iter().filter_map(|name| self.cookie_name(name, "keep_cookies"));
        let keep_cookies = cookies.collect();
        let timeout = raw.timeout();
        if timeout.value > TIMEOUT_MAX {
            let at = format!("{AT}.timeout");
            self.out.limit_out_of_range(&timeout.span, &at, "is too long", "at most 60s");
        }
        let (upstream, host, port) = upstream?;
        let fields = raw.fields().value.0;
        let text = |(name, value): &(Spanned<String>, Field<String>)| {
            Some((name.value.clone(), value.get()?.value.clone()))
        };
        Some(BackendUsers {
            upstream: upstream.name.clone(),
            host_rule: upstream.host.clone(),
            host,
            port,
            post: post?,
            format: match raw.format().value {
                LoginFormatWord::Form => LoginFormat::Form,
                LoginFormatWord::Json => LoginFormat::Json,
                LoginFormatWord::Basic => LoginFormat::Basic,
            },
            username: raw.username().value,
            password: raw.password().value,
            fields: fields.iter().filter_map(text).collect(),
            headers,
            as_typed: raw.spelling().value == NameSpelling::Typed,
            success: success?,
            subject,
            claims,
            keep_cookies,
            timeout: timeout.value,
        })
    }

    /// The upstream, and where it is.
    fn login_upstream<'u>(
        &mut self,
        raw: &RawBackendUsers,
        span: &std::ops::Range<usize>,
        upstreams: &'u [Upstream],
    ) -> Option<(&'u Upstream, String, u16)> {
        let found = match raw.upstream.get() {
            Some(name) => {
                let found = upstreams.iter().find(|one| *one.name == *name.value);
                if found.is_none() {
                    let known: Vec<&str> = upstreams.iter().map(|one| &*one.name).collect();
                    self.out.unknown_word(
                        &name.span,
                        &format!("{AT}.upstream"),
                        &name.value,
                        &known,
                    );
                }
                found
            }
            None => {
                let default = upstreams.iter().find(|one| *one.name == *DEFAULT_UPSTREAM);
                let found = default.or(if upstreams.len() == 1 { upstreams.first() } else { None });
                if found.is_none() && raw.upstream.is_missing() {
                    self.out.missing_key(span, AT, "upstream", "upstream = \"app\"");
                }
                found
            }
        }?;
        match &found.target {
            Target::Http { host, port } => Some((found, host.clone(), *port)),
            Target::Whoami => {
                let span = raw.upstream.get().map_or(span, |name| &name.span);
                self.out.bad_backend_login(
                    span,
                    "upstream",
                    "the small backend inside the gateway has no login",
                );
                None
            }
        }
    }

    fn login_target(
        &mut self,
        raw: &RawBackendUsers,
        span: &std::ops::Range<usize>,
    ) -> Option<PathAndQuery> {
        let Some(post) = raw.post.get() else {
            if raw.post.is_missing() {
                self.out.missing_key(span, AT, "post", "post = \"/login\"");
            }
            return None;
        };
        let plain = post.value.starts_with('/') && !post.value.starts_with("//");
        let target = post.value.parse::<PathAndQuery>().ok().filter(|_| plain);
        if target.is_none() || post.value.contains('#') {
            let why = "it is not the path of a page, such as \"/login\"";
            self.out.bad_backend_login(&post.span, "post", why);
            return None;
        }
        target
    }

    fn success(&mut self, raw: &RawBackendUsers, span: &std::ops::Range<usize>) -> Option<Success> {
        let Some(raw) = raw.success.get() else {
            if raw.success.is_missing() {
                let example = "success = { redirect_not_to = \"/login\" }";
                self.out.missing_key(span, AT, "success", example);
            }
            return None;
        };
        let success = self.conditions(&raw.value);
        if success.is_empty() {
            let why = "without a condition every password would be right";
            self.out.bad_backend_login(&raw.span, "success", why);
            return None;
        }
        Some(success)
    }

    fn conditions(&mut self, raw: &RawSuccess) -> Success {
        let mut status = Vec::new();
        for one in raw.status.get().iter().flat_map(|list| &list.value) {
            let good = u16::try_from(one.value).ok().filter(|code| (200..400).contains(code));
            match good.and_then(|code| StatusCode::from_u16(code).ok()) {
                Some(code) => status.push(code),
                None => {
                    let why = "a right password is answered with 200 to 399";
                    self.out.bad_backend_login(&one.span, "success.status", why);
                }
            }
        }
        let header = raw.header.get().and_then(|name| {
            let header = name.value.parse::<HeaderName>().ok();
            if header.is_none() {
                self.out.bad_header_name(&name.span, &name.value);
            }
            header
        });
        let cookie = raw.cookie.get().and_then(|name| self.cookie_name(name, "success.cookie"));
        let json = raw.json.get().and_then(|at| self.pointer(at, "success.json"));
        let redirect_not_to = raw.redirect_not_to.get().and_then(|path| {
            if path.value.starts_with('/') && !path.value.contains(['?', '#', ';']) {
                return Some(path.value.trim_end_matches('/').to_owned());
            }
            let why = "it is not a plain path, such as \"/login\"";
            self.out.bad_backend_login(&path.span, "success.redirect_not_to", why);
            None
        });
        Success { status, header, cookie, json, redirect_not_to }
    }

    fn login_headers(&mut self, raw: &Spanned<Named<String>>) -> Vec<(HeaderName, HeaderValue)> {
        let mut headers = Vec::new();
        for (name, value) in &raw.value.0 {
            let Some(value) = value.get() else { continue };
            let header = name.value.parse::<HeaderName>();
            match (header, HeaderValue::try_from(&value.value)) {
                (Ok(header), _) if FRAMING.contains(&header.as_str()) => {
                    self.out.reserved_header(&name.span, &name.value);
                }
                (Ok(header), Ok(value)) => headers.push((header, value)),
                (Err(_), _) => self.out.bad_header_name(&name.span, &name.value),
                (_, Err(_)) => {
                    let why = "it holds what no header field can hold";
                    self.out.bad_backend_login(&value.span, "headers", why);
                }
            }
        }
        headers
    }

    fn login_claims(&mut self, raw: &Spanned<Named<String>>) -> Vec<(String, ClaimPath)> {
        let mut claims = Vec::new();
        for (name, at) in &raw.value.0 {
            if RESERVED_CLAIMS.contains(&name.value.as_str()) || name.value.is_empty() {
                let why = "the gateway sets this claim itself";
                self.out.bad_backend_login(&name.span, "claims", why);
            }
            let pointer = at.get().and_then(|at| self.pointer(at, "claims"));
            claims.extend(pointer.map(|pointer| (name.value.clone(), pointer)));
        }
        claims
    }

    fn pointer(&mut self, at: &Spanned<String>, key: &str) -> Option<ClaimPath> {
        let pointer = ClaimPath::dotted(&at.value);
        if pointer.is_none() {
            let why = "it is not a place in a JSON document, such as \"user.id\"";
            self.out.bad_backend_login(&at.span, key, why);
        }
        pointer
    }

    /// A token of RFC 6265 §4.1.1, with `*` at its end or not.
    fn cookie_name(&mut self, name: &Spanned<String>, key: &str) -> Option<CookieName> {
        let plain = name.value.strip_suffix('*').unwrap_or(&name.value);
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'^_`|~+-.".contains(&byte);
        let good = plain.bytes().all(token) && !name.value.is_empty();
        if !good {
            self.out.bad_backend_login(&name.span, key, "it is not the name of a cookie");
        }
        good.then(|| CookieName(name.value.clone()))
    }
}
