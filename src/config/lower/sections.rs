//! `[login]`, `[identity]`, `[paths]`, `[state]`, `[log]` and `trusted_proxies`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use http::HeaderName;
use ipnet::IpNet;
use tracing_subscriber::EnvFilter;

use super::Lowering;
use crate::config::raw::{RawLog, RawLogin, RawPaths, RawState};
use crate::config::read::{Named, Spanned};
use crate::config::words::{DotSegments, DoubleSlash, Format, Spelling};
use crate::config::{IdentityHeader, Log, LogFormat, Login, Upstream};
use crate::policy::path::PathRules;
use crate::policy::pattern::{Pattern, Segment};

/// Headers that HTTP or the gateway uses itself (RFC 9110 §7.6.1 and others).
const RESERVED_HEADERS: [&str; 19] = [
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
    "authorization",
    "cookie",
    "expect",
    "via",
    "forwarded",
    "x-request-id",
    "x-freshgate-assertion",
    "date",
    "content-type",
];

/// Every header that begins so is rebuilt by the gateway.
const RESERVED_PREFIX: &str = "x-forwarded-";

impl Lowering<'_> {
    /// Relative to the file.
    pub(super) fn path(&self, text: &str) -> PathBuf {
        self.base.join(text)
    }

    pub(super) fn state(&mut self, raw: Option<&Spanned<RawState>>) -> PathBuf {
        let dir = raw.map(|raw| raw.value.clone()).unwrap_or_default().dir();
        if dir.value.is_empty() {
            self.out.empty_text(&dir.span, "state.dir", "a directory, such as dir = \"data\"");
        }
        self.path(&dir.value)
    }

    pub(super) fn login(
        &mut self,
        raw: Option<&Spanned<RawLogin>>,
        state_dir: &Path,
        upstreams: &[Upstream],
    ) -> Option<Login> {
        let raw = raw.map(|raw| raw.value.clone()).unwrap_or_default();
        let at = self.login_path(&raw.at(), "login.at");
        let paths = self.endpoint_paths(&raw, &at);
        let enabled = raw.enabled().value;
        let users = self.users(&raw.users, enabled, (state_dir, upstreams))?;
        let rehash = raw.users.get().is_some_and(|users| users.value.rehash().value);
        let [login, refresh, logout] = paths;
        enabled.then_some(Login { at, login, refresh, logout, users, rehash, cookies: None })
    }

    /// Login, refresh and logout. All endpoints take `POST`, so no two can share a path.
    fn endpoint_paths(&mut self, raw: &RawLogin, at: &str) -> [String; 3] {
        let all = [
            (raw.login_path.get(), "login"),
            (raw.refresh_path.get(), "refresh"),
            (raw.logout_path.get(), "logout"),
        ];
        let paths = all.map(|(own, name)| match own {
            None => format!("{at}/{name}"),
            Some(own) => self.login_path(own, &format!("login.{name}_path")),
        });
        let reauth = format!("{at}/reauth");
        for (index, path) in paths.iter().enumerate() {
            let others = all.iter().zip(&paths).enumerate();
            let twin =
                others.filter(|(other, _)| *other != index).any(|(other, ((own, _), same))| {
                    // Of two that the file names, the second is told.
                    same == path && (own.is_none() || other < index)
                });
            if let (Some(own), true) = (all[index].0, twin || *path == reauth) {
                let at = format!("login.{}_path", all[index].1);
                self.out.bad_login_path(&own.span, &at, "another endpoint has it");
            }
        }
        paths
    }

    /// A plain path, without the slash at the end.
    fn login_path(&mut self, at: &Spanned<String>, key: &str) -> String {
        let path = at.value.trim_end_matches('/');
        let why = if !at.value.starts_with('/') {
            Some("it does not begin with `/`".to_owned())
        } else if path.is_empty() {
            Some("it is the root of everything".to_owned())
        } else {
            match Pattern::parse(path) {
                Err(fault) => Some(fault.what),
                Ok(pattern) => {
                    let plain = |segment: &Segment| matches!(segment, Segment::Literal(_));
                    (!pattern.segments.iter().all(plain)).then(|| "it has a wildcard".to_owned())
                }
            }
        };
        if let Some(why) = why {
            self.out.bad_login_path(&at.span, key, &why);
        }
        path.to_owned()
    }

    pub(super) fn identity(&mut self, raw: &Spanned<Named<String>>) -> Vec<IdentityHeader> {
        let mut headers: Vec<IdentityHeader> = Vec::new();
        let mut folded: HashMap<String, &Spanned<String>> = HashMap::new();
        for (name, claim) in &raw.value.0 {
            let Ok(header) = name.value.parse::<HeaderName>() else {
                self.out.bad_header_name(&name.span, &name.value);
                continue;
            };
            let fold = fold(&name.value);
            if is_reserved_header(&fold) {
                self.out.reserved_header(&name.span, &name.value);
            } else if let Some(first) = folded.get(&fold) {
                self.out.header_collision(&name.span, &first.span, &name.value, &first.value);
            }
            folded.entry(fold).or_insert(name);
            let Some(claim) = claim.get() else { continue };
            if claim.value.is_empty() {
                self.out.empty_claim(&claim.span);
            }
            headers.push(IdentityHeader { name: header, claim: claim.value.clone() });
        }
        headers
    }

    /// `trusted_proxies`.
    pub(super) fn networks(&mut self, list: &Spanned<Vec<Spanned<String>>>) -> Vec<IpNet> {
        let read = |text: &str| {
            text.parse::<IpNet>()
                .or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from))
                .ok()
        };
        let mut networks = Vec::new();
        for one in &list.value {
            match read(&one.value) {
                Some(network) => networks.push(network.trunc()),
                None => self.out.bad_network(&one.span, &one.value),
            }
        }
        networks
    }

    pub(super) fn paths(&mut self, raw: Option<&Spanned<RawPaths>>) -> PathRules {
        let raw = raw.map(|raw| raw.value.clone()).unwrap_or_default();
        PathRules {
            resolve_dot_segments: raw.dot_segments().value == DotSegments::Resolve,
            merge_slashes: raw.double_slash().value == DoubleSlash::Merge,
            pass_encoded_slash: raw.encoded_slash().value == Spelling::Pass,
            pass_backslash: raw.backslash().value == Spelling::Pass,
            pass_semicolon: raw.semicolon().value == Spelling::Pass,
            pass_double_encoding: raw.double_encoding().value == Spelling::Pass,
            pass_non_utf8: raw.non_utf8().value == Spelling::Pass,
        }
    }

    pub(super) fn log(&mut self, raw: Option<&Spanned<RawLog>>) -> Log {
        let raw = raw.map(|raw| raw.value.clone()).unwrap_or_default();
        let level = raw.level();
        // A lone word that is no level would be taken for the name of a part of the program.
        let lone = !level.value.contains(['=', ',']);
        let known = ["error", "warn", "info", "debug", "trace", "off"];
        let good = !level.value.is_empty()
            && EnvFilter::try_new(&level.value).is_ok()
            && (!lone || known.contains(&level.value.to_ascii_lowercase().as_str()));
        if !good {
            self.out.bad_log_level(&level.span, &level.value);
        }
        let format = raw.format.get().map(|format| match format.value {
            Format::Text => LogFormat::Text,
            Format::Json => LogFormat::Json,
        });
        Log { access: raw.access().value, format, level: level.value }
    }
}

/// Whether the field of this folded name has a meaning that is not the operator's to give.
pub(super) fn is_reserved_header(folded: &str) -> bool {
    RESERVED_HEADERS.contains(&folded) || folded.starts_with(RESERVED_PREFIX)
}

/// The spelling in which many backends (CGI, WSGI, PHP) see a header.
pub(super) fn fold(name: &str) -> String {
    let fold = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    name.chars().map(fold).collect()
}
