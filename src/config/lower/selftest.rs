//! `[[test]]`: a request that can be judged, and what must come of it. Judges nothing.

use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use super::Lowering;
use crate::config::Upstream;
use crate::config::diagnostic::Span;
use crate::config::raw_test::{Expect, RawAs, RawTest};
use crate::config::read::{Named, Spanned};
use crate::config::selftest::{Caller, FileTest, Places};
use crate::config::values::MaybeZero;
use crate::config::words::Kind;
use crate::policy::host;
use crate::policy::pattern::Pattern;
use crate::token::RESERVED_CLAIMS;
use crate::token::claims::TokenKind;

impl Lowering<'_> {
    pub(super) fn tests(
        &mut self,
        list: &[Spanned<RawTest>],
        upstreams: &[Upstream],
    ) -> Vec<FileTest> {
        list.iter().filter_map(|raw| self.test(raw, upstreams)).collect()
    }

    /// One test; `None` after a mistake.
    fn test(&mut self, raw: &Spanned<RawTest>, upstreams: &[Upstream]) -> Option<FileTest> {
        let (raw, here) = (&raw.value, &raw.span);
        for (missing, key, example) in [
            (raw.request.is_missing(), "request", "request = \"GET /account\""),
            (raw.expect.is_missing(), "expect", "expect = \"pass\" or the code of a refusal"),
        ] {
            if missing {
                self.out.missing_key(here, "test", key, example);
            }
        }
        let caller = raw.r#as.get().map(|caller| self.caller(caller));
        let headers = self.test_headers(&raw.headers());
        let expect = raw.expect.get();
        if let Some(Spanned { value: Expect(code), .. }) = expect
            && *code != Expect::PASS
        {
            let upstream = raw.upstream.get().map(|one| (&one.span, "upstream"));
            let path = raw.path.get().map(|one| (&one.span, "path"));
            for (span, key) in upstream.into_iter().chain(path) {
                self.out.beyond_refusal(span, key, code);
            }
        }
        let upstream = raw.upstream.get().map(|name| {
            let found = upstreams.iter().position(|one| *one.name == *name.value);
            if found.is_none() {
                let known: Vec<&str> = upstreams.iter().map(|one| &*one.name).collect();
                self.out.unknown_upstream(&name.span, &name.value, &known);
            }
            found
        });
        let request = raw.request.get()?;
        let (method, host, path, query) = match split(&request.value) {
            Ok(parts) => parts,
            Err(what) => {
                self.out.bad_request(&request.span, &what);
                return None;
            }
        };
        let or_request = |field: Option<&Span>| field.unwrap_or(&request.span).clone();
        let expect = expect?;
        Some(FileTest {
            request: request.value.clone(),
            method,
            host,
            path,
            query,
            headers,
            caller,
            expect: expect.value.0,
            upstream: upstream.flatten(),
            upstream_path: raw.path.get().map(|path| path.value.clone()),
            places: Places {
                request: request.span.clone(),
                expect: expect.span.clone(),
                upstream: or_request(raw.upstream.get().map(|one| &one.span)),
                path: or_request(raw.path.get().map(|one| &one.span)),
            },
        })
    }

    fn caller(&mut self, raw: &Spanned<RawAs>) -> Caller {
        let raw = &raw.value;
        let subject = raw.sub();
        if subject.value.is_empty() {
            self.out.empty_text(&subject.span, "test.as.sub", "a user, such as sub = \"u1\"");
        }
        let claims = raw.claims.get().map(|claims| claims.value.0.as_slice()).unwrap_or_default();
        for (name, _) in claims {
            if RESERVED_CLAIMS.contains(&name.value.as_str()) {
                self.out.reserved_claim(&name.span, &name.value);
            }
        }
        let MaybeZero(auth_age) = raw.auth_age().value;
        Caller {
            subject: subject.value,
            kind: match raw.r#type().value {
                Kind::Access => TokenKind::Access,
                Kind::Refresh => TokenKind::Refresh,
            },
            fresh: raw.fresh().value,
            auth_age,
            claims: claims
                .iter()
                .map(|(name, value)| (name.value.clone(), value.clone()))
                .collect(),
        }
    }

    fn test_headers(&mut self, raw: &Spanned<Named<String>>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in &raw.value.0 {
            let Some(value) = value.get() else { continue };
            if let Some(help) = decided_before(&name.value) {
                self.out.unasked_header(&name.span, &name.value, help);
                continue;
            }
            let field = name.value.parse::<HeaderName>().ok();
            let sent = field.zip(HeaderValue::from_str(&value.value).ok());
            if sent.is_none_or(|(field, value)| headers.try_append(field, value).is_err()) {
                self.out.bad_test_header(&name.span, &name.value);
            }
        }
        headers
    }
}

/// Fields that a live request is judged by before any route is looked at, and a test is not: what to write instead.
fn decided_before(name: &str) -> Option<&'static str> {
    match name.to_ascii_lowercase().as_str() {
        "host" => Some("write the host into the request: \"GET http://app.example.org/\""),
        "content-length" | "transfer-encoding" | "connection" | "expect" | "upgrade" => {
            Some("remove it: a test has no body and no connection")
        }
        _ => None,
    }
}

/// Method, canonical host, path and query of `"POST /path"` or `"POST http://host/path"`. The path stays as written: what is
/// wrong with it is for the gateway to refuse.
fn split(request: &str) -> Result<(String, String, String, Option<String>), String> {
    let Some((method, target)) = request.split_once(' ') else {
        return Err("it is not a method, a space and a path".to_owned());
    };
    // The same parser as for a method in front of a pattern.
    if let Err(fault) = Pattern::parse(&format!("{method} /")) {
        return Err(fault.what);
    }
    if method.contains(',') {
        return Err("it has more than one method".to_owned());
    }
    let (authority, target) = match target.split_once("://") {
        Some((_, rest)) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => ("", target),
    };
    let host = match authority {
        "" => String::new(),
        authority => host::canonical(authority).map_err(|fault| fault.0.to_owned())?.into_owned(),
    };
    let target = if target.is_empty() { "/" } else { target };
    if !target.starts_with('/') {
        return Err("the path does not begin with `/`".to_owned());
    }
    if target.contains('#') || target.parse::<Uri>().is_err() {
        return Err("the path has signs that no request line has".to_owned());
    }
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (target, None),
    };
    Ok((method.to_owned(), host, path.to_owned(), query))
}
