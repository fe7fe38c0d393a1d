//! What both configurations say outside `[routes]`, as far as it decides who passes and what a backend is told.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use ipnet::IpNet;
use serde_json::{Value, json};

use super::effect::span;
use super::{Side, Verdict};
use crate::config::{Config, HostRule, KeyOutline, SessionRules, Target, Trust, Upstream};
use crate::policy::path::PathRules;
use crate::token::extract::Locations;

/// One setting that is different.
#[derive(Debug)]
pub struct SettingChange {
    /// Its place in the file.
    pub name: String,
    /// What it means.
    pub verdict: Verdict,
    values: [String; 2],
}

impl SettingChange {
    /// `0s → 30s`.
    pub fn what(&self) -> String {
        self.values.join(" → ")
    }

    /// The change as JSON.
    pub fn json(&self) -> Value {
        let [old, new] = &self.values;
        json!({ "verdict": self.verdict.name(), "setting": self.name, "old": old, "new": new })
    }
}

/// Compares all but the routes.
pub fn compare(old: &Side, new: &Side) -> Vec<SettingChange> {
    let mut found = Vec::new();
    let mut say = |name: &str, was: String, now: String, verdict: Verdict| {
        if was != now {
            found.push(SettingChange { name: name.to_owned(), verdict, values: [was, now] });
        }
    };
    tokens(&old.config, &new.config, &mut say);
    locations(&old.config.locations, &new.config.locations, &mut say);
    keys(&old.keys, &new.keys, &mut say);
    trusts(&old.config.trusts, &new.config.trusts, &mut say);
    paths(&old.config.paths, &new.config.paths, &mut say);
    proxies(&old.config.trusted_proxies, &new.config.trusted_proxies, &mut say);
    identity(&old.config, &new.config, &mut say);
    upstreams(&old.config.upstreams, &new.config.upstreams, &mut say);
    login(&old.config, &new.config, &mut say);
    operation(&old.config, &new.config, &mut say);
    found
}

type Say<'s> = &'s mut dyn FnMut(&str, String, String, Verdict);

const NONE: &str = "none";

/// Longer is weaker.
fn longer<T: PartialOrd>(was: &T, now: &T) -> Verdict {
    if now > was { Verdict::Weaker } else { Verdict::Stricter }
}

fn tokens(old: &Config, new: &Config, say: Say<'_>) {
    let (was, now) = (&old.tokens, &new.tokens);
    for (name, was, now) in [
        ("[tokens] issuer", &was.issuer, &now.issuer),
        ("[tokens] audience", &was.audience, &now.audience),
    ] {
        // Where none was asked for, every one passed; another one lets others pass.
        let verdict = if was.is_none() { Verdict::Stricter } else { Verdict::Weaker };
        let text = |one: &Option<String>| one.clone().unwrap_or_else(|| NONE.to_owned());
        say(name, text(was), text(now), verdict);
    }
    let (for_whom, told) = (old.profile.name().to_owned(), new.profile.name().to_owned());
    let double_submit = match (was.csrf, now.csrf) {
        (true, false) => Verdict::Weaker,
        (false, true) => Verdict::Stricter,
        _ => Verdict::Changed,
    };
    // Without it a cookie passes that lacks its double submit.
    say("[tokens] profile", for_whom, told, double_submit);
    let (who, whom) = (was.identity_claim.clone(), now.identity_claim.clone());
    say("[tokens] identity_claim", who, whom, Verdict::Weaker);
    let spans: [(&str, Duration, Duration); 3] = [
        ("[tokens] leeway", was.leeway, now.leeway),
        ("[tokens] access_ttl", was.access_ttl, now.access_ttl),
        ("[tokens] refresh_ttl", was.refresh_ttl, now.refresh_ttl),
    ];
    for (name, was, now) in spans {
        say(name, span(was), span(now), longer(&was, &now));
    }
    sessions(&old.sessions, &new.sessions, say);
}

/// What ends later is worth more to whoever stole it; without rotation nobody learns that it was stolen.
fn sessions(was: &SessionRules, now: &SessionRules, say: Say<'_>) {
    let text = |on: bool| if on { "on" } else { "off" }.to_owned();
    let verdict = if now.rotation { Verdict::Stricter } else { Verdict::Weaker };
    say("[tokens] rotation", text(was.rotation), text(now.rotation), verdict);
    let spans: [(&str, Duration, Duration); 2] = [
        ("[tokens] reuse_window", was.reuse_window, now.reuse_window),
        ("[tokens] session_max", was.session_max, now.session_max),
    ];
    for (name, was, now) in spans {
        say(name, span(was), span(now), longer(&was, &now));
    }
    let idle = |rules: &SessionRules| rules.refresh_idle.map_or_else(|| NONE.to_owned(), span);
    let most = |rules: &SessionRules| rules.refresh_idle.unwrap_or(Duration::MAX);
    say("[tokens] refresh_idle", idle(was), idle(now), longer(&most(was), &most(now)));
}

/// A place more is a way in more. A place less is refused from now on, but what stands there reaches backends: which
/// of the two matters, nobody knows here.
fn locations(was: &Locations, now: &Locations, say: Say<'_>) {
    let more = now.accept.iter().any(|one| !was.accept.holds(one));
    let verdict = if more { Verdict::Weaker } else { Verdict::Changed };
    say("[tokens] accept", was.accept.to_string(), now.accept.to_string(), verdict);
    for (name, was, now) in [
        ("header", was.header.as_str(), now.header.as_str()),
        ("scheme", &was.scheme, &now.scheme),
        ("cookie", &was.cookie, &now.cookie),
        ("refresh_cookie", &was.refresh_cookie, &now.refresh_cookie),
        ("query", &was.query, &now.query),
    ] {
        let text = |one: &str| if one.is_empty() { NONE.to_owned() } else { one.to_owned() };
        say(&format!("[tokens] {name}"), text(was), text(now), Verdict::Changed);
    }
}

/// A key that is new, or kept elsewhere, verifies tokens that were refused.
fn keys(old: &[KeyOutline], new: &[KeyOutline], say: Say<'_>) {
    let text = |key: &KeyOutline| {
        let does = if key.signs { "signs" } else { "verifies" };
        format!("{} {does} {}", key.algorithm.name(), key.origin)
    };
    let find = |keys: &[KeyOutline], id: &str| keys.iter().find(|key| key.id == id).map(text);
    // Without any the gateway makes its own.
    const MADE: &str = "made on first run";
    let made = |keys: &[KeyOutline]| if keys.is_empty() { MADE } else { NONE }.to_owned();
    if old.is_empty() != new.is_empty() {
        say("[[tokens.key]] (own)", made(old), made(new), longer(&new.len(), &old.len()));
    }
    for key in new {
        let was = find(old, &key.id).unwrap_or_else(|| NONE.to_owned());
        say(&format!("[[tokens.key]] {}", key.id), was, text(key), Verdict::Weaker);
    }
    for key in old.iter().filter(|key| find(new, &key.id).is_none()) {
        let name = format!("[[tokens.key]] {}", key.id);
        say(&name, text(key), NONE.to_owned(), Verdict::Stricter);
    }
}

/// An issuer that is new, or of which something else is believed, opens what was shut.
fn trusts(old: &[Trust], new: &[Trust], say: Say<'_>) {
    let text = |one: &Trust| {
        let rules = &one.rules;
        let algorithms: Vec<&str> = rules.algorithms.iter().map(|one| one.name()).collect();
        let paths = rules.claims.iter().map(|(name, path)| format!(" {name}={path}"));
        let fresh = rules.freshness.as_ref().map_or("never fresh".to_owned(), |checked| {
            format!("fresh {} after {}", span(checked.fresh_for), checked.path)
        });
        format!(
            "{}, {}, audience {}, subject_prefix {}, sub={}{}, {fresh}",
            one.keys.origin(),
            algorithms.join(" "),
            rules.audience.join(" "),
            rules.subject_prefix,
            rules.subject,
            paths.collect::<String>(),
        )
    };
    let find = |list: &[Trust], issuer: &str| {
        list.iter().find(|one| one.rules.issuer == issuer).map_or(NONE.to_owned(), text)
    };
    for one in new {
        let name = format!("[[tokens.trust]] {}", one.rules.issuer);
        say(&name, find(old, &one.rules.issuer), text(one), Verdict::Weaker);
    }
    for one in old.iter().filter(|one| find(new, &one.rules.issuer) == NONE) {
        let name = format!("[[tokens.trust]] {}", one.rules.issuer);
        say(&name, text(one), NONE.to_owned(), Verdict::Stricter);
    }
}

fn paths(old: &PathRules, new: &PathRules, say: Say<'_>) {
    for (name, was, now, on) in [
        ("dot_segments", old.resolve_dot_segments, new.resolve_dot_segments, "resolve"),
        ("double_slash", old.merge_slashes, new.merge_slashes, "merge"),
        ("encoded_slash", old.pass_encoded_slash, new.pass_encoded_slash, "pass"),
        ("backslash", old.pass_backslash, new.pass_backslash, "pass"),
        ("semicolon", old.pass_semicolon, new.pass_semicolon, "pass"),
        ("double_encoding", old.pass_double_encoding, new.pass_double_encoding, "pass"),
        ("non_utf8", old.pass_non_utf8, new.pass_non_utf8, "pass"),
    ] {
        let text = |flag: bool| if flag { on } else { "refuse" }.to_owned();
        say(&format!("[paths] {name}"), text(was), text(now), longer(&was, &now));
    }
}

fn proxies(old: &[IpNet], new: &[IpNet], say: Say<'_>) {
    let old = IpNet::aggregate(&old.to_vec());
    let new = IpNet::aggregate(&new.to_vec());
    let covered = |net: &IpNet| old.iter().any(|known| known.contains(net));
    let verdict = if new.iter().all(covered) { Verdict::Stricter } else { Verdict::Weaker };
    let text = |nets: &[IpNet]| match nets {
        [] => NONE.to_owned(),
        nets => nets.iter().map(IpNet::to_string).collect::<Vec<String>>().join(" "),
    };
    say("trusted_proxies", text(&old), text(&new), verdict);
}

/// A header that is no longer ours is no longer taken from clients either: then anybody can set it.
fn identity(old: &Config, new: &Config, say: Say<'_>) {
    let table = |config: &Config| -> BTreeMap<String, String> {
        let lines = config.identity.iter();
        lines.map(|line| (line.name.to_string(), line.claim.clone())).collect()
    };
    let (was, now) = (table(old), table(new));
    for (name, claim) in &was {
        let at = format!("[identity] {name}");
        match now.get(name) {
            Some(other) => say(&at, claim.clone(), other.clone(), Verdict::Changed),
            None => say(&at, claim.clone(), NONE.to_owned(), Verdict::Weaker),
        }
    }
    for (name, claim) in now.iter().filter(|(name, _)| !was.contains_key(*name)) {
        say(&format!("[identity] {name}"), NONE.to_owned(), claim.clone(), Verdict::Changed);
    }
}

/// Upstreams that both have, by name; one that only one has is seen at the routes that lead to it.
fn upstreams(old: &[Upstream], new: &[Upstream], say: Say<'_>) {
    for was in old {
        let Some(now) = new.iter().find(|one| one.name == was.name) else { continue };
        let at = |key: &str| format!("[upstreams.{}] {key}", was.name);
        say(&at("url"), target(&was.target), target(&now.target), Verdict::Changed);
        say(&at("host"), host(&was.host), host(&now.host), Verdict::Changed);
        let (signed, signs) = (was.assertion.to_string(), now.assertion.to_string());
        say(&at("assertion"), signed, signs, Verdict::Changed);
    }
}

fn target(target: &Target) -> String {
    match target {
        Target::Whoami => "builtin:whoami".to_owned(),
        Target::Http { host, port } => format!("http://{host}:{port}"),
    }
}

fn host(rule: &HostRule) -> String {
    match rule {
        HostRule::Keep => "keep".to_owned(),
        HostRule::Upstream => "upstream".to_owned(),
        HostRule::Fixed(name) => String::from_utf8_lossy(name.as_bytes()).into_owned(),
    }
}

/// The endpoints are routes and compared as such; who the users are is not.
fn login(old: &Config, new: &Config, say: Say<'_>) {
    let users = |config: &Config| match &config.login {
        None => "login off".to_owned(),
        Some(login) => beside(config, login.users.path()),
    };
    say("[login.users]", users(old), users(new), Verdict::Changed);
}

/// What is outside the decisions and still opens something: the operator's listener asks for no token, and
/// revocations are forgotten with the directory that holds them.
fn operation(old: &Config, new: &Config, say: Say<'_>) {
    let far = |config: &Config| config.admin.is_some_and(|address| !address.ip().is_loopback());
    let admin = |config: &Config| config.admin.map_or("off".to_owned(), |one| one.to_string());
    let verdict = match (far(old), far(new), new.admin.is_none()) {
        (_, true, _) => Verdict::Weaker,
        (true, false, _) | (_, _, true) => Verdict::Stricter,
        (false, false, false) => Verdict::Changed,
    };
    say("admin", admin(old), admin(new), verdict);
    say("listen", old.listen.to_string(), new.listen.to_string(), Verdict::Changed);
    let state = |config: &Config| beside(config, &config.state_dir);
    say("[state] dir", state(old), state(new), Verdict::Weaker);
    let (was, now) = (&old.limits, &new.limits);
    for (name, was, now) in [
        ("body_max", was.body_max, now.body_max),
        ("target_max", was.target_max as u64, now.target_max as u64),
        ("header_max", was.header_max as u64, now.header_max as u64),
        ("header_count", was.header_count as u64, now.header_count as u64),
    ] {
        say(&format!("[limits] {name}"), was.to_string(), now.to_string(), Verdict::Changed);
    }
}

/// A path as it is written, where it is relative to the file.
fn beside(config: &Config, path: &Path) -> String {
    let base = config.file.as_deref().and_then(Path::parent);
    base.and_then(|base| path.strip_prefix(base).ok()).unwrap_or(path).display().to_string()
}
