//! `[[tokens.trust]]`: other issuers, what their tokens must say, and where their keys are. Keys in files are read here,
//! so that a broken one stops the start.

use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::sync::Arc;

use http::Uri;
use ipnet::IpNet;

use super::Lowering;
use super::keys::reason;
use crate::config::diagnostic::Span;
use crate::config::raw::{RawTrust, trust::Path};
use crate::config::read::{Field, Spanned};
use crate::config::trust::UrlFault;
use crate::config::{JwksUrl, Trust, TrustKeys};
use crate::token::keys::{Algorithm, KeyRing};
use crate::token::trust::{self, CheckedAt, ClaimPath};
use crate::token::verify::TokenRules;
use crate::token::{RESERVED_CLAIMS, SUBJECT};

/// Bytes of a file of keys or certificates at most.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

impl Lowering<'_> {
    pub(super) fn trusts(&mut self, list: &[Spanned<RawTrust>], rules: &TokenRules) -> Vec<Trust> {
        self.apart(list, rules);
        list.iter().filter_map(|raw| self.trust(raw, rules)).collect()
    }

    /// No two issuers have one name, and no prefix begins another's: each token and each subject has one owner.
    fn apart(&mut self, list: &[Spanned<RawTrust>], rules: &TokenRules) {
        for (index, one) in list.iter().enumerate() {
            let before = &list[..index];
            if let Some(name) = one.value.issuer.get() {
                let same = |other: &&Spanned<String>| other.value == name.value;
                let mut others = before.iter().filter_map(|other| other.value.issuer.get());
                if let Some(first) = others.find(same) {
                    self.out.issuer_twice(&name.span, Some(&first.span), &name.value);
                } else if rules.issuer.as_ref() == Some(&name.value) {
                    self.out.issuer_twice(&name.span, None, &name.value);
                }
            }
            if let Some(prefix) = one.value.subject_prefix.get() {
                let mut others = before.iter().filter_map(|other| other.value.subject_prefix.get());
                if let Some(other) = others.find(|other| overlap(&prefix.value, &other.value)) {
                    self.out.prefixes_overlap(&prefix.span, &other.span);
                }
            }
        }
    }

    fn trust(&mut self, raw: &Spanned<RawTrust>, rules: &TokenRules) -> Option<Trust> {
        let (one, here) = (&raw.value, &raw.span);
        for (missing, key, example) in [
            (one.issuer.is_missing(), "issuer", "the `iss` of its tokens, as they have it"),
            (
                one.audience.is_missing(),
                "audience",
                "what its tokens for this gateway say in `aud`: audience = \"my-app\"",
            ),
            (one.algorithms.is_missing(), "algorithms", "algorithms = [\"RS256\"]"),
            (
                one.subject_prefix.is_missing(),
                "subject_prefix",
                "subject_prefix = \"corp:\" keeps its users apart from yours; \"\" says that equal names are the same people",
            ),
        ] {
            if missing {
                self.out.missing_key(here, "tokens.trust", key, example);
            }
        }
        if let Some(issuer) = one.issuer.get().filter(|issuer| issuer.value.is_empty()) {
            let example = "the `iss` of its tokens, as they have it";
            self.out.empty_text(&issuer.span, "tokens.trust.issuer", example);
        }
        let audience = self.audience(one);
        let algorithms = self.algorithms(one);
        let (subject, claims) = self.claim_map(one, rules);
        let auth_time = one.auth_time();
        let freshness = (auth_time.value.0 != never())
            .then(|| CheckedAt { path: auth_time.value.0, fresh_for: one.fresh_for().value });
        if let (None, Some(span)) = (&freshness, one.fresh_for.get().map(|one| &one.span)) {
            self.out.trust_refused(
                span,
                "`fresh_for` counts from `auth_time`, and there is none",
                "never looked at",
                "add auth_time = \"auth_time\", or remove this line",
            );
        }
        let keys = self.keys_of(one, here, algorithms.as_deref());
        Some(Trust {
            rules: Arc::new(trust::Trust {
                issuer: one.issuer.get()?.value.clone(),
                audience: audience?,
                algorithms: algorithms?,
                subject_prefix: one.subject_prefix.get()?.value.clone(),
                subject,
                claims,
                freshness,
            }),
            keys: keys?,
        })
    }

    fn audience(&mut self, raw: &RawTrust) -> Option<Vec<String>> {
        let list = raw.audience.get()?;
        let example = "what its tokens for this gateway say in `aud`";
        if list.value.0.is_empty() {
            self.out.empty_text(&list.span, "tokens.trust.audience", example);
        }
        for one in list.value.0.iter().filter(|one| one.value.is_empty()) {
            self.out.empty_text(&one.span, "tokens.trust.audience", example);
        }
        Some(list.value.0.iter().map(|one| one.value.clone()).collect())
    }

    fn algorithms(&mut self, raw: &RawTrust) -> Option<Vec<Algorithm>> {
        let list = raw.algorithms.get()?;
        let all: Vec<Algorithm> = list.value.iter().map(|one| one.value.algorithm()).collect();
        if let Some(index) = all.iter().position(|one| one.is_symmetric()) {
            self.out.trust_refused(
                &list.value[index].span,
                &format!("{} cannot be the algorithm of another issuer", all[index].name()),
                "a shared secret",
                "who can check such a token can mint it; ask the issuer for RS256, ES256 or EdDSA",
            );
        }
        if all.is_empty() {
            let help = "algorithms = [\"RS256\"]";
            self.out.empty_text(&list.span, "tokens.trust.algorithms", help);
        }
        Some(all)
    }

    fn claim_map(
        &mut self,
        raw: &RawTrust,
        rules: &TokenRules,
    ) -> (ClaimPath, Vec<(String, ClaimPath)>) {
        let mut subject = ClaimPath::dotted(SUBJECT).expect("a name");
        let mut claims = Vec::new();
        for (name, Path(path)) in raw.claims().value.0 {
            if name.value == SUBJECT {
                subject = path;
                continue;
            }
            let help = match name.value.as_str() {
                "auth_time" | "fresh" => "write auth_time = \"…\" beside `claims`, not inside",
                _ => "map their subject to `sub`; the other names of this kind are not mapped",
            };
            if RESERVED_CLAIMS.contains(&name.value.as_str()) || name.value == rules.identity_claim
            {
                let title = format!("`{}` is written by the gateway itself", name.value);
                self.out.trust_refused(&name.span, &title, "cannot be mapped", help);
            }
            claims.push((name.value, path));
        }
        (subject, claims)
    }

    fn keys_of(
        &mut self,
        raw: &RawTrust,
        here: &Span,
        algorithms: Option<&[Algorithm]>,
    ) -> Option<TrustKeys> {
        match (&raw.keys, &raw.jwks) {
            (Field::Here(file), Field::Missing) => self
                .only_with_url(raw)
                .then_some(())
                .and_then(|()| self.key_file(file, algorithms?)),
            (Field::Missing, Field::Here(url)) => self.key_url(raw, url),
            (Field::Broken, _) | (_, Field::Broken) => None,
            (Field::Missing, Field::Missing) | (Field::Here(_), Field::Here(_)) => {
                self.out.trust_refused(
                    here,
                    "this issuer needs its keys from exactly one place",
                    "this issuer",
                    "give it one of: keys = \"FILE\", jwks = \"https://…\"",
                );
                None
            }
        }
    }

    /// Whether nothing is said of a URL that is not there.
    fn only_with_url(&mut self, raw: &RawTrust) -> bool {
        let said = [
            raw.allow_private.get().map(|one| ("allow_private", &one.span)),
            raw.ca.get().map(|one| ("ca", &one.span)),
            raw.refresh.get().map(|one| ("refresh", &one.span)),
            raw.refetch_min.get().map(|one| ("refetch_min", &one.span)),
            raw.stale_max.get().map(|one| ("stale_max", &one.span)),
        ];
        let said: Vec<(&str, &Span)> = said.into_iter().flatten().collect();
        for (key, span) in &said {
            self.out.trust_refused(
                span,
                &format!("`{key}` is about fetching keys, and these are in a file"),
                "never looked at",
                "remove this line, or write `jwks` instead of `keys`",
            );
        }
        said.is_empty()
    }

    fn key_file(&mut self, name: &Spanned<String>, wanted: &[Algorithm]) -> Option<TrustKeys> {
        if self.outlined.is_some() {
            return Some(TrustKeys::File { name: name.value.clone(), ring: None });
        }
        let text = self.public_file(name)?;
        let why = match KeyRing::published(&text, wanted) {
            Ok(ring) => {
                let ring = Some(Arc::new(ring));
                return Some(TrustKeys::File { name: name.value.clone(), ring });
            }
            Err(fault) => fault,
        };
        let title = format!("the keys in {} cannot be used: {why}", name.value);
        let help = "save the issuer's public keys, as its JWK set has them, into this file";
        self.out.trust_refused(&name.span, &title, "read from here", help);
        None
    }

    fn public_file(&mut self, name: &Spanned<String>) -> Option<Vec<u8>> {
        let path = self.path(&name.value);
        let mut text = Vec::new();
        let read = File::open(&path).and_then(|file| {
            if !file.metadata()?.is_file() {
                return Err(std::io::Error::other("it is not a regular file"));
            }
            file.take(FILE_BYTES_MAX + 1).read_to_end(&mut text)
        });
        let why = match read {
            Err(fault) => format!("cannot be read: {}", reason(&fault)),
            Ok(_) if text.len() as u64 > FILE_BYTES_MAX => "is larger than 1 MiB".to_owned(),
            Ok(_) => return Some(text),
        };
        let why = format!("the file {} {why}", path.display());
        let help = "see that the file is there and that the gateway's user can read it";
        self.out.trust_refused(&name.span, &why, "wanted here", help);
        None
    }

    fn key_url(&mut self, raw: &RawTrust, url: &Spanned<String>) -> Option<TrustKeys> {
        let allow_private = self.networks(&raw.allow_private());
        let url = match judge_url(&url.value, &allow_private) {
            Ok(good) => good,
            Err(fault) => {
                self.out.jwks_url(&url.span, fault);
                return None;
            }
        };
        let ca = match raw.ca.get() {
            Some(_) if self.outlined.is_some() => None,
            Some(name) => Some(self.certificates(name)?),
            None if matches!(raw.ca, Field::Broken) => return None,
            None => None,
        };
        Some(TrustKeys::Url(JwksUrl {
            url,
            refresh: raw.refresh().value,
            refetch_min: raw.refetch_min().value,
            stale_max: raw.stale_max().value,
            allow_private,
            ca,
        }))
    }

    pub(super) fn certificates(&mut self, name: &Spanned<String>) -> Option<Vec<u8>> {
        let text = self.public_file(name)?;
        let blocks = pem::parse_many(&text).unwrap_or_default();
        if blocks.is_empty() || blocks.iter().any(|block| block.tag() != "CERTIFICATE") {
            let title = format!("{} holds no certificates in PEM", name.value);
            let help = "only blocks of -----BEGIN CERTIFICATE----- belong into it";
            self.out.trust_refused(&name.span, &title, "wanted here", help);
            return None;
        }
        Some(text)
    }
}

/// The path that `"never"` reads as.
fn never() -> ClaimPath {
    ClaimPath::dotted("never").expect("a name")
}

/// Two prefixes of which one begins the other; equal ones say that both speak of the same people.
fn overlap(one: &str, other: &str) -> bool {
    let begins = one.starts_with(other) || other.starts_with(one);
    one != other && !one.is_empty() && !other.is_empty() && begins
}

/// Where the gateway may be told to ask or post, as far as the text says.
pub(super) fn judge_url(url: &str, allow_private: &[IpNet]) -> Result<Uri, UrlFault> {
    let parsed = url.parse::<Uri>().map_err(|_| UrlFault::NoUrl)?;
    let (Some(scheme), Some(authority)) = (parsed.scheme_str(), parsed.authority()) else {
        return Err(UrlFault::NotWhole);
    };
    if authority.as_str().contains('@') || url.contains('#') {
        return Err(UrlFault::UserOrFragment);
    }
    if authority.host().is_empty()
        || (authority.port().is_none() && authority.as_str() != authority.host())
    {
        return Err(UrlFault::NoHost);
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let address = host.parse::<IpAddr>();
    match scheme {
        "https" => Ok(parsed),
        "http" if address.is_ok_and(|one| allow_private.iter().any(|net| net.contains(&one))) => {
            Ok(parsed)
        }
        "http" => Err(UrlFault::NoTls),
        _ => Err(UrlFault::NotHttps),
    }
}
