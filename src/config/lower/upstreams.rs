//! `upstream` and `[upstreams.NAME]`: named groups of backends.

use std::sync::Arc;

use http::uri::Authority;
use http::{HeaderValue, Uri};

use super::Lowering;
use super::limits::UPSTREAM_REQUESTS_MAX;
use crate::config::raw::{RawFile, RawKey, RawLimits, RawUpstream};
use crate::config::read::{Field, Spanned};
use crate::config::{HostRule, Target, Upstream};

/// The name of the upstream at the top of the file.
pub const DEFAULT_UPSTREAM: &str = "default";

impl Lowering<'_> {
    /// All upstreams, the default one first. One that cannot be read is in the list too, with a
    /// target that is never used, so that routes to it are not reported as well.
    pub(super) fn upstreams(&mut self, raw: &RawFile) -> Vec<Upstream> {
        let mut upstreams = Vec::new();
        let limits = raw.limits.get().map(|limits| limits.value.clone()).unwrap_or_default();
        if !raw.upstream.is_missing() {
            let url = raw.upstream.get();
            upstreams.push(self.upstream(DEFAULT_UPSTREAM, url, &RawUpstream::default(), &limits));
        }
        for (name, settings) in raw.upstreams.get().iter().flat_map(|table| &table.value.0) {
            let known = !upstreams.is_empty() && name.value == DEFAULT_UPSTREAM;
            if let (true, Some(top)) = (known, raw.upstream.get()) {
                self.out.two_defaults(&name.span, &top.span);
                continue;
            }
            if name.value.is_empty() {
                self.out.empty_text(&name.span, "upstreams", "a name, such as [upstreams.app]");
            }
            let Some(settings) = settings.get() else {
                upstreams.push(self.upstream(&name.value, None, &RawUpstream::default(), &limits));
                continue;
            };
            if settings.value.url.is_missing() {
                let at = format!("upstreams.{}", name.value);
                let example = "url = \"http://127.0.0.1:9000\"";
                self.out.missing_key(&name.span, &at, "url", example);
            }
            let url = settings.value.url.get();
            upstreams.push(self.upstream(&name.value, url, &settings.value, &limits));
        }
        upstreams
    }

    fn upstream(
        &mut self,
        name: &str,
        url: Option<&Spanned<String>>,
        settings: &RawUpstream,
        limits: &RawLimits,
    ) -> Upstream {
        let at = |key: &str| format!("upstreams.{name}.{key}");
        self.count_between(&settings.requests_max, &at("requests_max"), 1, UPSTREAM_REQUESTS_MAX);
        let own = |field: &Field<usize>| field.get().map(|count| count.value);
        Upstream {
            name: Arc::from(name),
            target: url.and_then(|url| self.target(url)).unwrap_or(Target::Whoami),
            host: self.host(&settings.host()),
            timeout_connect: settings.timeout_connect().value,
            timeout_first_byte: settings.timeout_first_byte().value,
            timeout_idle: settings.timeout_idle.get().unwrap_or(&limits.response_idle()).value,
            keep_alive: settings.keep_alive().value,
            idle_max: settings.idle_max().value,
            requests_max: own(&settings.requests_max).unwrap_or(limits.upstream_requests().value),
            queue_max: own(&settings.queue_max).unwrap_or(limits.upstream_queue().value),
            assertion: settings.assertion().value,
        }
    }

    /// An assertion takes a key that others can check. Without `[[tokens.key]]` that is asked when the key folder is read.
    pub(super) fn assertions(&mut self, raw: &RawFile) {
        let keys = raw.tokens.get().and_then(|tokens| tokens.value.key.get());
        let keys = keys.map(|keys| keys.value.0.as_slice()).unwrap_or_default();
        let able = |key: &Spanned<RawKey>| !key.value.private.is_missing();
        if keys.is_empty() || keys.iter().any(able) {
            return;
        }
        for settings in raw.upstreams.get().iter().flat_map(|table| &table.value.0) {
            let assertion = settings.1.get().map(|settings| settings.value.assertion());
            if let Some(assertion) = assertion.filter(|one| one.value) {
                self.out.no_assertion_key(&assertion.span);
            }
        }
    }

    fn target(&mut self, url: &Spanned<String>) -> Option<Target> {
        const EXAMPLE: &str =
            "write \"http://127.0.0.1:9000\", or \"builtin:whoami\" to try things out";
        if url.value == "builtin:whoami" {
            return Some(Target::Whoami);
        }
        let mut refuse = |what: &str, help: &str| {
            self.out.bad_upstream(&url.span, what, help);
            None
        };
        if url.value.starts_with("builtin:") {
            return refuse("is not a built-in backend", "the only one is \"builtin:whoami\"");
        }
        if url.value.starts_with("https://") {
            return refuse(
                "speaks https, which is not supported yet",
                "reach the backend over http on this machine or in a private network: \"http://127.0.0.1:9000\"",
            );
        }
        if !url.value.starts_with("http://") {
            return refuse("is not an http URL", EXAMPLE);
        }
        let parsed = url.value.parse::<Uri>().ok();
        let Some(authority) = parsed.as_ref().and_then(Uri::authority) else {
            return refuse("is not a URL", EXAMPLE);
        };
        if authority.as_str().contains('@') {
            return refuse("has a user name in it", "remove all up to and with the `@`");
        }
        if url.value["http://".len()..].trim_end_matches('/') != authority.as_str() {
            return refuse(
                "has a path",
                "end it after the port; a route changes the path with `rewrite`",
            );
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let port = match authority.port() {
            Some(port) => port.as_u16(),
            None if authority.as_str().ends_with(authority.host()) => HTTP_PORT,
            None => return refuse("has no port that can be used", EXAMPLE),
        };
        if host.is_empty() || port == 0 {
            return refuse("has no host and port", EXAMPLE);
        }
        Some(Target::Http { host: host.to_owned(), port })
    }

    fn host(&mut self, text: &Spanned<String>) -> HostRule {
        match text.value.as_str() {
            "keep" => HostRule::Keep,
            "upstream" => HostRule::Upstream,
            fixed => {
                let good =
                    fixed.parse::<Authority>().is_ok_and(|host| !host.as_str().contains('@'));
                match HeaderValue::try_from(fixed) {
                    Ok(name) if good => HostRule::Fixed(name),
                    _ => {
                        self.out.bad_host(&text.span, fixed);
                        HostRule::Keep
                    }
                }
            }
        }
    }
}

/// The port of `http` URLs without one (RFC 9110 §4.2.1).
const HTTP_PORT: u16 = 80;
