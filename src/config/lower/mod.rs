//! From what the file says to what it means: a [`Config`], or every mistake at once.
//!
//! Each table has a function that pushes what is wrong and goes on. Nothing is worded here: see
//! `diagnostic`. Reads the files and variables that the configuration names, and nothing else.

mod accept;
mod backend_users;
mod cookies;
mod endpoints;
mod events;
mod keys;
mod limits;
mod lint;
mod lint_rewrites;
mod rewrite;
mod routes;
mod secrets;
mod sections;
mod selftest;
mod sessions;
mod shared;
mod trust;
mod upstreams;
mod users;

use std::fs;
use std::io::{ErrorKind, Read};
use std::net::SocketAddr;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::diagnostic::{Diagnostics, Span};
use super::raw::RawFile;
use super::read::Spanned;
use super::{Config, DEFAULT, KeyOutline, UsersSource};

/// Bytes in one configuration file at most: thousands of routes are far below, a wrong file is above.
pub const FILE_BYTES_MAX: u64 = 10 * 1024 * 1024;

/// How the built-in file is called in messages.
const BUILT_IN: &str = "(built-in gateway.toml)";

impl Config {
    /// Reads and lowers a file; relative paths in it are relative to it.
    ///
    /// # Errors
    /// Every mistake, also that there is no such file, that it is a directory, too large or not UTF-8.
    pub fn load(path: &Path) -> Result<Config, Diagnostics> {
        lower(&text_of(path)?, Some(path), base_of(path))
    }

    /// Where a configuration says that the users are; a file is there or not yet: for the commands that make it. Judges no
    /// more than that needs, so that a user can be added before the secrets are in place. `None` when login is
    /// off; `file` as for [`Config::load`], without one as for [`Config::embedded`].
    ///
    /// # Errors
    /// Every mistake of TOML and of types, and those in `[state]` and `[login]`.
    pub fn users_source(file: Option<&Path>) -> Result<Option<UsersSource>, Diagnostics> {
        let (text, base) = match file {
            Some(path) => (text_of(path)?, base_of(path)),
            None => (DEFAULT.to_owned(), Path::new("")),
        };
        let mut out = diagnostics(&text, file);
        let login = parse(&text, &mut out).and_then(|raw| {
            let mut lowering =
                Lowering { base, out: &mut out, users_must_exist: false, outlined: None };
            let state_dir = lowering.state(raw.state.get());
            let upstreams = lowering.upstreams(&raw);
            lowering.login(raw.login.get(), &state_dir, &upstreams)
        });
        out.sort();
        if out.has_errors() { Err(out) } else { Ok(login.map(|login| login.users)) }
    }

    /// As [`Config::load`], without looking at secrets and users, which another machine need not have, for
    /// `diff`. The `Config` has no keys, so it can verify nothing; what is known of them stands beside it.
    ///
    /// # Errors
    /// Every mistake but those of secrets and users.
    pub fn outline(path: &Path) -> Result<(Config, Vec<KeyOutline>), Diagnostics> {
        let text = text_of(path)?;
        let mut keys = Vec::new();
        let config = lower_with(&text, Some(path), base_of(path), Some(&mut keys))?;
        Ok((config, keys))
    }

    /// The built-in configuration, for a start without a file; paths are relative to the working directory.
    ///
    /// # Errors
    /// Only what the world around it does wrong: the file itself has no mistakes.
    pub fn embedded() -> Result<Config, Diagnostics> {
        lower(DEFAULT, None, Path::new(""))
    }
}

fn text_of(path: &Path) -> Result<String, Diagnostics> {
    let bytes = read_file(path).map_err(|(why, help)| {
        let mut out = diagnostics("", Some(path));
        out.unreadable_file(&why, help);
        out
    })?;
    String::from_utf8(bytes).map_err(|fault| secrets::not_utf8(path, &fault))
}

/// Relative paths in the file are relative to it.
fn base_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

fn diagnostics(text: &str, file: Option<&Path>) -> Diagnostics {
    let name = file.map_or(BUILT_IN.to_owned(), |path| path.display().to_string());
    Diagnostics::new(name, text)
}

/// The text of a configuration file, or what is wrong and what to do.
fn read_file(path: &Path) -> Result<Vec<u8>, (String, &'static str)> {
    const WHICH: &str = "name the file with --config FILE";
    let shown = path.display();
    let failed = |fault: std::io::Error| match fault.kind() {
        ErrorKind::NotFound => (format!("there is no file {shown}"), WHICH),
        ErrorKind::PermissionDenied => {
            (format!("{shown} cannot be read: permission denied"), "let the gateway's user read it")
        }
        _ => (format!("{shown} cannot be read: {fault}"), WHICH),
    };
    let about = fs::metadata(path).map_err(failed)?;
    if about.is_dir() {
        return Err((format!("{shown} is a directory"), WHICH));
    }
    if !about.is_file() {
        return Err((format!("{shown} is not a regular file"), WHICH));
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(failed)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err((format!("{shown} is larger than 10 MiB"), "is this the right file?"));
    }
    Ok(bytes)
}

/// Lowers `text`. `file` is its name in messages and in the [`Config`]; relative paths are relative to `base`.
///
/// # Errors
/// Every mistake, in the order of the file.
pub fn lower(text: &str, file: Option<&Path>, base: &Path) -> Result<Config, Diagnostics> {
    lower_with(text, file, base, None)
}

fn lower_with(
    text: &str,
    file: Option<&Path>,
    base: &Path,
    outlined: Option<&mut Vec<KeyOutline>>,
) -> Result<Config, Diagnostics> {
    let mut out = diagnostics(text, file);
    let raw = parse(text, &mut out);
    let users_must_exist = outlined.is_none();
    let mut lowering = Lowering { base, out: &mut out, users_must_exist, outlined };
    lowering.secrets(text);
    let config = raw.and_then(|raw| lowering.file(&raw, file));
    out.sort();
    match config {
        Some(config) if !out.has_errors() => {
            Ok(Config { warnings: out, hash: hash_of(text), ..config })
        }
        _ => Err(out),
    }
}

/// Names a text: the first 64 bits of its SHA-256, in hex. For people and dashboards, never for a decision.
fn hash_of(text: &str) -> String {
    const NAME_BYTES: usize = 8;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().take(NAME_BYTES).map(|byte| format!("{byte:02x}")).collect()
}

/// What the file says; `None` when it is not TOML, and then only what comes before the first fault of
/// syntax is judged, since behind it nothing is where it seems to be.
fn parse(text: &str, out: &mut Diagnostics) -> Option<RawFile> {
    let (document, faults) = DeTable::parse_recoverable(text);
    let table = document.get_ref();
    let mut first_fault: Option<usize> = None;
    let mut last_line = None;
    for fault in &faults {
        let span = fault.span().unwrap_or(0..0);
        let line_start = text.get(..span.start).unwrap_or(text).rfind('\n').map_or(0, |at| at + 1);
        if fault.message() == "duplicate key" {
            let key = text.get(span.clone()).unwrap_or_default().trim_matches(['"', '\'']);
            let first = if out.is_full() { None } else { first_place(table, text, &span, key) };
            out.duplicate(&span, key, first);
        } else {
            first_fault = Some(first_fault.map_or(line_start, |first| first.min(line_start)));
            // One slip of the pen makes several faults on its line: the first says it.
            if last_line != Some(line_start) {
                out.syntax(&span, fault.message());
            }
            last_line = Some(line_start);
        }
    }
    let raw = RawFile::read_table(table, "", out);
    if let Some(first_fault) = first_fault {
        out.keep_before(first_fault);
        return None;
    }
    Some(raw)
}

/// Where the key that is repeated at `again` was first given.
fn first_place(root: &DeTable<'_>, text: &str, again: &Span, key: &str) -> Option<Span> {
    let mut found: Option<Span> = None;
    let mut tables = vec![root];
    // The parser keeps the first of the two: it is the nearest one above with the same name.
    while let Some(table) = tables.pop() {
        for (name, value) in table.iter() {
            let span = name.span();
            let before = span.end <= again.start;
            if before
                && name.get_ref() == key
                && found.as_ref().is_none_or(|f| f.start < span.start)
            {
                found = Some(span);
            }
            push_tables(value.get_ref(), &mut tables);
        }
    }
    let line_start = text.get(..again.start)?.rfind('\n').map_or(0, |at| at + 1);
    let header = text[line_start..].lines().next()?.trim();
    if !header.starts_with('[') {
        return found;
    }
    // A repeated header replaces the first in what was parsed: look for its line.
    let mut start = 0;
    text[..line_start].split_inclusive('\n').find_map(|line| {
        let span = start..start + line.trim_end().len();
        start += line.len();
        (line.trim() == header).then_some(span)
    })
}

fn push_tables<'t, 'i>(value: &'t DeValue<'i>, tables: &mut Vec<&'t DeTable<'i>>) {
    match value {
        DeValue::Table(table) => tables.push(table),
        DeValue::Array(list) => {
            tables.extend(list.iter().filter_map(|one| one.get_ref().as_table()));
        }
        _ => {}
    }
}

/// The work in hand: where relative paths begin, and the mistakes so far.
struct Lowering<'a> {
    base: &'a Path,
    out: &'a mut Diagnostics,
    /// Whether a users file that is named must be there, and the URL of a database be read.
    users_must_exist: bool,
    /// Where keys are noted down instead of being read; `None`: they are read.
    outlined: Option<&'a mut Vec<KeyOutline>>,
}

impl Lowering<'_> {
    /// The table of contents. Every part is lowered whatever the others did; the answer is only worth
    /// something when no mistake was reported.
    fn file(&mut self, raw: &RawFile, file: Option<&Path>) -> Option<Config> {
        let (listen, admin) = self.listeners(raw);
        let trusted_proxies = self.networks(&raw.trusted_proxies());
        let state_dir = self.state(raw.state.get());
        let upstreams = self.upstreams(raw);
        let (tokens, keys, trusts) = self.tokens(raw.tokens.get());
        self.assertions(raw);
        let mut login = self.login(raw.login.get(), &state_dir, &upstreams);
        let identity = self.identity(&raw.identity());
        let tokens_raw = raw.tokens.get().map(|raw| raw.value.clone()).unwrap_or_default();
        let profile = tokens_raw.profile().value.profile();
        let sessions = self.sessions(&tokens_raw, profile);
        let locations = self.locations(tokens_raw, profile, &identity);
        if let Some(login) = &mut login {
            login.cookies = self.login_cookies(raw.login.get(), login, &locations);
        }
        let (limits, paths) = (self.limits(raw.limits.get()), self.paths(raw.paths.get()));
        let (log, events) = (self.log(raw.log.get()), self.events(raw.events.get()));
        let outlined = self.outlined.as_ref().is_some_and(|keys| !keys.is_empty());
        let asserted = upstreams.iter().any(|one| one.assertion);
        let has_keys = outlined || !keys.is_empty() || asserted;
        let shared_state = self.shared_state(raw);
        let routes =
            self.routes(raw, &upstreams, (login.as_ref(), has_keys, profile), locations.accept);
        if let Some(routes) = &routes {
            self.lint(routes, limits.target_max);
        }
        let tests = raw.test.get().map(|list| list.value.0.as_slice()).unwrap_or_default();
        let tests = self.tests(tests, &upstreams);
        let routes = routes?;
        Some(Config {
            file: file.map(Path::to_path_buf),
            listen: listen?,
            admin,
            trusted_proxies,
            upstreams,
            routes: routes.table,
            paths,
            tokens,
            sessions,
            profile,
            locations,
            keys,
            trusts,
            login,
            identity,
            limits,
            state_dir,
            shared_state,
            log,
            events,
            tests,
            places: routes.places,
            warnings: Diagnostics::new("", ""),
            hash: String::new(),
        })
    }

    fn listeners(&mut self, raw: &RawFile) -> (Option<SocketAddr>, Option<SocketAddr>) {
        let (listen, admin) = (raw.listen(), raw.admin());
        let public = self.address(&listen, "listen");
        let operator = match admin.value.as_str() {
            "off" => None,
            _ => self.address(&admin, "admin"),
        };
        if public.is_some() && public == operator && public.is_some_and(|one| one.port() != 0) {
            self.out.same_address(&admin.span, &listen.span);
        }
        if operator.is_some_and(|address| !address.ip().is_loopback()) {
            self.out.public_admin(&admin.span);
        }
        let said = raw.plaintext().value || !raw.trusted_proxies().value.is_empty();
        if !said && public.is_some_and(|address| !address.ip().is_loopback()) {
            self.out.no_tls(&listen.span);
        }
        (public, operator)
    }

    fn address(&mut self, text: &Spanned<String>, at: &str) -> Option<SocketAddr> {
        let address = text.value.parse().ok();
        if address.is_none() {
            self.out.bad_address(&text.span, at, &text.value);
        }
        address
    }
}
